# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Seventeen maps of one decision (iERF, section 4.2)
#
# **Question.** A dozen methods colour the pixels that made a network say "cat". Their colours differ. Which are right?
#
# There is no label for a right {term}`saliency map`, so the paper {cite:p}`kim2026` takes four tests in its stead. Does the map lie on the
# object? Does the class score fall where the map says it should? Does it keep to few pixels? Does it stay put when the image is
# shaken a little? This page makes fourteen usual maps and the three of {term}`SRD`, on two networks. It looks at them
# first, then scores them, with shared noise and shared pixels for all.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `resnet50` or `vgg16`; masks for two of the five scores, scenes of two objects for two figures | a minute on one core | some hours on a GPU, most of them for ScoreCAM | {doc}`/ierf/4-1-sharing-ratios` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the pixels that are replaced and of the noise
device = "auto"  # auto | cpu | cuda
networks = ["vgg16", "resnet50"]  # roles of the edition, in the order of the paper's table
n = 36  # images that are scored; the paper has 752
subsets = 60  # sets of pixels that are replaced in each, for fidelity
steady = 6  # of the images, how many are shaken, for stability
samples = 3  # draws of noise; the paper doesn't say how many it has
two = 10  # images of two objects
rows = 5  # images in each gallery
options = {"ScoreCAM": {"most": 32}, "IntegratedGradients": {"steps": 16}, "SmoothGrad": {"samples": 8}}  # ScoreCAM: channels that are tried

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import zoo
from sightglass.metrics import bootstrap
from sightglass.metrics.fidelity import drops, fidelity, pixel_sets
from sightglass.metrics.maps import is_constant, localisation, pointing, scaled, sparseness
from sightglass.metrics.stability import noises, stability
from sightglass.metrics.structure import pcc
from sightglass.show import beside, claim, show, unavailable
from sightglass.trace.saliency import SALIENCY, applies, maps
from sightglass.trace.saliency.cams import layers
from sightglass.trace.srd import srd

sg.plot.style()
ed = sg.load(edition, device=device)
TITLES = {"vgg16": "VGG16", "resnet50": "ResNet50"}
models = {role: ed.model(role) for role in networks if not ed.gives(role)}
for role in networks:
    if role not in models:
        display(Markdown(f"The columns of {TITLES.get(role, role)} are {unavailable(ed.gives(role))}."))
roles = list(models)
images = ed.images("test", n)
no_masks = "" if images.scenes is not None else ed.gives("masks") or "masks of this edition aren't read here"
if not no_masks:  # what is hidden completely can't be pointed at
    visible = ((images.scenes.instance == 1).sum((1, 2)) > 0).nonzero()[:, 0]
    images = type(images)(images.pixels[visible], images.labels[visible], images.scenes[visible])
masks = None if no_masks else images.scenes.instance == 1

# %% [markdown]
# The maps come in two sorts. Some have a value for each pixel. Others are drawn on the coarse grid of a late layer and enlarged.
# SRD has both, from one pass: *low* is read off the last layer, *high* off an earlier one with finer positions, *input* off
# the pixels.

# %%
FINE = ["Saliency", "GuidedBackprop", "GradInput", "IntegratedGradients", "LRP z+", "SmoothGrad", "FullGrad", "SRD-input"]
COARSE = ["GradCAM", "GradCAM++", "ScoreCAM", "AblationCAM", "XGradCAM", "LayerCAM-low", "LayerCAM-high", "SRD-low", "SRD-high"]
ORDER = [*SALIENCY, "SRD-low", "SRD-high", "SRD-input"]  # that of the paper's table
LONG = {"IntegratedGradients": "Integrated Gradients", "GuidedBackprop": "Guided Backprop"}  # to be broken in figures
OURS = ORDER[-3:]


def target_of(role, scenes, labels):
    """The outputs of a network that stand for the truth."""
    task = ed.networks[role].task or "nouns"
    return torch.tensor(ed.outputs)[labels] if scenes is None else scenes.target(task)


def sharing(role, x, target, weights="clamped"):
    """SRD at the layers where class activation maps are read: (n, size, size) low, high and input."""
    low, high = layers(models[role], x.shape[-2:])
    found = srd(models[role], x, target, at=low, levels=(high,), weights=weights)
    return [scaled(each, x.shape[-2:]) for each in (found.low, found.high, found.input)]


def every_map(role, x, target):
    """All maps at the size of the images, each divided by its largest value: (methods, n, size, size)."""
    found = sg.kept(maps, models[role], x, target, able[role], options=options)
    found |= dict(zip(OURS, sharing(role, x, target), strict=True))
    return torch.stack([scaled(found[name]).to(x) for name in ORDER if name in found])


able = {role: [name for name in SALIENCY if not applies(name, models[role])] for role in roles}
named = {role: [*able[role], *OURS] for role in roles}
x = {role: zoo.normalise(models[role], images.pixels.to(ed.device)) for role in roles}
target = {role: target_of(role, images.scenes, images.labels).to(ed.device) for role in roles}
made = {role: every_map(role, x[role], target[role]) for role in roles}
for role in roles:
    low, high = layers(models[role], images.pixels.shape[-2:])
    flat = is_constant(made[role])
    right = float((models[role](x[role]).argmax(1) == target[role]).float().mean())
    print(f"{TITLES.get(role, role)}: low maps at {low}, high maps at {high}; right on {right:.0%} of {len(images)} images; "
          f"{int(flat.sum())} of {flat.numel()} maps are zero everywhere")

# %% [markdown]
# The paper reads VGG16's low maps after its last pooling. On images of 64 pixels only four positions are left there, so they are
# read before it, for every method alike.
#
# ## One image, two classes
#
# Two things stand side by side. Ask why the network might say the one, then why the other. A map that explains the *decision* has to
# move. A map that only shows what is there hasn't. The page takes the images in which the network sees both: their classes
# have its two highest scores.

# %% tags=["hide-input"]
WIDE = max(1, 256 // ed.size)  # so that outlines stay thin


def outlined(picture, mask=None, ink=(1.0, 1.0, 1.0)):
    """Enlarge a picture (h, w, 3) and draw the outline of a mask over it."""
    picture = np.asarray(picture).repeat(WIDE, 0).repeat(WIDE, 1)
    if mask is not None:
        wide = mask.float().repeat_interleave(WIDE, 0).repeat_interleave(WIDE, 1)[None, None]
        around = (F.max_pool2d(wide, 2 * max(1, WIDE // 2) + 1, 1, max(1, WIDE // 2)) > wide)[0, 0].numpy()
        picture[around] = ink
    return picture


def drawn(one, mask=None):
    """Colour what speaks for the class in a map (h, w), up to its half percent of largest values."""
    one = one.detach().cpu().clamp(min=0)
    top = one.flatten().quantile(0.995).clamp(min=1e-12)
    return outlined(sg.plot.heat((one / top).clamp(max=1)[None])[0], mask)


def photo(pixels, mask=None):
    """Draw an image (3, h, w)."""
    return outlined(pixels.permute(1, 2, 0).numpy().copy(), mask)


def both_seen(role, shown, count):
    """Find images of two visible objects whose classes are the two highest: rows, the surest of both first."""
    s = shown.scenes
    large = torch.stack([(s.instance == k).flatten(1).sum(1) for k in (1, 2)]).amin(0) >= 0.02 * ed.size**2
    logits = models[role](zoo.normalise(models[role], shown.pixels.to(ed.device))).cpu()
    top = logits.topk(2, 1).indices.sort(1).values
    both = (top == torch.stack([s.label, s.second], 1).sort(1).values).all(1) & large
    least = logits.softmax(1).gather(1, torch.stack([s.label, s.second], 1)).amin(1)
    return torch.where(both, least, -1.0).argsort(descending=True)[: min(count, int(both.sum()))]


main = "resnet50" if "resnet50" in roles else ""
lacking = ed.gives("pairs") or ed.gives("resnet50")
if lacking or not main:
    display(Markdown(f"Images of two objects are {unavailable(lacking or 'resnet50 was left out of this run')}."))
    lacking = lacking or "resnet50 was left out of this run"
else:
    pairs = ed.images("pairs", 400)
    chosen = both_seen(main, pairs, two)
    s = pairs.scenes[chosen]
    x2 = zoo.normalise(models[main], pairs.pixels[chosen].to(ed.device))
    asked = [s.label.to(ed.device), s.second.to(ed.device)]
    pair_maps = torch.stack([every_map(main, x2, who) for who in asked])  # (2, methods, n, h, w)
    pair_masks = torch.stack([s.instance == 1, s.instance == 2]).to(ed.device)

# %%
if not lacking:
    def correlation(two_maps):
        """How alike the maps of both classes are, NaN where one is constant: (methods, n)."""
        good = ~is_constant(two_maps).any(0)
        found = torch.full(good.shape, torch.nan)
        found[good.cpu()] = pcc(two_maps[0][good], two_maps[1][good]).float().cpu()
        return found


    alike = correlation(pair_maps)
    own = torch.stack([localisation(pair_maps[k], pair_masks[k], constant=0.0) for k in range(2)])
    other = torch.stack([localisation(pair_maps[k], pair_masks[1 - k], constant=0.0) for k in range(2)])
    apart = pd.DataFrame({
        "correlation of the two maps": alike.nanmean(1),
        "of what speaks for": correlation(pair_maps.clamp(min=0)).nanmean(1), "on its object, larger": own[0].mean(1).cpu(),
        "on its object, smaller": own[1].mean(1).cpu(),
        "of what lies on objects, on its own": (own / (own + other).clamp(min=1e-9)).mean((0, 2)).cpu(),
    }, index=pd.Index(named[main], name="method"))  # fmt: skip

# %% tags=["hide-input"]
if not lacking:
    pick = int((own[:, named[main].index("SRD-input")].amin(0)).argmax())  # an image on which SRD does well
    words = [ed.classes[int(who[pick])] for who in asked]
    row = {name: k for k, name in enumerate(named[main])}
    outline = [pair_masks[k, pick].cpu() for k in range(2)]

    def bank(names, k, lead):
        """One row of maps for a class."""
        return [*lead, *[drawn(pair_maps[k, row[name], pick], outline[k]) for name in names]]

    def told(names, lead):
        """Names and correlations below a row of maps."""
        return [*lead, *[f"{LONG.get(name, name)}\nr = {float(alike[row[name], pick]):.2f}" for name in names]]

    upper = [bank(FINE, k, [photo(pairs.pixels[chosen[pick]], outline[k])]) for k in range(2)]
    lower = [bank(COARSE, k, []) for k in range(2)]
    blank = [""] * 9
    show(sg.plot.grid([*upper, *lower], rows=[*words, *words],
                      captions=[*blank, *told(FINE, ["the image"]), *blank, *told(COARSE, [])]),
         "fig-ierf-3", f"One image with two objects, asked about each in turn: {words[0]} in the first and third row, {words[1]} in the second and "
         f"fourth, by all methods on {TITLES[main]}. Bright is what speaks for the class; the white line is the true outline of the object asked for. "
         "r is the correlation between a method's two maps on this image. Of the images in which the network sees both, it's the one on which "
         "SRD-input does best (iERF, figure 3).",
         alt="Four rows of nine small maps, each with the outline of one object; some methods' two maps look alike.")

# %% [markdown]
# This image was picked to favour SRD, as examples in papers often are. The next table was not: it's the mean over all such images, for both questions.
# Some maps have a sign, and what speaks for one class speaks against the other. The second column leaves the negative parts out, as the figure does. The
# last one leaves out what lies on neither object.

# %%
if not lacking:
    display(apart.round(2))
    twice = apart.index[apart["correlation of the two maps"] > 0.8].tolist()
    first = apart["correlation of the two maps"].idxmin()
    runner = apart["correlation of the two maps"].drop(OURS).idxmin()
    ours = apart.loc[OURS, "correlation of the two maps"].idxmin()
    speaks = apart["of what speaks for"].idxmin()
    least = apart.loc[ours, ["on its object, larger", "on its object, smaller"]].astype(float)
    distinct = bool(first in OURS and least.min() > 0.5)
    reason = (f"Over {len(chosen)} images, {ours}'s two maps correlate by {apart.iloc[:, 0][ours]:.2f}, the lowest among other methods are those of "
              f"{runner} with {apart.iloc[:, 0][runner]:.2f}; with only what speaks for a class, the lowest of all are {speaks}'s with {apart['of what speaks for'][speaks]:.2f}. Of {ours}, {least.iloc[0]:.0%} lie on the larger object when asked for it and "
              f"{least.iloc[1]:.0%} on the smaller one. Almost the same map twice, with a correlation above 0.8, is drawn by "
              f"{', '.join(twice) or 'none'}.")
else:
    distinct, reason = None, f"It takes images of two objects: {lacking}."
claim("ierf-3", holds=distinct, because=reason)

# %% [markdown]
# ## Where the difference comes from
#
# SRD starts with a weight for each position of the last layer. It's GradCAM's score {cite:p}`selvaraju2017`, the gradient's mean
# times the activation, with two changes:
#
# $$ \mu_i = \max\Bigl(\Phi_i^{c} - \frac1K\sum_{c'}\Phi_i^{c'},\; 0\Bigr). $$ (eq-ierf-clamped)
#
# What speaks for all classes alike is taken off first, then what speaks against this one. Both are free. {math}`\Phi` is linear in the
# gradient and the gradient in the logit, so one pass back from the logit less the mean of all logits gives the centred score for any number of classes.
# The paper calls the three stages *raw*, *mean* and *clamped mean*.

# %% tags=["hide-input"]
STAGES = {"raw": "raw", "mean": "mean", "clamped mean": "clamped"}


def signed(one, mask):
    """Colour a signed map (h, w): red speaks for the class, blue against it."""
    one = one.detach().cpu()
    top = one.abs().flatten().quantile(0.995).clamp(min=1e-12)
    one = (one / top).clamp(-1, 1)
    one[0, 0] = torch.where(one.abs().max() < 1, 1.0, one[0, 0])  # all cells share one scale
    return outlined(sg.plot.heat(one[None], signed=True)[0], mask, ink=(0.1, 0.1, 0.1))


if lacking:
    display(Markdown(f"This figure is {unavailable(lacking)}."))
else:
    stage_maps = {name: [sharing(main, x2[pick : pick + 1], who[pick : pick + 1], weights)[1:] for who in asked] for name, weights in STAGES.items()}
    lines = [[photo(pairs.pixels[chosen[pick]], outline[k]),
              *[signed(stage_maps[name][k][level][0], outline[k]) for level in (0, 1) for name in STAGES]] for k in range(2)]
    show(sg.plot.grid(lines, rows=words, columns=["the image", *[f"{name}, {where}" for where in ("high", "input") for name in STAGES]]),
         "fig-ierf-14", "The image of {numref}`fig-ierf-3` by SRD with three kinds of weights, at two resolutions. Red speaks for the class of the row, "
         "blue against it, and white is nothing. The dark line is the outline of the object asked for (iERF, figure 14).",
         alt="Two rows of seven pictures: the image, then maps in red and blue by raw, centred and clamped weights, at two resolutions.")

# %% [markdown]
# Blue is evidence against the class. Raw weights may have it where the other object stands. Subtracting takes off what a position says of all classes
# alike, so blue may come or go with it; clamping drops what is still negative, at the start of the pass.
# What is left is a map of the evidence *for* a class *against the rest*. The same subtraction is open to every method on this page that takes
# a gradient, since it needs no more than another logit to start from.
#
# How much it changes depends on the network, and on whether another class is there to be taken off. On images with one object:

# %%
for role in roles:
    raw, mean = (srd(models[role], x[role], target[role], at=layers(models[role], x[role].shape[-2:])[0], levels=(), weights=weights).low.flatten(1)
                 for weights in ("raw", "mean"))
    same = float(F.cosine_similarity(raw, mean).mean())
    against = float((mean.clamp(max=0).sum(1) / mean.abs().sum(1)).mean().abs())
    print(f"{TITLES[role]}: cosine of raw and centred weights {same:.2f}; negative, and so clamped, are {against:.0%} of the centred ones")

# %% [markdown]
# ## The look of the maps
#
# Now images with one object, on both networks. Maps with a value for each pixel come first, then those of coarse grids. All are drawn alike: what
# speaks for the class, each by its own largest values.

# %% tags=["hide-input"]
def examples():
    """Images for the galleries: different classes, clearly visible, recognised by all networks; any, where none is so."""
    fine = torch.ones(len(images), dtype=torch.bool)
    for role in roles:
        fine &= (models[role](x[role]).argmax(1) == target[role]).cpu()
    if masks is not None:
        share = masks.float().mean((1, 2))
        fine &= (share > 0.08) & (share < 0.5)
    found = fine.nonzero()[:, 0].tolist() or list(range(len(images)))
    first = {int(images.labels[i]): i for i in reversed(found)}  # one of each class
    return [i for i in found if first[int(images.labels[i])] == i][:rows]


def gallery(role, names):
    """Rows of images, with their maps by some methods."""
    names = [name for name in names if name in named[role]]
    lines = []
    for i in examples():
        edge = None if masks is None else masks[i]
        lines.append([photo(images.pixels[i]), *[drawn(made[role][named[role].index(name), i], edge) for name in names]])
    return sg.plot.grid(lines, rows=len(lines), columns=["image", *[LONG.get(name, name) for name in names]])


FINE_WORDS = ("Maps with a value for each pixel, for the true class. Bright is what speaks for it"
              + ("" if no_masks else "; the white line is the true outline of the object"))
COARSE_WORDS = "The images of the figure before, with the maps that are read off a coarse grid of positions and enlarged"
ALT = "Rows of images with a heat map by each method in columns; outlines show where the object is."

# %% tags=["hide-input"]
if "vgg16" in roles:
    show(gallery("vgg16", FINE), "fig-ierf-17", f"VGG16. {FINE_WORDS} (iERF, figure 17).", alt=ALT)
    show(gallery("vgg16", COARSE), "fig-ierf-18", f"VGG16. {COARSE_WORDS} (iERF, figure 18).", alt=ALT)
else:
    display(Markdown(f"Galleries of VGG16 are {unavailable(ed.gives('vgg16') or 'vgg16 was left out of this run')}."))

# %% tags=["hide-input"]
if "resnet50" in roles:
    show(gallery("resnet50", FINE), "fig-ierf-19", f"ResNet50. {FINE_WORDS} (iERF, figure 19).", alt=ALT)
    show(gallery("resnet50", COARSE), "fig-ierf-20", f"ResNet50. {COARSE_WORDS} (iERF, figure 20).", alt=ALT)
else:
    display(Markdown(f"Galleries of ResNet50 are {unavailable(ed.gives('resnet50') or 'resnet50 was left out of this run')}."))

# %% [markdown]
# Two columns of {numref}`fig-ierf-20` are the same map. Behind a mean over positions and one linear layer, GradCAM and XGradCAM
# weigh a channel by the same number. VGG16's longer head tells them apart. It also has weights of its own for each position, which a mean over
# positions throws away, and the maps of {numref}`fig-ierf-18` have to do without.
#
# ## Five scores
#
# The scores are those of a usual collection {cite:p}`hedstrom2023`. Each map is enlarged to the size of the image and divided by its largest value. Then
#
# - **pointing**: does the largest value lie on the object, or within 15/224 of the width beside it?
# - **localization**: what share of the positive values lies on the object?
# - **sparseness**: the Gini index of the values, 0 if all are equal and near 1 if few pixels hold everything.
# - **fidelity**: replace a random set of pixels, 200 of an image of 224 by 224, by the mean colour. Over many sets, does the class score fall as far as the map's sum over the set says? The
#   score is their correlation.
# - **stability**: add Gaussian noise of standard deviation 0.1. How far does the map move, at most, per distance of the images? Small is good.
#
# Fidelity asks the network once for each set of pixels. All methods then read the same answers, so the differences between methods aren't differences of luck. The noise
# is shared as well. Two rows are added for scale. *A blob in the middle* is the same round spot for every image and has seen none. *The object's mask*
# knows the object and nothing of the network. Noise doesn't change either, so they have no score for stability.

# %%
METRICS = ["pointing", "localization", "sparseness", "fidelity", "stability"]
SCALE = ["a blob in the middle", "the object's mask"]
line = torch.linspace(-1, 1, ed.size)
blob = torch.exp(-(line[:, None] ** 2 + line**2) / 0.3)  # (size, size)
sets = pixel_sets((ed.size, ed.size), count=subsets, seed=seed)
noise = noises((3, ed.size, ed.size), samples=samples, seed=seed)


def scored(found, fall, explain, some):
    """The five scores of maps (k, n, h, w), each (k, n); stability of the first few images only."""
    at = None if masks is None else masks.to(found.device)
    none = torch.full(found.shape[:2], torch.nan)
    return {
        "pointing": none if at is None else pointing(found, at, constant=0.0).cpu(),
        "localization": none if at is None else localisation(found, at, constant=0.0).cpu(),
        "sparseness": sparseness(found, constant=0.0).cpu(), "fidelity": fidelity(found, fall, sets, constant=0.0).cpu(),
        "stability": stability(explain, some, noise, maps=found[:, : len(some)]).cpu() if explain else none[:, : len(some)],
    }  # fmt: skip


def steady_maps(role, what):
    """A function that explains images like the first few by `what`."""
    return lambda z: what(role, z, target[role][: len(z)])


score, plain = {}, {}
for role in roles:
    fall = sg.kept(drops, models[role], x[role], target[role], sets)
    score[role] = scored(made[role], fall, steady_maps(role, every_map), x[role][:steady])
    simple = torch.stack([blob.expand(len(images), -1, -1), blob.expand(len(images), -1, -1) if masks is None else masks.float()])
    plain[role] = scored(simple.to(x[role]), fall, None, x[role][:steady])

# %% tags=["hide-input"]
def means(scores, names):
    """A line per row and a column per network and metric, as in the published tables."""
    return pd.DataFrame({f"{TITLES[role]} {metric}": scores[role][metric].nanmean(1) for role in scores for metric in METRICS}, index=names)


def stacked(table):
    """Give each network rows of its own: five columns are easier to read than ten."""
    blocks = []
    for title in TITLES.values():
        mine = table[["row", *[c for c in table.columns if c.startswith(title + " ")]]].copy()
        mine.columns = [c.removeprefix(title + " ") for c in mine.columns]
        mine["row"] = f"{title} / " + mine["row"]
        blocks.append(mine)
    return pd.concat(blocks, ignore_index=True).rename(columns={"row": "network and map"})


columns = means(score, ORDER) if all(named[role] == ORDER for role in roles) else pd.concat(
    [means({role: score[role]}, named[role]) for role in roles], axis=1)
extra = SCALE if masks is not None else SCALE[:1]
ends = means({role: {m: v[: len(extra)] for m, v in plain[role].items()} for role in roles}, extra)
without = "" if not no_masks else f" Pointing and localization are {unavailable(no_masks)}."
show(stacked(beside(pd.concat([columns, ends]), "tab-ierf-1")), "tab-ierf-1",
     f"Five scores of seventeen maps, on two networks: means over {len(images)} images, stability over {min(steady, len(images))} of them with {samples} draws of noise, "
     f"fidelity with {subsets} sets of {int(sets[0].sum())} pixels. Small stability is good, everything else is good when large.{without} "
     "The paper's numbers are from 752 photographs of 224 by 224 pixels; those of this run are from other images and networks, so compare orders and not sizes (iERF, table 1).")

# %% [markdown]
# Means hide how far they could have come out otherwise. Here they are with their 95% intervals over images.

# %% tags=["hide-input"]
ORDERED = [*[name for name in FINE if name not in OURS], *[name for name in COARSE if name not in OURS], *OURS]
INKS = dict(zip(TITLES, ("#0072B2", "#E69F00"), strict=True))
fig, axes = plt.subplots(1, 5, figsize=(8, 4.6), sharey=True)
for ax, metric in zip(axes, METRICS, strict=True):
    for k, role in enumerate(roles):
        for y, name in enumerate(ORDERED):
            if name not in named[role]:
                continue
            values = score[role][metric][named[role].index(name)].numpy()
            if not np.isnan(values).all():
                at = y + 0.28 * (k - 0.5)
                ax.plot(bootstrap(values), [at, at], color=INKS[role], lw=1.2, alpha=0.6)
                ax.plot(values.mean(), at, "os"[k], color=INKS[role], ms=4, label=TITLES[role] if y == 0 else None)
    if metric != "stability":
        for role in roles:  # no line where there is no number
            ax.axvline(float(plain[role][metric][0].nanmean()), color=INKS[role], lw=0.9, ls=":")
    ax.axhspan(len(ORDERED) - 3.5, len(ORDERED) - 0.5, color=sg.plot.colour("SRD"), alpha=0.08, lw=0)
    ax.set_title(metric + (" (small)" if metric == "stability" else ""))
    ax.tick_params(axis="y", length=0)
    for before, after in pairwise([7, 14]):
        ax.axhline(before - 0.5, color="#E3E3E3", lw=0.8)
        ax.axhline(after - 0.5, color="#E3E3E3", lw=0.8)
axes[0].set_yticks(range(len(ORDERED)), ORDERED)
axes[0].set_ylim(len(ORDERED) - 0.5, -0.5)
fig.legend(*axes[2].get_legend_handles_labels(), loc="outside upper center", ncols=2)
plt.show()

# %% [markdown]
# The dotted lines are the blob's scores, the same for both networks but for fidelity. Where a map doesn't beat it, the score says where objects are usually placed and not what the network looked
# at. Sparseness and stability can be had for nothing: a single bright pixel that never moves is perfect at both.

# %%
def leader(metric, role, best="max"):
    """The best SRD map and the best other map by a score, their means, and their paired difference."""
    table = pd.Series(score[role][metric].mean(1).numpy(), named[role])
    ours, others = table[OURS], table.drop(OURS)
    a, b = (ours.idxmax(), others.idxmax()) if best == "max" else (ours.idxmin(), others.idxmin())
    gap = score[role][metric][named[role].index(a)] - score[role][metric][named[role].index(b)]
    error = float(gap.std() / len(gap) ** 0.5)
    text = f"{TITLES[role]}: {a} {table[a]:.3f}, {b} {table[b]:.3f} (difference {float(gap.mean()):+.3f} ± {error:.3f})"
    return a, float(gap.mean()), text


short = "" if len(roles) == 2 else "It takes both networks."
lead = {metric: [leader(metric, role) for role in roles] for metric in (["fidelity"] if no_masks else ["fidelity", "pointing"])}
better = all(gap > 0 for _, gap, _ in lead["fidelity"])
claim("ierf-4", holds=None if short else better, because=short or "The best SRD map and the best other map. " + "; ".join(t for *_, t in lead["fidelity"]) + ".")

# %%
blind = short or (f"It takes masks: {no_masks}." if no_masks else "")
ahead = all(gap > 0 for _, gap, _ in lead.get("pointing", []))
middle = float(plain[roles[0]]["pointing"][0].mean()) if roles else 0.0
claim("ierf-5", holds=None if blind else ahead, because=blind or "The best SRD map and the best other map. " + "; ".join(t for *_, t in lead["pointing"])
      + f". To share the first place isn't to be ahead. A blob in the middle has {middle:.3f}.")

# %%
shaken = []
for role in roles:
    table = pd.Series(score[role]["stability"].mean(1).numpy(), named[role])
    other = table.drop("SRD-input").idxmin()
    shaken.append((table["SRD-input"] < table[other], f"{TITLES[role]}: SRD-input {table['SRD-input']:.3f}, the lowest of the others is {other} with {table[other]:.3f}"))
claim("ierf-6", holds=None if short else all(ok for ok, _ in shaken), because=short or "; ".join(text for _, text in shaken) + ".")

# %% [markdown]
# A score of stability has a scale problem. Every map is divided by its largest value, so a map with one bright pixel and near nothing elsewhere hardly can move. Read it
# together with sparseness.
#
# ## What does fidelity ask?
#
# Fidelity deserves a second look. A few pixels scattered over an image are a small change, and to a small change a network answers by its gradient: the
# logit falls by about the gradient times the pixels that were set to zero. That's what GradInput is, so where a network is smooth enough GradInput must
# win, whether or not its map shows anything that one would call a reason. The paper finds next to no correlation for
# GradInput. Either the change wasn't small in this sense on its networks and photographs, or the map came to the score without its signs; the paper doesn't say. So here is the same score with a larger question: instead of scattered pixels, squares of a quarter of the width are
# replaced. A thing can disappear in a square.

# %%
def squares(size, count, side):
    """Sets of pixels that make up one square each, anywhere in the image: (count, size * size)."""
    corner = torch.randint(size - side + 1, (count, 2), generator=torch.Generator().manual_seed(seed))
    at = torch.arange(size)
    inside = (at >= corner[..., None]) & (at < corner[..., None] + side)  # (count, 2, size)
    return (inside[:, 0, :, None] & inside[:, 1, None, :]).flatten(1)


large = squares(ed.size, max(3, 2 * subsets // 3), max(1, ed.size // 4))
asked_more = {}
for role in roles:
    fall = sg.kept(drops, models[role], x[role], target[role], large)
    simple = blob.expand(1, len(images), -1, -1).to(x[role])
    answers = [fidelity(found, fall, large, constant=0.0).mean(1).cpu() for found in (made[role], simple)]
    few = torch.cat([score[role]["fidelity"].mean(1), plain[role]["fidelity"][:1].mean(1)])
    lines_of = pd.Index([*named[role], SCALE[0]], name="method")
    asked_more[TITLES[role]] = pd.DataFrame({"scattered pixels": few, "squares": torch.cat(answers)}, lines_of)
by_size = pd.concat(asked_more, axis=1)
by_size.round(2)

# %% [markdown]
# ## Raw, mean, clamped mean
#
# The same five scores for the three kinds of weights, at the input.

# %%
variants = {}
for role in roles:
    def three(role, z, who):
        """SRD-input with the three kinds of weights: (3, n, h, w)."""
        return torch.stack([sharing(role, z, who, weights)[2] for weights in STAGES.values()])

    fall = sg.kept(drops, models[role], x[role], target[role], sets)
    variants[role] = scored(three(role, x[role], target[role]), fall, steady_maps(role, three), x[role][:steady])
ablation = means(variants, list(STAGES))
show(stacked(beside(ablation, "tab-ierf-4")), "tab-ierf-4",
     f"SRD-input with raw, centred and clamped weights, on the images of {{numref}}`tab-ierf-1`.{without} The rows *clamped mean* are SRD-input in that table (iERF, table 4).")

# %%
def improvement(metric, role):
    """How much clamping adds to the better of raw and mean."""
    raw, mean, clamped = variants[role][metric].mean(1).tolist()
    return clamped - max(raw, mean), f"{metric} {clamped:.3f} (raw {raw:.3f}, mean {mean:.3f})"


gained = {role: [improvement(metric, role) for metric in ("localization", "sparseness")] for role in roles}
sharper = all(gain > 0 for each in gained.values() for gain, _ in each)
claim("ierf-7", holds=None if blind else sharper, because=blind or "With clamped mean: " + "; ".join(
    f"{TITLES[role]}: " + ", ".join(text for _, text in each) for role, each in gained.items()) + ".")

# %% [markdown]
# What the masks call right is the whole object. A network may need no more than a mane or a window, and a map that shows just
# that is told that it misses the legs. {doc}`/ierf/x-deciding-part` asks the drawn world which part it was.

# %% tags=["hide-input"]
def winners(metric, best="max"):
    """The best map by a score for each network."""
    found = []
    for role in roles:
        table = pd.Series(score[role][metric].mean(1).numpy(), named[role]).dropna()
        if len(table):
            top = table.max() if best == "max" else table.min()
            first = table.index[table == top].tolist()
            found.append(f"{first[0] if len(first) == 1 else f'any of {len(first)} maps'} on {TITLES[role]} ({top:.2f})")
    return " and ".join(found)


said = [] if lacking else [f"- Ask for both classes of an image with two objects. The two maps of {first} differ most, with a correlation of "
                           f"{apart.iloc[:, 0][first]:.2f}; those of {apart.iloc[:, 0].idxmax()} correlate by {apart.iloc[:, 0].max():.2f} ({{numref}}`fig-ierf-3`)."]
if not no_masks:
    said.append(f"- Best at pointing is {winners('pointing')}, at localization {winners('localization')}. A blob in the middle that never saw an image points right on "
                f"{float(plain[roles[0]]['pointing'][0].mean()):.0%} of these.")
display(Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip", *said,
    "- Fidelity depends on what is replaced. With squares instead of scattered pixels the best maps are "
    + " and ".join(f"{frame['squares'].idxmax()} on {title} ({frame['squares'].max():.2f})" for title, frame in asked_more.items()) + ".",
    f"- Most faithful by scattered pixels is {winners('fidelity')}; most stable {winners('stability', 'min')} ({{numref}}`tab-ierf-1`).",
    "- Centring sets one class against the others and clamping keeps what speaks for it; neither belongs to one method ({numref}`fig-ierf-14`).",
    "- No score alone makes a map right. Look at what a blind map gets first, at the interval second, and at the mean last.",
    ":::"])))

# %% [markdown]
# ## Copy this
#
# Six of the seventeen maps (add names to the list for more) and two scores that need no masks, for any timm network with a grid of positions. Use `pretrained=True` and your own images; the weights here are random so that the cell needs no
# download.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.metrics.fidelity import drops, fidelity, pixel_sets
from sightglass.metrics.maps import scaled, sparseness
from sightglass.trace.saliency import maps
from sightglass.trace.srd import srd

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_x = zoo.normalise(my_model, torch.rand(2, 3, 96, 96))  # yours: (n, 3, height, width) in [0, 1]
my_target = my_model(my_x).argmax(1)
my_maps = maps(my_model, my_x, my_target, ["GradCAM", "LRP z+", "IntegratedGradients"], options={"IntegratedGradients": {"steps": 8}})
my_srd = srd(my_model, my_x, my_target)
my_maps |= {"SRD-low": my_srd.low, "SRD-high": my_srd.high, "SRD-input": my_srd.input}
my_stack = torch.stack([scaled(one, (96, 96)) for one in my_maps.values()])  # (methods, n, height, width)
my_sets = pixel_sets((96, 96), count=12)
my_fidelity = fidelity(my_stack, drops(my_model, my_x, my_target, my_sets), my_sets, constant=0.0)
assert my_stack.shape == (6, 2, 96, 96) and my_fidelity.shape == (6, 2)
assert sparseness(my_stack, constant=0.0).shape == (6, 2)

# %% [markdown]
# :::{dropdown} Try next: more images
# `python -m sightglass run world ierf/4-2 -p n=400 -p steady=80`. Intervals shrink by a factor of three. Which places in the order were luck?
# :::
#
# :::{dropdown} Try next: is it SRD, or is it the centring?
# Explain the logit less the mean of all logits by Saliency or SmoothGrad: wrap the network in one more linear layer that subtracts the mean. Does the correlation of their two maps fall
# to SRD's?
# :::
#
# :::{dropdown} Try next: harder noise
# Give `noises` a `std` of 0.5. Which maps lose their place, and does the network's own answer still hold there?
# :::
