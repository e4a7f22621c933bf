# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Small circuits (VITAL, section 4.1.2)
#
# **Question.** A network says "zebra". Which of its channels made it say so, and what were they looking for?
#
# The output of a class is a weighted sum of the channels of the {term}`penultimate layer`. A list of the channels that
# count most says *where* the evidence lies. A picture of each says *what* it is. Both together make a small circuit
# {cite:p}`olah2020`, the smallest there is: three channels and a class.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network that averages its last block | about a minute on one core | minutes on a GPU | {doc}`/vital/3-3-relevance` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
layer = "block5"  # its channels, averaged over positions, are the penultimate layer
relevance = "LRP"
classes = []  # names; empty takes five evenly spread over the edition's list; every other one is drawn
channels = 3  # of each class
photos = 1600  # images in which patches are looked for
references = 20  # patches per channel
steps = 80  # of each picture, for both methods; 0 takes the methods' own numbers

# %%
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts import circuit, top_patches
from sightglass.metrics import eight_bits
from sightglass.show import claim, show
from sightglass.visualize.fourier import maco, mean_spectrum
from sightglass.visualize.neurons import vital_inner
from sightglass.zoo.phrases import concept_phrases
from sightglass.zoo.taps import record, replace

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
names = list(classes) or every[:: max(1, len(every) // 5)][:5]
outputs = [ed.outputs[every.index(name)] for name in names]
pool = ed.images("train", photos)  # pixels (n, 3, size, size) and labels
real = ed.references(names, 50, seed=seed).to(ed.device)  # (classes, 50, 3, size, size)
pace = {"steps": steps} if steps else {}

# %% [markdown]
# ## Which channels make a class?
#
# {term}`layer-wise relevance propagation` divides the output of a class among the channels before the classifier. That is done
# for fifty real images of the class and averaged. The three channels with the largest shares are the circuit. The classes
# aren't picked by eye either: they stand at even distances in the edition's list. Five are counted, and every other one of
# them is drawn.

# %%
found = [circuit(model, images, output, n=channels, relevance=relevance) for images, output in zip(real, outputs, strict=True)]
chosen = torch.cat([which.cpu() for which, _ in found])  # (classes * channels,)
shares = torch.stack([share.cpu() for _, share in found])  # (classes, channels)

# %% [markdown]
# Do three channels matter, among so many? Set them to zero and see how far the class still leads: its output minus the
# largest other one. Then set as many others to zero, drawn at random.

# %%
@torch.no_grad()
def lead(images, output, without):
    """How far a class's output is ahead while some channels of the penultimate layer are zero, averaged over images."""
    def silenced(value):
        return value.index_fill(1, torch.tensor(without, dtype=torch.long, device=value.device), 0.0)

    with replace(model, "penultimate", silenced):
        values = model(zoo.normalise(model, images))
    own = values[:, output].clone()
    values[:, output] = -torch.inf
    return float((own - values.amax(1)).mean())


with record(model, "penultimate") as kept:
    model(zoo.normalise(model, real[0, :1]))
width = kept["penultimate"].shape[1]
others = torch.randperm(width, generator=torch.Generator().manual_seed(seed))[:channels].tolist()
rows = [[lead(images, output, gone) for gone in ([], which.tolist(), others)]
        for images, output, (which, _) in zip(real, outputs, found, strict=True)]  # fmt: skip
table = pd.DataFrame(rows, index=names, columns=["the class leads by", "without its circuit", "without random channels"])

# %% tags=["nbval-check-output"]
print(f"{channels} of {width} channels")
print(table.assign(relevance=[f"{share:.0%}" for share in shares.sum(1)]).to_string(float_format="{:.2f}".format))

# %% [markdown]
# ## What does each channel look for?
#
# For every channel we find the patches of real images that excite it most, whatever class they come from, one
# patch per image. VITAL matches activation times {term}`relevance` to these patches. {term}`MACO` {cite:p}`fel2023maco` sees no
# patches: it looks for phases of a natural spectrum that turn the channel up. Both take the same number of steps.

# %%
unique, place = chosen.unique(return_inverse=True)  # classes may share a channel
patches = top_patches(model, pool.pixels, unique, at=layer, k=references, shortlist=3 * references // 2)
crops = patches.images.to(ed.device)  # (channels, references, 3, size, size)
spectrum = mean_spectrum(pool.pixels[:600])
pictures = {
    "MACO": sg.kept(maco, model, unique, size=crops.shape[-1], at=layer, magnitude=spectrum, seed=seed, **pace),
    "VITAL": sg.kept(vital_inner, model, unique, crops, at=layer, relevance=relevance, seed=seed, **pace),
}
pictures = {method: images.cpu() for method, images in pictures.items()}

# %% [markdown]
# ## Which of the pictures tell?
#
# An image-text network looks at every picture and names the one concept, of all that the drawn world has words for,
# that fits best: a noun, a family, a place, a texture, a colour or a part. The concept is *true of the class* if at
# least half of the real images of that class show it. It should be: these are the channels that made the network
# say the class.

# %%
lacking = ed.gives("concepts") or ed.gives("clip")
words = [] if lacking else list(world.CONCEPTS)


@torch.no_grad()
def first_choice(judge, images):
    """The concept that a judge finds in each image (n, 3, h, w): its number, (n,)."""
    said = sum(judge.phrases(concept_phrases(form)[: len(words)]) for form in (0, 1))
    seen = judge(zoo.normalise(judge, eight_bits(images).to(ed.device)))
    return (seen @ F.normalize(said, dim=-1).T).argmax(1).cpu()


def truths():
    """Which concepts are true of each class, (classes, concepts)."""
    shown, labels = pool.scenes.concept.float(), [every.index(name) for name in names]
    return torch.stack([shown[pool.labels == k].mean(0) >= 0.5 for k in labels])


# %%
looked = {**pictures, "best patch": patches.images[:, 0]}
if not lacking:
    judge, own = ed.model("clip"), truths().repeat_interleave(channels, 0)  # (classes * channels, concepts)
    named = {what: first_choice(judge, images)[place] for what, images in looked.items()}
    true = {what: own.gather(1, choice[:, None])[:, 0].tolist() for what, choice in named.items()}
    # what the images that the patches come from have most in common, beside all images
    common = (pool.scenes.concept[patches.source].float().mean(1) - pool.scenes.concept.float().mean(0)).argmax(1)[place]


def note(what, row):
    """What the judge says of a picture, and whether it is right."""
    return "" if lacking else f"{words[named[what][row]]} {'✓' if true[what][row] else '✗'}"


# %% [markdown]
# {numref}`fig-vital-5` is read from left to right. A class is fed by three channels; the thicker the line, the larger the channel's share of
# the relevance. Beside each channel are three of the patches that excite it most, and the pictures that two methods
# made of it. Look at the pictures first: which would you have named without the patches?

# %% tags=["hide-input"]
SIDE, ROW, GAP, TOP = 0.78, 0.98, 0.28, 0.5  # inches: a picture, a row, the space between circuits, the heads
XS = (0.05, 3.15, 3.97, 4.79, 5.95, 7.0)  # inches from the left: class, three patches, MACO, VITAL


def picture(page, image, x, y, side, below="", colour="#222222"):
    """Put an image (3, h, w) on a page at inches from the top left, with words below it."""
    wide, high = page.get_size_inches()
    ax = page.add_axes((x / wide, 1 - (y + side) / high, side / wide, side / high))
    ax.imshow(image.permute(1, 2, 0).clamp(0, 1), interpolation="nearest")
    ax.set_axis_off()
    page.text((x + side / 2) / wide, 1 - (y + side + 0.03) / high, below, fontsize=7.5, ha="center", va="top", color=colour)


def channel(page, sheet, row, y, middle):
    """Draw one channel of a circuit: its line from the class, its name, its patches and its pictures."""
    number, share, centre = int(chosen[row]), float(shares.flatten()[row]), y + SIDE / 2
    sheet.plot([1.2, 2.2], [middle, centre], lw=10 * share / float(shares.max()), color=sg.plot.PALETTE[5], solid_capstyle="butt", zorder=1)
    sheet.text(2.62, centre, f"channel {number}\n{share:.0%}", fontsize=8, ha="center", va="bottom")
    sheet.text(2.62, centre + 0.05, "" if lacking else words[common[row]], fontsize=8, ha="center", va="top", style="italic")
    for x, image in zip(XS[1:4], patches.images[place[row], :3], strict=True):
        picture(page, image, x, y, SIDE)
    for x, method in zip(XS[4:], pictures, strict=True):
        good = lacking or true[method][row]
        picture(page, pictures[method][place[row]], x, y, SIDE, note(method, row), "#00724F" if good else "#9A4400")


# %% tags=["hide-input"]
def circuits():
    """All circuits on one page."""
    import matplotlib.pyplot as plt

    block, drawn = channels * ROW + GAP, list(enumerate(names))[::2]
    high = TOP + block * len(drawn)
    page = plt.figure(figsize=(8, high), layout="none")
    sheet = page.add_axes((0, 0, 1, 1), xlim=(0, 8), ylim=(high, 0))
    sheet.set_axis_off()
    heads = {0.6: "class", 2.62: "channel,\nits share", 4.36: "its best patches", 6.34: "MACO", 7.39: "VITAL"}
    for x, head in heads.items():
        sheet.text(x, TOP - 0.1, head, fontsize=9, weight="bold", ha="center", va="bottom")
    for turn, (k, name) in enumerate(drawn):
        top = TOP + turn * block
        middle = top + (channels - 1) / 2 * ROW + SIDE / 2
        for i in range(channels):
            channel(page, sheet, k * channels + i, top + i * ROW, middle)
        picture(page, real[k, 0].cpu(), XS[0], middle - 0.55, 1.1)
        sheet.text(0.6, middle + 0.6, name, fontsize=10, weight="bold", ha="center", va="top")
        if turn:
            sheet.axhline(top - GAP / 2 - 0.02, color="#CCCCCC", lw=0.8)
    return page


show(circuits(), "fig-vital-5", f"The {channels} channels most relevant to each of {len(names[::2])} classes. Lines: their shares of the class's relevance. Below a channel's "
     "number and share stands, slanted, what the images of its patches have most in common. Below a picture stands the concept that an image-text network finds in it first: ✓ if "
     "it is true of the class, ✗ if not (VITAL, figure 5).",
     alt="Three diagrams: an image of a class, lines of different thickness to three channels, and for each channel three "
     "patches, a picture by MACO and a picture by VITAL.")

# %%
if lacking:
    verdict, reason = None, f"It takes the truth about concepts and an image-text network: {lacking}."
else:
    count, total = {what: sum(hits) for what, hits in true.items()}, len(chosen)
    verdict = count["VITAL"] > count["MACO"]
    reason = (f"Of {len(words)} concepts, the one that an image-text network finds first is true of the class for {count['VITAL']} of {total} channel "
              f"pictures by VITAL, for {count['MACO']} by MACO, and for {count['best patch']} of the {total} channels' best real patches. "
              f"A guess would be right for {total * float(own.float().mean()):.1f}.")
    # a channel of the circuit may stand for something that the class itself lacks
    typical = (pool.scenes.concept[patches.source].float().mean(1) >= 0.5)[place]
    honest = {what: int(typical.gather(1, choice[:, None]).sum()) for what, choice in named.items()}
    about = "; ".join(f"{what}: {number} of {total}" for what, number in honest.items())
claim("vital-19", holds=verdict, because=reason)

# %% tags=["nbval-check-output"]
print(lacking or f"the concept found is true of most images that the channel's own patches come from: {about}")

# %% [markdown]
# The last line asks something else: not what is true of the class, but of the channel. The two differ, because a channel may serve
# several classes: it is relevant to one that it fits only in part, and a good picture of it then shows the other. And
# a few pictures decide little: words such as *body* are true of nearly everything alive, so that a picture of nothing
# can be right by luck, and with other classes the counts move by some.
#
# ## Paper against this run
#
# The section gives no numbers, but readings of its pictures. It finds the zebra to rest on the pattern of its coat; a
# breed of dog on legs, ears and the colours of fur; and the pineapple on channels that want heaps of fruit, as
# on many training photographs, which it takes for a sign of overfitting. Our channels, as the patches and the judge name them:

# %% tags=["nbval-check-output"]
if lacking:
    print(lacking)
else:
    head = ["class", "channel", "share", "patches have in common", *(f"found in {what}" for what in named)]
    lines = [[names[i // channels], int(chosen[i]), f"{float(shares.flatten()[i]):.0%}", words[common[i]],
              *(note(what, i) for what in named)] for i in range(len(chosen))]  # fmt: skip
    print(pd.DataFrame(lines, columns=head).to_string(index=False))

# %% tags=["hide-input"]
said = [] if lacking else [f"- {reason}"]
mean = table.mean()
loss = 1 - mean.drop("the class leads by") / mean["the class leads by"]
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    f"- {channels} channels of {width} hold {float(shares.sum(1).min()):.0%} to {float(shares.sum(1).max()):.0%} of a class's relevance. Without them the class "
    f"leads by {loss['without its circuit']:.0%} less, on average, without random ones by {loss['without random channels']:.0%} less: a circuit of this size is a "
    "part of the reason, not all of it.",
    *said,
    "- A circuit says which channels a class owes its output to. Whether the picture of a channel tells the truth about it is a question of its own; its patches "
    "are the evidence ({numref}`fig-vital-5`).",
    ":::"]))

# %% [markdown]
# ## Copy this
#
# A circuit and its pictures from any timm network that averages its last block, and any images in [0, 1]. Use
# `pretrained=True` and your own images; the weights here are random so that the cell needs no download.

# %%
import timm
import torch

from sightglass.concepts import circuit, top_patches
from sightglass.visualize.neurons import vital_inner

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(6, 3, 64, 64)  # of the class, for relevance
my_channels, my_shares = circuit(my_model, my_images, 281, n=3)
my_patches = top_patches(my_model, my_images, my_channels, at="layer4", k=3)  # of any images
my_pictures = vital_inner(my_model, my_channels, my_patches.images, at="layer4", steps=3, seed=0)
assert my_channels.shape == my_shares.shape == (3,)
assert my_pictures.shape == (3, 3, 64, 64)

# %% [markdown]
# :::{dropdown} Try next: other classes
# Run `python -m sightglass run world vital/4-1-2 -p classes='["bee","bus","owl"]'`. Do classes that look alike share
# channels?
# :::
#
# :::{dropdown} Try next: one channel less
# Call `lead(real[0], outputs[0], chosen[:1].tolist())`, and with ever more channels. How many must go before the class
# no longer leads?
# :::
