# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does the map show what decided? (beyond the paper)
#
# **Question.** A {term}`saliency map` lies on the object. Does it lie on the part of the object that made the network say what it said?
#
# Masks of objects are the usual test, and they test too little. A map that lights up all of a horse passes, whatever the network needed. Photographs offer nothing
# better: who cuts the mane out of one has to make up what was behind it. A drawn world can draw the horse again without a mane, from the same random numbers. If the network then says
# "zebra", the mane was the cause, since nothing else has changed. This page looks for such parts and asks the seventeen maps of {doc}`/ierf/4-2-saliency`
# where they had looked.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition whose scenes can be edited, which is the world | a minute on one core | photographs can't be edited | {doc}`/ierf/4-2-saliency` |

# %% tags=["parameters"]
edition = "world"  # others have no scenes that can be edited
seed = 0  # of the examples that are shown
device = "auto"  # auto | cpu | cuda
networks = ["resnet50", "vgg16"]  # roles with a grid of positions; the pictures are of the first one
scenes = 360  # that lose a part in turn; the test split has about a thousand in full view
largest = 0.5  # of the object: what is more isn't a part of it
alike = 6  # scenes at most in which the same part of the same class decides
shown = 6  # scenes in the figure
options = {"ScoreCAM": {"most": 32}, "IntegratedGradients": {"steps": 16}, "SmoothGrad": {"samples": 8}}  # ScoreCAM: channels that are tried

# %%
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from scipy.stats import spearmanr

import sightglass as sg
from sightglass import world, zoo
from sightglass.metrics import bootstrap
from sightglass.metrics.maps import localisation, pointing, scaled
from sightglass.show import show, unavailable
from sightglass.trace.deciding import Removals, by_part, drawn_without, logits, margin, on_grid, plain, strongest
from sightglass.trace.saliency import SALIENCY, applies, maps
from sightglass.trace.saliency.cams import layers
from sightglass.trace.srd import srd

sg.plot.style()
ed = sg.load(edition, device=device)
TITLES = {"resnet50": "ResNet50", "vgg16": "VGG16", "densenet121": "DenseNet121"}
why = ed.gives("edits")
roles = [] if why else [role for role in networks if not ed.gives(role)]
if why:
    display(Markdown(f"The exhibits of this page are {unavailable(why)}."))

# %% [markdown]
# ## Take a part away, draw again
#
# The scenes are those of the test split that show one object in full view. Each is drawn again without each of its named parts: the horse without head, without mane, without
# legs. The object's colours, pose, light and grain stay, and so does every other part. Two sorts of parts are left out. Some take more away than themselves, as
# a lamp does with its light. Others have the like of themselves behind them, so nothing is seen to go.
#
# The part that **decides** is the one without which the class is ahead of the best other class by least, if the network then names another class. And it must be a
# part: where it's more than half of the object, finding it would be no more than finding the object.

# %%
def judged(role):
    """What a network says without each part: the fall of its lead, and the class it names, for each removal."""
    model, task = ed.model(role), ed.networks[role].task or "nouns"
    target = whole.target(task)
    before, after = (logits(model, images, device=ed.device) for images in (whole.image, gone.image))
    fall = margin(before, target)[gone.scene] - margin(after, target[gone.scene])
    return {"model": model, "target": target, "names": world.TASKS[task], "fall": fall, "said": after.argmax(1),
            "right": before.argmax(1) == target}  # fmt: skip


def deciding(verdict):
    """The rows of removals that change the network's mind, the strongest of each scene, and no more than `alike` of a sort."""
    best = strongest(gone.scene, torch.where(verdict["right"][gone.scene], verdict["fall"], -torch.inf))
    other = verdict["said"] != verdict["target"][gone.scene]
    best = best[(other & verdict["right"][gone.scene])[best]]
    best = best[(gone.mask[best].sum((1, 2)) <= largest * area[gone.scene[best]])]
    count, kept = Counter(), []
    for row in best.tolist():
        sort = int(whole.label[gone.scene[row]]), int(gone.part[row])
        count[sort] += 1
        kept += [row] if count[sort] <= alike else []
    return torch.tensor(kept)


if roles:
    index = plain("test", scenes, ed.size)
    gone = Removals(*sg.kept(drawn_without, "test", index, size=ed.size))
    whole = world.split("test", size=ed.size)[index]
    area = (whole.instance == 1).sum((1, 2))
    verdicts = {role: judged(role) for role in roles}
    rows = {role: deciding(verdict) for role, verdict in verdicts.items()}
    print(f"{len(index)} scenes, {len(gone)} drawings without a part")
    for role, verdict in verdicts.items():
        changed = (verdict["said"] != verdict["target"][gone.scene]) & verdict["right"][gone.scene]
        alone = torch.bincount(gone.scene[changed], minlength=len(index))[verdict["right"]]
        print(f"{TITLES.get(role, role)} is right on {int(verdict['right'].sum())}. No part alone changes its mind in {int((alone == 0).sum())} of these, one does in "
              f"{int((alone == 1).sum())}, each of several in {int((alone > 1).sum())}; {len(rows[role])} scenes are scored")

# %% [markdown]
# Where no part alone changes the answer, others stand in for it. A zebra without a head is still striped. Such scenes have no single part to be found, so they aren't
# scored.
#
# Which part is it, then? For each class, here is the part that decides most often, as *times it decides / scenes of the class*, among all parts of any size.

# %% tags=["hide-input"]
def often(role, label):
    """The part of a class that decides most often."""
    verdict = verdicts[role]
    best = strongest(gone.scene, verdict["fall"])
    mine = [row for row in best.tolist() if whole.label[gone.scene[row]] == label and verdict["right"][gone.scene[row]]]
    found = Counter(gone.name(row) for row in mine if verdict["said"][row] != verdict["target"][gone.scene[row]])
    return f"{found.most_common(1)[0][0]} {found.most_common(1)[0][1]}/{len(mine)}" if found else "–"


if roles:
    told = {TITLES.get(role, role): [often(role, k) for k in range(len(world.NOUNS))] for role in roles}
    frame = pd.DataFrame(told, index=world.NOUNS)
    half = (len(frame) + 1) // 2
    both = pd.concat([frame[:half].rename_axis("class").reset_index(), frame[half:].rename_axis("class").reset_index()], axis=1)
    display(Markdown("\n".join(["|" + "|".join(both.columns) + "|", "|---" * both.shape[1] + "|",
                                *["|" + "|".join(map(str, line)) + "|" for line in both.fillna("").to_numpy()]])))

# %% [markdown]
# A dash says that none ever did. VGG16 tells kinds of things, such as a red car from a blue one, so it may need another part than ResNet50, which tells cars from buses.
#
# ## Where had the maps looked?
#
# All maps are made on the whole scene, for the class that is there. None of them knows that a part will go.

# %%
ORDER = [*SALIENCY, "SRD-low", "SRD-high", "SRD-input"]
LOW = ["GradCAM", "GradCAM++", "ScoreCAM", "AblationCAM", "XGradCAM", "LayerCAM-low", "SRD-low"]
HIGH = ["LayerCAM-high", "SRD-high"]
LONG = {"IntegratedGradients": "Integrated Gradients", "GuidedBackprop": "Guided Backprop"}


def every_map(role, chosen):
    """All maps of scenes, {name: (n, size, size)}, and the sides of the low and the high grid."""
    model = verdicts[role]["model"]
    x = zoo.normalise(model, whole.image[chosen].to(ed.device) / 255)
    target = verdicts[role]["target"][chosen].to(ed.device)
    found = sg.kept(maps, model, x, target, [name for name in SALIENCY if not applies(name, model)], options=options)
    low, high = layers(model, x.shape[-2:])
    mine = srd(model, x, target, at=low, levels=(high,))
    found |= {"SRD-low": mine.low, "SRD-high": mine.high, "SRD-input": mine.input}
    sides = {name: one.shape[-1] for names, one in ((LOW, mine.low), (HIGH, mine.high)) for name in names}
    return {name: scaled(found[name], (ed.size, ed.size)).cpu() for name in ORDER if name in found}, sides


if roles:
    seen = {role: every_map(role, gone.scene[rows[role]]) for role in roles if len(rows[role])}
    roles = list(seen)

# %% tags=["hide-input"]
WIDE = max(1, 256 // ed.size)
PICKED = ["Saliency", "GuidedBackprop", "IntegratedGradients", "LRP z+", "GradCAM", "SRD-high", "SRD-input"]


def outlined(picture, mask=None):
    """Enlarge a picture (h, w, 3) and draw the outline of a mask over it."""
    picture = np.asarray(picture).repeat(WIDE, 0).repeat(WIDE, 1)
    if mask is not None:
        wide = mask.float().repeat_interleave(WIDE, 0).repeat_interleave(WIDE, 1)[None, None]
        around = (F.max_pool2d(wide, 2 * max(1, WIDE // 2) + 1, 1, max(1, WIDE // 2)) > wide)[0, 0].numpy()
        picture[around] = 1.0
    return picture


def drawn(one, mask):
    """Colour what speaks for the class in a map (h, w), up to its half percent of largest values."""
    one = one.clamp(min=0)
    top = one.flatten().quantile(0.995).clamp(min=1e-12)
    return outlined(sg.plot.heat((one / top).clamp(max=1)[None])[0], mask)


def instances(role):
    """Places in `rows` of scenes to be shown: another part of another class each."""
    draw = torch.randperm(len(rows[role]), generator=torch.Generator().manual_seed(seed)).tolist()
    label = {i: int(whole.label[gone.scene[rows[role][i]]]) for i in draw}
    first = {label[i]: i for i in reversed(draw)}
    return sorted(first.values(), key=lambda i: draw.index(i))[:shown]


if roles:
    role = roles[0]
    verdict, (found, _) = verdicts[role], seen[role]
    names = [name for name in PICKED if name in found]
    cells, captions = [], []
    for i in instances(role):
        row = int(rows[role][i])
        scene, mask = int(gone.scene[row]), gone.mask[row]
        share = by_part(torch.stack([found[name][i : i + 1] for name in names]), torch.zeros(1, dtype=torch.long), mask[None])[:, 0]
        cells.append([outlined(whole.image[scene].permute(1, 2, 0) / 255), outlined(gone.image[row].permute(1, 2, 0) / 255),
                      *[drawn(found[name][i], mask) for name in names]])
        captions += [f"“{verdict['names'][int(verdict['target'][scene])]}”", f"no {gone.name(row)}: “{verdict['names'][int(verdict['said'][row])]}”",
                     *[f"{part:.0%}" for part in share.tolist()]]
    show(sg.plot.grid(cells, rows=len(cells), columns=["the scene", "without a part", *[LONG.get(name, name) for name in names]], captions=captions),
         "fig-ierf-x1", f"The part that decides. Left, a scene and what {TITLES.get(role, role)} says of it; beside it the same scene without one part, and what it says then. "
         "Then maps of the whole scene, for the first answer: bright is what speaks for it, and the white line is the part that will go. Below each map is the share of it that lies on the part. "
         "The scenes are drawn at random, one of each class.",
         alt="Rows of a scene, the same scene lacking one part, and seven heat maps with the outline of that part.")

# %% [markdown]
# ## The score
#
# The main number is a map's share **on the part**: how much of what speaks for the class lies on the part that decides. It needs a scale.
#
# - Below: an *even* map, over the whole image or over the object. The second knows the object and nothing else.
# - Above: the part's mask itself has it all by definition. A coarse map can't follow the outline, so its own ceiling is what its grid can show of the mask. *Reach* is how far the map gets from
#   "even over the object" to its ceiling. Below zero, one would do better by colouring the object evenly.
# - And *the falls themselves*: spread over each part by how much the lead falls without it. That's the map one would draw with the truth in hand, if each part were paid by what it does alone.
#
# *Within* is the part's share of what lies on the object at all. Three more questions are asked of each map. Does its largest value lie on the part (**points**)? Which part of the object has most relevance for each pixel, is it that one
# (**names**)? And over all parts of a scene, does relevance rank them as the falls do (**order**, a rank correlation)? An even map ranks parts by their size, which isn't a bad guess.
# For the other two, even maps stand for a pixel and a part drawn at random. *On the object* is the usual score, for comparison.

# %%
EVEN, IMAGE, BLOB, TRUTH = "even over the object", "even over the image", "a blob in the middle", "the falls themselves"


def references(role, chosen, mates):
    """Maps that know less or more than any method, {name: (n, size, size)}."""
    line = torch.linspace(-1, 1, ed.size)
    body = (whole.instance[chosen] == 1).float()
    blob = torch.exp(-(line[:, None] ** 2 + line**2) / 0.3).expand_as(body)
    paid = torch.zeros_like(body)
    for i, mine in enumerate(mates):
        weight = verdicts[role]["fall"][mine].clamp(min=0) / gone.mask[mine].sum((1, 2))
        paid[i] = (gone.mask[mine].float() * weight[:, None, None]).sum(0)
    return {IMAGE: torch.ones_like(body) + 1e-6 * blob, BLOB: blob, EVEN: body + 1e-6 * blob, TRUTH: paid}


def by_parts(role, stack, mates):
    """Whether the part with most relevance per pixel is the first of each scene's, and the rank correlation with the falls: (k, n) each."""
    named, order = torch.zeros(2, stack.shape[0], stack.shape[1])
    for i, mine in enumerate(mates):
        amount = by_part(stack[:, i : i + 1], torch.zeros(len(mine), dtype=torch.long), gone.mask[mine])  # (k, parts)
        named[:, i] = ((amount / gone.mask[mine].sum((1, 2))).argmax(1) == 0).float()
        fall = verdicts[role]["fall"][mine]
        order[:, i] = torch.tensor([spearmanr(line, fall).statistic if np.ptp(line) and len(mine) > 2 else np.nan for line in amount.numpy()])
    return named, order


def scored(role):
    """All measures of all maps and references of a network: names, {measure: (k, n)}."""
    chosen, (found, sides) = gone.scene[rows[role]], seen[role]
    mates = [torch.cat([row[None], rest[rest != row]]) for row in rows[role] for rest in [(gone.scene == gone.scene[row]).nonzero()[:, 0]]]
    found = found | references(role, chosen, mates)
    stack, mask = torch.stack(list(found.values())), gone.mask[rows[role]]
    share = localisation(stack, mask, constant=0.0)
    ceiling = torch.stack([localisation(on_grid(mask, sides[name]), mask) if name in sides else torch.ones(len(mask)) for name in found])
    even = share[list(found).index(EVEN)]
    named, order = by_parts(role, stack, mates)
    points, blind = pointing(stack, mask, tolerance=0.0, constant=0.0), [list(found).index(name) for name in (IMAGE, EVEN)]
    points[blind] = share[blind]  # a pixel drawn at random from where the map is
    named[blind] = torch.tensor([1 / len(mine) for mine in mates])  # a part drawn at random
    inner = localisation(stack, whole.instance[chosen] == 1, constant=0.0)
    return list(found), {"on the object": inner, "on the part": share, "ceiling": ceiling, "within": share.mean(1, keepdim=True) / inner.mean(1, keepdim=True),
                         "reach": (share.mean(1, keepdim=True) - even.mean()) / (ceiling.mean(1, keepdim=True) - even.mean()),
                         "points": points, "names": named, "order": order}  # fmt: skip


if roles:
    measured = {role: scored(role) for role in roles}

# %% tags=["hide-input"]
def lines_of(role):
    """The table's lines of a network."""
    names, values = measured[role]
    share = values["on the part"].numpy()
    frame = pd.DataFrame({"network": TITLES.get(role, role), "map": names, "on the object": values["on the object"].mean(1),
                          "on the part": share.mean(1), "from": 0.0, "to": 0.0, "within": values["within"][:, 0], "reach": values["reach"][:, 0], "points": values["points"].mean(1),
                          "names": values["names"].mean(1), "order": values["order"].nanmean(1)})  # fmt: skip
    frame[["from", "to"]] = [bootstrap(line) for line in share]
    return frame.set_index("map").loc[[IMAGE, BLOB, EVEN, *[m for m in ORDER if m in names], TRUTH]].reset_index()


if roles:
    table = pd.concat([lines_of(role) for role in roles], ignore_index=True)
    page = table.copy()
    page["on the part"] = [f"{a:.2f} ({b:.2f}–{c:.2f})" for a, b, c in zip(table["on the part"], table["from"], table["to"], strict=True)]
    page = page[["network", *page.columns.drop("network")]].drop(columns=["from", "to"]).rename(columns={"on the part": "on the part (95%)"})
    page["network"] = page["network"].where(~page["network"].duplicated(), "")
    show(page, "tab-ierf-x2",
         "Do saliency maps show the part that decides? Scenes whose class changes when that part isn't drawn: "
         + ", ".join(f"{len(rows[role])} for {TITLES.get(role, role)}" for role in roles) + ". Means over scenes, with a 95% interval for the main score; *reach* is the mean share on the part on a scale from "
         "even over the object, 0, to what the map's grid can show of the part, 1. References stand first and last.")

# %% tags=["hide-input"]
INKS = dict(zip(networks, ("#0072B2", "#E69F00", "#009E73"), strict=False))
if roles:
    fig, axes = plt.subplots(1, len(roles), figsize=(8, 5.2), sharey=True, squeeze=False)
    sort = table.pivot(index="map", columns="network", values="on the part").mean(axis=1)
    listed = sort.reindex([m for m in ORDER if m in sort.index]).sort_values(ascending=False).index.tolist()
    for ax, role in zip(axes[0], roles, strict=True):
        mine = table[table.network == TITLES.get(role, role)].set_index("map")
        names, values = measured[role]
        for y, name in enumerate(listed):
            if name in mine.index:
                at, ink = mine.loc[name], sg.plot.colour("SRD") if name.startswith("SRD") else "#555555"
                top = float(values["ceiling"][names.index(name)].mean())
                ax.plot([0, top], [y, y], color="#E9E9E9", lw=5, solid_capstyle="butt", zorder=0)
                ax.plot([at["from"], at["to"]], [y, y], color=ink, lw=1.6, alpha=0.6)
                ax.plot(at["on the part"], y, "o", color=ink, ms=5.5)
        for name, style in ((IMAGE, ":"), (EVEN, "--"), (TRUTH, "-")):
            ax.axvline(mine["on the part"][name], color="#0072B2", lw=1, ls=style, label=name)
        ax.set(xlim=(0, 1.01), title=f"{TITLES.get(role, role)}, {len(rows[role])} scenes", xlabel="share of the map on the part that decides")
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(listed)), listed)
    axes[0, 0].set_ylim(len(listed) - 0.4, -0.6)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    plt.show()

# %% [markdown]
# A dot is the mean share of a map, its line the 95% interval, and the grey bar ends at what the map's grid allows. To the left of the dashed line, the map is worse than colouring the object evenly.
#
# ## Does the usual score find the right maps?
#
# If maps that lie on the object were also those that lie on the reason, masks of objects would do, and nobody would need a drawn world. Over the seventeen maps:

# %%
if roles:
    agree = {}
    for role in roles:
        mine = table[(table.network == TITLES.get(role, role)) & table["map"].isin(ORDER)]
        agree[role] = [spearmanr(mine["on the object"], mine[name]).statistic for name in ("on the part", "within")]
        print(f"{TITLES.get(role, role)}: rank correlation of the share on the object with the share on the part {agree[role][0]:.2f}, "
              f"with the part's share of what lies on the object {agree[role][1]:.2f}")

# %% [markdown]
# The first number is helped by the fact that the part lies on the object. The second asks what is left: of that which a map places on the object, how much goes to the right part?
#
# ## What this doesn't say
#
# A part that goes leaves a drawing that no network was trained on, a bus without windows. The answer to it is still the network's own. Removing one part at a time finds
# what was *needed*; it's blind to what would have been *enough*, and to parts that stand in for each other. A map may be right to spread itself over such parts. That's why only scenes
# in which one part decides are scored, and why the falls themselves aren't at 1 either. And the part's share includes its outline and its colour: which of the two counted, this edit can't tell.

# %% tags=["hide-input"]
def best_of(role):
    """The best map of each sort on the part, and their paired difference."""
    names, values = measured[role]
    share = pd.Series(values["on the part"].mean(1).numpy(), names)
    others = [m for m in SALIENCY if m in names]
    ours, other = share[[m for m in names if m.startswith("SRD")]].idxmax(), share[others].idxmax()
    gap = values["on the part"][names.index(ours)] - values["on the part"][names.index(other)]
    return ours, share[ours], other, share[other], float(gap.mean()), float(gap.std() / max(1, len(gap)) ** 0.5)


if roles:
    found = {role: best_of(role) for role in roles}
    below = {role: [m for m in ORDER if m in (mine := table[table.network == TITLES.get(role, role)].set_index("map")).index
                    and mine["on the part"][m] < mine["on the part"][EVEN]] for role in roles}
    reach = {role: table[(table.network == TITLES.get(role, role)) & table["map"].isin(LOW)]["reach"].max() for role in roles}
    display(Markdown("\n".join([
        ":::{admonition} What to take away", ":class: tip",
        "- Draw a scene again without a part, and the part that decides is known. "
        + " ".join(f"On {TITLES.get(role, role)}, the best map of SRD, {ours}, has {a:.0%} of itself on it, the best of the others, {other}, {b:.0%}: "
                   f"a difference of {100 * gap:+.0f} ± {100 * error:.0f} points." for role, (ours, a, other, b, gap, error) in found.items())
        + " See {numref}`tab-ierf-x2`.",
        "- Colouring the object evenly is a hard baseline: " + "; ".join(f"on {TITLES.get(role, role)}, {len(below[role])} of 17 maps lie less on the part" for role in roles) + ".",
        "- A coarse map can't follow a small part, so read *reach* before blaming the method. Still, on that scale the best map of the last layer comes to "
        + " and ".join(f"{reach[role]:.2f} ({TITLES.get(role, role)})" for role in roles) + ", where 0 is an evenly coloured object ({numref}`fig-ierf-x1`).",
        "- Do scores on whole objects find the maps that know the part, too? Rank correlations of the usual score with the share within the object: "
        + " and ".join(f"{agree[role][1]:.2f} ({TITLES.get(role, role)})" for role in roles) + ".",
        ":::"])))

# %% [markdown]
# ## Copy this
#
# Your own network and your own map, on drawn scenes. The network here is random, so its answers and the printed shares are, too; put your own in its place.

# %%
import timm
import torch

from sightglass import world, zoo
from sightglass.trace import deciding
from sightglass.trace.saliency import maps

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_index = deciding.plain("test", 8)
my_gone = deciding.Removals(*deciding.drawn_without("test", my_index))  # each scene without each of its parts
my_whole = world.draw(world.split_plan("test", my_index)).image  # bytes (n, 3, 64, 64)
my_said = deciding.logits(my_model, my_whole)
my_target = my_said.argmax(1)  # yours: the classes that are there
my_fall = (deciding.margin(my_said, my_target)[my_gone.scene]
           - deciding.margin(deciding.logits(my_model, my_gone.image), my_target[my_gone.scene]))  # fmt: skip
my_rows = deciding.strongest(my_gone.scene, my_fall)  # the part that counts most, in each scene
my_maps = maps(my_model, zoo.normalise(my_model, my_whole / 255), my_target, ["GradCAM", "GuidedBackprop"])
my_share = deciding.by_part(torch.stack(list(my_maps.values())), my_gone.scene[my_rows], my_gone.mask[my_rows])
print(dict(zip(my_maps, my_share.mean(1).tolist(), strict=True)))
assert my_share.shape == (2, 8) and (my_fall[my_rows] >= my_fall[my_gone.scene == 0].max()).any()

# %% [markdown]
# :::{dropdown} Try next: other networks
# `python -m sightglass run world ierf/x-deciding -p networks='["densenet121", "resnet50"]'`. Do the same parts decide? Do the same maps find them?
# :::
#
# :::{dropdown} Try next: two parts at once
# In most scenes no part alone decides. Take a part *and* the pattern: `world.edit(world.edit(plan, without="head"), texture="plain")`. How many zebras are left?
# :::
#
# :::{dropdown} Try next: pay for it with forward passes
# Cover each part's mask with the mean colour instead of drawing the scene without it. It's what occlusion maps do. How often does the answer change as it does here, and how often differently?
# :::
