# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Turn a concept down and look (FeatInv, section 4.2)
#
# **Question.** Somewhere in a network's features of a bird there is its beak, or so we say. What happens to the picture when there is less of it?
#
# Language models are {term}`steered <steering>` like that: weaken a {term}`concept` within, and read what the model says now. A classifier of images says next to
# nothing, only the name of a class. {term}`FeatInv` {cite:p}`neukirch2025` draws instead. The classifier's features are changed, an {term}`inverter` draws them before and
# after from the same noise, and where the two pictures differ, there the concept was. The paper calls this *FeatInv-Viz*, and says that it shows a concept in finer detail
# than the usual map can, which has one value for each position of the layer.
#
# Photographs can't tell whether that is so. The drawn world can: it knows which pixels are beak.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with inverters; masks for names, scores and the claim | a minute on one core | some minutes on a GPU | {doc}`/featinv/2-method`, {doc}`/featinv/4-1-reconstruction` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the choice of images and of the clustering
device = "auto"  # auto | cpu | cuda
networks = ["resnet50", "convnext_base", "swinv2_base"]  # roles with an inverter; the pictures are of the first one, in the paper of ConvNeXt
about = "sailboat"  # the class of the first figures; the paper has the Indigo Bunting, a bird
also = ["horse", "candle", "agaric"]  # more classes
k = 3  # concepts of a class, as in the paper
kept = 0.25  # of the concept
draws = 5  # seeds of the first figures, an odd number; the paper doesn't say how many
few = 3  # of them, for scores
blur = 0.06  # of a picture's side: how far changes are smoothed for one line of the table
learnt = 64  # training images of a class in which concepts are found
vectors = 600  # feature vectors, at most, taken from them
naming = 24  # of these images, by which concepts get their names
n = 6  # test images of each class
shown = 4  # of them, in the first figure
least = 0.3  # how well a concept has to lie on a mask in training images to get its name; 0 is chance, 1 perfect

# %%
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from scipy.ndimage import gaussian_filter

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts.heads import class_vector
from sightglass.concepts.mcd import activation, completeness, importance, mcd, relevance, split
from sightglass.invert import ready
from sightglass.invert.sample import reconstruct
from sightglass.invert.steer import (
    Steered,
    affected,
    distance,
    drawn,
    named,
    random_parts,
    true_masks,
    visible,
    weakened,
)
from sightglass.metrics import bootstrap
from sightglass.metrics.maps import scaled
from sightglass.metrics.overlap import beyond_chance, iou, overlap
from sightglass.show import claim, show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
_, inverters, missing = ready.found(ed, {role: {"role": role} for role in networks})
for what, reason in missing.items():
    display(Markdown(f"{what[0].upper()}{what[1:]}: {unavailable(reason)}"))
roles = list(inverters)
if not roles:
    display(Markdown("Without an inverter this page has nothing to show, and it ends here."))
main = roles[0] if roles else ""
models = {role: ed.model(role) for role in roles}
no_masks = ed.gives("masks")
classes = [name for name in [about, *also] if name in ed.classes] or list(ed.classes[: 1 + len(also)])
seeds = list(range(draws))


# %% [markdown]
# ## Concepts as subspaces
#
# Any way of splitting features into concepts would do. The paper takes {term}`MCD` {cite:p}`vielhaben2023`. It collects feature vectors of a class, from all positions of
# many images, and writes each as a weighted sum of a few others. Vectors that use each other form a group, and the main directions of a group span a concept: not one
# direction but a subspace of a few. A feature vector is then the sum of its parts in all concepts and of one part that is in none, in exactly one way:
#
# $$ \phi = \phi_1 + \dots + \phi_k + \phi_{\text{rest}}. $$ (eq-featinv-parts)
#
# MCD doesn't tell what a concept means. Where there are masks of objects and their parts, they can. The map of a concept says how much of it there is at each position,
# and the concept gets the name of the mask that its map fits best in training images. If no mask fits well enough, it stays without a name. All scores further down are of
# test images.

# %%
def images_of(name, part, count):
    """Images (count, 3, s, s) of a class, and their scenes: the object alone and in full view, where that is known."""
    if no_masks:
        return ed.references([name], count, seed=seed, split=part)[0], None
    rounds = torch.arange(seed * 8 * count, (seed + 1) * 8 * count)  # far more than are taken, since many aren't plain
    plan = world.split_plan(part, rounds * len(world.NOUNS) + world.NOUNS.index(name))
    plain = (plan.second < 0) & (plan.hard < 0) & (plan.occluders == 0)
    scenes = world.draw(plan[plain.nonzero()[:count, 0]], ed.size)
    return scenes.pixels(), scenes


def enlarged(maps, found, size):
    """How much of each concept there is at each pixel: maps of the layer's positions, enlarged (k, n, s, s)."""
    return scaled(activation(split(maps, found)), (size, size))[:-1]


def taken_apart(role, name):
    """Find a class's concepts in training images, name them, and split the features of test images."""
    (pixels, scenes), (test, truth) = sets[name]
    size, see = test.shape[-1], lambda images: inverters[role].features(models[role], images).cpu()
    maps, seen = see(pixels), see(test)
    found = mcd(maps, k, most=vectors, seed=seed)
    names = [("", float("nan"))] * k if no_masks else named(enlarged(maps[:naming], found, size), true_masks(scenes[:naming]))
    masks = {} if no_masks else true_masks(truth, least=1)
    names = [(word if score >= least and word in masks else "", score) for word, score in names]
    return {"found": found, "names": names, "maps": seen, "parts": split(seen, found)[:-1], "test": test, "masks": masks,
            "coarse": enlarged(seen, found, size), "learnt": maps}  # fmt: skip


if roles:
    sets = {name: (images_of(name, "train", learnt), images_of(name, "test", n)) for name in classes}
    cases = {(role, name): taken_apart(role, name) for role in roles for name in classes}
    case = cases[main, classes[0]]
    many = ed.images("test", 120).pixels  # of many classes: they show how the classifier reads the layer
    own = class_vector(models[main], many, ed.outputs[ed.classes.index(classes[0])], inverters[main].tap)
    adds = relevance(split(case["maps"], case["found"]), own.weight).mean((1, 2, 3))
    words = [word or "no name" for word, _ in case["names"]]
    c, h, w = inverters[main].shape
    print(f"{ready.title(main)}, {inverters[main].tap}: {c} channels at {h} × {w} positions; together the concepts hold "
          f"{completeness(case['found'], own.weight):.0%} of the length of the vector of the class's weights")
    display(pd.DataFrame({
        "lies on": [*words, ""], "how well, 0 to 1": [*[score for _, score in case["names"]], np.nan], "directions": case["found"].sizes,
        "of the class's weights": importance(case["found"], own.weight), "adds to the class's output": adds,
    }, index=pd.Index([*[f"concept {i + 1}" for i in range(k)], "the rest"], name=classes[0])).round(2).astype(object).fillna(""))  # fmt: skip

# %% [markdown]
# The last two columns ask the classifier. How much of the class's weights, as one vector, lies in each concept? And how much do the test images' features in the concept
# add to the class's output, on average over positions? A concept of a class needn't speak for the class: a meadow is in many images of horses, and doesn't make one.
#
# ## The picture to keep in mind
#
# One image, one concept in each row, and a knob. At × 1 the features are the network's own. Under 1 there is less of the concept, at all positions; at 0 it's gone, and
# above 1 there is more of it than the image has. Nothing else is changed, neither the other parts of the features nor the noise. Below each picture stands how sure the
# network is of the class when it looks at the picture.

# %% tags=["hide-input"]
KNOB = (2, 1.5, 1, 0.5, 0.25, 0)


def best_concept(each):
    """The concept that lies best on an object or a part of it, or the best of all, or the first."""
    if no_masks:
        return 0
    return max(range(k), key=lambda i: (each["names"][i][0] not in ("", "surroundings"), each["names"][i][1]))


def called(each, i):
    """A concept's name in figures."""
    word = each["names"][i][0]
    return f"concept {i + 1}" + (f": {word}" if word else "")


def sure(role, name, pictures):
    """How sure a network is of a class in pictures, as texts."""
    side = inverters[role].facts.get("pixels") or ed.size
    pictures = torch.nn.functional.interpolate(pictures, size=side, mode="bilinear") if pictures.shape[-1] != side else pictures
    answers = models[role](zoo.normalise(models[role], pictures.to(ed.device))).softmax(1).cpu()
    return [f"{value:.0%}" for value in answers[:, ed.outputs[ed.classes.index(name)]].tolist()]


if roles:
    best, first = best_concept(case), slice(0, 1)
    turned = torch.cat([weakened(case["maps"][first], case["parts"][:, first], share)[:, 0] for share in KNOB])
    pictures = sg.kept(reconstruct, inverters[main], turned, seeds=seed)
    strips = pictures.unflatten(0, (len(KNOB), k)).transpose(0, 1)
    under = [[sure(main, classes[0], case["test"][first])[0], *sure(main, classes[0], strip)] for strip in strips]
    sg.plot.grid([[case["test"][0], *strip] for strip in strips], rows=[called(case, i) for i in range(k)],
                 columns=["the image", *[f"× {share:g}" for share in KNOB]], captions=sum(under, []))
    plt.show()

# %% [markdown]
# In the column × 1, all rows hold the same picture, drawn from the image's own features. The paper compares it with × 0.25.
#
# ## The algorithm, step by step
#
# One pair of pictures isn't enough. An inverter makes up whatever the features leave open, and a small change may make it draw something else altogether. So both pictures
# are drawn from several seeds:
#
# 1. Draw {math}`\phi` from each seed.
# 2. Draw {math}`\phi' = \phi - 0.75\,\phi_c`, which has a quarter of the concept {math}`c` left (`kept`), from the same seeds.
# 3. Take the distance between the colours of each pair, pixel by pixel.
# 4. Take the median over seeds, so that what a single seed made up drops out, and divide by the largest value.
# 5. Hide what is below 0.33 as unaffected.

# %% tags=["hide-input"]
def hot(values, top):
    """Colour values (..., s, s) from 0 to `top`: (..., 3, s, s)."""
    return torch.from_numpy(mpl.colormaps[sg.plot.SEQUENTIAL]((values / top).clamp(0, 1).numpy())[..., :3]).movedim(-1, -3)


def lit(image, change):
    """Lay a change (s, s) as heat over a pale grey image (3, s, s), where it isn't too small."""
    grey = image.mean(0).expand(3, -1, -1)
    heat = 0.75 * hot(change, change.max().clamp_min(1e-9)) + 0.25 * grey
    return torch.where(affected(change[None]), heat, 0.65 + 0.35 * grey)


def drawings(role, maps, parts, count):
    """Draw feature maps whole and with each of their parts weakened, from the first few seeds."""
    return Steered(*sg.kept(drawn, inverters[role], maps, parts, kept=kept, seeds=seeds[:count]))


if roles:
    first_figure = drawings(main, case["maps"], case["parts"], draws)
    before, after = first_figure.before[:, 0], first_figure.after[best, :, 0]
    gaps = (before - after).square().sum(1).sqrt()
    top = gaps.max()
    image, change = case["test"][0], first_figure.change[best, 0]
    right = [image, hot(change, change.max().clamp_min(1e-9)), lit(image, change)]
    cells = [[*row, last] for row, last in zip([before, after, hot(gaps, top)], right, strict=True)]
    blank = [""] * draws
    show(sg.plot.grid(cells, rows=["1  features drawn", f"2  with {kept:.0%} of the concept", "3  distance of colours"],
                      columns=[*[f"seed {s}" for s in seeds], ""],
                      captions=[*blank, "the image", *blank, "4  median", *blank, "5  unaffected hidden"]),
         "alg-featinv-1",
         f"FeatInv-Viz on one image of the class {classes[0]}, step by step, in {ready.title(main)}'s features ({called(case, best)}). Both pictures of a column start "
         "from the same noise. The maps show how far apart their colours are, brighter for more; those of single seeds share one scale, the median has its own. At the "
         "lower right, what changes by less than a third of the most is grey (FeatInv, algorithm 1).",
         alt="Pictures of one object from several seeds, below each the picture with less of a concept and the distance between both; at the right the image, the "
             "median distance and the image with its unaffected places paled.")

# %% [markdown]
# One check comes for free: with all of the concept left nothing is different, so the change has to be zero, to the last bit.

# %%
if roles:
    maps = case["maps"][first]
    same = weakened(maps, case["parts"][[best], first], kept=1.0)[0]
    nothing = distance(*[reconstruct(inverters[main], given, seeds=seeds[0]) for given in (maps, same)])
    print(f"largest change with all of the concept left: {float(nothing.max()):g}")
    assert nothing.max() == 0

# %% [markdown]
# ## Three concepts of a class
#
# Now all concepts, on several images. For each concept there is the picture with less of it, from the first seed, and the places where colours change, by the median over
# seeds.

# %% tags=["hide-input"]
if roles:
    lines = [[case["test"][i], first_figure.before[0, i],
              *sum(([first_figure.after[j, 0, i], lit(case["test"][i], first_figure.change[j, i])] for j in range(k)), [])] for i in range(min(n, shown))]
    heads = []
    for j, (word, _) in enumerate(case["names"]):
        label = f"{j + 1}: {word}" if word else called(case, j)
        heads += [f"{label}\n× {kept:g}", "what changes"]
    show(sg.plot.grid(lines, columns=["the image", "features drawn", *heads]), "fig-featinv-4",
         f"{k} concepts of the class {classes[0]} in {ready.title(main)}'s features, on {min(n, shown)} test images. For each concept: the picture drawn with {kept:.0%} of "
         f"it, and the places where colours change, brighter for more, by the median over {draws} seeds. What changes by less than a third of the most is grey. A word "
         "is the name of the mask that the concept fits (FeatInv, figure 4).",
         alt="Rows of images, each drawn from its features and with less of each concept, and images on which the affected places are coloured.")

# %% [markdown]
# ## Did it obey?
#
# A picture that differs needn't differ in what was asked for. So the network looks at the pictures again. How much of each concept does it find after one was weakened, as
# a share of what it finds in the picture drawn from all features? If pictures did just what was asked, the weakened concept would be at the share that was left of it, and
# the others at 100%.

# %%
def left(role, each, rows, made):
    """The share of the weakened concept, and of the others, that the network finds again: (k', n) each."""
    flat = torch.cat([made.before.flatten(0, 1), made.after.flatten(0, 2)])
    parts = split(inverters[role].features(models[role], flat).cpu(), each["found"])[:-1]
    size, many = parts.flatten(2).norm(dim=2), made.before.shape[:2]  # seeds, n
    whole = size[:, : many.numel()].unflatten(1, many)  # (k, seeds, n)
    less = size[:, many.numel() :].unflatten(1, (len(rows), *many))  # (k, rows, seeds, n)
    share = (less / whole[:, None].clamp_min(1e-9)).median(2).values.transpose(0, 1)  # (rows, k, n)
    same = torch.tensor(rows)[:, None] == torch.arange(k)
    return share[same], share[~same]


if roles:
    of_it, of_others = left(main, case, list(range(k)), first_figure)
    display(pd.DataFrame({
        "asked for": kept, "found in the picture": of_it.mean(1),
        "found of the others": of_others.unflatten(0, (k, k - 1)).mean((1, 2)) if k > 1 else np.nan,
    }, index=pd.Index([called(case, i) for i in range(k)], name=classes[0])).map("{:.0%}".format))  # fmt: skip

# %% [markdown]
# ## More classes, scored
#
# The world knows where each part is. So two maps can be held against the mask that gave a concept its name. One says how much of the concept there is at each position, and
# is enlarged to the image, which is how concepts are usually shown. The other is the change of colours that FeatInv-Viz finds. The score is IoU, intersection over union:
# mark as many of the map's highest pixels as the mask has, and divide what is in both by what is in either. So neither map needs a threshold. If the names favour one of
# the two, then it's the enlarged map, since they were given by it.

# %% tags=["hide-input"]
WIDE = max(1, 256 // ed.size)  # how much small pictures are enlarged, so that outlines stay thin


def outlined(picture, mask=None):
    """Enlarge a picture (3, s, s) and draw the outline of a mask (s, s) over it."""
    wide = picture.repeat_interleave(WIDE, 1).repeat_interleave(WIDE, 2).clone()
    if mask is None:
        return wide
    inside = mask.float().repeat_interleave(WIDE, 0).repeat_interleave(WIDE, 1)[None, None]
    around = (torch.nn.functional.max_pool2d(inside, 2 * max(1, WIDE // 2) + 1, 1, max(1, WIDE // 2)) > inside)[0, 0]
    wide[:, around] = 1.0
    return wide


def wanted(role, name):
    """The concepts of a class that are drawn: all in the figure above, else those with a name, else the first."""
    each = cases[role, name]
    if (role, name) == (main, classes[0]):
        return list(range(k))
    return [0] if no_masks else [i for i in range(k) if each["names"][i][0]]


def changes(role, name):
    """The change of colours for each wanted concept and, in the network of the figures, for random directions: (2k', n, s, s)."""
    each, rows = cases[role, name], wanted(role, name)
    parts, luck = each["parts"][rows], each["parts"][:0]
    if role == main and not no_masks:
        luck = random_parts(each["maps"], parts, [each["found"].sizes[i] for i in rows], seed=seed)
    return drawings(role, each["maps"], torch.cat([parts, luck]), few).change


if roles:
    made = {key: changes(*key) for key in cases if wanted(*key) and (not no_masks or key[0] == main)}
    blocks, captions = [], []
    for name in classes[1:] if len(classes) > 1 else classes:
        each = cases[main, name]
        j = best_concept(each)
        if j not in wanted(main, name):
            continue
        word, change = each["names"][j][0], made[main, name][wanted(main, name).index(j)]
        mask = each["masks"].get(word)
        two = (torch.arange(n) if mask is None else visible(mask).nonzero()[:, 0])[:2].tolist()
        row, under = [], []
        for i in two:
            maps, edge = torch.stack([each["coarse"][j, i], change[i]]), None if mask is None else mask[i]
            scores = ["", ""] if mask is None else [f"IoU {value:.2f}" for value in overlap(maps[:, None], mask[[i]])["IoU"][:, 0].tolist()]
            row += [outlined(each["test"][i]), *[outlined(hot(one, one.max().clamp_min(1e-9)), edge) for one in maps],
                    outlined(lit(each["test"][i], change[i]))]  # fmt: skip
            under += [f"{name}: {word}" if word else name, *scores, ""]
        blocks.append(row + [None] * (8 - len(row)))
        captions += under + [""] * (8 - len(under))
    without = "" if not no_masks else f" Scores are {unavailable(no_masks)}."
    if blocks:
        show(sg.plot.grid(blocks, columns=["the image", "concept, enlarged", "what changes", "unaffected hidden"] * 2, captions=captions), "fig-featinv-c1",
             f"One concept of each class in {ready.title(main)}'s features, on two test images: the one that fits the object or a part of it best, where masks are known. "
             f"Beside each image: how much of the concept there is, enlarged from {h} × {w} positions; how much colours change when it's weakened, median over {few} "
             "seeds; and the places affected. White: outline of the true mask. IoU: overlap of the mask with as many of the map's highest pixels, 1 if they are the "
             f"same.{without} (FeatInv, supplement C.1).",
             alt="Rows of images; beside each a blurred map of a concept, a map of changes, both with the outline of the true part, and the image with the affected "
                 "places coloured.")
    else:
        display(Markdown("No concept of these classes has a name; give `least` a lower value or take other classes."))

# %% [markdown]
# A single image may flatter either map. So take every concept with a name, all classes and all networks. In the drawn world SwinV2 is read one block earlier than the
# others, since its last map has 2 × 2 positions only. The table adds a control that the paper doesn't have. Weakening anything makes features smaller, and a picture of
# smaller features may change where there is most to change, in the object. So as many directions as the concept has are drawn at random, and are weakened in its place, by
# as much of each image's features.
#
# One more line is no control, but a second look. Where a thing moves or is drawn anew, colours change along its outline first, and a mask is an area. So the changes are also
# smoothed, which the paper doesn't do, before they are held against the mask.

# %% tags=["hide-input"]
MAPS = ("what changes", "enlarged concept map", "what changes, random directions", "what changes, smoothed")


def smoothed(maps):
    """Maps (..., s, s) under a Gaussian that is as wide as the page's parameter says."""
    return torch.from_numpy(gaussian_filter(maps.numpy(), blur * maps.shape[-1], axes=(-2, -1)))


def scores_of(role, name):
    """Lines of scores, one for each named concept, test image and map."""
    each, rows, change = cases[role, name], wanted(role, name), made[role, name]
    found = {MAPS[0]: change[: len(rows)], MAPS[3]: smoothed(change[: len(rows)]), MAPS[1]: each["coarse"][rows]}
    if role == main:
        found[MAPS[2]] = change[len(rows) :]
    lines = []
    for place, i in enumerate(rows):
        word = each["names"][i][0]
        if not word:
            continue
        mask = each["masks"][word]
        seen = visible(mask).nonzero()[:, 0]
        for which, maps in found.items():
            one = maps[place][seen]
            score = overlap(one, mask[seen]) | {"above chance": beyond_chance(one, mask[seen])}
            lines += [{"network": ready.title(role), "class": name, "image": int(s), "concept": word, "map": which}
                      | {what: float(values[p]) for what, values in score.items()} for p, s in enumerate(seen)]  # fmt: skip
    return lines


def error(values):
    """The standard error of a mean."""
    return values.std() / max(1, len(values)) ** 0.5


scores = [line for key in made for line in scores_of(*key)] if roles and not no_masks else []
if roles and not no_masks and not scores:
    no_masks = f"no concept lies well enough on a mask to be named (least = {least:g})"
if scores:
    every = pd.DataFrame(scores)
    every["sort"] = every["concept"].where(every["concept"].isin(["surroundings", "object"]), "part")
    lines = []
    for (network, which), group in every.groupby(["network", "map"], sort=False):
        line = {"network / map": f"{network} / {which}", "n": len(group), "IoU": group["IoU"].mean(), "IoU ±": error(group["IoU"]), "AUC": group["AUC"].mean(),
                "above chance": group["above chance"].mean()}
        lines.append(line | {sort: group.loc[group["sort"] == sort, "IoU"].mean() for sort in ("surroundings", "object", "part")})
    table = pd.DataFrame(lines).rename(columns={sort: f"IoU, {sort}" for sort in ("surroundings", "object", "part")})
    show(table.set_index("network / map").dropna(axis=1, how="all"), "tab-featinv-x2",
         f"Maps of concepts against the true masks that name them, over n pairs of a concept and a test image, of the classes {', '.join(classes)}. Changes are medians "
         f"over {few} seeds, smoothed: under a Gaussian as wide as {blur:.1%} of the picture. IoU and its standard error: overlap of the mask with as many of the map's highest pixels. AUC: the chance that a pixel in the mask is higher "
         "than one outside. Above chance: what the IoU gains over that of a random map, as a share of what a perfect map gains. The last columns are the IoU by what the "
         f"mask is. Random directions are weakened for {ready.title(main)} only (beyond FeatInv).")
elif roles:
    display(Markdown(f"The table of scores is {unavailable(no_masks)}."))

# %% tags=["hide-input"]
if scores:
    keys = ["network", "class", "image", "concept"]
    wide = every.pivot_table(index=[*keys, "sort"], columns="map", values="IoU").reset_index()
    wide["network"] = pd.Categorical(wide["network"], [ready.title(role) for role in roles])
    fig, ax = plt.subplots(figsize=(4.4, 4.2))
    ax.plot([0, 1], [0, 1], color="#999999", lw=0.8)
    for colour, (network, group) in zip(sg.plot.PALETTE, wide.groupby("network", observed=True), strict=False):
        for mark, sort in zip("os^", ("part", "object", "surroundings"), strict=True):
            some = group[group["sort"] == sort]
            ax.plot(some[MAPS[1]], some[MAPS[0]], mark, color=colour, alpha=0.75, label=f"{network}, {sort}" if len(some) else None)
    ax.set(xlabel="IoU of the enlarged concept map", ylabel="IoU of what changes", xlim=(-0.02, 1), ylim=(-0.02, 1), aspect="equal")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()

# %% [markdown]
# Each mark is one concept in one image. Above the line, the change of colours finds the mask better.

# %%
if not roles or no_masks:
    holds, reason = None, no_masks or "; ".join(missing.values()) or "there is no inverter"
else:
    verdicts, told = [], []
    for network, group in wide.groupby("network", observed=True):
        gap = (group[MAPS[0]] - group[MAPS[1]]).groupby([group["class"], group["image"]]).mean()  # concepts of one image aren't independent
        low, high = bootstrap(gap.to_numpy(), seed=seed)
        means = group[list(MAPS[:2])].mean()
        verdicts.append(means[MAPS[0]] > means[MAPS[1]])
        told.append(f"{network}: IoU {means[MAPS[0]]:.2f} of what changes, {means[MAPS[1]]:.2f} of the enlarged map (95% interval of the difference over images "
                    f"{low:+.2f} to {high:+.2f}; above 0 in {(gap > 0).mean():.0%} of {len(gap)} images)")
    holds, reason = all(verdicts), "; ".join(told) + "."
claim("featinv-10", holds=holds, because=f"It takes masks and inverters: {reason}." if holds is None else reason)

# %% tags=["hide-input"]
if roles:
    said, by_seeds = [], ""
    if not no_masks:
        gaps, both = distance(first_figure.before, first_figure.after), []  # (k, seeds, n, s, s)
        for i, (word, _) in enumerate(case["names"]):
            if word:
                rows = visible(case["masks"][word])
                some, mask = gaps[i][:, rows], case["masks"][word][rows]
                both.append([float(iou(maps, mask).mean()) for maps in (some, some.median(0).values)])
        if both:
            single, median = np.mean(both, 0)
            by_seeds = (f" For the class {classes[0]}, the change in a single pair has an IoU of {single:.2f} with the mask, and the median over {draws} seeds "
                        f"one of {median:.2f}.")
        mean = every.groupby(["network", "map"], sort=False)["above chance"].mean()
        networks_seen = dict.fromkeys(every["network"])
        said.append("- Above chance, what changes overlaps the true mask by " + ", ".join(
            f"{mean[network, MAPS[0]]:.2f} ({network}; smoothed {mean[network, MAPS[3]]:.2f}, enlarged map {mean[network, MAPS[1]]:.2f})" for network in networks_seen)
            + ", where 1 is perfect ({numref}`tab-featinv-x2`).")
        if (ready.title(main), MAPS[2]) in mean:
            said.append(f"- Weakening random directions of {ready.title(main)} instead gets {mean[ready.title(main), MAPS[2]]:.2f}. Only what a concept's map has above that is the "
                        "concept's own; the rest any change of features would show.")
    display(Markdown("\n".join([
        ":::{admonition} What to take away", ":class: tip",
        "- Features can be changed and drawn again. The picture shows what hangs on a concept, which a map of where the concept is can't ({numref}`fig-featinv-4`).",
        f"- Let the network look at what was drawn. Where {kept:.0%} of a concept of the class {classes[0]} was asked for, {ready.title(main)} finds "
        f"{', '.join(f'{value:.0%}' for value in of_it.mean(1).tolist())} of it in the picture, concept by concept. A picture needn't obey, so ask the network before "
        "you trust it.",
        *said,
        f"- One pair of pictures also differs where the inverter made something up, and the median over seeds is to leave that out ({{numref}}`alg-featinv-1`).{by_seeds}",
        ":::"])))

# %% [markdown]
# ## Copy this
#
# Concepts in a layer of any timm network, and FeatInv-Viz on them. The weights are random and the inverter is untrained, so that the cell needs no download. For a network of
# your own, `python -m sightglass invert train` makes an inverter and `control.load(...)` reads it. An untrained inverter doesn't look at features yet, so nothing may change,
# whatever is weakened.

# %%
import timm
import torch

from sightglass.concepts.mcd import mcd, split
from sightglass.invert import base as bases
from sightglass.invert import codec, control, prompts
from sightglass.invert.encoder import features
from sightglass.invert.steer import steer

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(24, 3, 64, 64, generator=torch.Generator().manual_seed(0))  # yours: (n, 3, height, width) in [0, 1]
my_maps = features(my_model, my_images, "block4")  # (n, channels, height, width)
my_concepts = mcd(my_maps, 2, method="k-means")
my_parts = split(my_maps[:2], my_concepts)
assert torch.allclose(my_parts.sum(0), my_maps[:2], atol=1e-3)

my_base = bases.freeze(bases.build(codec.fit(my_images, channels=12), prompts.world_words(), size=64, widths=(8, 16)))
my_inverter = control.build(my_base, tuple(my_maps.shape[1:]), "block4", hidden=8)
my_inverter.control.eval()
my_change = steer(my_inverter, my_maps[:2], my_parts, seeds=(0, 1, 2), steps=2).change
assert my_change.shape == (3, 2, 64, 64) and my_change.max() == 0

# %% [markdown]
# :::{dropdown} Try next: more of a concept
# `python -m sightglass run world featinv/4-2 -p kept=2`. Does a second sail grow, does the sail get larger, or does the picture stop looking like the world?
# :::
#
# :::{dropdown} Try next: one seed
# `-p few=1`. How do the numbers of {numref}`tab-featinv-x2` change without the median?
# :::
#
# :::{dropdown} Try next: more concepts, or other ones
# `-p k=6` looks for more and smaller concepts in each class. Or take a dictionary of {doc}`/ierf/6-1-concepts` and give `steer` the parts that its directions have in the
# features: it draws whatever parts it gets.
# :::
