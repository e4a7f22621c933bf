# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Relevance scores (VITAL, section 3.3)
#
# **Question.** A neuron looks for ears, and ears come with grass behind them. How do we keep the grass out of its
# picture?
#
# Matching feature distributions takes over everything that real images share, their surroundings too. So VITAL
# {cite:p}`gorgun2025` asks first how much each {term}`activation` matters to the neuron in question, and matches
# activation times {term}`relevance` instead.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network | about a minute on one core | minutes on a GPU | {doc}`/vital/3-2-distribution-matching` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
relevance = "LRP"  # for transformers and ConvNeXt: AttnLRP
layer = "block5"  # where the neuron lies
about = "owl"  # the class whose neuron is looked at; the first one where an edition has no such class
neuron = -1  # a channel of that layer; -1 takes the one that stands out most on that class
classes = []  # names for the second half; empty takes every fourth of up to 24
steps = 70  # of each picture; 0 takes the method's own number
references = 50  # images per class
best = 16  # patches per neuron, from as many images
photos = 1600  # images in which patches are looked for

# %%
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts import pooled, top_patches
from sightglass.relevance import RELEVANCE, relevance_and_activations
from sightglass.show import claim, show, unavailable
from sightglass.visualize import METHODS
from sightglass.visualize.neurons import PRESETS, vital_inner
from sightglass.visualize.presets import settings
from sightglass.visualize.vital import blocks

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
pace = {"steps": steps} if steps else {}
seen = ed.images("test", photos)  # pixels (n, 3, size, size) and labels

# %% [markdown]
# ## One neuron and what it is shown
#
# A neuron is a {term}`channel`. The paper takes one that detects ears. We take the channel of the last {term}`block` that
# stands out most on one class, the owl unless told otherwise. From the images that excite it we cut the patch that
# excites it most and enlarge it to full size; one patch per image. These patches are its {term}`reference images`.

# %%
answer = pooled(model, seen.pixels, layer).cpu()  # (n, c): mean over positions
apart = (answer - answer.mean(0)) / answer.std(0).clamp(min=1e-9)
on_class = {k: apart[seen.labels == k].mean(0) for k in seen.labels.unique().tolist()}  # (c,) each
word = about if about in every else every[0]
chosen = int(on_class[every.index(word)].argmax()) if neuron < 0 else neuron
patches = top_patches(model, seen.pixels, [chosen], at=layer, k=best, shortlist=2 * best)
share = float((seen.labels[patches.source] == every.index(word)).float().mean())
print(f"{layer}, channel {chosen}: {share:.0%} of its {best} best patches come from images of {word}")

# %% [markdown]
# Two pictures are made from these patches. Both match the blocks before the neuron, with the same start, the same
# shifts and the same number of steps. One matches activations. The other weighs each activation by its relevance to the
# neuron, found by {term}`layer-wise relevance propagation`.

# %%
stages = blocks(model)
taps = stages[: stages.index(layer)] if layer in stages else stages
crops = patches.images.to(ed.device)  # (1, references, 3, size, size)
shared = ("steps", "lr", "jitter", "start", "centre", "tv", "l2")  # what both ways of matching have to choose
same = {name: PRESETS["world"][name] for name in shared} | pace
plain = sg.kept(METHODS["VITAL"], model, [0], crops, taps=taps, seed=seed, **same)  # which target doesn't matter here
weighed = sg.kept(vital_inner, model, [chosen], crops, at=layer, relevance=relevance, seed=seed, **same)

# %% [markdown]
# To see why they differ, take one of the neuron's best images, the one with most contrast among ten, and look at a
# single block on the way. Of its channels we pick two: the one that matters most to the neuron, and the one that is
# most active where little matters.

# %%
row = patches.source[0, :10]
row = row[seen.pixels[row].std((1, 2, 3)).argmax()]
image = seen.pixels[row][None].to(ed.device)
middle = taps[len(taps) // 2]
found, active = relevance_and_activations(model, zoo.normalise(model, image), torch.tensor([chosen]), [middle],
                                          relevance=relevance, at=layer)  # fmt: skip
found, active = found[middle][0].cpu(), active[middle][0].abs().cpu()  # (c, positions) each
cold = found.sum(0) <= found.sum(0).median()  # positions where little matters
used, idle = int(found.sum(1).argmax()), int((active * cold).sum(1).argmax())

# %% tags=["hide-input"]
side = int(active.shape[-1] ** 0.5)
lacking = "" if seen.scenes is not None else ed.gives("masks") or "masks of this edition aren't read here"
outline = torch.zeros(ed.size, ed.size, dtype=torch.bool)
if not lacking:
    thing = (seen.scenes.instance[row] == 1).float()[None, None]
    outline = ((F.max_pool2d(thing, 3, 1, 1) > 0) & (thing == 0))[0, 0]


def shades(values):
    """Draw two maps (2, positions) on one scale, with the object's outline in white."""
    maps = F.interpolate(values[:, -side * side:].reshape(2, 1, side, side), ed.size)[:, 0]
    coloured = torch.from_numpy(sg.plot.heat(maps.reshape(1, -1, ed.size))[0]).unflatten(0, (2, ed.size))
    return coloured.masked_fill(outline[..., None], 1.0)


# %% tags=["hide-input"]
pair = [used, idle]
maps, weights = shades(active[pair] / active[pair].amax(1, keepdim=True)), shades(found[pair])
cells = [[image[0], maps[k], weights[k], crops[0, k], (plain, weighed)[k][0]] for k in range(2)]
captions = ["", "activation", "relevance", "a patch"]
show(sg.plot.grid(cells, rows=[f"channel {used}: most relevant", f"channel {idle}: active elsewhere"],
                  captions=[*captions, "VITAL without relevance", *captions, f"VITAL with {relevance}"]),
     "fig-vital-2", f"Channel {chosen} of {layer} stands out on *{word}*. Two channels of {middle} on one of its best images: how "
     "active each is, from nothing (dark blue) to its most (yellow), and how relevant to the neuron, on one scale for both. The white line is the "
     "true outline of the object. Right: two of the neuron's patches, and its picture without and with relevance (VITAL, figure 2).",
     alt="Two rows: a picture, a map of activation, a map of relevance, a patch, and an optimised image.")

# %% tags=["nbval-check-output"]
for c in pair:
    print(f"channel {c}: {float(active[c].sum() / active.sum()):.1%} of the activation of {middle}, "
          f"{float(found[c].sum() / found.sum()):.1%} of the neuron's relevance")
strength = pooled(model, torch.cat([plain, weighed, crops[0]]), layer)[:, chosen]
without, with_it = (strength[:2] / strength[2:].mean()).tolist()
print(f"the neuron's answer, as a share of its mean answer to its patches: {without:.0%} without relevance, {with_it:.0%} with it")

# %% [markdown]
# Both activation maps in {numref}`fig-vital-2` are bright somewhere; it takes the relevance maps to tell them apart.
# What counts is how much of a channel's activation the neuron passes on. A picture made from activations alone has to
# reproduce both channels.
#
# ## How relevance is found
#
# Relevance starts at the neuron, as its own activation. From there it is sent back layer by layer. A unit {math}`j`
# shares its relevance among the units {math}`i` that feed it, in proportion to what each has added through a positive
# weight {cite:p}`bach2015,otsuki2024`:
#
# $$ R_i = \sum_j \frac{a_i\, w^+_{ij}}{\sum_{i'} a_{i'}\, w^+_{i'j}}\, R_j . $$ (eq-vital-lrp)
#
# Nothing is lost on the way but a little in the denominator's safeguard, so the relevance of each block adds up to that
# of the neuron. What VITAL matches then is {math}`z = A^{(l)} \odot R^{(l)}`, value by value, instead of
# {math}`A^{(l)}`. Relevance is computed anew at every step and held fixed when the gradient is taken.

# %% tags=["nbval-check-output"]
with_target = dict(target=torch.tensor([chosen]), at=layer, relevance=relevance)
total, _ = relevance_and_activations(model, zoo.normalise(model, image), taps=[layer, *taps], **with_target)
kept = [float(total[tap].sum() / total[layer].sum()) for tap in taps]
print("share of the neuron's relevance that arrives:",
      ", ".join(f"{tap} {share:.2f}" for tap, share in zip(taps, kept, strict=True)))

# %% [markdown]
# ## Does it lie on the object?
#
# One pair of channels is an anecdote. The world knows where its objects are, so all channels can be asked: which share
# of a channel's activation, and which share of its relevance, lies inside the object? We take one neuron for each
# class, the one that stands out most on it, and its six best images.

# %%
def inside(values, masks):
    """Share of each channel's (n, c, positions) sum that lies in masks (n, s, s), NaN for a silent channel: (n, c)."""
    values, wide = values.abs(), int(values.shape[-1] ** 0.5)
    cover = F.adaptive_avg_pool2d(masks[:, None], wide).flatten(2).to(values)
    values = values[..., -wide * wide:]  # a transformer's extra tokens have no place
    return (values * cover).sum(-1) / values.sum(-1)


def on_objects(name, rows, targets):
    """Mean over images and channels of `inside`, for activation and for a relevance: two numbers per tap."""
    shares = []
    for part, wanted in zip(rows.split(48), targets.split(48), strict=True):
        x = zoo.normalise(model, seen.pixels[part].to(ed.device))
        r, a = relevance_and_activations(model, x, wanted, taps, relevance=name, at=layer)
        masks = (seen.scenes.instance[part] == 1).float()
        both = [torch.stack([inside(a[tap], masks), inside(r[tap], masks)]) for tap in taps]
        shares.append([two.where(two.isfinite().all(0), torch.nan).flatten(1) for two in both])
    return torch.tensor([torch.cat(parts, 1).nanmean(1).tolist() for parts in zip(*shares, strict=True)])


# %%
typical = [int(lead.argmax()) for lead in on_class.values()]  # a neuron for each class
rows = answer[:, typical].topk(6, 0).indices.T.flatten()  # its six best images
targets = torch.tensor(typical).repeat_interleave(6)
methods = dict.fromkeys([relevance, "guided backpropagation", "gradient x activation"])
if not lacking:
    covered = [float((seen.scenes.instance[rows] == 1).float().mean())] * len(taps)
    shares = {name: on_objects(name, rows, targets) for name in methods}
    table = pd.DataFrame({"object's share of the image": covered, "activation": shares[relevance][:, 0],
                          **{name: two[:, 1] for name, two in shares.items()}}, index=taps)  # fmt: skip
    print(table.T.map(lambda share: f"{share:.0%}").to_string())
else:
    print(lacking)

# %%
if lacking:
    verdict, reason = None, f"It takes the outline of objects: {lacking}."
else:
    activation, credited = table["activation"].mean(), table[relevance].mean()
    verdict = bool(credited > activation)
    reason = (f"Averaged over the channels of {len(taps)} blocks, {len(typical)} neurons and {len(rows)} images, "
              f"{credited:.0%} of the relevance and {activation:.0%} of the activation lie inside the object, "
              f"which fills {covered[0]:.0%} of the image.")
claim("vital-8", holds=verdict, because=reason)

# %% [markdown]
# A channel of the first blocks sees an edge and can't know whose edge it is; what the neuron makes of it is the only
# thing that tells. That is why the gap between activation and relevance says something at every depth.
#
# ## Classes without their surroundings
#
# A class is a neuron of the last layer, so the same can be done with it. Below are the picture of section 3.2, which
# uses no relevance, and three that do: by LRP; by LRP once more, with relevance scaled from 0 to 1 within each channel,
# as the published code scales it for inner neurons; and by *guided backpropagation* {cite:p}`springenberg2015`, a
# gradient that follows only positive paths.
#
# A class has one output and not a map of them. Relevance starts there as one, whatever the output is: a start that the
# network doesn't recognise yet would otherwise have nothing relevant in it, and nothing would pull at it.

# %%
names = every[:: max(1, len(every) // 24)][:24]
target = torch.tensor([ed.outputs[every.index(name)] for name in names])
real = ed.references(names, references, seed=seed).to(ed.device)
some = [names.index(name) for name in classes] or list(range(1, len(names), 4)) or [0]
without = sg.kept_each(METHODS["VITAL"], model, target[some], real[some], seed=seed, **pace)
usual = settings(model, "world", pace)  # what these were made with
same = {name: usual[name] for name in shared}


def pictures(name, scaled=False):
    """Images of the classes by activation times a relevance, or the sentence why there are none."""
    try:
        return sg.kept(vital_inner, model, target[some], real[some], at="logits", relevance=name, seed=seed,
                       where="best", spatial=scaled, channels=scaled, **same)  # fmt: skip
    except ValueError as reason:  # the network has nothing that this relevance could follow
        return [unavailable(str(reason))] * len(some)


made = {"no relevance": without, relevance: pictures(relevance), f"{relevance}, scaled": pictures(relevance, scaled=True),
        "guided backpropagation": pictures("guided backpropagation")}  # fmt: skip

# %% tags=["hide-input"]
show(sg.plot.grid([list(real[some, 0]), *[list(images) for images in made.values()]], rows=["real", *made],
                  columns=[names[k] for k in some]),
     "fig-vital-12", f"A real image of each class, and its VITAL image by {network}: from activations alone, and from activations times "
     "relevance in three ways. Look at what lies around the object (VITAL, figure 12).",
     alt="Five rows of pictures: real ones, and four kinds of optimised ones; backgrounds differ from row to row.")

# %% [markdown]
# Has the background gone? A network that knows places and no nouns can tell. It is asked how sure it is of the place
# where the class is usually met: it should be sure on real images, and less so where the background was left out.

# %%
def usual_places():
    """The commonest background of each class shown: (k,)."""
    where, labels = seen.scenes.background, seen.labels
    return torch.stack([where[labels == every.index(names[k])].mode().values for k in some])


@torch.no_grad()
def sure_of(judge, images, places):
    """Probability of each class's place, averaged over its images (k, m, 3, s, s): (k,)."""
    p = judge(zoo.normalise(judge, images.flatten(0, 1).to(ed.device))).softmax(1).cpu()
    return p.unflatten(0, images.shape[:2]).mean(1).gather(1, places[:, None])[:, 0]


# %%
homeless = lacking or ed.gives("places") or ed.gives("resnet18")
asked = {name: images[:, None] for name, images in made.items() if torch.is_tensor(images)}
sure = pd.DataFrame()
if not homeless:
    judge, home = ed.model("resnet18"), usual_places()
    asked = {"real images": real[some, :10], **asked}
    sure = pd.DataFrame({name: sure_of(judge, images, home) for name, images in asked.items()},
                        index=[f"{names[k]} ({world.BACKGROUNDS[p]})" for k, p in zip(some, home, strict=True)])
print(homeless or sure.round(2).rename_axis("class (usual place)").to_string())

# %%
if homeless or relevance not in sure:
    verdict, missing = None, homeless or f"there are no pictures by {relevance}"
    reason = f"It takes a network that knows places: {missing}."
else:
    mean, drop = sure.mean(), sure["no relevance"] - sure[relevance]
    error = drop.sem() if len(drop) > 1 else 0.0
    verdict = bool(drop.mean() > 2 * error)
    reason = (f"A network for places gives the usual place of a class {mean[relevance]:.0%} on pictures made with "
              f"{relevance}, {mean['no relevance']:.0%} on those made without it, and {mean['real images']:.0%} on real "
              f"images. It is less sure for {int((drop > 0).sum())} of {len(sure)} classes; the difference is "
              f"{100 * drop.mean():.0f} points with a standard error of {100 * error:.0f}.")
claim("vital-9", holds=verdict, because=reason)

# %% [markdown]
# Look at the scaled row, too. Within a channel that is hardly relevant at all, the most relevant position is still scaled
# to one, so scaling can bring the surroundings back. How far it does is the difference between two columns of the table.

# %% [markdown]
# ## What does the network look at, then?
#
# The paper reads from its picture of the agaric that the network looks at nothing but the cap of a mushroom, and leaves
# it at that: a photograph can't be asked. A drawn scene can. It knows its parts, and it can be drawn again without one
# of them. Below is each part's share of the pixels, its share of the relevance for the class, and how far the
# class's output falls when the part isn't drawn; for the surroundings, how far it falls on average in the nine other
# places.

# %%
example = "agaric" if "agaric" in every else every[0]
wanted = ed.outputs[every.index(example)]


def plain_scenes(n=24):
    """The first test scenes that show nothing but the example, in full view."""
    s = seen.scenes
    alone = (s.label == every.index(example)) & (s.hard < 0) & (s.second < 0) & (s.instance != 3).all(2).all(1)
    return s[alone.nonzero()[:n, 0]]


def by_part(scenes, tap):
    """Sum pixels and relevance over each part; part 0 is what surrounds the object: (2, parts)."""
    x = zoo.normalise(model, scenes.pixels().to(ed.device))
    r = RELEVANCE[relevance](model, x, torch.full((len(scenes),), wanted), [tap])[tap].sum(1).cpu()
    wide = int(r.shape[1] ** 0.5)
    r = F.interpolate(r[:, None, -wide * wide:].unflatten(2, (wide, wide)), ed.size)
    ids, parts = scenes.part.long().flatten(), 1 + len(world.PARTS)
    return torch.stack([torch.bincount(ids, weight, parts) for weight in (torch.ones(len(ids)), r.flatten())])


# %%
@torch.no_grad()
def output(plan):
    """The example's output, averaged over planned scenes."""
    x = zoo.normalise(model, world.draw(plan, ed.size, maps=False).pixels().to(ed.device))
    return float(model(x)[:, wanted].mean())


# %%
def anatomy():
    """A row for each part of the example, and one for its surroundings."""
    scenes = plain_scenes()
    plan = world.split_plan("test", scenes.index)
    sizes = by_part(scenes, taps[1])
    shares = 100 * sizes / sizes.sum(1, keepdim=True)
    there = [k for k in range(1, shares.shape[1]) if shares[0, k] > 0.5]
    away = [b for b in world.BACKGROUNDS if b != world.BACKGROUNDS[scenes.background.mode().values]]
    fall = {k: [output(world.edit(plan, without=world.PARTS[k - 1]))] for k in there}
    fall[0] = [output(world.edit(plan, background=b)) for b in away]
    rows = {k: (*shares[:, k].tolist(), output(plan) - sum(f) / len(f)) for k, f in fall.items()}
    frame = pd.DataFrame(rows, index=["pixels, %", "relevance, %", "fall of the output"]).T
    return frame.rename(lambda k: world.PARTS[k - 1] if k else "surroundings").rename_axis(f"part of {example}")


parts = None if lacking else anatomy()
parts.round(1) if parts is not None else print(lacking)

# %% [markdown]
# Where relevance and the fall agree, relevance has told the truth about this network. Where a part is relevant and its
# absence costs little, other parts stand in for it: relevance divides up what is there and doesn't know what would have
# been enough. And positive weights alone hand some relevance to everything that is active, the surroundings among it.
#
# This is also why a picture with relevance needn't be the clearer one. What the network doesn't use is missing from it,
# even if we would need it to name the thing. The paper calls this a choice between what people understand and what is
# true of the network, and uses relevance for inner neurons alone.
#
# ## Paper against this run
#
# Section 3.3 prints no numbers, so the settings stand side by side. The paper's text and its published code differ, and
# in more than the weights of the regularisers: scaling relevance within channels and weighing channels by it are in the
# code alone.

# %%
words = {"steps": "steps", "lr": "learning rate", "jitter": "random shift, share of the width",
         "start": "spread of the starting noise", "tv": "weight of total variation",
         "l2": "weight of the pixels' size (L2)", "weights": "weights of the blocks",
         "spatial": "relevance scaled from 0 to 1 in each channel",
         "channels": "channels weighed by their largest relevance"}  # fmt: skip


def written(value):
    """A setting as text, with sensible digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


columns = {"paper, text": "paper-text", "paper, code": "paper-code", "this run": "world"}
presets = {head: PRESETS[name] for head, name in columns.items()}
presets["this run"] = presets["this run"] | pace
lines = {head: [written(how[name]) for name in words] for head, how in presets.items()}
pd.DataFrame(lines, index=words.values()).rename_axis("setting, inner neurons")

# %% [markdown]
# For classes the paper weighs both regularisers by 0.00001.

# %% tags=["hide-input"]
said = [] if lacking else [f"- Inside the object lie {activation:.0%} of the activation and {credited:.0%} of the relevance, averaged over "
                           f"channels, and {covered[0]:.0%} of the pixels."]  # fmt: skip
if not homeless and relevance in sure:
    said.append(f"- Pictures of classes made with {relevance} leave a network for places {mean[relevance]:.0%} sure of the usual place, those "
                f"made without {mean['no relevance']:.0%}.")
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- A channel can be active all over an image and matter to a neuron in one place only; the neuron's own weights tell where "
    "({numref}`fig-vital-2`).", *said,
    "- Relevance is about this network. What it leaves out of a picture ({numref}`fig-vital-12`) the network doesn't use, however much we would.",
    ":::"]))

# %% [markdown]
# ## Copy this
#
# Relevance, and a picture made with it, on any timm model and any images in [0, 1]. Use `pretrained=True` and your own
# images; the weights here are random so that the cell needs no download.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.relevance import lrp
from sightglass.visualize.neurons import vital_inner

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(1, 6, 3, 96, 96)  # (neurons, references, 3, height, width) in [0, 1]
my_relevance = lrp(my_model, zoo.normalise(my_model, my_images[0]), torch.tensor([281] * 6), ["layer2", "layer3"])
my_picture = vital_inner(my_model, [281], my_images, at="logits", steps=5, seed=0)  # or a channel at="layer4"
assert my_relevance["layer2"].shape == (6, 128, 144)  # (images, channels, positions)
assert my_picture.shape == (1, 3, 96, 96)

# %% [markdown]
# :::{dropdown} Try next: another neuron
# Run `python -m sightglass run world vital/3-3 -p neuron=12`. Does the second channel of {numref}`fig-vital-2` still
# lie off the object?
# :::
#
# :::{dropdown} Try next: a transformer
# `-p network=vit_b_16 -p relevance=AttnLRP` sends relevance through attention {cite:p}`achtibat2024`. The last token of
# the first figure's maps is left out: it has no place in the image.
# :::
