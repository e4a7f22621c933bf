# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A vector and what it has seen (iERF, section 3)
#
# **Question.** Deep in a network, at one position of one image, there are a few hundred numbers. What do they stand for?
#
# The usual answer looks at one channel at a time, and at the patch around the position. Both can mislead: channels share their work, and
# a position deep in the network has seen far more than its surroundings. The paper {cite:p}`kim2026` takes another unit. All
# channels at one position together are a {term}`PFV`, a pointwise feature vector. Its label is its {term}`iERF`: a map that says which
# pixels of *this* image it is made of. The vector is what a network has found, and the map is where it has found it. All of Part III is built
# from such pairs.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and a convolutional network | half a minute on one core | a minute on a GPU | {doc}`/world/networks` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the random pixels that the label is tested against
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition; a network of convolutions
about = "owl"  # the class of the picture; the first one where an edition has no such class
photos = 300  # images in which similar vectors are looked for
similar = 7  # of them, for each block
tested = 24  # images for the test of the labels

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

import sightglass as sg
from sightglass import zoo
from sightglass.show import show, unavailable
from sightglass.trace.srd import ierf, relevance_of_layers
from sightglass.zoo.taps import record

sg.plot.style()
ed = sg.load(edition, device=device)
model, every = ed.model(network), list(ed.classes)
seen = ed.images("test", photos)
x = zoo.normalise(model, seen.pixels.to(ed.device))  # (n, 3, size, size)
with torch.no_grad():
    logits = torch.cat([model(part) for part in x.split(50)]).cpu()
target = torch.tensor([ed.outputs[label] for label in seen.labels.tolist()])
word = about if about in every else every[0]
mine = seen.labels == every.index(word)
row = int((mine & (logits.argmax(1) == target)).float().argmax())  # the first picture of it that is recognised
image, one = seen.pixels[row], x[[row]]
taps = [tap for tap in zoo.taps(model) if tap.startswith("block")]

# %% [markdown]
# ## The picture to keep in mind
#
# In each {term}`block` we take the position that matters most for the network's answer. ({doc}`/ierf/4-1-sharing-ratios`
# tells how that is found, and how an iERF is computed.) From its PFV, one backward pass leads to its iERF.

# %%
relevance = relevance_of_layers(model, one, target[[row]])  # {tap: (1, positions)}
spot = {tap: int(relevance[tap].argmax()) for tap in taps}
label = {tap: ierf(model, one, tap, [spot[tap]])[0].cpu() for tap in taps}  # (size, size) each
with record(model, taps) as kept, torch.no_grad():
    model(one)
vector = {tap: kept[tap][0, :, spot[tap]].cpu() for tap in taps}  # (c,) each


def reach(tap, position):
    """The pixels that can change a PFV in any of eight images, its receptive field: (size, size) bool."""
    some = x[:8].clone().requires_grad_(True)
    with record(model, [tap]) as found:
        model(some)
    (slope,) = torch.autograd.grad(found[tap][:, :, position].sum(), some)
    return (slope != 0).flatten(0, 1).any(0).cpu()


def through(picture, map):
    """A picture (3, h, w), faded where a map (h, w) is low: (h, w, 3)."""
    shown = (map.clamp(min=0) / map.flatten().quantile(0.995).clamp(min=1e-12)).clamp(max=1).sqrt()
    ghost = 0.86 + 0.14 * picture.mean(0, keepdim=True)
    return (shown * picture + (1 - shown) * ghost).permute(1, 2, 0)


# %% tags=["hide-input"]
def cell_of(position, count, size):
    """The cell that a position stands for, as a rectangle: left, top, width."""
    side = round(count**0.5)
    return position % side * size / side - 0.5, position // side * size / side - 0.5, size / side


def outline(ax, mask, **look):
    """Draw the box around a mask."""
    down, across = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    wide, high = int(across[-1] - across[0]) + 1, int(down[-1] - down[0]) + 1
    ax.add_patch(plt.Rectangle((int(across[0]) - 0.5, int(down[0]) - 0.5), wide, high, fill=False, clip_on=False, **look))


COLOUR = sg.plot.colour("srd")
fig = plt.figure(figsize=(8, 5.25), layout="none")
left, step = 0.118, 0.882 / len(taps)
wide = step * 0.93
high = wide * 8 / 5.25
rows = {"image": 0.955 - high, "vector": 0.835 - high, "map": 0.79 - 2 * high, "seen": 0.775 - 3 * high}
for i, tap in enumerate(taps):
    at = left + step * i
    count = relevance[tap].shape[1]
    ax = fig.add_axes([at, rows["image"], wide, high])
    ax.imshow(image.permute(1, 2, 0))
    x0, y0, side = cell_of(spot[tap], count, ed.size)
    ax.add_patch(plt.Rectangle((x0, y0), side, side, fill=False, ec="white", lw=2.6))
    ax.add_patch(plt.Rectangle((x0, y0), side, side, fill=False, ec=COLOUR, lw=1.5))
    outline(ax, reach(tap, spot[tap]), ec="black", lw=1, ls=(0, (3, 2)))
    ax.set_axis_off()
    grid = round(count**0.5)
    fig.text(at + wide / 2, 0.963, f"{tap}: {grid} × {grid}", ha="center", va="bottom", fontsize=8.5)
    ax = fig.add_axes([at, rows["vector"], wide, 0.1])
    ax.vlines(range(len(vector[tap])), 0, vector[tap], color=COLOUR, lw=max(0.5, 80 / len(vector[tap])))
    ax.set(xticks=[], yticks=[], xlim=(-1, len(vector[tap])))
    ax.spines["left"].set_visible(False)
    ax.axhline(0, color="#999999", lw=0.7)
    fig.text(at + wide / 2, rows["vector"] - 0.012, f"{len(vector[tap])} numbers, up to {float(vector[tap].max()):.1f}", ha="center", va="top",
             fontsize=7.5)
    ax = fig.add_axes([at, rows["map"], wide, high])
    most = float(label[tap].abs().max())
    ax.imshow(label[tap], cmap=sg.plot.DIVERGING, vmin=-most, vmax=most)
    ax.add_patch(plt.Rectangle((x0, y0), side, side, fill=False, ec="#777777", lw=0.8))
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#cccccc")
    ax = fig.add_axes([at, rows["seen"], wide, high])
    ax.imshow(through(image, label[tap]))
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#cccccc")
for name, text, tall in (("image", "the position\nand what\nit can see", high), ("vector", "its PFV", 0.1), ("map", "its iERF", high),
                         ("seen", "the image\nthrough\nits iERF", high)):
    fig.text(left - 0.012, rows[name] + tall / 2, text, ha="right", va="center", fontsize=8.5)
show(fig, "fig-ierf-1",
     f"One position in each block of {network}, in a picture of class *{word}*. First row: the position's cell (orange) and its receptive "
     "field (dashed), all pixels that could have an influence. Second row: its PFV, one bar for each channel. Third row: its iERF, the share "
     "of each pixel in this vector; red is positive, blue negative, and all of it sums to one. Last row: the same picture, faded where the iERF "
     "is low (iERF, figure 1).",
     alt="Five columns for five blocks: a picture with a small box in a larger one, a row of bars, a red map, and the picture faded outside of it.")

# %% tags=["nbval-check-output"]
for tap in taps:
    e, box = label[tap], reach(tap, spot[tap])
    half = int((e.flatten().sort(descending=True).values.cumsum(0) < 0.8 * e.sum()).sum()) + 1
    print(f"{tap}: could see {int(box.sum()) / box.numel():.0%} of the pixels; 80% of its iERF lies on {half / box.numel():.1%}; sum {float(e.sum()):.4f}")

# %% [markdown]
# Three things can be read off {numref}`fig-ierf-1`. The {term}`receptive field` soon covers the whole picture and says nothing. The iERF
# stays small: the network could have looked everywhere, and on this image it hasn't. And the iERF needn't lie at its
# position. By the last block, the cell that the vector belongs to is a poor guide to what the vector is about.
#
# ## The same vector elsewhere
#
# A label is of use if it holds for others too. So take the five vectors and look for their nearest neighbours among the PFVs of other
# images, by {term}`cosine similarity` and at most one for each image. Each is shown through its own iERF, cut out around it.

# %%
@torch.no_grad()
def neighbours(tap, k):
    """The images and positions whose PFVs point most nearly the same way: (k,), (k,), cosines (k,)."""
    wanted = F.normalize(vector[tap], dim=0).to(ed.device)
    best = []
    for part in x.split(50):
        with record(model, [tap]) as found:
            model(part)
        best.append(torch.einsum("ncp,c->np", F.normalize(found[tap], dim=1), wanted).max(1))
    cosine, position = (torch.cat([getattr(b, name) for b in best]).cpu() for name in ("values", "indices"))
    cosine[row] = -2  # not the picture itself
    top = cosine.topk(k)
    return top.indices, position[top.indices], top.values


def window(map, side):
    """The square of a given side around the centre of a map: two slices."""
    weight = map.clamp(min=0) / map.clamp(min=0).sum().clamp(min=1e-12)
    centre = (weight.sum(1) @ torch.arange(len(map)).float(), weight.sum(0) @ torch.arange(len(map)).float())
    starts = [max(0, min(len(map) - side, round(float(c) - (side - 1) / 2))) for c in centre]
    return tuple(slice(s, s + side) for s in starts)


def width_of(map, share=0.85):
    """The side of the square that holds a share of a map."""
    for side in range(8, len(map), max(1, len(map) // 16)):
        if float(map[window(map, side)].sum()) > share * float(map.sum()):
            return side
    return len(map)


cells, texts = [], []
for tap in taps:
    images, positions, cosines = neighbours(tap, similar)
    side = width_of(label[tap])
    maps = [label[tap], *ierf(model, x[images], tap, positions).cpu()]
    pictures = [image, *seen.pixels[images]]
    cut = [window(map, side) for map in maps]
    cells.append([through(p, m)[c] for p, m, c in zip(pictures, maps, cut, strict=True)])
    texts += ["", *[f"{cosine:.2f}" for cosine in cosines.tolist()]]

# %% tags=["hide-input"]
sg.plot.grid(cells, rows=taps, columns=["this PFV", *["a similar one"] * similar], captions=texts)
plt.show()

# %% [markdown]
# The early rows are bits of edges and colour, and the later ones are parts and whole objects, seen in other poses, sizes and colours. The number
# is the cosine. That is the sense in which a direction in the space of PFVs is a {term}`concept`, and the iERFs of
# the vectors that point that way are its meaning. {doc}`/ierf/6-1-concepts` builds a dictionary of such directions.
#
# ## Is the label true?
#
# An iERF claims that the vector is made of those pixels. Then they should be enough to make it. We put pixels on an empty grey canvas, in
# three orders: by iERF, by nearness to the position, and at random. If the label is true, the
# vector should come back soonest in the first order. The vectors are those of the most relevant position, in several images.

# %%
steps = torch.tensor([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0])
some = x[:tested]
peaks = {tap: r.argmax(1).cpu() for tap, r in relevance_of_layers(model, some, target[:tested]).items()}
noise = torch.rand(tested, ed.size, ed.size, generator=torch.Generator().manual_seed(seed))


def nearness(position, count):
    """Minus the distance of each pixel from the middle of a position's cell: (size, size)."""
    left, top, side = cell_of(position, count, ed.size)
    grid = torch.arange(ed.size).float()
    return -torch.hypot(grid[:, None] - (top + side / 2), grid[None] - (left + side / 2))


@torch.no_grad()
def comes_back(tap, order):
    """The cosine of PFVs with themselves when only the first pixels of an order (n, size, size) are there: (steps, n)."""
    def at_peak(images):
        with record(model, [tap]) as found:
            model(images)
        return found[tap][range(len(images)), :, peaks[tap]]

    rank = order.flatten(1).argsort(1, descending=True).argsort(1).reshape_as(order).to(ed.device)
    whole = at_peak(some)
    return torch.stack([F.cosine_similarity(at_peak(some * (rank < share * rank[0].numel())[:, None]), whole) for share in steps]).cpu()


orders = {tap: {"by iERF": ierf(model, some, tap, peaks[tap]).cpu(),
                "by nearness": torch.stack([nearness(int(p), relevance[tap].shape[1]) for p in peaks[tap]]),
                "at random": noise} for tap in taps}
back = {tap: {name: comes_back(tap, order) for name, order in found.items()} for tap, found in orders.items()}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, len(taps), figsize=(8, 2.3), sharey=True)
looks = {"by iERF": (COLOUR, "o"), "by nearness": (sg.plot.colour("gradcam"), "^"), "at random": ("#999999", "s")}
for ax, tap in zip(axes, taps, strict=True):
    for name, curves in back[tap].items():
        ax.plot(100 * steps, curves.mean(1), color=looks[name][0], marker=looks[name][1], ms=3.2, label=name)
    ax.set(title=tap, xlim=(0, 52), xticks=[0, 25, 50])
axes[0].set_ylabel("cosine with the PFV\nof the whole image")
axes[len(taps) // 2].set_xlabel("pixels shown, %")
axes[-1].legend(loc="lower right", handlelength=1.2, fontsize=7.5)
plt.show()

# %% tags=["nbval-check-output"]
fifth = int((steps == 0.1).float().argmax())
for tap in taps:
    print(f"{tap}, a tenth of the pixels:", ", ".join(f"{name} {float(curve[fifth].mean()):.2f}" for name, curve in back[tap].items()))

# %% [markdown]
# In early blocks a PFV has seen little besides its surroundings, so nearness does as well. The further one goes, the more the two orders
# differ. From the second block on, even the empty canvas has a cosine far from zero: some of what a vector says, it says about every image. What this test can't
# do is prove a map right, since cutting pixels out makes edges that no image has; but a label that is made up would fail it.
#
# ## Which vectors are worth collecting?
#
# To learn concepts one needs many PFVs. Drawn evenly, most come from sky, grass and walls. The paper draws one from each image with
# a chance in proportion to its relevance for the network's answer. What difference does that make?

# %% tags=["hide-input"]
relevances = relevance_of_layers(model, some, logits[:tested].argmax(1))
chance = {tap: r.clamp(min=0).cpu() / r.clamp(min=0).sum(1, keepdim=True).cpu() for tap, r in relevances.items()}
lacking = "" if seen.scenes is not None else ed.gives("masks") or "masks of this edition aren't read here"
fig = plt.figure(figsize=(8, 1.75), layout="none")
pictured = row if row < tested else 0
for i, tap in enumerate(taps):
    ax = fig.add_axes([0.005 + 0.139 * i, 0.2, 0.13, 0.13 * 8 / 1.75])
    p = chance[tap][pictured]
    side = round(len(p) ** 0.5)
    ax.imshow(0.35 + 0.65 * seen.pixels[pictured].mean(0), cmap="gray", vmin=0, vmax=1, extent=(0, side, side, 0))
    level = (p / p.max()).reshape(side, side)
    ax.imshow(level, cmap="Oranges", alpha=(0.15 + 0.85 * level).clamp(max=0.85).numpy(), extent=(0, side, side, 0), vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(tap, fontsize=8.5, pad=3)
ax = fig.add_axes([0.745, 0.15, 0.25, 0.69])
if lacking:
    ax.text(0.5, 0.5, unavailable(lacking), ha="center", va="center", wrap=True, fontsize=7.5)
    ax.set_axis_off()
else:
    mask = (seen.scenes.instance[:tested] == 1).float()[:, None]
    cover = {tap: F.adaptive_avg_pool2d(mask, round(p.shape[1] ** 0.5)).flatten(1) for tap, p in chance.items()}
    ax.bar([i - 0.2 for i in range(len(taps))], [100 * float(cover[tap].mean()) for tap in taps], 0.38, color="#999999", label="drawn evenly")
    ax.bar([i + 0.2 for i in range(len(taps))], [100 * float((chance[tap] * cover[tap]).sum(1).mean()) for tap in taps], 0.38, color=COLOUR,
           label="by relevance")
    ax.set(xticks=range(len(taps)), xticklabels=[tap.removeprefix("block") for tap in taps], ylim=(0, 122), yticks=[0, 50, 100])
    ax.set_title("% on the object, by block", fontsize=8.5, pad=3)
    ax.legend(loc="upper center", ncol=2, fontsize=7, handlelength=1, columnspacing=1)
plt.show()

# %% [markdown]
# The orange cells are where a PFV of this picture is likely to be drawn. Relevance leads the draw to what the network has used, which isn't
# always the whole object, and is sometimes not the object.
#
# :::{admonition} What to take away
# :class: tip
# - A PFV is all channels at one position. Its iERF is the share of each pixel in it, and the shares sum to one ({numref}`fig-ierf-1`).
# - The receptive field says what a position could see; the iERF says what it has used, and that may lie elsewhere than the position.
# - The iERF is a claim that can be tested: pixels in its order should bring the vector back.
# - One unit serves three questions. Where did the answer come from? Add up iERFs ({doc}`/ierf/4-2-saliency`). What does the network know?
#   Cluster PFVs and look at their iERFs ({doc}`/ierf/6-1-concepts`). How does it put things together? Follow vectors from layer to
#   layer ({doc}`/ierf/6-4-concept-graph`). In a transformer, a token is a PFV ({doc}`/ierf/5-cafe`).
# :::
#
# ## Copy this
#
# The iERF of any vector of a timm network. Use `pretrained=True` and your own images; random weights need no download.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.trace.srd import ierf

my_model = timm.create_model("resnet18", pretrained=False).eval()
my_images = torch.rand(2, 3, 96, 96)  # in [0, 1]
my_map = ierf(my_model, zoo.normalise(my_model, my_images), "layer3", [10, 35])  # position 10 of one, 35 of the other
assert my_map.shape == (2, 96, 96)
assert (my_map.sum((1, 2)) - 1).abs().max() < 1e-4  # shares of one

# %% [markdown]
# :::{dropdown} Try next: another object
# Run `python -m sightglass run world ierf/3-foundations -p about=zebra`, or `-p about=clownfish`. In which block does the iERF leave its position?
# :::
#
# :::{dropdown} Try next: another network
# `-p network=densenet121` or `-p network=convnext_base`. The second one normalises over channels at each position; SRD holds that
# scale fixed. Does the iERF of the last block still keep to the object?
# :::
