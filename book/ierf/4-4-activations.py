# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Any activation function (iERF, section 4.2.4)
#
# **Question.** Many ways to explain a network take it for granted that its units are silent below zero. What is left of them when units can be negative, or bend
# smoothly?
#
# {term}`Layer-wise relevance propagation <layer-wise relevance propagation>` by z⁺ shares by positive activations, and guided backpropagation looks for ReLUs. {term}`SRD` asks for nothing of the kind. It
# divides a vector among its sources *before* the activation function has touched it, where everything is a sum, so there is one rule for all functions. The paper
# {cite:p}`kim2026` trains a network with each of six functions and finds SRD the most faithful map for each of them. This page does the same, and then asks what
# "faithful" has been measured by.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | nothing but the library: it comes with six small networks and their images | a minute on one core | there are no such networks | {doc}`/ierf/4-2-saliency` |

# %% tags=["parameters"]
edition = "world"  # the six networks know the drawn world; other editions use its images here
seed = 0  # of the pixels that are replaced
device = "auto"  # auto | cpu | cuda
n = 32  # images that are scored
subsets = 60  # sets of pixels that are replaced in each
rows = 4  # images in the figure of maps
asked = 12  # images for the last part
options = {"ScoreCAM": {"most": 16}, "IntegratedGradients": {"steps": 10}, "SmoothGrad": {"samples": 6}}  # ScoreCAM: channels that are tried

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from matplotlib.ticker import NullLocator

import sightglass as sg
from sightglass import world, zoo
from sightglass.metrics.fidelity import drops, fidelity, pixel_sets
from sightglass.metrics.maps import scaled
from sightglass.metrics.structure import pcc
from sightglass.show import beside, claim, show
from sightglass.trace.activations import ACTIVATIONS, card, network
from sightglass.trace.saliency import SALIENCY, applies, maps
from sightglass.trace.srd import srd

sg.plot.style()
ed = sg.load(edition, device=device)
if ed.name != "world":
    display(Markdown(f"The edition {ed.name} has no networks that differ in their activation function alone, so this page takes the six that come with the library, and the images they know."))
    ed = sg.load("world", device=device)
TITLES = {name: title for name, (title, _) in ACTIVATIONS.items()}
models = {title: network(name).to(ed.device) for name, title in TITLES.items()}
images = ed.images("test", 300)
scenes = images.scenes
truth = scenes.target("kinds").to(ed.device)
x = zoo.normalise(models["ReLU"], images.pixels.to(ed.device))  # all six take the same pixels
answers = {title: model(x).argmax(1) for title, model in models.items()}

# %% [markdown]
# ## Six networks, one rule
#
# The six are small ResNets that tell kinds of things apart, a red car from a blue one. They started from the same weights and have seen the same images in the same order. Only the
# activation function differs. Below, each function is drawn over its map of the same images.

# %%
SRD = ["SRD-low", "SRD-high", "SRD-input"]


def sharing(title, some, target):
    """SRD at three resolutions, at the size of the images and divided by the largest value: {name: (n, size, size)}."""
    done = srd(models[title], some, target)
    return {name: scaled(each, some.shape[-2:]) for name, each in zip(SRD, (done.low, done.high, done.input), strict=True)}


size = (scenes.instance == 1).float().mean((1, 2))
clear = (size > 0.1) & (size < 0.5) & torch.stack([answer.eq(truth).cpu() for answer in answers.values()]).all(0)
first = {int(scenes.label[i]): i for i in reversed(clear.nonzero()[:, 0].tolist())}  # one of each class
chosen = sorted(first.values())[:: max(1, len(first) // rows)][:rows]
drawn = {title: sharing(title, x[chosen], truth[chosen])["SRD-input"].cpu() for title in models}

# %% tags=["hide-input"]
WIDE = max(1, 256 // ed.size)  # so that outlines stay thin


def outlined(picture, mask):
    """Enlarge a picture (h, w, 3) and draw the outline of a mask over it in white."""
    picture = np.asarray(picture).repeat(WIDE, 0).repeat(WIDE, 1)
    wide = mask.float().repeat_interleave(WIDE, 0).repeat_interleave(WIDE, 1)[None, None]
    reach = max(1, WIDE // 2)
    picture[((F.max_pool2d(wide, 2 * reach + 1, 1, reach) > wide)[0, 0]).numpy()] = 1.0
    return picture


def heated(one, mask):
    """Colour what speaks for the class in a map (h, w), up to its half percent of largest values."""
    one = one.clamp(min=0)
    top = one.flatten().quantile(0.995).clamp(min=1e-12)
    return outlined(sg.plot.heat((one / top).clamp(max=1)[None])[0], mask)


SIDE, LEFT, TOP = 1.1, 0.03, 1.3
HIGH = TOP + 1.28 * len(chosen)
fig = plt.figure(figsize=(8, HIGH), layout="none")
line = torch.linspace(-3, 3, 200)
for column, (title, model) in enumerate(models.items(), 1):
    ax = fig.add_axes([(LEFT + 1.14 * column + 0.06) / 8, (HIGH - 1.18) / HIGH, (SIDE - 0.12) / 8, 0.88 / HIGH])
    function = next(m for m in model.modules() if type(m).__name__ in ("ReLU", "ELU", "LeakyReLU", "SiLU", "GELU", "Tanh"))
    ax.axhline(0, color="#BBBBBB", lw=0.8)
    ax.axvline(0, color="#BBBBBB", lw=0.8)
    ax.plot(line, function(line), color=sg.plot.colour("srd"), lw=2)
    ax.set(xlim=(-3, 3), ylim=(-1.4, 3.1))
    ax.xaxis.set_major_locator(NullLocator())
    ax.yaxis.set_major_locator(NullLocator())
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=9, pad=3)
for row, i in enumerate(chosen):
    cells = [images.pixels[i].permute(1, 2, 0).numpy(), *[heated(each[row], scenes.instance[i] == 1) for each in drawn.values()]]
    for column, cell in enumerate(cells):
        ax = fig.add_axes([(LEFT + 1.14 * column) / 8, (HIGH - TOP - SIDE - 1.28 * row) / HIGH, SIDE / 8, SIDE / HIGH])
        ax.imshow(cell)
        ax.set_axis_off()
    fig.text((LEFT + SIDE / 2) / 8, (HIGH - TOP - SIDE - 1.28 * row - 0.02) / HIGH, world.TASKS["kinds"][int(truth[i])], ha="center", va="top", fontsize=8)
show(fig, "fig-ierf-23",
     "SRD maps of the true class at the pixels, by six ResNets that differ in their activation function alone. Above, the functions. Bright is what speaks for the class; the white "
     "line is the true outline of the object. The images are the first of their classes that all six recognise (iERF, figure 23).",
     alt="Six curves of activation functions above six columns of heat maps, and the images at the left.")

# %% [markdown]
# Nothing was set or adapted from one column to the next. If the rule is sound, no relevance may get lost on the way, whatever the function. The weights of the last layer's vectors should
# arrive at the pixels in full:

# %%
some, classes, least_arrives = x[:n], truth[:n], 1.0
for title, model in models.items():
    done = srd(model, some, classes)
    arrives = done.input.flatten(1).sum(1) / done.low.flatten(1).sum(1)
    least_arrives = min(least_arrives, float(arrives.min()))
    print(f"{title:<10} {float((answers[title] == truth).float().mean()):.0%} of {len(x)} images recognised; of the relevance arrive "
          f"{float(arrives.min()):.4f} to {float(arrives.max()):.4f}")

# %% [markdown]
# ## Twelve methods, six functions
#
# {doc}`Fidelity </ierf/4-2-saliency>` asks whether the score falls most where the map is brightest. Some pixels, drawn at random, are replaced by the mean colour. Over many such sets, the fall of the class
# score is correlated with what the map says about the set.

# %%
sets = pixel_sets((ed.size, ed.size), count=subsets, seed=seed)
made, falls, score, why = {}, {}, {}, {}
for title, model in models.items():
    why[title] = {name: applies(name, model) for name in SALIENCY if applies(name, model)}
    falls[title] = sg.kept(drops, model, some, classes, sets).to(x)
    found = sg.kept(maps, model, some, classes, [name for name in SALIENCY if name not in why[title]], options=options)
    made[title] = {name: scaled(each.to(x), x.shape[-2:]) for name, each in found.items()} | sharing(title, some, classes)
    score[title] = {name: fidelity(each, falls[title], sets, constant=0.0).cpu() for name, each in made[title].items()}

# %% tags=["hide-input"]
order = [*SALIENCY, *SRD]
table = pd.DataFrame({title: {name: float(s.mean()) for name, s in each.items()} for title, each in score.items()}).reindex(order)
error = pd.DataFrame({title: {name: float(s.std() / len(s) ** 0.5) for name, s in each.items()} for title, each in score.items()}).reindex(order)
table.loc["model accuracy"] = {title: card(name)["accuracy"]["test"] for name, title in TITLES.items()}
same = {"LayerCAM": "LayerCAM-low", "SRD": "SRD-input"}  # the paper names no resolution
whole = beside(table, "tab-ierf-2", rows=same)
whole["row"] = whole["row"].replace({name: f"{name}; here {mine.split('-')[1]}" for name, mine in same.items()})
show(whole, "tab-ierf-2",
     f"Fidelity by activation function: mean correlation over {len(some)} images, with {subsets} sets of pixels each. The paper has ResNet50 on CIFAR-100, this run small ResNets on {len(world.TASKS['kinds'])} kinds; "
     "the paper doesn't say at which resolution it reads LayerCAM and SRD, so the other ones follow at the end. Guided backpropagation without ReLUs is the plain gradient, and "
     "z⁺ has no meaning there: these cells are left empty (iERF, table 2).")
print(f"standard errors of the means: {float(error.min().min()):.3f} to {float(error.max().max()):.3f}")

# %%
own = table.drop(index="model accuracy")
winners = own.idxmax()
usual = {title: own[title].drop(index=SRD).idxmax() for title in own}
tops = sum(winner in SRD for winner in winners)
places = [int(own[title].rank(ascending=False)["SRD-input"]) for title in own]
claim("ierf-9", holds=tops == len(winners),
      because=f"SRD, at its best resolution, is first for {tops} of {len(winners)} functions. The best of the others: "
      + ", ".join(f"{title} {usual[title]} {own[title][usual[title]]:.2f} (SRD {own.loc[SRD, title].max():.2f})" for title in own)
      + f". SRD-input takes places {min(places)} to {max(places)} of {len(own)}. That SRD applies to every function is true: it gives maps for all six, and at least {least_arrives:.1%} of the relevance arrive at the pixels.")

# %% [markdown]
# ## What has been measured?
#
# Look at the row *GradInput*, a method that the paper, as others did, finds next to useless. It isn't an accident. Replacing a pixel by zero changes the input by minus that pixel, and to
# first order a score changes by the gradient times the change of the input. So GradInput *is* the first-order answer to this very question. It must come out on top as long as
# the sets are so small that the network is nearly linear between the image and its damaged copy. The paper's numbers stay near zero. Either the first order didn't hold on its networks, or the map came to the score without its signs; the paper doesn't say.
#
# Then the result ought to turn on how much is replaced, and in what shape. Scattered pixels are like noise, and a square takes a whole part away. The next figure replaces more and more, in both ways, and
# averages over all six networks.

# %%
few = some[:asked], classes[:asked]
areas = [ed.size // 16, ed.size // 4, ed.size // 2]  # sides of squares; scattered sets have as many pixels


def squares(side, count):
    """Sets of pixels that are squares at random places: (count, size * size)."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, ed.size - side + 1, (count, 2), generator=draw)
    line = torch.arange(ed.size)
    inside = [(line >= corner[:, [k]]) & (line < corner[:, [k]] + side) for k in (0, 1)]
    return (inside[0][:, :, None] & inside[1][:, None]).flatten(1)


shapes = {("scattered pixels", side): pixel_sets((ed.size, ed.size), count=subsets // 2, share=(side / ed.size) ** 2, seed=seed) for side in areas}
shapes |= {("one square", side): squares(side, subsets // 2) for side in areas}
lines = {}
for (shape, side), chosen_sets in shapes.items():
    each = []
    for title, model in models.items():
        fall = sg.kept(drops, model, *few, chosen_sets).to(x)
        each.append({name: float(fidelity(m[:asked], fall, chosen_sets, constant=0.0).mean()) for name, m in made[title].items()})
    lines[shape, side] = pd.DataFrame(each).mean()
curves = pd.DataFrame(lines)

# %% tags=["hide-input"]
SHOWN = {"GradInput": "input x gradient", "IntegratedGradients": "integrated gradients", "SmoothGrad": "smoothgrad", "FullGrad": "fullgrad", "GradCAM": "gradcam",
         "ScoreCAM": "scorecam", "LayerCAM-high": "layercam", "SRD-high": "srd", "SRD-input": "srd"}  # fmt: skip
fig, axes = plt.subplots(1, 2, figsize=(8, 3.3), sharey=True)
for ax, shape in zip(axes, ("scattered pixels", "one square"), strict=True):
    for name, look in SHOWN.items():
        style = {"ls": "--", "marker": "s"} if name == "SRD-high" else {"marker": "o"}
        ax.plot(range(len(areas)), curves.loc[name, shape].to_numpy(), color=sg.plot.colour(look), ms=4, lw=2.4 if name in SRD else 1.4, label=name, **style)
    ax.set_xticks(range(len(areas)), [f"{100 * (side / ed.size) ** 2:.2g}%" for side in areas])
    ax.set(title=f"replaced: {shape}", xlabel="share of the image", xlim=(-0.1, len(areas) - 0.9))
    ax.axhline(0, color="#999999", lw=0.8, zorder=0)
axes[0].set_ylabel("fidelity, mean of six networks")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
plt.show()

# %% tags=["hide-input"]
leads = pd.DataFrame({(shape, f"{100 * (side / ed.size) ** 2:.2g}%"): {"first": curves[shape, side].idxmax(), "its fidelity": f"{curves[shape, side].max():.2f}",
                      "best SRD": curves.loc[SRD, (shape, side)].idxmax(), "fidelity of that": f"{curves.loc[SRD, (shape, side)].max():.2f}",
                      "its place": int(curves[shape, side].rank(ascending=False)[SRD].min())} for shape, side in curves}).T  # fmt: skip
leads.index = [f"{shape}, {share}" for shape, share in leads.index]
leads.rename_axis("replaced")

# %% [markdown]
# A score that turns on the size and the shape of what is replaced isn't a property of the map alone. Before you rank maps by fidelity, say what kind of damage you want foretold. The paper's choice, a
# handful of scattered pixels, is the one for which the best answer can be written down.
#
# One thing more can be asked of six networks that have learnt the same task: do they give the same reasons?

# %%
titles = list(models)
alike = pd.DataFrame({a: {b: float(pcc(made[a]["SRD-input"], made[b]["SRD-input"]).mean()) for b in titles} for a in titles})
alike.rename_axis("SRD-input, correlation of maps").round(2)

# %% tags=["hide-input"]
off = alike.to_numpy()[~np.eye(len(titles), dtype=bool)]
display(Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    f"- SRD divides vectors before the activation function acts, so it needs no rule for it. At least {least_arrives:.1%} of the relevance arrive with each of six functions ({{numref}}`fig-ierf-23`).",
    f"- Is it the most faithful map with each of them? Here it's first with {tops} of {len(winners)} ({{numref}}`tab-ierf-2`). The first places go to {', '.join(sorted(set(winners)))}.",
    "- Gradient times input is the first-order answer to what this fidelity asks. Who leads turns on how much is replaced, and in what shape: "
    + "; ".join(f"{what}: {line['first']}" for what, line in leads.iterrows()) + ".",
    f"- Networks that differ in their activation function alone have SRD maps that correlate by {off.min():.2f} to {off.max():.2f}.",
    ":::"])))

# %% [markdown]
# ## Copy this
#
# SRD of a timm network with another activation function. Use `pretrained=True` where there are weights, and your own images; random weights need no download.

# %%
import timm
import torch

from sightglass.metrics.fidelity import drops, fidelity, pixel_sets
from sightglass.trace.srd import srd

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False, act_layer=torch.nn.ELU).eval().requires_grad_(False)
my_images = torch.randn(2, 3, 64, 64)  # normalised (n, 3, height, width)
my_target = my_model(my_images).argmax(1)  # or the classes you want to ask about
my_map = srd(my_model, my_images, my_target)
my_sets = pixel_sets((64, 64), count=20)
my_fidelity = fidelity(my_map.input, drops(my_model, my_images, my_target, my_sets), my_sets)
print("arrives at the pixels:", (my_map.input.sum((1, 2)) / my_map.low.sum((1, 2))).tolist(), "fidelity:", my_fidelity.tolist())
assert my_map.input.shape == (2, 64, 64) and my_fidelity.shape == (2,)

# %% [markdown]
# :::{dropdown} Try next: surer numbers
# Run `python -m sightglass run world ierf/4-4 -p n=200 -p subsets=200`. It takes some minutes. Which rows of the table change places?
# :::
#
# :::{dropdown} Try next: a function of your own
# Train a seventh network: add a line to `ACTIVATIONS` in `lib/trace/activations.py` and run `python -m sightglass.trace.activations` with its name. It takes some two minutes. A gate that multiplies two activations isn't
# one function of one number; what does `srd` say to that?
# :::
