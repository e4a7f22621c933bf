# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does a layer still know? (beyond the paper)
#
# **Question.** A picture drawn from features shows a red car on a road. Did the features say red, or does the drawing model like red cars?
#
# From one picture nobody can tell. A {term}`diffusion model` fills in whatever it isn't told, and it fills it in well. FeatInv {cite:p}`neukirch2025` lets the network look
# at the picture again, but it won't miss what it ignores. The drawn world has a sharper test. Take a scene, and the same scene with one thing changed: the car is blue. Take
# a layer's features of both, and let the {term}`inverter` draw a picture from each, both from the same noise. Now only the features differ. If one picture is redder and the
# other bluer, the layer knew. If both are the same, the red is the drawing model's own idea, however good it looks. This page asks that about eleven things that can be
# changed in a scene.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition whose scenes can be edited, which is the world, and inverters | a minute and a half on one core | photographs can't be edited | {doc}`/featinv/4-1-reconstruction` |

# %% tags=["parameters"]
edition = "world"  # others have no scenes that can be edited
seed = 0  # of scenes and noise
device = "auto"  # auto | cpu | cuda
networks = []  # roles that have an inverter; empty takes all of the edition's
pooled = True  # also from the mean over positions
earlier = ["block4", "block3"]  # further layers of the first network, where there are inverters for them
n = 24  # scenes; each is drawn again with every attribute changed
pictured = ["noun", "colour", "texture", "part", "place", "position", "count", "details"]  # attributes in the figure
judges = {"nouns": "densenet121", "kinds": "vgg16", "places": "resnet18"}  # who names what pictures show

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import world
from sightglass.invert import alike, judge, ready, survive
from sightglass.invert.pairs import pairs
from sightglass.invert.survive import Survived, along
from sightglass.metrics import bootstrap, wilson
from sightglass.show import show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
roles = {ready.title(role): role for role in networks or ed.inverters}
first = next(iter(roles), "")
wanted = {f"{kind}{name}": {"role": role, "pooled": bool(kind)} for kind in ("", "pooled ")[: 1 + pooled] for name, role in roles.items()}
wanted |= {f"{first} {tap}": {"role": roles[first], "tap": tap} for tap in earlier if first}
why = ed.gives("edits")
base, inverters, missing = (None, {}, {"edited scenes": why}) if why else ready.found(ed, wanted)
spatial = [name for name in roles if name in inverters]
untrained = [tap for tap in earlier if missing.pop(f"{first} {tap}", "")]
# whose features a row is drawn from
of = {row: next(name for name in spatial if name in row) for row in inverters if any(name in row for name in spatial)}
for row, reason in missing.items():
    display(Markdown(f"{row[0].upper()}{row[1:]}: {unavailable(reason)}"))
if not spatial:
    display(Markdown("Without scenes that can be edited and an inverter this page has nothing to show, and it ends here."))

# %%
if spatial:
    models = {name: ed.model(roles[name]) for name in spatial}
    given = pairs(n, seed=seed)
    originals = given.scenes.pixels()
    drawn = {row: sg.kept(survive.redrawn, inverters[row], models[of[row]], given, seed=seed) for row in of}
    vectors, view = alike.view("looks", originals)

    def tested(pictures):
        """Where pictures of both scenes of each pair lie between the two, attribute by attribute."""
        where = along(vectors, view(pictures), given.first, given.second)
        return {name: Survived(where[given.of(name)]) for name in dict.fromkeys(given.names)}

    found = {row: tested(pictures) for row, pictures in drawn.items()}
    packed = judge.through_codec(base, originals)
    best = tested(packed)
    print(f"{len(given)} pairs of {len(given.scenes)} scenes; layers: " + ", ".join(
        f"{row}: {' × '.join(map(str, inverters[row].shape))} at {inverters[row].tap}" for row in of if not inverters[row].pooled))

# %% [markdown]
# ## One scene, changed in one thing
#
# At the left of each row are two scenes with one difference. The pairs beside them were drawn from the features that a network has of these scenes. Compare within a pair:
# both of its pictures begin with the same noise, so all that sets them apart came through the features.

# %% tags=["hide-input"]
def image(fig, place, picture):
    """Put a picture (3, s, s) at a place in inches from the top left: x, y, side."""
    x, y, side = place
    wide, tall = fig.get_size_inches()
    ax = fig.add_axes([x / wide, 1 - (y + side) / tall, side / wide, side / tall])
    ax.imshow(picture.permute(1, 2, 0).clamp(0, 1))
    ax.set_axis_off()


def write(fig, x, y, text, **look):
    """Write at a place in inches from the top left."""
    wide, tall = fig.get_size_inches()
    fig.text(x / wide, 1 - y / tall, text, **({"ha": "center", "va": "center", "fontsize": 8} | look))


def short(value):
    """Write a number with two digits, and no sign before zero."""
    return f"{float(value):.2f}".replace("-0.00", "0.00")


def usual(attribute):
    """The pair of an attribute whose gain, over the networks shown, is nearest to the median, with a noun that no row above has."""
    gain = torch.stack([found[row][attribute].gain for row in shown]).mean(0)
    near = (gain - gain.median()).abs().argsort().tolist()
    nouns = given.scenes.label[given.first[given.of(attribute)]].tolist()
    chosen = next((which for which in near if nouns[which] not in used), near[0])
    used.add(nouns[chosen])
    return chosen


def edit(attribute, a, b):
    """What was changed from scene a to scene b, in words."""
    words = {"noun": ("label", world.NOUNS), "colour": ("kind", world.KINDS), "place": ("background", world.BACKGROUNDS)}
    if attribute in words:
        field, names = words[attribute]
        before, after = (names[int(getattr(given.scenes, field)[scene])] for scene in (a, b))
        return f"{before.split()[0] if attribute == 'colour' else before} → {after}"
    if attribute == "part":
        sizes = [torch.bincount(given.scenes.part[scene].flatten().long(), minlength=len(world.PARTS) + 1) for scene in (a, b)]
        share = sizes[1] / sizes[0].clamp(min=1)
        share[0], share[sizes[0] == 0] = 2, 2  # neither the background nor a part that wasn't there is the one left out
        return f"without {world.PARTS[int(share.argmin()) - 1]}"
    if attribute == "texture":
        most = [torch.bincount(given.scenes.texture[scene].flatten().long(), minlength=len(world.TEXTURES) + 1)[1:] for scene in (a, b)]
        return " → ".join(world.TEXTURES[int(found.argmax())] if int(found.sum()) else "plain" for found in most)
    return {"position": "moved", "size": "larger or smaller", "count": "second thing gone", "light": "dark", "thing in front": "something in front",
            "details": "all that chance decides"}.get(attribute, "")


if spatial:
    shown, used = spatial[:3], set()
    rows = [name for name in pictured if len(given.of(name))]
    left, gap = 0.74, 0.12
    side = (8 - left - gap * len(shown)) / (2 * len(shown) + 2) - 0.02
    step, block = side + 0.21, 2 * side + 0.04 + gap
    fig = plt.figure(figsize=(8, 0.24 + step * len(rows)), layout="none")
    for k, title in enumerate(["the scene, twice", *[f"drawn from {name}" for name in shown]]):
        write(fig, left + k * block + side, 0.1, title)
    for j, attribute in enumerate(rows):
        which, y = usual(attribute), 0.24 + j * step
        pair = given.of(attribute)[which]
        write(fig, left - 0.08, y + side / 2, attribute.replace(" ", "\n", 1), ha="right", fontsize=9)
        for k, pictures in enumerate([originals, *[drawn[row] for row in shown]]):
            for half, scene in enumerate((given.first[pair], given.second[pair])):
                image(fig, (left + k * block + half * (side + 0.02), y, side), pictures[scene])
            if not k:
                write(fig, left + side, y + side + 0.085, edit(attribute, given.first[pair], given.second[pair]), fontsize=7)
            else:
                one = found[shown[k - 1]][attribute]
                verdict = {1.0: "told apart", 0.5: "the same", 0.0: "taken for each other"}[float(one.told[which])]
                write(fig, left + k * block + side, y + side + 0.085, f"{verdict}, gain {short(one.gain[which])}", fontsize=7)
    show(fig, "fig-featinv-x2",
         "Left: a scene, and the same scene with one thing changed. Right: what was drawn from each network's features of the two, both from the same noise. The gain below a "
         "pair says how much of the difference between the scenes is in the pictures: 1 for all of it, 0 for none, less than 0 if the two are swapped. Above 0 they are *told apart*, "
         "below 0 *taken for each other*. Each row has the pair whose gain, averaged over the networks, is nearest to the median, of a noun that no row above has if possible.",
         alt="Rows of pairs of pictures, one row for each thing that can be changed in a scene: the scene and its edit at the left, what was drawn from networks' features of "
             "both at the right.")

# %% [markdown]
# ## A table of what is known
#
# The two scenes of a pair are the two ends of a line, in a space in which pictures that look alike lie close together. Its coordinates are the mean colours of patches, and how
# strong stripes and edges of each direction are around each place. Both drawn pictures are projected onto the line, so what is the same in both scenes doesn't count. Three
# numbers come out.
#
# - **told**: the share of pairs in which the picture of the first scene lies nearer the first end than the picture of the second does. It's the fairest question: the drawing
#   model's habits are in both pictures, so they can't help or harm. Guessing gives one half, and so do two pictures that are the same.
# - **gain**: how far apart the two lie, as a share of the line. It's negative if they lie in the wrong order.
# - **nearer**: the share of pictures that lie nearer their own scene than the other one. It's harder: a drawing model that makes every car red fails half of the time.

# %% tags=["hide-input"]
def told_and_gain(one):
    """Both means of an attribute as a text."""
    return f"{short(one.told.mean())} ({short(one.gain.mean())})"


if spatial:
    by_gain = sorted(found[spatial[0]], key=lambda name: -np.mean([float(found[row][name].gain.mean()) for row in spatial]))
    order = sorted(of, key=lambda row: (inverters[row].pooled, spatial.index(of[row])))  # layers of one network side by side, means last
    table = pd.DataFrame({
        "pairs": [len(given.of(name)) for name in by_gain],
        **{row: [told_and_gain(found[row][name]) for name in by_gain] for row in order},
        "codec alone": [told_and_gain(best[name]) for name in by_gain],
    }, index=pd.Index(by_gain, name="what is changed"))  # fmt: skip
    loose = max(float(one.told.std()) / len(one) ** 0.5 for each in found.values() for one in each.values() if len(one) > 1)
    absent = "".join(f" {row}: {unavailable(reason)}." for row, reason in missing.items())
    show(table, "tab-featinv-x1",
         "What each layer still knows: the share of pairs that are told apart by the pictures drawn from its features, where guessing gives 0.50, and in brackets the gain, the "
         f"part of the difference that is drawn. Sorted by the mean gain of {', '.join(spatial)}. Standard errors of the share are at most {loose:.2f}. The last column is for "
         f"the scenes themselves, packed and unpacked by the codec: as much as can be expected of a drawing.{absent}")

# %% tags=["hide-input"]
if spatial:
    nearer = pd.DataFrame({row: [float(found[row][name].nearer.mean()) for name in by_gain] for row in order if not inverters[row].pooled} |
                          {"codec alone": [float(best[name].nearer.mean()) for name in by_gain]}, index=pd.Index(by_gain, name="nearer their own scene"))
    display(nearer.round(2))
    if untrained:
        display(Markdown(f"{spatial[0]} has no inverter for {' and '.join(untrained)} here. "
                         f"`python -m sightglass invert train --model {roles[spatial[0]]} --tap {untrained[0]}` trains one, and its column appears."))

# %% [markdown]
# *Told* may be high where *gain* is low. Then the pictures lean the right way: the layer knows, but either says so faintly or the inverter doesn't make much of it. Where *told*
# is near one half and *gain* near zero, the pictures don't lean towards their own scenes at all, however much the two feature maps may differ.
#
# The next chart shows the gain alone, with 95% intervals. Hollow marks are for pictures from the mean over positions.

# %% tags=["hide-input"]
LOOKS = dict(zip(spatial, (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D")), strict=False))


def gains(ax):
    """Draw the mean gain of every attribute and layer with its 95% interval; hollow for pooled features."""
    for i, attribute in enumerate(by_gain):
        ax.plot(float(best[attribute].gain.mean()), i, "|", color="#222222", ms=13, mew=1.2)
        for k, name in enumerate(spatial):
            ink, mark = LOOKS[name]
            for kind, y in (("", i + 0.24 * (k - (len(spatial) - 1) / 2)), ("pooled ", i + 0.24 * (k - (len(spatial) - 1) / 2) + 0.07)):
                if f"{kind}{name}" in found:
                    gain = found[f"{kind}{name}"][attribute].gain.numpy()
                    ax.plot(bootstrap(gain), [y, y], color=ink, lw=0.8 if kind else 2, alpha=0.5)
                    ax.plot(gain.mean(), y, mark, ms=4 if kind else 5.5, color=ink, mfc="white" if kind else ink, mew=0.9,
                            label=f"{kind}{name}" if i == 0 else None)  # fmt: skip
        if i:
            ax.axhline(i - 0.5, color="#E8E8E8", lw=0.8, zorder=0)
    ax.plot([], [], "|", color="#222222", ms=11, mew=1.2, label="codec alone")
    ax.axvline(0, color="#999999", lw=0.8, zorder=0)
    ax.set(ylim=(len(by_gain) - 0.5, -0.5), xlabel="gain: part of the difference that is drawn")
    ax.set_yticks(range(len(by_gain)), by_gain)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


if spatial:
    fig, ax = plt.subplots(figsize=(7.6, 0.4 * len(by_gain) + 1.2))
    gains(ax)
    fig.legend(loc="outside upper center", ncols=4)
    plt.show()

# %% [markdown]
# ## Did the features lose it, or the drawing?
#
# What isn't drawn may be in the features all the same, in a form that the inverter never learnt to use. So here is the test without any picture: how far do a layer's features
# move when one thing in the scene is changed? The unit is the usual distance between the features of two different scenes. This can be asked of every block, with or without
# an inverter.

# %%
BLOCKS = [f"block{k}" for k in range(1, 6)]
if spatial:
    moves = {name: survive.responds(models[name], given, BLOCKS) for name in spatial}

# %% tags=["hide-input"]
if spatial:
    fig, axes = plt.subplots(1, len(spatial), figsize=(7.6, 0.27 * len(by_gain) + 0.95), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], spatial, strict=True):
        values = np.array([[moves[name][tap][attribute] for tap in BLOCKS] for attribute in by_gain])
        ax.imshow(values, cmap="Blues", vmin=0, vmax=1.1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color="white" if value > 0.6 else "#222222")
        ax.set_xticks(range(len(BLOCKS)), [tap[5:] for tap in BLOCKS])
        ax.set_yticks(range(len(by_gain)), by_gain)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        at = BLOCKS.index(inverters[name].tap) if inverters[name].tap in BLOCKS else -1
        if at >= 0:
            ax.add_patch(plt.Rectangle((at - 0.48, -0.48), 0.96, len(by_gain) - 0.04, fill=False, ec="#D55E00", lw=1.6))
        ax.set(title=name, xlabel="block")
    plt.show()

# %% [markdown]
# The numbers are shares of the distance between two scenes, and the layer that the pictures are drawn from is framed. Compare along a row, since a small thing moves features
# less than a large one from the start. Where the number shrinks towards the frame and the gain is small, the network is dropping the attribute. Where the number in the frame is
# large and the gain small, the attribute is in the features, and the inverter left it there.

# %%
if spatial:
    ranks = {name: pd.Series({attribute: moves[name][inverters[name].tap][attribute] for attribute in by_gain}).corr(
        pd.Series({attribute: float(found[name][attribute].gain.mean()) for attribute in by_gain}), method="spearman")
        for name in spatial if inverters[name].tap in moves[name]}  # fmt: skip
    print("rank correlation of movement and gain over attributes: " + ", ".join(f"{name} {rank:.2f}" for name, rank in ranks.items()))

# %% [markdown]
# ## What others read in the pictures
#
# The same question once more, with names. Networks from which nothing was drawn say which noun, which kind of it (*red car*) and which place a picture shows. Beside their answers
# for the pictures are those for the scenes themselves (*originals*): a judge that errs on these can't be expected to be right on a drawing. One of
# them isn't quite a stranger: the codec of the drawn world learnt to please VGG16, which here names the kinds.

# %%
if spatial:
    able = {task: ed.model(role) for task, role in judges.items() if not ed.gives(role)}
    for task, role in judges.items():
        if task not in able:
            display(Markdown(f"The column {task} is {unavailable(ed.gives(role))}."))
    whole = given.first.unique()  # scenes that nothing was changed in
    sets = {"codec alone": packed[whole]} | {row: drawn[row][whole] for row in order}
    read = pd.DataFrame(survive.knows(able, given.scenes[whole], sets)).rename_axis(f"right, of {len(whole)}")
    display(read.round(2))

# %% tags=["hide-input"]
if spatial:
    def extreme(row):
        """What survives best and what least in the pictures of a row."""
        gain = {name: float(found[row][name].gain.mean()) for name in by_gain}
        top, low = max(gain, key=gain.get), min(gain, key=gain.get)
        return f"{row} keeps most of *{top}* (gain {short(gain[top])}) and least of *{low}* ({short(gain[low])})"

    sure = {row: [name for name, one in found[row].items() if wilson(float(one.told.mean()), len(one))[0] > 0.5] for row in spatial}
    points = [f"- Of the difference between two scenes, {'; '.join(extreme(row) for row in spatial)} ({{numref}}`tab-featinv-x1`).",
              "- Told apart beyond guessing, by the 95% interval: " + ", ".join(f"{len(sure[row])} of {len(by_gain)} things by {row}" for row in spatial) + "."]
    both = [name for name in spatial if f"pooled {name}" in found]
    if both and "position" in by_gain:
        points.append("- Does a mean over positions know where a thing is? The gain of *position*, from the map and from its mean, is " + ", ".join(
            f"{short(found[name]['position'].gain.mean())} and {short(found['pooled ' + name]['position'].gain.mean())} ({name})" for name in both) + ".")
    for tap in [tap for tap in earlier if f"{first} {tap}" in found]:
        before, after = ({name: float(one.gain.mean()) for name, one in found[row].items()} for row in (f"{first} {tap}", first))
        most = max(by_gain, key=lambda name: abs(after[name] - before[name]))
        points.append(f"- Between {tap} and {inverters[first].tap} of {first}, the gain of *{most}* changes most: from {short(before[most])} to {short(after[most])}.")
    display(Markdown("\n".join([
        ":::{admonition} What to take away", ":class: tip", *points,
        "- A picture drawn from features is part message and part habit. Change one thing, keep the noise, and look at what moves: that part is message.",
        "- A small gain has two possible causes. Ask the features themselves before blaming the network.",
        ":::"])))

# %% [markdown]
# ## Copy this
#
# The test for a network and an inverter of yours. The network here has random weights, and the inverter is untrained: it draws what its base draws, whatever the features. So
# the two pictures of every pair are the same, *told* is exactly one half and the gain 0. The features themselves respond even so.

# %%
import timm
import torch

from sightglass.invert import base as bases
from sightglass.invert import codec, control, prompts, survive
from sightglass.invert.encoder import features
from sightglass.invert.pairs import pairs

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_pairs = pairs(4, attributes=("colour", "place", "position"))  # scenes of the world, each with one thing changed
my_scenes = my_pairs.scenes.pixels()
my_base = bases.freeze(bases.build(codec.fit(my_scenes, channels=12), prompts.world_words(), size=64, widths=(8, 16)))
my_maps = features(my_model, my_scenes, "block4")
my_inverter = control.build(my_base, tuple(my_maps.shape[1:]), "block4", hidden=8)  # yours: control.load(...)
my_pictures = survive.redrawn(my_inverter, my_model, my_pairs, steps=2)
my_answers = survive.survived(my_pairs, my_pictures)
print({name: (one.told.mean().item(), one.gain.mean().item()) for name, one in my_answers.items()})
print(survive.responds(my_model, my_pairs, ["block4"]))
assert all(one.told.eq(0.5).all() and one.gain.abs().max() < 1e-4 for one in my_answers.values())

# %% [markdown]
# :::{dropdown} Try next: narrower intervals
# `python -m sightglass run world featinv/x-what-survives -p n=100`. With a hundred scenes the errors are half as large. Which attributes are now told apart beyond guessing?
# :::
#
# :::{dropdown} Try next: an earlier layer
# `python -m sightglass invert train --model resnet50 --tap block2` trains an inverter for `block2`. Add it to `earlier`, and a column appears. Which things does a layer so near the
# pixels already fail to tell, and is it the layer that fails, or the drawing?
# :::
#
# :::{dropdown} Try next: several noises
# `survive.redrawn(..., seed=1)` draws from other noise. Average the pictures of a scene over ten seeds before the test: what is told apart then, and not in single pictures,
# is in the features only faintly.
# :::
