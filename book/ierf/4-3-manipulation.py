# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can a map be forged? (iERF, section 4.2.3)
#
# **Question.** An image is changed so little that nobody sees it, and the network's answer stays the same. Can its
# {term}`saliency map` be made to show something else?
#
# It can {cite:p}`dombrowski2019`. All it takes is the network and some steps of gradient descent on the pixels. The paper {cite:p}`kim2026` holds that {term}`SRD` is the hardest map to forge. This page attacks six kinds of
# map with the same means, looks at what is left of them, and asks in the end what a map that can't be moved is worth.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `vgg16`, or any other network for five of the six maps | a minute on one core | an hour on a GPU for 100 pairs | {doc}`/ierf/4-2-saliency` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the pairs
device = "auto"  # auto | cpu | cuda
network = "vgg16"  # a role of the edition; another network is taken where there is none
pairs = 6  # images, and as many others whose maps they should get; the paper has 100
few = 3  # of them, for the trials at the end
steps = 100  # of the descent, at most
moved = 0.001  # mean square change of the pixels at which an image stops; 0.015 lets the attack go on
example = -1  # the pair of the first figure; -1 takes the middle one by how much of the maps is left

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import world, zoo
from sightglass.metrics import bootstrap, eight_bits
from sightglass.metrics.structure import pcc, ssim
from sightglass.show import claim, show, unavailable
from sightglass.trace.attackable import MAPS
from sightglass.trace.manipulate import manipulate, plain_map
from sightglass.trace.srd import srd_differentiable

sg.plot.style()
ed = sg.load(edition, device=device)
if ed.gives(network):
    other = next(role for role in ("resnet50", "vgg16", *ed.networks) if not ed.gives(role))
    display(Markdown(f"{network} is {unavailable(ed.gives(network))} This page takes {other}."))
    network = other
model = ed.model(network)
images = ed.images("test", max(200, 2 * pairs))
order = torch.randperm(len(images.pixels), generator=torch.Generator().manual_seed(seed)).tolist()
mine = order[:pairs]
goals = [next(j for j in order[pairs + k :] + order if images.labels[j] != images.labels[i]) for k, i in enumerate(mine)]
x, goal = (zoo.normalise(model, images.pixels[rows].to(ed.device)) for rows in (mine, goals))

# %% [markdown]
# ## The attack
#
# Write {math}`\phi(x)` for the map of an image, without signs and scaled to a sum of one, and {math}`F(x)` for the logits. Take a second image and its map. The
# first one is changed step by step until its map looks like that of the second, while the logits stay:
#
# $$ L = \lambda_1 \lVert \phi(x_\text{adv}) - \phi(x_\text{goal}) \rVert^2 + \lambda_2 \lVert F(x_\text{adv}) - F(x) \rVert^2 . $$ (eq-ierf-manipulation)
#
# The weights are {math}`10^{11}` and {math}`10^6`: a map's entries are small, and the squares of their differences smaller. No colour of a pixel may change by more than 8 of 255
# steps, and an image stops once its mean square change reaches 0.001. That must be meant in the network's own, normalised units. In units from 0 to 1, the first rule alone keeps
# the change below 0.001, and nothing would ever stop.
#
# Two details decide whether the comparison is a fair one. A ReLU network is made of flat pieces, and on each the gradient is constant. An attack on a map of gradients would see a
# slope of zero and do nothing, which would look like strength. So the attacked copy of the network has smooth ReLUs, and the result is judged on the real one. LRP and
# SRD depend on the activations themselves and need no such help. And SRD has all its class weights set to one, as in the paper, to keep the part that comes from gradients
# out of it.

# %%
found, why = {}, {}
for method in MAPS:
    try:
        found[method] = manipulate(model, x, goal, method, steps=steps, moved=moved)
    except (ValueError, NotImplementedError, RuntimeError) as reason:  # the network has a layer that this map has no rule for
        why[method] = str(reason).splitlines()[0]
for method, reason in why.items():
    display(Markdown(f"{method} is {unavailable(reason)}."))
methods = list(found)
left = {method: torch.stack([ssim(f.before, f.after), pcc(f.before, f.after)]).cpu() for method, f in found.items()}  # (2, pairs)

# %% [markdown]
# For scale, each image also gets noise of the same size as its attack. Noise wants nothing. What an attack spoils beyond that is its own doing.

# %%
draw = torch.Generator().manual_seed(seed)
dust = torch.randn(x.shape, generator=draw).to(x)
noisy = {}
for method, f in found.items():
    spread = dust * (f.moved / dust.square().mean((1, 2, 3))).sqrt()[:, None, None, None]
    shaken, _ = plain_map(model, x + spread, model(x).argmax(1), method)
    noisy[method] = torch.stack([ssim(f.before, shaken), pcc(f.before, shaken)]).cpu()

# %% tags=["hide-input"]
NAMES = {"GradInput": "Gradient × input", "GuidedBackprop": "Guided backprop", "InteGrad": "Integrated gradients", "LRP z+": "LRP z⁺"}
COLOURS = {"Gradient": "gradient", "GradInput": "input x gradient", "GuidedBackprop": "guided backpropagation",
           "InteGrad": "integrated gradients", "LRP z+": "lrp", "SRD": "srd"}  # fmt: skip
kinds = images.scenes is not None and ed.networks[network].task == "kinds"


def name_of(i):
    """What an image shows, in a word."""
    if kinds:
        return world.TASKS["kinds"][int(images.scenes.target("kinds")[i])]
    return ed.classes[int(images.labels[i])]


def drawn(method, k):
    """Colour a pair's maps before, after and asked for on one scale; roots make small values visible: (3, h, w, 3)."""
    f = found[method]
    three = torch.stack([f.before[k], f.after[k], f.goal[k]]).cpu()
    three = (three / three[:2].flatten().quantile(0.995)).clamp(max=1).sqrt()
    three[:, 0, 0] = torch.where(three.flatten(1).amax(1) < 1, 1.0, three[:, 0, 0])  # all cells share one scale
    three[:, 0, -1] = torch.where(three.flatten(1).amin(1) > 0, 0.0, three[:, 0, -1])
    return sg.plot.heat(three)


def photo(one):
    """Draw a network's input (3, h, w)."""
    return eight_bits(zoo.denormalise(model, one[None].cpu())[0].clamp(0, 1)).permute(1, 2, 0).numpy()


rank = torch.stack([each[0] for each in left.values()]).mean(0).argsort()  # pairs, the most damaged first
pick = example if example >= 0 else int(rank[len(rank) // 2])

# %% tags=["hide-input"]
HIGH, SIDE = 6.5, 1.02
fig = plt.figure(figsize=(8, HIGH), layout="none")


def paste(column, row, picture, text="", below=""):
    """Put a picture at a place of the upper part, in inches."""
    spot = [0.72 + 1.045 * column, HIGH - 1.36 - 1.2 * row]
    ax = fig.add_axes([spot[0] / 8, spot[1] / HIGH, SIDE / 8, SIDE / HIGH])
    ax.imshow(picture)
    ax.set_axis_off()
    middle = (spot[0] + SIDE / 2) / 8
    fig.text(middle, (spot[1] + SIDE + 0.05) / HIGH, text, ha="center", va="bottom", fontsize=8, linespacing=1.1)
    fig.text(middle, (spot[1] - 0.03) / HIGH, below, ha="center", va="top", fontsize=7.5)


shown = "SRD" if "SRD" in found else methods[-1]
for row, (one, title, below) in enumerate([(x[pick], "image", name_of(mine[pick])), (found[shown].x[pick], "", "changed"),
                                           (goal[pick], "", name_of(goals[pick]))]):  # fmt: skip
    paste(0, row, photo(one), title, below)
    words = ("before", "after the\nattack", "asked\nfor")[row]
    fig.text(0.64 / 8, (HIGH - 1.36 - 1.2 * row + SIDE / 2) / HIGH, words, ha="right", va="center", fontsize=8.5)
for column, method in enumerate(methods, 1):
    three = drawn(method, pick)
    for row in range(3):
        score = f"SSIM {float(left[method][0, pick]):.2f}" if row == 1 else ""
        paste(column, row, three[row], NAMES.get(method, method).replace(" ", "\n", 1) if row == 0 else "", score)

low, tall = 0.42, 1.75
for panel, measure in enumerate(("SSIM", "PCC")):
    ax = fig.add_axes([(1.5 + 3.35 * panel) / 8, low / HIGH, 2.75 / 8, tall / HIGH])
    for k, method in enumerate(methods):
        values = left[method][panel].numpy()
        mean, ends = values.mean(), bootstrap(values)
        ax.barh(k, mean, 0.62, color=sg.plot.colour(COLOURS[method]), alpha=0.85)
        ax.plot(ends, [k, k], color="black", lw=1.2)
        ax.plot(noisy[method][panel].mean(), k, "D", ms=5, mfc="white", mec="black", mew=0.9, clip_on=False, zorder=4)
        ax.text(1.1, k, f"{mean:.2f}", va="center", ha="center", fontsize=8)
    ax.set(xlim=(0, 1), ylim=(len(methods) - 0.5, -0.5), xticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_yticks(range(len(methods)), [NAMES.get(m, m) for m in methods] if panel == 0 else [])
    ax.tick_params(axis="y", length=0)
    ax.set_title(f"{measure} of the maps before and after", fontsize=8.5, loc="left", pad=4)
fig.text(4.55 / 8, 0.02 / HIGH, "line: 95% interval over pairs      ◇: noise of the same size instead of the attack", ha="center", va="bottom", fontsize=8)
show(fig, "fig-ierf-4",
     f"Six maps of {network} under attack. Top: one of {pairs} pairs, the middle one by how much of its maps is left. The maps in the middle row "
     "should have become those of the bottom row. The changed image is that of the attack on "
     f"{shown}; each method has its own. Each column has one scale, and roots are drawn so that small values can be seen. Bottom: how alike maps are before and after, by structural "
     "similarity and by correlation, mean over pairs; 1 is unharmed (iERF, figure 4).",
     alt="A grid of small heat maps by six methods in columns, before and after an attack and the maps asked for; below, two bar charts.")

# %% [markdown]
# In {numref}`fig-ierf-4`, compare the upper rows with the third. Hardly any map has become the one that was asked for. The rule that ends the attack leaves little room, and the
# images stop on the way. So what is measured isn't whether a forger succeeds, but how far a map gives way.

# %% tags=["hide-input"]
lines = {}
for method, f in found.items():
    here, there = pcc(f.before, f.goal).cpu(), pcc(f.after, f.goal).cpu()
    same = model(f.x).argmax(1) == model(x).argmax(1)
    lines[NAMES.get(method, method)] = {
        "steps": float(f.steps.float().mean()), "mean square change": float(f.moved.mean()),
        "change of a logit": float(f.output.sqrt().mean()), "answer kept, %": 100 * float(same.float().mean()),
        "of the way to the goal, %": 100 * float(((there - here) / (1 - here)).mean()),
    }  # fmt: skip
pd.DataFrame(lines).T.rename_axis("map").round(4)

# %% [markdown]
# The last column takes the correlation with the goal's map, and says how much of what was missing to 1 the attack has gained.

# %%
if not why:
    means = {method: each.mean(1) for method, each in left.items()}
    best = [max(means, key=lambda m: float(means[m][j])) for j in range(2)]
    rival = max((m for m in means if m != "SRD"), key=lambda m: float(means[m].mean()))
    gap = left["SRD"] - left[rival]
    low_end, high_end = bootstrap(gap[0].numpy())
    ranks = [sorted(means, key=lambda m: -float(means[m][j])).index("SRD") + 1 for j in range(2)]
    resists = best == ["SRD", "SRD"]
    reason = (f"Over {pairs} pairs, SRD keeps a mean SSIM of {float(means['SRD'][0]):.3f} and a PCC of {float(means['SRD'][1]):.3f}, "
              f"place {ranks[0]} and {ranks[1]} of {len(means)}. The best of the others is {rival} with {float(means[rival][0]):.3f} and "
              f"{float(means[rival][1]):.3f}; in SSIM, SRD less {rival} is {float(gap[0].mean()):+.3f} (95% interval {low_end:+.3f} to {high_end:+.3f}).")
else:
    resists, reason = None, f"It takes all six maps on one network, and {network} has no {' and no '.join(why)}."
claim("ierf-8", holds=resists, because=reason)

# %% [markdown]
# ## More pairs
#
# First the pairs whose maps were damaged most, on average over methods, then those that were damaged least. For each pair, the upper row is the state before the attack, and the image. The lower
# row is the state after it, and beside it the image whose maps were to be imitated.

# %% tags=["hide-input"]
def gallery(chosen):
    """Two rows for each pair: maps before and after."""
    cells, captions, rows = [], [], []
    for k in chosen:
        each = {method: drawn(method, k) for method in methods}
        cells += [[photo(x[k]), *[each[m][0] for m in methods]], [photo(goal[k]), *[each[m][1] for m in methods]]]
        rows += ["before", "after"]
        captions += [name_of(mine[k]), *[""] * len(methods), f"goal: {name_of(goals[k])}", *[f"SSIM {float(left[m][0, k]):.2f}" for m in methods]]
    return sg.plot.grid(cells, rows=rows, columns=["image", *[NAMES.get(m, m) for m in methods]], captions=captions)


ALT = "Pairs of rows: an image and its six heat maps before an attack, and the six heat maps after it beside the image to be imitated."
third = min(3, max(1, pairs // 2))
worst, mildest = rank[:third].tolist(), rank[-third:].flip(0).tolist()
show(gallery(worst), "fig-ierf-21", f"Under attack on {network}, {third} of {pairs} pairs: those with the most damaged maps first (iERF, figure 21).", alt=ALT)
show(gallery(mildest), "fig-ierf-22", f"Under attack on {network}, {third} of {pairs} pairs: those with the least damaged maps first (iERF, figure 22).", alt=ALT)

# %% [markdown]
# Where a map gives way, look at how. A gradient is a sum of many parts that nearly cancel, so a small change of the parts leaves another sum: it's the speckles that move. Maps that
# add up parts of mostly one sign have little to cancel.
#
# ## What is a steady map worth?
#
# A picture on the wall is the steadiest map of all: no attack on the network can move it. A map that is to explain a decision has to change when the decision does. So ask each
# method about another class on the same image, the network's second choice. How alike are its two maps?

# %% tags=["hide-input"]
two = model(x).topk(2, 1).indices
lines = {}
for method, f in found.items():
    again, _ = plain_map(model, x, two[:, 1], method)
    lines[NAMES.get(method, method)] = {"attacked": float(left[method][1].mean()), "noise": float(noisy[method][1].mean()),
                                        "asked about another class": float(pcc(f.before, again).mean())}  # fmt: skip
steady = pd.DataFrame(lines).T.rename_axis("PCC of a map with itself")
display(steady.round(2))
ranked = steady.rank()
agree = float(ranked["attacked"].corr(ranked["asked about another class"]))
print(f"rank correlation of the first column with the last, over {len(steady)} methods: {agree:.2f}")

# %% [markdown]
# SRD's entry in the last column is 1 by construction. With all class weights set to one, the class plays no part, and the map says where the last layer's vectors came from, and not
# what speaks for an answer. The real thing, as in {doc}`/ierf/4-2-saliency`, has class weights. Is it as hard to forge? And what did the smooth ReLUs do?

# %%
def for_the_class(model, x, target):
    """SRD with the class weights that the paper leaves out of this comparison."""
    relevance, logits = srd_differentiable(model, x, target)
    return relevance[:, None], logits


def of_the_first(made):
    """Mean SSIM and PCC of the first few pairs."""
    return [float(ssim(made.before, made.after)[:few].mean()), float(pcc(made.before, made.after)[:few].mean())]


few = min(few, pairs)
MAPS["SRD for the class"] = for_the_class  # the table of what can be attacked takes rows of your own
trials = [("SRD, as above", "SRD", None), ("SRD for the class", "SRD for the class", False), ("SRD, smooth ReLUs", "SRD", True),
          ("Gradient, as above", "Gradient", None), ("Gradient, real ReLUs", "Gradient", False)]
lines = {}
for title, method, soft in trials:
    if soft is None and method in found:
        lines[title] = of_the_first(found[method])
    elif method not in why:
        lines[title] = of_the_first(manipulate(model, x[:few], goal[:few], method, softened=soft, steps=steps, moved=moved))
trial = pd.DataFrame(lines, index=["SSIM", "PCC"]).T.rename_axis(f"{few} pairs")
trial.round(3)

# %% [markdown]
# With real ReLUs, the attack on the gradient has no slope to follow. The image stays as it is and the map with it: a perfect score for a map that gives way more than most when attacked with
# better tools. That is the trap in every comparison of this sort, and the same care is due to the winners. A cleverer attack on them may exist.

# %% tags=["hide-input"]
top, bottom = (pick_by(methods, key=lambda m: float(left[m].mean())) for pick_by in (max, min))
said = [f"- Of six maps, {NAMES.get(top, top)} gives way least here and {NAMES.get(bottom, bottom)} most, by the mean of SSIM and PCC. Their mean SSIM is {float(left[top][0].mean()):.2f} and "
        f"{float(left[bottom][0].mean()):.2f} ({{numref}}`fig-ierf-4`)."]  # fmt: skip
if "SRD for the class" in lines and "SRD, as above" in lines:
    said.append(f"- The comparison leaves SRD's class weights out. Over {few} pairs, its SSIM is {lines['SRD for the class'][0]:.3f} with them and {lines['SRD, as above'][0]:.3f} without.")
display(Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip", *said,
    "- Look at noise of the same size before speaking of an attack, and at how much of the way to its goal the attack has come.",
    f"- A steady map isn't yet a telling one. Over the methods here, not giving way to an attack and not changing with the class have a rank correlation of {agree:.2f}.",
    ":::"])))

# %% [markdown]
# ## Copy this
#
# An attack on the SRD map of a timm network. Use `pretrained=True`, your own images and a hundred steps; random weights need no download.

# %%
import timm
import torch

from sightglass.metrics.structure import pcc, ssim
from sightglass.trace.manipulate import manipulate

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1  # normalised (n, 3, height, width)
my_forged = manipulate(my_model, my_images[:2], my_images[2:], "SRD", steps=3)
print("SSIM", ssim(my_forged.before, my_forged.after).tolist(), "PCC", pcc(my_forged.before, my_forged.after).tolist())
assert my_forged.x.shape == (2, 3, 64, 64) and my_forged.after.shape == (2, 64, 64)

# %% [markdown]
# :::{dropdown} Try next: let the attack go on
# Run `python -m sightglass run world ierf/4-3 -p moved=0.015`. Now only the limit of 8 steps of 255 counts. Does the order of methods change? How far do images come on the
# way to their goals?
# :::
#
# :::{dropdown} Try next: more pairs
# `-p pairs=24` takes four times as long and halves the intervals. Which neighbours in the bars can then be told apart?
# :::
