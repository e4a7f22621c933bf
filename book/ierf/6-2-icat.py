# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How concepts make concepts (iERF, sections 6.2 and 6.3)
#
# **Question.** One layer has stripes among its concepts and a later one has zebras. Does the network make zebras from stripes, or do the two only
# go together?
#
# {term}`ICAT` asks the network between the two layers: by how much does a concept of the earlier one raise a concept of the later one
# {cite:p}`kim2026`? The answers are the edges of a graph of concepts ({doc}`/ierf/6-4-concept-graph`). This page builds them for one pair of layers,
# and then puts five ways of sharing out credit to the test: take the concepts away that are said to matter most, and see whether the
# target goes.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | a convolutional network | a minute on one core, less after {doc}`/ierf/6-1-concepts` | an hour on a GPU | {doc}`/ierf/6-1-concepts` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
layers = ["layer1.2", "layer2.3", "layer3.0", "layer3.2", "layer3.5", "layer4.2"]  # each with the next makes a pair
pair = ["layer2.3", "layer3.5"]  # whose edges are drawn
about = "clownfish"  # the class whose nodes are drawn
taps = ["layer1.1", "layer1.2", "layer2.0", "layer2.2", "layer2.3", "layer3.0", "layer3.2", "layer3.5", "layer4.2"]  # where PFVs are drawn, for other pages too
photos = 900  # images that concepts come from; the last fifth tries edges
each = 4  # PFVs from each image
ratio = 8  # concepts for each channel, if there are three PFVs for each concept
nodes = 5  # concepts of either layer that are drawn
shots = 6  # images of the class that edges are summed over
tested = 10  # images for the curves; the paper takes 100
steps = 16  # of integrated gradients, and for SHAP eight sets of concepts for each

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib.path import Path as Line

import sightglass as sg
from sightglass import zoo
from sightglass.concepts.dictionaries import dictionary, fitted
from sightglass.show import claim, published, show
from sightglass.trace.drawn import drawn, one_of_each_image, taken
from sightglass.trace.graph import name_of
from sightglass.trace.graph.pictures import box, lit, veiled
from sightglass.trace.icat import between, curves, edges, importance, pair_edges, strongest
from sightglass.trace.icat.attributors import ATTRIBUTORS
from sightglass.trace.srd import ierf

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
images = ed.images("test", photos)
taps = [*taps, *(tap for tap in [*layers, *pair] if tap not in taps)]
found = sg.kept(drawn, model, images.pixels, taps, each=each, seed=seed)
samples = {tap: taken(found, tap) for tap in taps}
cut = int(0.8 * len(images))  # images before it make concepts
paper = published("tab-ierf-3").set_index(["row", "column"]).value
rates = paper["bisecting k-means / l0 ratio"]


def rate(tap):
    """The published share of zeros in codes of a layer, or of the last one before it that the paper's table has."""
    known = [column for column in rates.index if column <= tap.replace("layer", "layer ")]
    return float(rates[known[-1] if known else rates.index[0]])


def made(tap):
    """A layer's dictionary by bisecting k-means, with codes as sparse as published on images that made no concepts."""
    s = samples[tap]
    mine, others = s.vectors[s.image < cut], s.vectors[s.image >= cut]
    count = min(ratio * mine.shape[1], len(mine) // 3)
    return fitted(dictionary(mine, count, seed=seed), others[:200], max(1.0, (1 - rate(tap)) * count))


words = {tap: made(tap) for tap in dict.fromkeys([*layers, *pair])}

# %% [markdown]
# ## The picture to keep in mind

# %% tags=["hide-input"]
label = list(ed.classes).index(about) if about in ed.classes else 0
some = (images.labels == label).nonzero()[:shots, 0]
x = zoo.normalise(model, images.pixels[some].to(ed.device))
low, high = pair
share = {tap: importance(model, x, tap, words[tap], [ed.outputs[label]], steps=steps).strength[:, 0] for tap in pair}
tops = {tap: values.argsort(descending=True)[:nodes] for tap, values in share.items()}
started = time.perf_counter()
made_by = edges(model, x, tuple(pair), words[low], words[high], targets=tops[high], steps=steps)
seconds = time.perf_counter() - started
strength = made_by.strength[tops[low]].cpu()  # (nodes, nodes)


def exemplars(tap, concepts, count=10):
    """The PFVs nearest to centres, one of each image: (k, count) rows of the layer's sample."""
    return torch.stack([one_of_each_image(line, samples[tap].image, count) for line in torch.cdist(words[tap].centres[concepts], samples[tap].vectors)])


def lights(tap, rows):
    """Images (m, s, s, 3) as bytes and iERFs (m, s, s) of some vectors of a layer's sample."""
    image, inverse = samples[tap].image[rows].cpu().unique(return_inverse=True)
    at = samples[tap].position[rows]
    maps = ierf(model, zoo.normalise(model, images.pixels[image].to(ed.device)), tap, at, images=inverse).cpu()
    pixels = (images.pixels[image[inverse]].permute(0, 2, 3, 1).numpy() * 255).round().astype(np.uint8)
    return pixels, maps


def portraits(tap, concepts):
    """Crops (h, w, 3) of three exemplars around what made them, and a name, for each concept."""
    rows, known = exemplars(tap, concepts), []
    pixels, maps = lights(tap, rows.flatten())
    masks = lit(maps)
    for k, row in enumerate(rows):
        part = range(k * rows.shape[1], k * rows.shape[1] + 3)
        crops = [veiled(pixels[i], masks[i])[box(masks[i])] for i in part]
        scenes = None if images.scenes is None else images.scenes[samples[tap].image[row].cpu()]
        mine = maps[k * rows.shape[1] : (k + 1) * rows.shape[1]]
        known.append((crops, name_of(scenes, mine) if scenes is not None else f"concept {int(concepts[k])}"))
    return known


faces = {tap: portraits(tap, tops[tap]) for tap in pair}
# the position of the class's first image where one of these nodes is most present, among those with three concepts or more
codes = between(model, x[:1], tuple(pair), words[low], words[high]).codes[0].cpu()  # (positions, K)
mixed = (codes != 0).sum(1) >= 3
weight = codes[:, tops[low].cpu()].amax(1)
spot = int(torch.where(mixed if mixed.any() else ~mixed, weight, -torch.inf).argmax())
code = codes[spot]
terms = code.abs().argsort(descending=True)[: min(3, max(1, int((code != 0).sum())))]
terms = terms[code[terms] != 0]
own = portraits(low, terms)
light = ierf(model, x[:1], low, [spot]).cpu()
mask = lit(light)[0]
shot = (images.pixels[some[0]].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)

# %% tags=["hide-input"]
HIGH, INK, BLUE = 4.55, "#666C70", "#2269A6"
fig = plt.figure(figsize=(8, HIGH), layout="none")


def paste(pixels, left, top, side, colour=None):
    """A picture at a place in inches."""
    ax = fig.add_axes([left / 8, (top - side) / HIGH, side / 8, side / HIGH])
    ax.imshow(pixels, interpolation="nearest", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=colour is not None, color=colour, linewidth=1.2)
    return ax


def note(left, top, text, **how):
    """Words at a place in inches."""
    return fig.text(left / 8, top / HIGH, text, **({"fontsize": 8, "ha": "left", "va": "center"} | how))


note(0.05, HIGH - 0.14, "1  extract", fontsize=10, fontweight="bold")
note(0.05, HIGH - 0.36, f"a PFV of {low} and what made it", color=INK)
ax = paste(shot, 0.05, HIGH - 0.5, 0.95)
wide = int(round(len(codes) ** 0.5))
cell = shot.shape[0] / wide
ax.add_patch(plt.Rectangle((spot % wide * cell - 0.5, spot // wide * cell - 0.5), cell, cell, fill=False, ec="#D55E00", lw=1.6))
paste(veiled(shot, mask), 1.13, HIGH - 0.5, 0.95)
note(0.05, HIGH - 1.68, "is a sum of few concepts", color=INK)
for k, (number, (crops, name)) in enumerate(zip(terms.tolist(), own, strict=True)):
    top = HIGH - 1.84 - 0.88 * k
    note(0.46, top - 0.25, f"{'+' if k else '='} {float(code[number]):.1f} ×".replace("+ -", "− "), ha="right", fontsize=8.5)
    for j, crop in enumerate(crops):
        paste(crop, 0.52 + 0.53 * j, top, 0.5)
    note(0.52, top - 0.59, name, fontsize=7.5)

note(2.45, HIGH - 0.14, "2  nodes", fontsize=10, fontweight="bold")
note(2.45, HIGH - 0.36, f"concepts that matter most to {ed.classes[label]}", color=INK)
step = (HIGH - 0.72) / nodes
side = min(0.5, step - 0.24)
right = {low: 4.62, high: 6.93}  # where a layer's nodes begin
largest = {tap: float(share[tap].max()) for tap in pair}
for tap in pair:
    note(right[tap] if tap == high else 4.5, HIGH - 0.56, tap, fontsize=8.5, fontweight="bold", ha="left" if tap == high else "right")
middle = {}
for tap in pair:
    for k, (crops, name) in enumerate(faces[tap]):
        top = HIGH - 0.7 - step * k
        middle[tap, k] = top - side / 2
        if tap == low:
            for j, crop in enumerate(crops):
                paste(crop, 4.5 - (3 - j) * (side + 0.03) + 0.03, top, side, BLUE)
            begin, how = 4.5 - 3 * (side + 0.03) + 0.03, {"ha": "left"}
            bar = 0.42 * max(0.0, float(share[tap][tops[tap][k]])) / largest[tap]
            fig.add_artist(plt.Rectangle(((begin - 0.06 - bar) / 8, (top - side / 2 - 0.07) / HIGH), bar / 8, 0.14 / HIGH, color="#9AA5AD", lw=0))
        else:
            for j, crop in enumerate(crops[:2]):
                paste(crop, right[tap] + j * (side + 0.03), top, side, BLUE)
            begin, how = right[tap], {"ha": "left"}
        note(begin, top - side - 0.09, name, fontsize=7.5, **how)
note(5.0, HIGH - 0.14, "3  edges", fontsize=10, fontweight="bold")
note(5.0, HIGH - 0.36, "how much each makes of each", color=INK)
canvas = fig.add_axes([0, 0, 1, 1], xlim=(0, 8), ylim=(0, HIGH), zorder=-1)
canvas.set_axis_off()
scale = float(strength.abs().max())
for i, j in sorted(np.ndindex(*strength.shape), key=lambda ij: abs(float(strength[ij]))):
    value = float(strength[i, j]) / scale
    ends = (4.54, middle[low, i]), (right[high] - 0.04, middle[high, j])
    bend = (ends[0][0] + 0.9, ends[0][1]), (ends[1][0] - 0.9, ends[1][1])
    line = Line([ends[0], *bend, ends[1]], [Line.MOVETO, *[Line.CURVE4] * 3])
    shade = plt.get_cmap("Blues" if value > 0 else "Reds")(0.25 + 0.7 * abs(value))
    canvas.add_patch(plt.matplotlib.patches.PathPatch(line, fill=False, ec=shade, lw=0.4 + 6 * abs(value), capstyle="round"))
show(fig, "fig-ierf-10",
     f"How edges come about, from {low} to {high} of {network}. (1) A PFV, framed in the image, the pixels that made it, and the concepts that it is a "
     f"sum of, each with three exemplars. (2) The {nodes} concepts of either layer that matter most to *{ed.classes[label]}*; grey bars at the left say how much. "
     f"(3) How much each earlier concept contributes to each later one, by integrated gradients over {len(some)} images: wide and blue is much, red is against "
     "(iERF, figure 10).",
     alt="At the left an image, a framed spot and a sum of small pictures; at the right two columns of small pictures joined by blue curves of different width.")

# %% [markdown]
# ## What an edge says
#
# Write the earlier layer as its codes make it, {math}`\hat{X} = UV`. Send it through the network between the two layers. At each
# position, compare what comes out with the target concept {math}`v_t` by angle, and weigh positions by the target's own code there (the paper's equation 13):
#
# ```{math}
# S(\hat{X}, v_t) = \sum_i u_{it} \cos\bigl(M(\hat{X})_i, v_t\bigr)
# ```
#
# That is one number for the target, so it can be shared out among the coefficients of the earlier layer by any {term}`attribution`, and summed over
# positions. The paper's choice is {term}`integrated gradients`: slopes averaged on the way from no concepts to all of
# them. One pass for each target serves all concepts at once, since the slope at the activations, times the dictionary, is the slope at the codes.

# %%
print(f"{made_by.strength.numel():,} edges in {seconds:.1f} s; on the way in {steps} steps, {made_by.gap:.1%} of the change got lost")
pd.DataFrame(strength.numpy().round(3), [f"{name} ({int(k)})" for k, (_, name) in zip(tops[low], faces[low], strict=True)],
             [f"{name} ({int(k)})" for k, (_, name) in zip(tops[high], faces[high], strict=True)])

# %% [markdown]
# ## Which attribution?
#
# Five are tried: {term}`integrated gradients` {cite:p}`sundararajan2017`; the gradient at the end of the way, times the coefficient; DeepLIFT
# {cite:p}`shrikumar2017`, which follows differences instead of slopes; {term}`layer-wise relevance propagation`
# {cite:p}`bach2015`; and SHAP {cite:p}`lundberg2017`, what a concept adds to sets of others on average, estimated from a few hundred sets.
#
# The test is {term}`insertion and deletion`. Take the concept of the later layer that is most present in an image. Order the earlier
# layer's concepts in this image by what they are said to do for it. Put them in one by one, or take them away, and watch the target's largest cosine
# over positions, as a share of what it is with all of them. A good order rises at once when put in, and falls at once when taken away.
# The dashed line deals concepts out at random.

# %%
trial = torch.arange(cut, len(images))[:tested]
x_trial = zoo.normalise(model, images.pixels[trial].to(ed.device))
pairs = list(zip(layers, layers[1:], strict=False))
drawing, results, present = torch.Generator().manual_seed(seed), {}, {}
for one in pairs:
    link = between(model, x_trial, one, words[one[0]], words[one[1]])
    asked = strongest(link)
    present[one] = float((link.codes != 0).any(1).sum(1).float().mean())
    for name in ATTRIBUTORS:
        found_shares = pair_edges(link, asked, attributor=name, steps=steps)[0]
        results[one, name] = curves(link, asked, found_shares)
    results[one, "random"] = curves(link, asked, torch.rand(found_shares.shape, generator=drawing).to(found_shares))

# %% tags=["hide-input"]
INKS = {"integrated gradients": ("#0072B2", "-", 2.2), "gradient x input": ("#E69F00", "-", 1.4), "DeepLIFT": ("#009E73", "-.", 1.4),
        "LRP": ("#CC79A7", "-", 1.4), "SHAP": ("#D55E00", "-", 1.4), "random": ("#8A8A8A", "--", 1.2)}
fig, axes = plt.subplots(2, len(pairs), figsize=(8, 4.3), sharex=True, sharey="row", squeeze=False)
for j, one in enumerate(pairs):
    for name, (colour, line, width) in INKS.items():
        got = results[one, name]
        for i, values in enumerate((got.deletion, got.insertion)):
            mean, error = values.mean(0).cpu(), values.std(0).cpu() / len(values) ** 0.5
            axes[i, j].plot(got.share, mean, color=colour, ls=line, lw=width, label=name)
            axes[i, j].fill_between(got.share, mean - error, mean + error, color=colour, alpha=0.15, lw=0)
    axes[0, j].set_title(f"{one[0]}\nto {one[1]}", fontsize=8.5)
    axes[1, j].axhline(1, color="#BBBBBB", lw=0.7, zorder=0)
    axes[1, j].set_ylim(0.75, 1.03)
    axes[1, j].set_xticks([0, 0.5, 1], ["0", "½", "1"])
axes[0, 0].set_ylabel("target's answer,\ndeletion")
axes[1, 0].set_ylabel("target's answer,\ninsertion")
fig.supxlabel("share of the image's concepts that are taken away, or put in", fontsize=9)
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
counted = min(len(got.pairs) for got in results.values())
show(fig, "fig-ierf-11",
     f"Interlayer deletion (top) and insertion (bottom) on {network} for every pair of layers, with concepts in the order of five attributions and at random. "
     f"Lines are means over {counted} images, one target in each, and bands ± one standard error. The lower row begins at 0.75; 1 is the target's largest cosine with all concepts "
     f"of the image, which are {min(present.values()):.0f} to {max(present.values()):.0f} (iERF, figure 11).",
     alt="Two rows of plots with falling and rising curves in six colours, one column for each pair of layers.")

# %% [markdown]
# The paper prints no numbers here, so the areas under the curves stand alone. An area of deletion should be small and one of insertion large.

# %%
area = {(one, name): [float(values.mean()) for values in got.areas] for (one, name), got in results.items()}
table = pd.DataFrame({(kind, f"{one[0]} to {one[1]}"): [area[one, name][i] for name in INKS]
                      for i, kind in enumerate(("insertion", "deletion")) for one in pairs}, index=list(INKS))  # fmt: skip
means = table.T.groupby(level=0).mean().T
pd.concat([means.set_axis([f"{kind}, mean" for kind in means], axis=1), table.set_axis([f"{kind}, {one}" for kind, one in table], axis=1)], axis=1).T.round(3)

# %%
five = means.drop(index="random")


def ahead(kind, other):
    """By how much another attribution's area lies above integrated gradients', with its standard error over targets."""
    i = ("insertion", "deletion").index(kind)
    gap = torch.cat([results[one, other].areas[i] - results[one, "integrated gradients"].areas[i] for one in pairs])
    return f"{float(gap.mean()):+.3f} ± {float(gap.std()) / len(gap) ** 0.5:.3f}".replace("-", "−")


lowest, highest = five.deletion.idxmin(), five.insertion.idxmax()
ours = five.loc["integrated gradients"]
claim("ierf-14", holds=lowest == highest == "integrated gradients",
      because=f"Averaged over {len(pairs)} pairs of layers, {lowest} has the lowest deletion area ({five.deletion.min():.3f}, integrated gradients {ours.deletion:.3f}, difference {ahead('deletion', lowest)}) and "
              f"{highest} the highest insertion area ({five.insertion.max():.3f}, integrated gradients {ours.insertion:.3f}, difference {ahead('insertion', highest)}); a random order has "
              f"{means.deletion['random']:.3f} and {means.insertion['random']:.3f}.")

# %%
peaks = {one: results[one, "integrated gradients"].insertion.mean(0) for one in pairs}
top = max(pairs, key=lambda one: float(peaks[one].max()))
above = [one for one in pairs if float(peaks[one].max()) > 1 + 1e-4]
best = results[top, "integrated gradients"]
at = int(peaks[top].argmax())
single = max(float(results[one, "integrated gradients"].insertion.max()) for one in pairs)
claim("ierf-15", holds=bool(above),
      because=f"The mean insertion curve exceeds 1 for {len(above)} of {len(pairs)} pairs of layers; its highest point is {float(peaks[top].max()):.3f} ± "
              f"{float(best.insertion[:, at].std()) / len(best.insertion) ** 0.5:.3f}, from {top[0]} to {top[1]} with {float(best.share[at]):.0%} of the concepts. A single target reaches {single:.2f}.")

# %% [markdown]
# Differences between attributions are small against what separates all of them from chance, so look at the standard errors before choosing one.
#
# Why can fewer concepts give more? Some concepts turn the later layer away from the target, and credit tells them by their sign: they come last. An
# order that knows only sizes would miss them.
#
# Two things to keep in mind when reading such curves. A cosine is blind to length, so a target may have its angle with next to nothing of its cause
# left, which is why some curves of deletion stay high until the last concepts go. And a test by deletion shows the network sums of concepts that it has never
# seen. Where the true edges are known, one needn't rely on either: {doc}`/ierf/x-planted`.

# %% tags=["hide-input"]
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- An edge is the share of one concept in another one's score: what the network between two layers does, not what goes together in images ({numref}`fig-ierf-10`).",
    f"- Of the five attributions, {lowest} falls fastest and {highest} rises fastest here ({{numref}}`fig-ierf-11`); the gap to the next one is "
    f"{float(five.deletion.sort_values().diff().iloc[1]):.3f} and {float(-five.insertion.sort_values(ascending=False).diff().iloc[1]):.3f}, that to chance "
    f"{means.deletion['random'] - five.deletion.min():.3f} and {five.insertion.max() - means.insertion['random']:.3f}.",
    f"- Concepts may work against a target. Without them it answers better than with all: {float(peaks[top].max()):.3f} times as well on average, {single:.2f} times at most.", ":::"]))

# %% [markdown]
# ## Copy this
#
# All edges between two layers of any timm network, and the curves that test them. Use `pretrained=True` and your own images; the weights
# here are random.

# %%
import timm
import torch

from sightglass.concepts.dictionaries import dictionary
from sightglass.trace.drawn import drawn, taken
from sightglass.trace.icat import between, curves, edges_of, pair_edges, strongest
from sightglass.zoo import normalise

my_model = timm.create_model("resnet18", pretrained=False, num_classes=10).eval().requires_grad_(False)
my_images = torch.rand(8, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_layers = ("layer2", "layer3")
my_found = drawn(my_model, my_images, my_layers, each=12)
my_words = [dictionary(taken(my_found, layer).vectors, 16, nonzeros=3) for layer in my_layers]
my_link = between(my_model, normalise(my_model, my_images[:3]), my_layers, *my_words)
my_edges = edges_of(my_link, steps=8)  # strength (concepts, targets)
my_pairs = strongest(my_link)  # (image, target)
my_curves = curves(my_link, my_pairs, pair_edges(my_link, my_pairs, steps=8)[0], steps=5)
assert my_edges.strength.shape == (16, 16) and my_curves.insertion.shape == (len(my_curves.pairs), 6)

# %% [markdown]
# :::{dropdown} Try next: another pair of layers
# Run `python -m sightglass run world ierf/6-2 -p about=zebra`. What are its zebras made of? Layers that aren't
# neighbours work as well: `-p pair='["layer1.2", "layer4.2"]'`.
# :::
#
# :::{dropdown} Try next: an attribution of your own
# `pair_edges` returns shares (pairs, concepts). Replace them by the size of each concept's code, `link.codes.sum(1)`, and draw its curves. How much of the
# good order is nothing but size?
# :::
