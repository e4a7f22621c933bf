# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inner neurons (VITAL, appendix B.1)
#
# **Question.** A class has a name, so we know what its picture should show. What should the picture of a neuron
# show that nobody has named?
#
# It should show what the images have in common that excite the neuron. This page puts both side by side: the patches of real
# images that a {term}`channel` answers to most, and the pictures that three methods make of it. Some channels answer to
# several things at once. At the end these are taken apart.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network | about a minute on one core | an hour on a GPU | {doc}`/vital/3-3-relevance` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
judge = "clip"  # an image-text network of the edition
relevance = "LRP"  # for transformers and ConvNeXt: AttnLRP
layer = "block5"  # where the neurons lie
neurons = []  # channels of that layer; empty takes one for each of `channels` classes
channels = 6  # half of them in each figure; the paper's table has 90
photos = 1600  # images in which patches are looked for
patch = 0.75  # side of a patch as a share of the image's; the paper has 64 of 224 pixels
references = 16  # patches that a picture is made from; the paper has 50 of 1.28 million images
control = 50  # patches that pictures are compared with
seeds = 1  # pictures per channel and method; the paper has 3
steps = 70  # of every method
mixed = 3  # polysemantic channels; the paper shows 4
many = 100  # patches that are sorted into groups; the paper has 1000
groups = 2  # per channel; 0 takes the number with the best silhouette

# %%
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown

import sightglass as sg
from sightglass import zoo
from sightglass.concepts import clusters, pooled, top_patches
from sightglass.metrics import auc, eight_bits, mad
from sightglass.show import beside, claim, show, unavailable
from sightglass.visualize import METHODS
from sightglass.visualize.fourier import FOURIER
from sightglass.visualize.neurons import vital_inner

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
seen = ed.images("test", photos)  # pixels (n, 3, size, size) and labels
side = round(patch * ed.size)
cutting = {"at": layer, "patch": side, "stride": max(1, (ed.size - side) // 2)}  # two or three places each way
rolls = list(range(seed, seed + seeds))

# %% [markdown]
# ## Which channels, and what excites them
#
# A channel chosen by hand proves nothing. So for each of some classes, spread evenly over the list, we take the channel of
# the last {term}`block` that stands out most on images of the class. This says which channels are looked at. It doesn't
# say what they stand for: a channel may answer to an ear, a colour, or the snow behind a penguin.

# %%
answer = pooled(model, seen.pixels, layer).cpu()  # (n, c): mean over positions
alive = (answer > 0).sum(0) >= control
apart = ((answer - answer.mean(0)) / answer.std(0).clamp(min=1e-9)).masked_fill(~alive, -torch.inf)
asked = range(len(every) > channels, len(every), max(1, len(every) // channels))[:channels]
leading = [int(apart[seen.labels == k].mean(0).argmax()) for k in asked if (seen.labels == k).any()]
chosen = list(neurons) or list(dict.fromkeys(leading))


def best_patches(target, k):
    """The k best patches of each channel (t, k, 3, size, size), cut from the images with the best mean answers."""
    rows = answer[:, target].topk(min(k, len(answer)), 0).indices.unique()
    found = top_patches(model, seen.pixels[rows], target, k=min(k, len(rows)), **cutting)
    return found.images, rows[found.source], found.score


patches, origin, score = best_patches(chosen, control)
crops = patches[:, :references].to(ed.device)  # (channels, references, 3, size, size)


def sources(rows):
    """The classes of the images that patches come from, the commonest first, with their counts."""
    count = seen.labels[rows].bincount(minlength=len(every))
    return [(every[k], int(count[k])) for k in count.argsort(descending=True).tolist() if count[k]]


for c, rows in zip(chosen, origin[:, :references], strict=True):
    print(f"channel {c}:", ", ".join(f"{n} of {name}" for name, n in sources(rows)[:3]))

# %% [markdown]
# From each of the images that excite a channel most we cut the square that excites it most and enlarge it to full size.
# These squares are its {term}`reference images`. The paper takes the best fifty of a million images. Of a few thousand, the fiftieth
# often shows something else already, and matching fifty different things makes a picture of none of them; so
# we take fewer. We also cut larger squares: enlarged too much, a thing is of a size that the network has never
# met. The published code goes further and matches the *whole* images that the squares were cut from.

# %% [markdown]
# ## Three methods
#
# *Fourier* {cite:p}`olah2017` and {term}`MACO` {cite:p}`fel2023maco` turn up the channel, and only MACO takes anything from real
# images, their average spectrum. VITAL {cite:p}`gorgun2025` makes the activations that matter to the channel
# distributed as they are in the patches. What matters is told by {term}`relevance`, found by
# {term}`layer-wise relevance propagation` or by guided backpropagation {cite:p}`springenberg2015`. DeepInversion and Plug-In
# Inversion need a class, so they have no column here. All methods take the same number of steps.

# %%
def pictures(method, target, real, **how):
    """Pictures of some channels by a method, (seeds, channels, 3, size, size), or the sentence why there are none."""
    try:
        return sg.kept(method, model, target, real, at=layer, steps=steps, seed=rolls, **how).cpu()
    except ValueError as reason:  # the network has nothing that this relevance could follow
        return unavailable(str(reason))


made = {
    "Fourier": pictures(METHODS["Fourier"], chosen, crops),
    "MACO": pictures(METHODS["MACO"], chosen, crops),
    "VITAL, guided": pictures(vital_inner, chosen, crops, relevance="guided backpropagation"),
    "VITAL": pictures(vital_inner, chosen, crops, relevance=relevance),
}

# %% tags=["hide-input"]
def wall(wanted):
    """A row for each channel: its four best patches, then its picture by every method."""
    page = [[*crops[k, :4], *(images if isinstance(images, str) else images[0, k] for images in made.values())]
            for k in wanted]
    head = ["best patch", "second", "third", "fourth", *made]
    return sg.plot.grid(page, rows=[f"channel {chosen[k]}" for k in wanted], columns=head)


half = (len(chosen) + 1) // 2
show(wall(range(half)), "fig-vital-27",
     f"Channels of {layer} of {network}. Left: the real patches that excite each most. Right: its pictures by three methods; VITAL with "
     f"guided backpropagation and with {relevance}. What do the four patches of a row share, and which of the pictures show it "
     "(VITAL, figure 27)?",
     alt="Rows of pictures, one per channel: four patches of real images, then pictures by Fourier, MACO and VITAL twice.")

# %%
show(wall(range(half, len(chosen)) or range(half)), "fig-vital-28", "The same for the other channels (VITAL, figure 28).",
     alt="More rows of four patches of real images and of pictures by Fourier, MACO and VITAL twice.")

# %% [markdown]
# Where the list above names several classes for a channel, look twice: a picture of all its patches has to serve every one of
# them. We come back to these channels at the end.
#
# ## Do the pictures show what the patches share?
#
# Your eyes have just answered. A judge can be asked, too: an image-text network of another family that took no part. It turns
# every picture and every patch into a vector. A picture does its work if it is nearer to the mean of its own
# channel's patches than to that of any other channel here.

# %%
missing = ed.gives(judge)
witness = model if missing else ed.model(judge)


@torch.no_grad()
def embedded(images):
    """Unit vectors of images (n, 3, h, w) in the eyes of the judge, or of the network itself where there is none: (n, d)."""
    images = eight_bits(images).to(ed.device)
    vectors = pooled(model, images) if missing else witness(zoo.normalise(witness, images))
    return F.normalize(vectors, dim=-1).cpu()


def middle(sets):
    """The mean direction of each set of images (t, n, 3, h, w): (t, d)."""
    return F.normalize(torch.stack([embedded(images).mean(0) for images in sets]), dim=-1)


# %% tags=["nbval-check-output"]
own = middle(crops)
right, near = {}, {}
for name, images in made.items():
    if not isinstance(images, str):
        alike = embedded(images.flatten(0, 1)).unflatten(0, images.shape[:2]) @ own.T  # (seeds, channels, channels)
        right[name] = (alike.argmax(-1) == torch.arange(len(chosen))).float().mean(0)  # (channels,)
        near[name] = alike.diagonal(dim1=1, dim2=2).mean()
rated = pd.DataFrame({"nearest to their own patches, %": {name: 100 * float(r.mean()) for name, r in right.items()},
                      "similarity to them": {name: float(s) for name, s in near.items()}})
print(rated.round(2).to_string())
lost = [chosen[k] for k in (right["VITAL"] < 1).nonzero().flatten()] if "VITAL" in right else chosen
print("taken for another channel's, VITAL:", ", ".join(f"channel {c}" for c in lost) or "none")

# %% [markdown]
# ## Do they excite the channel as real images do?
#
# The paper asks something simpler: how strongly does the channel answer? The answers to synthetic pictures are
# compared with those to its best real patches {cite:p}`kopf2024`. AUC is the chance that a picture excites the channel more than a patch
# does. MAD is how many standard deviations the mean answer to pictures lies above the mean answer to patches. At
# an AUC of 0.5 and a MAD of 0 a picture is as exciting as the best that the real images have to offer.

# %% [markdown]
# One setting decides how Fourier and MACO do here. At every step they show the network random crops of their canvas. The paper's crops
# are about a quarter as wide as the canvas; those behind the figures above are much larger, because a quarter of so small a picture
# shows next to nothing. So both are made once more with the paper's crops.

# %%
small = FOURIER["paper"]["crop"]  # mean and spread of a crop's side, as a share of the canvas
compared = {name: pictures(METHODS[name], chosen, crops, crop=small) for name in ("Fourier", "MACO")}
compared |= {f"{name}, large crops": made[name] for name in ("Fourier", "MACO")}
compared |= {name: made[name] for name in ("VITAL", "VITAL, guided")}


def answers(images):
    """What each channel answers to its own pictures (seeds, channels, 3, h, w): (channels, seeds)."""
    found = pooled(model, images.flatten(0, 1), layer).cpu().unflatten(0, images.shape[:2])
    return found[:, range(len(chosen)), chosen].T


scores = {}
for name, images in compared.items():
    if not isinstance(images, str):
        given = (score, answers(images))
        scores[name] = {"AUC": float(auc(*given).mean()), "MAD": float(mad(*given).mean())}
show(beside(pd.DataFrame(scores).T, "tab-vital-3"), "tab-vital-3",
     f"How strongly pictures of inner neurons excite them, compared with their {control} best real patches: {len(chosen)} channels, {seeds} "
     f"picture{'s' * (seeds > 1)} each; in the paper 90 channels and 3 pictures. Fourier and MACO as in the paper and, below, with the large "
     "crops of the figures (VITAL, table 3).")

# %%
if "VITAL" not in scores:
    verdict, reason = None, f"There are no pictures by VITAL with {relevance}: {made['VITAL']}."
else:
    asked = ["VITAL", *(name for name in scores if name.startswith(("Fourier", "MACO")))]
    table = pd.DataFrame(scores).T.loc[asked]
    reached = (table["AUC"] >= 0.5).astype(int) + (table["MAD"] > 0)  # of two marks
    verdict = bool(reached.iloc[0] == 2 and (reached.iloc[1:] == 0).all())
    each = "; ".join(f"{name}: AUC {row.AUC:.2f}, MAD {row.MAD:+.2f}" for name, row in table.iterrows())
    reason = f"Mean over {len(chosen)} channels. {each}. It is asked of both sizes of crops."
claim("vital-18", holds=verdict, because=reason)

# %% [markdown]
# Mind what this measures. Fourier and MACO raise the very number that they are judged by. What is judged is the whole
# canvas, though, and things that grew in a small crop are small there, of a size that the channel may hardly know. Where crops are
# nearly as large as the canvas, they are judged by what they were made for, and may exceed every real image. VITAL aims at the
# level of the patches and has no reason to go beyond. So a high score doesn't say that anything can be *seen*, and a low one may be a
# matter of crops. For what can be seen, go by the figures and by the judge.
#
# ## Channels with several meanings
#
# A {term}`polysemantic neuron` answers to things that have nothing to do with each other. Its patches have nothing in common,
# and one picture of all of them can only be a mixture. VITAL has a remedy that methods without references haven't: group the patches,
# and make a picture of each group.
#
# Which channels are polysemantic? We look at the images that excite each channel most, and take the channels for which
# the *second* most common class is as common as possible.

# %%
strongest = answer.topk(control, 0).indices  # (control, c): each channel's best images
kinds = F.one_hot(seen.labels[strongest], len(every)).float().mean(0)  # (c, classes): shares among them
second = kinds.topk(2, 1).values[:, 1].masked_fill(~alive, -1)
several = second.topk(mixed).indices.tolist()
heap, heap_origin, _ = best_patches(several, many)
found = [clusters(pooled(model, images), groups or None, nearest=references, seed=seed) for images in heap]
for c, group in zip(several, found, strict=True):
    print(f"channel {c}: {len(group.centre)} groups, silhouette {group.silhouette:.2f}")

# %% [markdown]
# The patches of each of these channels are grouped by {math}`k`-means on what the {term}`penultimate layer` answers to them. The patches
# nearest to the centre of a group become the references of one picture.

# %%
parts = [(c, k, heap[i, rows], heap_origin[i, rows])
         for i, c in enumerate(several) for k, rows in enumerate(found[i].nearest)]  # fmt: skip
fewest = min(len(rows) for *_, rows in parts)
grouped = torch.stack([images[:fewest] for _, _, images, _ in parts]).to(ed.device)
whose = [c for c, *_ in parts]
by_group = pictures(vital_inner, whose, grouped, relevance=relevance)
at_once = pictures(METHODS["MACO"], several, heap[:, :references].to(ed.device))

# %% tags=["hide-input"]
page, titles = [], []
for j, (c, k, images, rows) in enumerate(parts):
    name = sources(rows)[0][0]
    titles.append(f"channel {c}, group {k + 1}: mostly {name}")
    page.append([at_once if isinstance(at_once, str) else at_once[0, several.index(c)] if k == 0 else None, *images[:4],
                 by_group if isinstance(by_group, str) else by_group[0, j]])
show(sg.plot.grid(page, rows=titles, columns=["MACO, no groups", "nearest patch", "second", "third", "fourth", "VITAL"]), "fig-vital-29",
     f"The {len(several)} channels of {layer} whose best images are most evenly split between two classes. Their {heap.shape[1]} best patches "
     "are grouped by k-means; each group gets its own VITAL picture, MACO has one for all (VITAL, figure 29).",
     alt="Rows of pictures, one per group of a channel: MACO's picture of the channel, four patches, and the VITAL picture of the group.")

# %%
def taken_apart():
    """For each group's picture: whether it excites the channel, and whether it is nearest to its own group."""
    usual = answer[:, whose].quantile(0.95, 0)  # what only one photo in twenty exceeds
    response = pooled(model, by_group[0], layer).cpu()[range(len(whose)), whose]
    alike = embedded(by_group[0]) @ middle(grouped).T
    same = torch.tensor(whose)[:, None] == torch.tensor(whose)  # groups of the same channel
    nearest = alike.masked_fill(~same, -torch.inf).argmax(1)
    return response > usual, nearest == torch.arange(len(whose))


if isinstance(by_group, str):
    verdict, reason = None, f"There are no pictures by VITAL with {relevance}: {by_group}."
else:
    excites, fits = taken_apart()
    verdict = bool((excites & fits).all())
    reason = (f"{int(excites.sum())} of {len(parts)} pictures excite their channel more than 95% of {photos} photos do, and "
              f"{int(fits.sum())} are nearer to their own group's patches than to the channel's others in the eyes of "
              f"{'the network itself' if missing else 'an image-text network'}.")
claim("vital-20", holds=verdict, because=reason)

# %% tags=["hide-input"]
said = "" if isinstance(by_group, str) else (f"- A channel with several meanings isn't a riddle once its patches are grouped: {int((excites & fits).sum())} of "
                                             f"{len(parts)} pictures excite the channel and show their own group ({{numref}}`fig-vital-29`).")
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- A picture of an inner neuron is to be read beside the patches that excite it. Alone it is an inkblot ({numref}`fig-vital-27`).",
    "- " + "; ".join(f"{name}: {share:.0f}%" for name, share in rated.iloc[:, 0].items())
    + " of the pictures are nearest to their own channel's patches.",
    "- Exciting a channel and showing what excites it are different things: compare this with {numref}`tab-vital-3`.",
    said, ":::"]))

# %% [markdown]
# ## Copy this
#
# Patches, picture and groups of any channel of a timm model. Weights and images are random here; use
# `pretrained=True`, your own images, and more of them.

# %%
import timm
import torch

from sightglass import concepts
from sightglass.visualize.neurons import vital_inner

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(12, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_channels = concepts.pooled(my_model, my_images, "layer3").mean(0).topk(2).indices  # or any you like
my_patches = concepts.top_patches(my_model, my_images, my_channels, at="layer3", k=8)
my_pictures = vital_inner(my_model, my_channels, my_patches.images, at="layer3", steps=3, seed=0)
my_groups = concepts.clusters(concepts.pooled(my_model, my_patches.images[0]), 2, nearest=3)
assert my_patches.images.shape == (2, 8, 3, 64, 64) and my_pictures.shape == (2, 3, 64, 64)
assert my_groups.label.shape == (8,)

# %% [markdown]
# :::{dropdown} Try next: deeper and shallower
# Run `python -m sightglass run world vital/b-1 -p layer=block4`. Do the patches of a row still show whole things? Which of the methods
# gains?
# :::
#
# :::{dropdown} Try next: how many references?
# `-p references=50` matches as many as the paper does, and `-p references=4` hardly more than one image. What do you lose at each end?
# :::
