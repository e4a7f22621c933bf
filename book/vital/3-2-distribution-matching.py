# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Matching feature distributions (VITAL, section 3.2)
#
# **Question.** Which image looks to a network like fifty zebras at once, and do we see a zebra in it?
#
# Older {term}`feature visualizations <feature visualization>` ask for the image that excites a neuron most, and often
# get glittering textures. VITAL {cite:p}`gorgun2025` asks for something milder: inside the network, the image should be *distributed* like real
# images of the class. This page builds that idea from one sorted list of numbers up to a wall of pictures.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network | about a minute on one core | minutes on a GPU | {doc}`/world/networks` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
classes = []  # names; empty takes up to 24 of the edition's
steps = 100
references = 50  # real images per class
preset = "world"  # world | paper

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.patches import FancyBboxPatch

import sightglass as sg
from sightglass import zoo
from sightglass.show import claim, show
from sightglass.visualize.vital import (
    blocks,
    features,
    reference_quantiles,
    settings,
    sort_matching,
    starts,
    vital,
)

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
taps = blocks(model)  # block1 to block5, or as many as the network has
every = list(ed.classes)
names = list(classes) or every[:: max(1, len(every) // 24)][:24]
target = torch.tensor([ed.outputs[every.index(name)] for name in names])
# real images (classes, references, 3, size, size), and others that nothing is fitted to
real = ed.references(names, references, seed=seed).to(ed.device)
fresh = ed.references(names, references, seed=seed, split="test").to(ed.device)

# %% [markdown]
# ## The pictures
#
# First the result. Each image below starts as noise. It never sees a pixel of a photograph or a drawing; it only
# learns how the network's activations are spread when the network looks at the *references*, {math}`N` real images of
# the class.

# %%
losses = []
images = vital(model, target, real, steps=steps, seed=seed, preset=preset,
               callback=lambda step, loss: losses.append(loss.cpu()))
by_itself = model(zoo.normalise(model, images)).argmax(1).cpu()

# %% tags=["hide-input"]
wide = min(8, len(names))
cells, labels = [], []
for first in range(0, len(names), wide):
    some = range(first, min(first + wide, len(names)))
    cells += [[real[k, 0].cpu() for k in some], [images[k].cpu() for k in some]]
    cells[-2:] = [row + [None] * (wide - len(row)) for row in cells[-2:]]
    labels += ["real", "VITAL"]
captions = [names[k] if k < len(names) else "" for first in range(0, len(names), wide) for k in
            [len(names)] * wide + list(range(first, first + wide))]
show(sg.plot.grid(cells, rows=labels, captions=captions),
     "fig-vital-x1", f"A real image of each class, and below it the VITAL image of the class: {network} of the edition {ed.name}, {steps} "
     f"steps, {references} references. Look for what images of the class have in common, not for the real one above.",
     alt="Pairs of pictures: a real image of each class above the image made from feature distributions.")

# %% [markdown]
# ## One channel, sorted
#
# Take one channel of one layer. It answers at {math}`P` positions, so an image gives {math}`P` numbers. Where they
# stand doesn't matter to us, how they are distributed does, so we sort them:
# {math}`z_{(1)} \le \dots \le z_{(P)}`. Sorting the {math}`P` numbers of every reference and averaging rank by rank
# gives the target {math}`q_{(i)}`, the *mean sorted activations*. The loss of a channel is
#
# $$ \mathrm{SM}(z, q) = \frac{1}{P} \sum_{i=1}^{P} \bigl(z_{(i)} - q_{(i)}\bigr)^2 . $$ (eq-vital-sm)
#
# This is the squared Wasserstein distance between the two distributions, and {math}`q` is the distribution that lies
# nearest to all references at once (their barycentre). The whole loss averages {eq}`eq-vital-sm` over the channels of
# a {term}`tap` and adds up five taps of the network, each divided by the variance of its {math}`q`, so that no network
# needs weights of its own. Now the numbers of this run.

# %%
quantiles = reference_quantiles(model, real, taps, target=target)
how = settings(model, preset, {})
start, _ = starts([seed], len(names), ed.size, how["start"], how["centre"])
start = zoo.denormalise(model, start.to(ed.device)).clamp(0, 1)
before, after = (features(model, zoo.normalise(model, x), target, taps, None)
                 for x in (start, images))
for tap, q in quantiles.items():
    print(f"{tap}: {q.shape[1]} channels, {q.shape[2]} positions")

# %%
example = 0  # the first class
early = vital(model, target[[example]], real[[example]], steps=10, seed=seed, preset=preset)
last = taps[-1]
halfway = features(model, zoo.normalise(model, early), target[[example]], [last], None)[last]
channel = int(quantiles[last][example].var(-1).argmax())  # the channel whose values differ most
z, q = halfway[0, channel].cpu()[:16], quantiles[last][example, channel].cpu()
q = q[torch.linspace(0, len(q) - 1, len(z)).long()]  # all of q when it has 16 values
order = z.argsort()
rank = order.argsort()
wanted = q[rank]  # the targets in the order of the image: Algorithm 1's gather
matrix = torch.stack([z, rank.float(), q, wanted, wanted - z])

# %% tags=["hide-input"]
def box(ax, x, y, w, h, text, face="#F2F2F2"):
    ax.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=.02", fc=face, ec="#888888", lw=0.8))
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=7.5)


def picture(fig, place, image):
    ax = fig.add_axes(place)
    ax.imshow(image.cpu().permute(1, 2, 0).clamp(0, 1))
    ax.axis("off")


def overview(fig):
    ax = fig.add_axes([0, 0.46, 1, 0.54], xlim=(0, 8), ylim=(0, 2.5))
    ax.axis("off")
    for k, (y, text) in enumerate(((1.45, f"{references} references"), (0.1, "one image, after ten steps"))):
        ax.text(0.83, y + 0.9, text, fontsize=8.5, ha="center")
        for i, tap in enumerate(taps):
            c, p = quantiles[tap].shape[1:]
            box(ax, 2.0 + 0.98 * i, y + 0.1, 0.8, 0.6, f"{tap}\n{c} × {p}", "#DCE9F2")
            ax.annotate("", (1.98 + 0.98 * i, y + 0.4), (1.74 + 0.98 * i, y + 0.4), arrowprops=dict(arrowstyle="-|>", lw=0.8))
        ax.annotate("", (6.93, y + 0.4), (6.72, y + 0.4), arrowprops=dict(arrowstyle="-|>", lw=0.8))
        box(ax, 6.97, y + 0.1, 0.95, 0.6, ("sort, average:\ntargets q", "sort: z")[k], ("#DCEFE6", "#FBE5D6")[k])
    ax.text(4.36, 1.12, "the same frozen network", ha="center", va="center", fontsize=8.5)
    ax.annotate("", (7.45, 0.8), (7.45, 1.46), arrowprops=dict(arrowstyle="<->", lw=1.4, color="#D55E00"))
    ax.text(7.35, 1.12, "sort matching", ha="right", va="center", fontsize=8.5, color="#D55E00")
    for k in range(3):
        picture(fig, [0.008 + 0.068 * k, 0.8, 0.064, 0.1], real[example, k])
    picture(fig, [0.076, 0.51, 0.064, 0.1], early[0])


def worked_example(fig):
    n, rows = len(z), ["z, by position", "its rank", "q, sorted targets", "q in the order of z", "pull on z"]
    ax = fig.add_axes([0.16, 0.02, 0.83, 0.41], xlim=(0, n), ylim=(5.5, -0.1))
    ax.axis("off")
    largest = matrix[[0, 2, 4]].abs().max()
    for r, (name, values) in enumerate(zip(rows, matrix, strict=True)):
        ax.text(-0.1, r * 1.15 + 0.35, name, ha="right", va="center", fontsize=8.5)
        for i, v in enumerate(values):
            shade = "#F2F2F2" if r == 1 else plt.get_cmap("RdBu_r")(0.5 + 0.35 * float(v / largest))
            ax.add_patch(plt.Rectangle((i, r * 1.15), 0.95, 0.7, fc=shade, ec="white"))
            ax.text(i + 0.475, r * 1.15 + 0.36, f"{int(v)}" if r == 1 else f"{v:.2f}", ha="center", va="center", fontsize=7)
    for i, k in enumerate(rank.tolist()):  # each position fetches the target of its rank
        ax.plot([k + 0.475, i + 0.475], [3.0, 3.45], color="#888888", lw=0.7)


# %% tags=["hide-input"]
fig = plt.figure(figsize=(8, 5.2), layout="none")
overview(fig)
worked_example(fig)
show(fig, "fig-vital-8", f"Above: the method with this run's shapes (channels × positions). Below: sort matching on real "
     f"numbers, channel {channel} of {taps[-1]} for *{names[example]}*, one column per position. The fourth row gives each "
     "position the target of its rank; the last row is how far the value has to go (VITAL, figure 8).",
     alt="A drawing of two rows of network blocks, and under it a table of numbers with lines from ranks to targets.")

# %% [markdown]
# The grey lines in {numref}`fig-vital-8` carry each target to the position whose value has its rank: the targets move,
# the image stays. That is the second sort of the published algorithm, and we can check it on the numbers above.

# %%
undone = torch.equal(z[order][rank], z)
same_order = bool((wanted[order].diff() >= 0).all())  # targets rise where the values rise
claim("vital-3", holds=undone and same_order,
      because=f"On {len(z)} values of {last}, sorting and indexing with the ranks gives the input "
              "back exactly, and the rearranged targets rise wherever the image's values rise.")

# %% [markdown]
# ## One sort is enough
#
# The published algorithm sorts the image's values, sorts the resulting indices, and gathers the targets in the
# image's order. A plain difference of two sorted lists is shorter. Both are differentiable, because a sort only
# passes each gradient to the place its value came from. Are they the same? Values that are equal, such as the many
# zeros after a ReLU, may share their targets out in any order, so we compare gradients up to that.

# %%
def argsort_gather(z, references):
    """Algorithm 1: z (1, c, p), references (n, c, p), sorted anew at every call."""
    rank = z.argsort(-1).argsort(-1)
    q = references.sort(-1).values.mean(0, keepdim=True)
    return (z - q.gather(-1, rank)).square().mean((1, 2))


def settled(slope, z):
    """Gradients (1, c, p) in the order of the values z, and among equal values in their own."""
    first = slope.argsort(-1)
    then = z.detach().gather(-1, first).argsort(dim=-1, stable=True)
    return slope.gather(-1, first).gather(-1, then)


def both(tap):
    """Loss and gradient of the two forms at one tap, for the random start."""
    z = before[tap][:1].detach().requires_grad_(True)
    kept = features(model, zoo.normalise(model, real[0]), None, [tap], None)[tap]
    forms = argsort_gather(z, kept), sort_matching(z, quantiles[tap][:1])
    slopes = [settled(torch.autograd.grad(loss.sum(), z)[0], z) for loss in forms]
    gap = (slopes[0] - slopes[1]).abs().max() / slopes[0].abs().max()
    plain, sorted_once = (float(loss.detach()) for loss in forms)
    return plain, sorted_once, abs(plain - sorted_once) / plain, float(gap)


# %%
columns = ["argsort, argsort, gather", "one sort",
           "relative gap of the loss", "relative gap of the gradient"]
table = pd.DataFrame([both(tap) for tap in taps], columns=columns)
table.insert(0, "tap", taps)
show(table, "alg-vital-1", "The sort-matching loss of the random start, written as Algorithm 1 "
     f"has it and as a plain difference of sorted values, for *{names[0]}* (VITAL, algorithm 1).")

# %%
worst = table[columns[2:]].to_numpy().max()
claim("vital-2", holds=bool(worst < 1e-5),
      because=f"At {len(taps)} taps the largest relative gap of loss or gradient is {worst:.1e}.")

# %% [markdown]
# The sorted targets never change, so they are made once and kept: {math}`c \times P` numbers per tap and class instead of
# the features of all references. With the network's weights frozen and all classes in one batch, that is the
# difference between minutes and hours (`tests/bench/bench_vital.py` measures it).
#
# ## What matching does to the distributions
#
# Each panel of {numref}`fig-vital-3` is one channel: the grey area is what real images give, the thin blue line what noise
# gives, the thick orange line what the finished image gives. The lower two rows weigh each activation by its
# {term}`relevance` for the class, here gradient times activation; their orange line belongs to a second image, which
# was matched on those products.

# %%
weighing = dict(relevance="gradient x activation")
some = slice(example, example + 1)
weighted_image = vital(model, target[some], real[some], steps=steps, seed=seed, preset=preset,
                       **weighing)
sets = (real[example], start[some], weighted_image)
weighted = [features(model, zoo.normalise(model, x), target[some].expand(len(x)), taps, **weighing)
            for x in sets]
plain = [features(model, zoo.normalise(model, x), target[some], taps, None)
         for x in (real[example], start[some], images[some])]

# %% tags=["hide-input"]
def panel(ax, sets, tap, channel):
    real_values, noise, final = (s[tap][:, channel].detach().flatten().cpu().numpy() for s in sets)
    low, high = pd.Series([*real_values, *final]).quantile([0.005, 0.995])
    bins = torch.linspace(low, high + 1e-6, 26 if len(final) > 100 else 11).tolist()
    grey = ax.hist(real_values, bins, density=True, color="#BDBDBD", label="real")[0]
    ax.hist(noise, bins, density=True, histtype="step", color="#0072B2", lw=1, label="noise")
    orange = ax.hist(final, bins, density=True, histtype="step", color="#D55E00", lw=1.8, label="VITAL")[0]
    ax.set_yscale("function", functions=(lambda y: abs(y) ** 0.5, lambda y: y**2))  # rare values are seen, too
    ax.set(yticks=[], ylim=(0, 1.2 * max(*grey, *orange)), title=f"channel {channel}")


fig, axes = plt.subplots(4, len(taps), figsize=(8, 6.2))
for j, tap in enumerate(taps):
    for i, sets in ((0, plain), (2, weighted)):
        spread = sets[0][tap].detach().sort(-1).values.mean(0).var(-1)
        for k, c in enumerate(spread.topk(2).indices.tolist()):  # the two channels whose values differ most
            panel(axes[i + k, j], sets, tap, c)
    axes[0, j].set_title(f"{tap}\n{axes[0, j].get_title()}")
for i, text in ((0, "activation"), (2, "activation × relevance")):
    axes[i, 0].set_ylabel(text, y=-0.1)
axes[0, 0].legend(fontsize=6.5)
show(fig, "fig-vital-3", f"Distributions of two channels at each tap for *{names[example]}*, chosen as those with the widest "
     "targets: real images (grey), the random start (blue), the finished image (orange). Rows 1 and 2: activations; rows 3 and 4: "
     "activation times relevance. Heights are square roots of densities, and the blue peaks are cut off (VITAL, figure 3).",
     alt="Twenty small histograms in which the orange line follows the grey area and the blue line does not.")

# %% [markdown]
# The eye sees a few channels; the loss sees all of them. Below, the share of the starting distance that is left, over
# all classes and channels: by the finished image, and by real images that the targets have never seen.

# %% tags=["nbval-check-output"]
def unseen_distances(k):
    """Distance of each unseen real image of a class to its targets, (taps, references)."""
    found = features(model, zoo.normalise(model, fresh[k]), None, taps, None)
    return torch.stack([sort_matching(found[tap], quantiles[tap][[k]]) for tap in taps])


with torch.no_grad():
    unseen = torch.stack([unseen_distances(k) for k in range(len(names))], 1)  # (taps, classes, n)
    start_at, end_at = (torch.stack([sort_matching(f[tap], quantiles[tap]).mean() for tap in taps])
                        for f in (before, after))
distance = torch.stack([end_at, unseen.mean((1, 2)), unseen.amin(2).mean(1)]) / start_at
kinds = ["VITAL image", "unseen real images", f"nearest of {fresh.shape[1]} unseen"]
left = pd.DataFrame(distance.cpu(), index=kinds, columns=taps)
print(left.round(2).to_string())

# %%
ours, real_ones = left.loc["VITAL image"], left.loc["unseen real images"]
claim("vital-1", holds=bool((ours < real_ones).all()),
      because=f"Of the starting distance, {ours.min():.1%} to {ours.max():.1%} is left at the "
              f"{len(taps)} taps, over {len(names)} classes; unseen real images leave "
              f"{real_ones.min():.0%} to {real_ones.max():.0%}.")

# %% [markdown]
# The finished image is nearer to the targets than real images are. That isn't a mistake: {math}`q` is an average over
# all references, and no single real image is average in every channel. A VITAL image is a *typical* image, more typical
# than a real one.
#
# ## Would mean and variance do?
#
# A simpler method would only match each channel's mean and variance, as if activations were Gaussian. We replace the
# targets by a Gaussian with the same two moments and ask which is farther from {math}`q`: that Gaussian, or the mean
# of a second set of real images that the targets have never seen.

# %%
second = reference_quantiles(model, fresh, taps, target=target)


def gaussian(q):
    """Quantiles of the Gaussian with the mean and variance of q, along the last axis."""
    p = q.shape[-1]
    steps = torch.special.ndtri((torch.arange(p, device=q.device) + 0.5) / p)
    return q.mean(-1, keepdim=True) + steps * q.std(-1, keepdim=True, correction=0)


def squared(a, b):
    return (a - b).square().mean(-1)


farther = {tap: (squared(gaussian(q), q) > squared(second[tap], q)).float()
           for tap, q in quantiles.items()}
share = float(torch.cat([f.flatten() for f in farther.values()]).mean())
claim("vital-4", holds=share > 0.5,
      because="The Gaussian is farther from the targets than a second set of real images in "
              f"{share:.0%} of the channels: "
              + ", ".join(f"{float(f.mean()):.0%} ({tap})" for tap, f in farther.items()) + ".")

# %% [markdown]
# ## Paper against this run
#
# Section 3.2 prints no numbers of its own, so the settings stand side by side: the official configuration as read
# from its code, and what this run used.

# %%
words = {"steps": "steps", "lr": "learning rate", "jitter": "random shift, share of the width",
         "start": "spread of the starting noise", "centre": "noise fades from the middle, width", "tv": "weight of total variation",
         "l2": "weight of the pixels' size (L2)", "weights": "weights of the blocks"}
used, official = settings(model, preset, {"steps": steps}), settings(model, "paper", {})


def written(value):
    """A setting as text, with sensible digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


rows = [(text, written(official[name]), written(used[name])) for name, text in words.items()]
rows += [("references", "50", str(references)), ("image size", "224", str(ed.size))]
pd.DataFrame(rows, columns=["setting", "paper (official code)", "this run"]).set_index("setting")

# %% [markdown]
# *Scale-free* weights are the division by the variance of {math}`q`. Total variation is the size of the differences
# between neighbouring pixels. At 64 pixels a little of it is needed: without it neighbouring pixels disagree, since
# nothing in the sorted values says where they stand. For the same reason the starting noise is strongest in the middle:
# the object grows where there is something to grow from, and otherwise might straddle the border.

# %% tags=["nbval-check-output"]
seen = (by_itself == target).float().mean()
print(f"recognised by {network} itself: {float(seen):.0%} of {len(names)} images")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - Sort matching takes one sort per channel; Algorithm 1's three steps give the same loss and gradient
#   ({numref}`alg-vital-1`).
# - The finished image is nearer to the mean sorted activations than real images are ({numref}`fig-vital-3` and the
#   numbers below it). It shows the typical member of the class, and where a class has several looks (colours, poses)
#   it shows their mixture.
# - That its own network recognises the image says little, since the network was the judge of its making. Later
#   sections ask networks of other families.
# :::
#
# ## Copy this
#
# The same on any timm model and any batch of images in [0, 1], without editions. Use `pretrained=True` and your own
# images; the weights here are random so that the cell needs no download.

# %%
import timm
import torch

from sightglass.visualize.vital import vital

my_model = timm.create_model("resnet18", pretrained=False)
my_model = my_model.eval().requires_grad_(False)
my_images = torch.rand(1, 8, 3, 96, 96)  # (classes, references, 3, height, width) in [0, 1]
my_picture = vital(my_model, [281], my_images, steps=5, seed=0)
print(my_picture.shape)

# %% [markdown]
# :::{dropdown} Try next: how many steps does it take?
# Run `python -m sightglass run world vital -p steps=50`. Colours and layout are there after thirty steps, under a
# layer of grain; the rest takes the grain away.
# :::
#
# :::{dropdown} Try next: what does one block alone give?
# Call `vital(..., taps=["block5"])`. The object keeps its shape and markings, but its surroundings lose their colours
# and everything its fine edges: those are what the shallow blocks bring.
# :::
