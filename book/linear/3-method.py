# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A neuron as a sum of words (Linear Explanations, section 3)
#
# **Question.** Which few words, with which weights, say what a neuron does on *all* images, and how does one find them?
#
# A neuron that answers to zebras may answer half as strongly to horses and a little to anything striped. No single word says that.
# A {term}`linear explanation` is a short sum, such as 2.8 zebra + 1.2 horse + 0.4 striped, where each word stands for
# how much of it is in the image {cite:p}`oikarinen2024`. This page builds one step by step, from the matrix of concepts to
# the last term, and then explains a whole layer at once.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with an `explainer` | half a minute on one core, seconds where other pages have looked at the images | minutes on a GPU | {doc}`/linear/2-top-impact` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the split into train, val and test
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
layer = ""  # a tap; empty takes the one before the classifier
photos = 6000  # probing images; the world has 10,000
neuron = -1  # one of the layer's; -1 takes the median one among those with four words
width = 10  # words that are tried for each one chosen
length = 10  # words at most
gain = 0.02  # what a word has to add to the correlation

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sightglass as sg
from sightglass import explain
from sightglass.explain.elastic import elastic_net
from sightglass.explain.moments import moments
from sightglass.explain.solve import RIDGE
from sightglass.metrics import eight_bits
from sightglass.show import show

sg.plot.style()
pd.set_option("display.max_colwidth", None)  # show sums of words in full
ed = sg.load(edition, device=device)
images = explain.probing(ed, photos)
probe = explain.probe(ed, network, layer, images=images, seed=seed, keep=sg.kept)
words = explain.concepts(ed, "full")
matrix = explain.matrices(ed, probe, words, keep=sg.kept)["explainer"]
usable = explain.usable(matrix, probe.splits.train)
started = time.perf_counter()
found = explain.explain(usable, probe.q, probe.splits, width=width, length=length, gain=gain)
seconds = time.perf_counter() - started

# %% [markdown]
# ## The picture to keep in mind

# %% tags=["hide-input"]
four = (found.length == 4).nonzero()[:, 0]
four = four if len(four) else (found.length > 0).nonzero()[:, 0]
k = neuron if neuron >= 0 else int(four[found.score[four].argsort()[len(four) // 2]])
parts = explain.Splits(*(rows.to(probe.q.device) for rows in (probe.splits.train, probe.splits.val, probe.splits.test)))
train, val, scale = moments(usable.values.float(), probe.q.float()[:, [k]], parts)
sparse = elastic_net(train.G, train.C, 0.05, RIDGE)[:, 0].cpu()  # in spreads of concept and neuron
final = dict((name, weight) for weight, name in found.terms(k))
ranked = [usable.names[j] for j in sparse.argsort(descending=True).tolist()]
shown = [name for name in ranked if name in final]
shown += [name for name in ranked if name not in final][: 15 - len(shown)]
columns = usable.columns(shown).cpu()
test = probe.splits.test[probe.q.cpu()[probe.splits.test, k].argsort(descending=True)]
rows = test[np.unique(np.r_[0, 1, np.geomspace(3, len(test) - 1, 8).astype(int)])]  # from the highest activation to the lowest
real = probe.q[rows, k].cpu()
played = explain.simulate(found.pick([k]), usable)[rows, 0].cpu()

fig = plt.figure(figsize=(8, 5.6), layout="none")
left, bottom, wide, high = 0.12, 0.045, 0.56, 0.5
P = fig.add_axes([left, bottom, wide, high])
P.imshow(usable.values[rows][:, columns].cpu(), aspect="auto", cmap="Blues", vmin=0, vmax=1)
P.set(xticks=[], yticks=[])
P.spines[:].set(visible=True, color="#999999")
for i, row in enumerate(rows.tolist()):
    ax = fig.add_axes([left - 0.065, bottom + high * (len(rows) - 1 - i) / len(rows), 0.06, 0.95 * high / len(rows)])
    ax.imshow(eight_bits(images.pixels[row]).permute(1, 2, 0))
    ax.set_axis_off()
BAR = {"width": 0.7, "color": sg.plot.colour("le siglip")}
for j, (heights, text) in enumerate([([final.get(name, 0) for name in shown], "4  weights\nof the sum"),
                                     (sparse[columns].tolist(), "2  sparse\nweights")]):
    ax = fig.add_axes([left, bottom + high + 0.01 + 0.12 * j, wide, 0.11])
    ax.bar(range(len(shown)), heights, **(BAR | ({} if j == 0 else {"color": "#999999"})))
    ax.set(xlim=(-0.5, len(shown) - 0.5), xticks=[], yticks=[])
    ax.spines["left"].set_visible(False)
    ax.axhline(0, color="#999999", lw=0.8)
    fig.text(left - 0.01, bottom + high + 0.06 + 0.12 * j, text, ha="right", va="center", fontsize=8)
for j, name in enumerate(shown):
    fig.text(left + wide * (j + 0.4) / len(shown), bottom + high + 0.26, name, rotation=55, fontsize=8, ha="left", va="bottom",
             rotation_mode="anchor", fontweight="bold" if name in final else "normal")
ax = fig.add_axes([left + wide + 0.03, bottom, 0.27, high])
ax.barh(np.arange(len(rows)) + 0.2, real, 0.38, color="#444444", label="the neuron")
ax.barh(np.arange(len(rows)) - 0.2, played, 0.38, color=BAR["color"], label="the sum")
ax.invert_yaxis()
ax.set(yticks=[], ylim=(len(rows) - 0.5, -0.5))
ax.legend(loc="lower right")
fig.text(left + wide + 0.03, bottom + high + 0.01, "5  activation", fontsize=8)
fig.text(left + wide + 0.03, bottom + high + 0.1, "3  a greedy search keeps\nwhat raises the correlation\n(in bold)", fontsize=8)
fig.text(left - 0.075, bottom + high / 2, "1  how much of each word is in each image", fontsize=8, rotation=90, ha="right", va="center")
sentence = found.sentence(k)
show(fig, "fig-le-1",
     f"Unit {k} of {network}'s {probe.at} layer and how its explanation came about: **{sentence}**. (1) For {len(rows)} of {len(images)} images and "
     f"{len(shown)} of {len(usable)} words, how much of the word is in the image: dark is much. (2) A regression gives most words "
     "no weight. (3) A greedy search tries what is left. (4) The words that stay get their final weights. (5) Each image's row times these "
     "weights, summed, beside what the neuron really does; no step has seen these images (Linear Explanations, figure 1).",
     alt="A table of blue cells with small images at its left, bars of weights above its columns and, at its right, pairs of bars "
         "for real and predicted activation.")

# %% [markdown]
# ## Step 1: how much of a word is in an image?
#
# Call it {math}`P`, a number from 0 to 1 for each image and word. Where images have labels, it is known: 1 if the label holds, 0 if
# not. For the words that nobody has labelled we ask an image-text network, the {term}`explainer`. It gives cosines
# between images and words, which aren't shares of anything. A logistic curve makes them so, with two numbers {math}`a` and {math}`b` that serve all words:
#
# ```{math}
# P = \sigma(a \cos{} + ab)
# ```
#
# They are fitted on the labels of the training images. The fit is convex in {math}`a` and {math}`ab` and needs nothing but a histogram of cosines, so Newton's
# method takes milliseconds. Whether the result deserves to be read as a chance can be looked up on images that it hasn't seen. On the
# grey line it does: of all words said to be there with a chance of 0.6, six in ten are. Below the line, the explainer is too sure.

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(4.4, 3))
judged = explain.matrices(ed, probe, explain.labels(ed, images, probe.task).names, keep=sg.kept)["explainer"]
true = explain.labels(ed, images, probe.task).values
said, is_so = judged.values.cpu()[probe.splits.test].flatten(), true[probe.splits.test].flatten()
bins = (said * 10).long().clamp(max=9)
count = bins.bincount(minlength=10).clamp(min=1)
share = bins.bincount(is_so, minlength=10) / count
ax.plot([0, 1], [0, 1], color="#999999", lw=0.8)
ax.plot(bins.bincount(said, minlength=10) / count, share, marker="o", color=sg.plot.colour("le siglip"))
ax.set(xlabel="P, as the explainer says", ylabel="share of images where it's true")
plt.show()

# %% [markdown]
# Words that reach no image are of no use. A word stays if its five highest training images reach a mean of one half.

# %%
dropped = [name for name in words if name not in usable.names]
print(f"{len(usable)} of {len(words)} words stay; dropped: {', '.join(dropped[:8]) or 'none'}{' ...' if len(dropped) > 8 else ''}")

# %% [markdown]
# ## Step 2: a regression that gives most words no weight
#
# Now the neuron's activations {math}`q` are regressed on all words at once, with a price on every weight. Columns
# and activations are brought to mean 0 and spread 1 first, by the training images. The price {math}`\lambda` is 0.05. Squared weights have
# a price {math}`\lambda'` of about a hundredth of that, which settles ties between words that always come together.
#
# ```{math}
# \min_w\ \tfrac{1}{2n}\lVert q - Pw \rVert^2 + \lambda \lVert w \rVert_1 + \tfrac{\lambda'}{2} \lVert w \rVert^2
# ```
#
# The published code approaches the solution in thousands of small random steps. Here it is computed from the second moments
# {math}`P^\top P` and {math}`P^\top q` alone, exactly and for all neurons at once, and checked by its optimality conditions.

# %%
print(f"{int((sparse > 0).sum())} words have a positive weight, {int((sparse < 0).sum())} a negative one, "
      f"{int((sparse == 0).sum())} none: too many for a sentence, but a ranking")

# %% [markdown]
# ## Step 3: a greedy search along the ranking
#
# Start with nothing. Rank the words by these weights, the largest first and negative ones last. In each round try the {math}`r` highest ranked words that are still in play: add one, fit all weights by least squares
# on the training images, and correlate with the neuron on the validation images. Those that gain less than {math}`\epsilon`
# are out for good. The best one joins. Stop when none qualifies, or at {math}`v` words.

# %%
steps = explain.trace(usable, probe.q, probe.splits, k, width=width, length=length, gain=gain)
lines, before = [], 0.0
for step, tried in steps.groupby("step"):
    best = tried[tried.fate == "chosen"]
    top = tried.sort_values("correlation", ascending=False)
    others = top[top.fate != "chosen"].head(3)
    now = float(best.correlation.iloc[0]) if len(best) else float("nan")
    lines.append({"step": str(step), "tried": str(len(tried)), "chosen": best.concept.iloc[0] if len(best) else "none",
                  "correlation": now, "gain": now - before, "next best": ", ".join(f"{c} ({r:.3f})" for c, r in zip(others.concept, others.correlation, strict=True)),
                  "out for good": str(int((tried.fate == "out").sum()))})
    before = now
show(pd.DataFrame(lines), "alg-le-1",
     f"The search for unit {k}, round by round: words tried, the one chosen, the correlation on validation images with it and what it "
     f"gained, the best others, and how many of the words tried are out for good. r = {width}, v = {length}, ε = {gain:g} (Linear Explanations, algorithm 1).")

# %% [markdown]
# The search ends with a round in which every word gains too little. The order of choice isn't the order of the final weights: these are fitted
# together, and sorted.
#
# The search tries dozens of words for each neuron, and each trial is a regression. None of them touches an image. What a
# word adds, given those that are chosen, follows from the same second moments by a formula of a few operations. So that you
# needn't believe this, here is the last sum once more, fitted on the images themselves:

# %%
chosen = [name for _, name in found.terms(k)]
P_chosen, q = usable.only(chosen).values.cpu().double().numpy(), probe.q[:, k].cpu().double().numpy()
design = np.c_[P_chosen, np.ones(len(q))]
learn, choose = probe.splits.train.numpy(), probe.splits.val.numpy()
by_data = np.linalg.lstsq(design[learn], q[learn], rcond=None)[0]
difference = {"weights": float(np.abs(by_data - np.r_[[w for w, _ in found.terms(k)], float(found.bias[k])]).max()),
              "correlation": float(abs(np.corrcoef(design[choose] @ by_data, q[choose])[0, 1] - float(found.score[k])))}
print("largest difference:", ", ".join(f"{what} {d:.0e}" for what, d in difference.items()))
assert max(difference.values()) < 1e-3

# %% [markdown]
# ## The whole layer
#
# All neurons share the second moments of the words, so that they are explained together:

# %%
print(f"{len(found)} neurons, {len(usable)} words, {len(probe.splits.train)} images: {seconds:.1f} s, "
      f"{1000 * seconds / len(found):.1f} ms each")
order = found.score.argsort(descending=True).tolist()
found.table([order[int(share * (len(order) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)]).round(3)

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - A linear explanation is read off a table of images and words: a weight for some of the columns ({numref}`fig-le-1`).
# - The regression ranks and the search decides, on other images. A word that adds nothing new stays out, however well it fits
#   alone ({numref}`alg-le-1`).
# - The score beside an explanation is the explainer's own, on images that took part in the choice. Whether anyone else can predict the
#   neuron from these words is asked in {doc}`/linear/4-simulation`.
# :::
#
# ## Copy this
#
# Any matrix of concepts and any activations of the same images. Here a neuron is planted, so you can see it come back.

# %%
import torch

from sightglass import explain

draw = torch.Generator().manual_seed(0)
my_presence = torch.rand(400, 30, generator=draw) ** 3  # (images, words), 0 to 1
my_matrix = explain.Matrix(tuple(f"word {i}" for i in range(30)), my_presence)
my_q = 2.8 * my_presence[:, [4]] + 1.9 * my_presence[:, [7]] + 0.4 + 0.1 * torch.randn(400, 1, generator=draw)
my_words = explain.explain(my_matrix, my_q, explain.split(400, seed=0))
print(my_words.sentence(0))
assert {name for _, name in my_words.terms(0)} == {"word 4", "word 7"}

# %%
import timm

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_layer = explain.activations(my_model, torch.rand(60, 3, 64, 64), {"layer3": "mean"})["layer3"]
my_layer_words = explain.explain(explain.Matrix(my_matrix.names, my_presence[:60]), my_layer, explain.split(60, seed=0))
assert len(my_layer_words) == my_layer.shape[1] == 256

# %% [markdown]
# :::{dropdown} Try next: longer and shorter
# Run `python -m sightglass run world linear/3 -p gain=0.005`, and `-p gain=0.1`. How many words does the explanation get, and which of
# them would you miss?
# :::
#
# :::{dropdown} Try next: a neuron that words can't reach
# Take the worst neuron of the last table, `-p neuron=...`. Look at the images of the figure from the highest
# activation down: what do they share that is on no list?
# :::
