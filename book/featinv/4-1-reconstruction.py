# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What three networks let through (FeatInv, section 4.1)
#
# **Question.** Draw a picture from nothing but the last {term}`feature map` of a network. Does the network see the same in it as in the
# original, and do we?
#
# {doc}`The page before </featinv/2-method>` shows how a {term}`diffusion model` is steered by features. Here it is put to the test
# {cite:p}`neukirch2025`. Three {term}`inverters <inverter>` draw from maps of a ResNet {cite:p}`he2016`, a ConvNeXt {cite:p}`liu2022convnext` and a
# SwinV2 {cite:p}`liu2022swin`, three more from the same maps averaged over their positions, as was done before {cite:p}`bordes2022`. The pictures
# come first, then the scores, and after them the questions that scores leave open: what becomes of places, of colours, and of whatever features
# don't say.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with inverters; `densenet121` as a judge of places and of how natural pictures look | two minutes on one core | hours on a GPU | {doc}`/featinv/2-method` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the noise: one noise for all pictures, so that only features make a difference
device = "auto"  # auto | cpu | cuda
networks = []  # roles that have an inverter; empty takes all of the edition's
n = 200  # test images; the paper has 10,000
others = 800  # further real images: what the drawn ones are compared with, and what the colour probe learns from
places = 100  # of the test images, those whose object is farthest from the middle: where is it in the pictures?
again = 12  # of the test images, how many are drawn over and over
draws = 5  # times each
tries = 40  # validation images for the settings
strengths = [0.7, 1.0, 1.3]  # of the control
guidances = [1.0, 2.0, 3.0]

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

import sightglass as sg
from sightglass.invert import colours, judge, ready, settings, whereabouts
from sightglass.invert.encoder import sized
from sightglass.invert.sample import how, reconstruct, sample
from sightglass.metrics import wilson
from sightglass.show import beside, claim, show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
roles = {ready.title(role): role for role in networks or ed.inverters}
base, inverters, missing = ready.found(ed, {f"{kind} / {name}": {"role": role, "pooled": kind == "pooled"}  # by the rows of the paper's table
                                            for kind in ("spatial", "pooled") for name, role in roles.items()})
names = [name for name in roles if f"spatial / {name}" in inverters]
for row, reason in missing.items():
    display(Markdown(f"{row[0].upper()}{row[1:]}: {unavailable(reason)}"))
if not names:
    display(Markdown("Without a spatial inverter this page has nothing to show, and it ends here."))

# %%
if names:
    images = ed.images("test", n)
    models = {name: ed.model(roles[name]) for name in names}
    own = {name: judge.of(inverters[f"spatial / {name}"], models[name], images.pixels) for name in names}  # what each network sees in them
    rows = [row for row in inverters if row.split(" / ")[1] in names]
    drawn = {row: sg.kept(reconstruct, inverters[row], own[row.split(" / ")[1]].maps, seeds=seed) for row in rows}
    found = {row: judge.judged(own[row.split(" / ")[1]], pictures) for row, pictures in drawn.items()}
    for name in names:
        channels, high, wide = own[name].maps.shape[1:]
        way, kinds = how(inverters[f"spatial / {name}"].drawing), own[name].outputs.shape[1]
        print(f"{name}: {inverters[f'spatial / {name}'].tap} has {channels} channels at {high} × {wide} positions, {kinds} outputs; "
              f"drawn in {way.steps} steps with strength {way.strength:g} and guidance {way.guidance:g}")

# %% [markdown]
# ## The pictures
#
# Columns are test images of different things, the first of each in the split. Each row below them is one network. It saw the image, everything but its last
# map was thrown away, and that map went to the inverter. All pictures start from the same noise. In the drawn world the last map has 4 × 4 positions for 64 × 64
# pixels. SwinV2's has only 2 × 2, so its last but one is taken.

# %% tags=["hide-input"]
def told(values):
    """Cosines as texts."""
    return [f"{round(value, 2) + 0.0:.2f}" for value in values.tolist()]  # no minus zero


def wall(shown, which, **labels):
    """Draw test images and below them rows of what was drawn from each, with its cosine."""
    cells, under = [list(images.pixels[which])], [""] * len(which)
    for row in shown:
        cells.append(list(drawn[row][which]))
        under += told(found[row].cosine[which])
    return sg.plot.grid(cells, captions=under, **labels)


def one_of_each(count):
    """Images of different classes: the first of every so many classes."""
    first = {}
    for i, label in enumerate(images.labels.tolist()):
        first.setdefault(label, i)
    some = list(first.values())
    return some[:: max(1, len(some) // count)][:count]


if names:
    top = one_of_each(6)
    lots = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    rest = [i for i in lots if i not in top]
    labels = [ed.classes[int(images.labels[i])] for i in top]
    show(wall([f"spatial / {name}" for name in names], top, rows=["test image", *names], columns=labels), "fig-featinv-1",
         "What the last feature map holds. Top row: test images, and what they show. Below: pictures that an inverter drew from each image's feature map in each network, and "
         "from nothing else. Under a picture: the cosine between its features and the image's, averaged over positions; 1 is best (FeatInv, figure 1).",
         alt="A row of small images and below it rows of pictures that were drawn from features, one row for each network.")

# %% [markdown]
# These are not copies. The inverter draws a natural picture that *this network* would take for the original, as far as it learnt to. Compare a column. What all
# rows keep, all networks know. Where a row goes its own way, either that network has dropped something or the drawing went wrong. The rest of the page
# tries to tell these two apart.
#
# ## Three scores, between two anchors
#
# The network looks again, now at the drawn picture {math}`x'`. With {math}`\varphi(x)` for the feature map of {math}`x`, and {math}`p` running over its {math}`P` positions,
#
# $$ \operatorname{cosine}(x, x') = \frac1P \sum_{p=1}^{P}
# \frac{\langle \varphi(x)_p,\, \varphi(x')_p \rangle}{\| \varphi(x)_p \| \, \| \varphi(x')_p \|} . $$ (eq-featinv-cosine)
#
# A picture is a **match** if the network's first answer to the original is among its first five answers to the picture, or, for the *top-1 match*, is the first of them. Whether
# that answer is right doesn't matter. The third score asks how natural the pictures look: a {term}`Fréchet distance <Fréchet inception distance>` {cite:p}`heusel2017` between
# drawn and real images in the features of another network, DenseNet-121. With another network and fewer images it can't be compared with anybody's FID, so it's called FD here. Lower is better.
# All pictures grow from one noise, as in the authors' code. That makes a set of them more alike than it need be, and FD counts this against them.
#
# None of these says much alone. Features that are never negative all point in similar directions, and of few classes five are many. So each
# number gets two anchors. The floor is *another image*, picked by lot, in place of the drawn picture. The ceiling is *the codec*: the original itself, packed into the
# {term}`latents` that the diffusion model works on and unpacked again. No drawn picture can be expected to do better than that.

# %%
if names:
    packed = judge.through_codec(base, images.pixels)
    rounds = {f"the codec / {name}": judge.judged(own[name], packed) for name in names}
    rounds |= {f"another image / {name}": judge.floor(own[name], seed=seed) for name in names}
    real = ed.images("test", n + others).pixels[n:]
    blind = ed.gives("densenet121")
    article = "a photo of a " if base.text else "a "  # the world's captions are of few words
    captions = [article + ed.classes[label] for label in images.labels.tolist()]
    way = {key: value for key, value in inverters[rows[0]].drawing.items() if key not in ("strength", "against")}
    prompted = sg.kept(sample, base, captions, seeds=list(range(seed, seed + n)), **way)

    fd = {}
    if not blind:
        eyes = judge.appoint(ed.model("densenet121"), images.pixels)
        try:
            compared = judge.appoint(eyes.model, real).vectors
            fd = {row: judge.distance(judge.judged(eyes, pictures).vectors, compared) for row, pictures in drawn.items()}
            fd["class prompt / the base"] = judge.distance(judge.judged(eyes, prompted).vectors, compared)
            ends = {"the codec": judge.judged(eyes, packed).vectors, "another image": eyes.vectors}
            fd |= {row: judge.distance(ends[row.split(" / ")[0]], compared) for row in rounds}
        except ValueError as reason:  # fewer images than features, for which there is no such distance
            blind = str(reason)

# %% tags=["hide-input"]
SCORES = {"cosine": 1, "top-5 match": 100, "top-1 match": 100}


def lines(judgements, part):
    """Means (part 0) or their errors (part 1) of three scores, a line for each set of pictures."""
    sums = {row: judge.summary(one) for row, one in judgements.items()}
    return pd.DataFrame({row: {score: scale * each[score.removesuffix(" match")][part] for score, scale in SCORES.items()}
                         for row, each in sums.items()}).T  # fmt: skip


if names:
    judgements = found | rounds
    measured = lines(judgements, 0)
    measured.loc["class prompt / the base"] = np.nan
    table = beside(measured, "tab-featinv-1", rows={"class prompt / MiniSD": "class prompt / the base"}, missing=missing)
    table["row"] = table["row"].replace({"class prompt / MiniSD": "class prompt / the base"})
    errors = lines(judgements, 1).reindex(table["row"])
    for score, scale in SCORES.items():
        table[f"{score}{' (%)' * (scale > 1)} ±, here"] = errors[score].to_numpy()
    table = table.drop(columns="FID, here").rename(columns={"FID, paper": "FID, the paper's"})
    table["FD"] = [fd.get(row, np.nan) for row in table["row"]]
    table["row"] = table["row"].replace({"class prompt / the base": "class prompt / the base (in the paper MiniSD)"})
    few = f"FD is {unavailable(blind)}. " if blind else (
        f"FD: Fréchet distance to {len(real)} other real images on DenseNet-121's {compared.shape[1]} features, lower is better. ")
    show(table, "tab-featinv-1",
         f"Pictures drawn from the last feature map of {len(names)} networks and from its mean over positions, one picture for each of {n} test images, of "
         f"{len(ed.classes)} classes. The ± are standard errors. {few}"
         "*The codec*: the image itself, packed and unpacked. *Another image*: another test image in place of the picture. "
         "*Class prompt*: the diffusion model without features, given the name of the image's class, each picture from noise of its own (FeatInv, table 1; the last FID is from "
         "the paper's text).")

# %% tags=["hide-input"]
LANES = {"another image": sg.plot.colour("random"), "pooled": sg.plot.colour("featinv pooled"), "spatial": sg.plot.colour("featinv"),
         "the codec": sg.plot.colour("real")}  # fmt: skip
if names:
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 0.45 + 1.02 * len(names)), sharey=True, width_ratios=(3, 1.15))
    dice, ticks = np.random.default_rng(seed), []
    for k, name in enumerate(names):
        for j, (lane, ink) in enumerate(LANES.items()):
            row, y = f"{lane} / {name}", 4.8 * k + j
            ticks.append((y, lane))
            if row not in judgements:
                left.text(0.5, y, "not available", fontsize=7.5, va="center", transform=left.get_yaxis_transform())
                continue
            values = judgements[row].cosine.numpy()
            left.scatter(values, y + dice.uniform(-0.3, 0.3, len(values)), s=5, color=ink, alpha=0.35, linewidths=0)
            left.plot([values.mean()] * 2, [y - 0.4, y + 0.4], color="white", lw=4)
            left.plot([values.mean()] * 2, [y - 0.4, y + 0.4], color=ink, lw=2.2)
            for size, hollow in ((5, True), (1, False)):
                share = judgements[row].match(size).float().mean().item()
                right.plot([100 * end for end in wilson(share, n)], [y, y], color=ink, lw=1.3, alpha=0.5)
                right.plot(100 * share, y, "o", ms=5.5, color=ink, mfc="white" if hollow else ink)
        left.text(-0.2, 4.8 * k + 1.5, name, transform=left.get_yaxis_transform(), rotation=90, ha="center", va="center", fontweight="bold")
    left.set_yticks(*zip(*ticks, strict=True))
    left.set(ylim=(4.8 * len(names) - 1, -0.8), xlabel="cosine; one dot per image, a line for the mean")
    right.set(xlabel="answer kept, %\nas the first ●, among five ○", xlim=(-3, 103))
    for ax in (left, right):
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    plt.show()

# %% [markdown]
# Look at the rows of *another image* first. Different networks can have different floors, because their features differ in kind: those of ResNet50 come out of a ReLU and
# are never negative, SwinV2's and ConvNeXt's have both signs. So a cosine of one network isn't comparable with that of another. How far it has come from floor to ceiling is.

# %%
def way_up(row):
    """How far a row's mean cosine comes from floor, 0, to ceiling, 1."""
    low, high = (rounds[f"{end} / {row.split(' / ')[1]}"] for end in ("another image", "the codec"))
    return judge.between(found[row], low, high)


if names:
    for row in found:
        print(f"{row.replace(' / ', ', '):18s} of the way from floor to ceiling: {way_up(row):.0%}")

# %%
whole = len(names) == 3 and not missing
short = "" if whole else f"It takes three networks, spatial and pooled; here are {len(rows) if names else 0} of the six inverters."


def mean(row, score):
    """A row's mean cosine, or its share of matches."""
    return found[row].cosine.mean().item() if score == "cosine" else found[row].match(score).float().mean().item()


def both(name, score, form):
    """The spatial and the pooled mean of a network, as text and as a verdict."""
    spatial, pooled = mean(f"spatial / {name}", score), mean(f"pooled / {name}", score)
    return f"{spatial:{form}} against {pooled:{form}}", spatial > pooled


if whole:
    pairs = {name: (both(name, "cosine", ".2f"), both(name, 5, ".0%")) for name in names}
    better, reason = all(ok for pair in pairs.values() for _, ok in pair), "Spatial against pooled: " + "; ".join(
        f"{name}: cosine {a[0]}, top-5 match {b[0]}" for name, (a, b) in pairs.items()) + "."
claim("featinv-1", holds=better if whole else None, because=short or reason)

# %%
if whole and fd:
    gaps = [(fd[f"spatial / {name}"], fd[f"pooled / {name}"]) for name in names]
    natural, reason = all(a < b for a, b in gaps), "Fréchet distance on DenseNet-121, spatial against pooled: " + "; ".join(
        f"{name} {a:.3g} against {b:.3g}" for name, (a, b) in zip(names, gaps, strict=True)) + (
        f". As many real images have {fd[f'another image / {names[0]}']:.3g}, the codec {fd[f'the codec / {names[0]}']:.3g}.")
claim("featinv-2", holds=natural if whole and fd else None, because=short or (reason if fd else f"There is no Fréchet distance: {blind}."))

# %%
if whole:
    same = {name: mean(f"spatial / {name}", 5) for name in names}
    ends = {name: wilson(share, n) for name, share in same.items()}
    reason = f"Top-5 match over {n} images, with its 95% interval: " + "; ".join(
        f"{name} {share:.1%} ({ends[name][0]:.0%} to {ends[name][1]:.0%})" for name, share in same.items()) + (
        f". With {len(ed.classes)} classes, another image matches in "
        + ", ".join(f"{rounds[f'another image / {name}'].match(5).float().mean().item():.0%}" for name in names) + ".")
claim("featinv-3", holds=min(same.values()) >= 0.9 if whole else None, because=short or reason)

# %%
modern = [name for name in names if name != "ResNet50"]
compared_to = whole and "ResNet50" in names
if compared_to:
    ahead = all(mean(f"spatial / {name}", score) > mean("spatial / ResNet50", score) for name in modern for score in ("cosine", 5))
    reason = "; ".join(f"{name}: cosine {mean(f'spatial / {name}', 'cosine'):.2f}, top-5 match {mean(f'spatial / {name}', 5):.1%}" for name in names) + (
        ". Between their own anchors the cosines stand at " + ", ".join(f"{way_up(f'spatial / {name}'):.0%} ({name})" for name in names) + ".")
claim("featinv-4", holds=ahead if compared_to else None, because=reason if compared_to else short or "It takes ResNet50.")

# %% [markdown]
# ## At random
#
# {numref}`fig-featinv-1` has the first image of some classes. The images here were picked by lot from the test split, whether they came out well or badly. Where a last row
# is marked *pooled*, it was drawn from the mean over positions.

# %% tags=["hide-input"]
if names:
    average = next((row for row in rows if row.startswith("pooled / ConvNeXt")), next((row for row in rows if row.startswith("pooled")), None))
    walls = [f"spatial / {name}" for name in names] + ([average] if average else [])
    show(wall(walls, rest[:8], rows=["test image", *names, *([average.split(" / ")[1] + ", pooled"] if average else [])]), "fig-featinv-3",
         "Test images picked by lot, and below each the pictures drawn from its features in each network; *pooled* is from their mean over positions. Under each picture is the "
         "cosine of its features with the image's. Compare cosines within a row, not between networks (FeatInv, figure 3).",
         alt="Eight test images in a row, and below each of them pictures drawn from its features with a number under each.")

# %% [markdown]
# ## Pooled: what, but not where
#
# A mean over positions has no left and right. If a picture drawn from it shows the right thing at all, where is the thing? In originals, the drawn world
# knows the place. In drawn pictures nobody does, so a network has to find it. DenseNet-121 is asked what in a picture speaks for the class that it sees in the original, by
# {term}`relevance <layer-wise relevance propagation>` in an early layer. The centre of the strong part of that is taken for the object's place. Most things stand near the
# middle, and a drawing that knows nothing puts them there too. So this section looks at the test images whose object is farthest from the middle.

# %%
if names and not ed.gives("densenet121"):
    answer = eyes.outputs.argmax(1)  # what it sees in the originals

    def centres(pictures, which):
        """Places of the original's class in pictures, (n, 2), -1 at the left or top and 1 at the other side; NaN where nothing speaks for it."""
        heat = whereabouts.heat(eyes.model, sized(pictures[which], eyes.size), answer[which])
        peak = heat.amax((1, 2), keepdim=True)
        return whereabouts.centre((heat - 0.25 * peak).clamp_min(0)).masked_fill(peak[:, 0] == 0, torch.nan)

    everywhere = centres(images.pixels, torch.arange(n))
    outer = everywhere[:, 0].abs().nan_to_num().argsort(descending=True)[:places]
    at = everywhere[outer, 0]
    across = {row: centres(pictures, outer)[:, 0] for row, pictures in drawn.items()}
    chance = (at[:, None] - at).abs().sum().item() / (len(at) * (len(at) - 1))  # mean distance between two of these originals
    limit = (centres(packed, outer)[:, 0] - at).abs().nanmean().item()
    if images.scenes is not None:
        masks = images.scenes.instance == 1
        seen = masks.flatten(1).any(1) & everywhere.isfinite().all(1)
        right, down = whereabouts.agreement(everywhere[seen], masks[seen])
        print(f"on {int(seen.sum())} originals the place found agrees with the true mask's: correlation {right:.2f} across and {down:.2f} down")

# %% [markdown]
# The nearer such a correlation is to 1, the more the place found can be trusted. Up and down there is little to find, since things that stand on the ground differ little in
# height. So only the place across is used. {numref}`fig-featinv-a4` marks it on a line under each picture: a grey tick where the object is in the original, a coloured one
# where it is in the picture.

# %% tags=["hide-input"]
def ruler(ax, before, after, ink):
    """A line under a picture with a tick where the object was and one where it is."""
    ax.set(xlim=(-1, 1), ylim=(0, 1))
    ax.set_axis_off()
    ax.plot([-1, 1], [0.72, 0.72], color="#D5D5D5", lw=1)
    ax.plot([before] * 2, [0.5, 0.94], color="#777777", lw=2.2)
    if after is not None:
        ax.plot([after] * 2, [0.5, 0.94], color=ink, lw=2.2)


def two_ways(which):
    """Draw images and, for each network, what comes of its map and of its mean."""
    order = [row for name in names for row in (f"spatial / {name}", f"pooled / {name}") if row in drawn]
    side, gap, foot, left = 0.84, 0.05, 0.25, 0.92
    high = 0.02 + (len(order) + 1) * (side + foot) + 0.1 * len(names)
    fig, y = plt.figure(figsize=(8, high), layout="none"), high
    place = {} if ed.gives("densenet121") else {int(i): k for k, i in enumerate(outer)}
    for row in [None, *order]:
        kind, name = row.split(" / ") if row else ("test image", "")
        y -= 0.02 + 0.1 * (kind == "spatial")
        ink = LANES.get(kind, "#222222")
        fig.text((left - 0.08) / 8, (y - side / 2) / high, f"{name}\n{kind}" if row else kind, ha="right", va="center", fontsize=8.5, color=ink, linespacing=1.3)
        for k, i in enumerate(which):
            x = left + k * (side + gap)
            ax = fig.add_axes([x / 8, (y - side) / high, side / 8, side / high])
            ax.imshow((images.pixels if row is None else drawn[row])[i].permute(1, 2, 0))
            ax.set_axis_off()
            if i in place:
                spots = float(at[place[i]]), float(across[row][place[i]]) if row else None
                ruler(fig.add_axes([x / 8, (y - side - 0.12) / high, side / 8, 0.12 / high]), *spots, ink)
            if row:
                fig.text((x + side / 2) / 8, (y - side - 0.1) / high, told(found[row].cosine[[i]])[0], ha="center", va="top", fontsize=7.5)
        y -= side + foot - 0.02
    return fig


if names:
    pool, chosen, marks = rest[8:], "Test images picked by lot", ""
    if not ed.gives("densenet121"):
        far = set(outer[: places // 2].tolist())
        pool, chosen = [i for i in pool if i in far], f"{chosen} among those whose object is far from the middle"
        marks = "The line under a picture is its width: a grey tick where the object is in the original, a coloured one where it is in the picture. "
    show(two_ways(pool[:8]), "fig-featinv-a4",
         f"{chosen}, and two rows of pictures for each network: drawn from the features with their positions (*spatial*), and from their mean over positions (*pooled*). {marks}"
         "Numbers are cosines of a picture's features with the original's (FeatInv, supplement A.4).",
         alt="Test images and, for each network, two rows of pictures: one drawn from the map, one from its mean, with ticks that mark where the object is.")

# %% tags=["hide-input"]
if names and not ed.gives("densenet121"):
    fig, axes = plt.subplots(1, len(names), figsize=(8, 3.1), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        ax.plot([-1, 1], [-1, 1], color="#CCCCCC", lw=1)
        for kind, mark in (("pooled", "o"), ("spatial", "s")):
            if f"{kind} / {name}" in across:
                there = across[f"{kind} / {name}"]
                known = there.isfinite()
                r = torch.corrcoef(torch.stack([at[known], there[known]]))[0, 1].item()
                ax.scatter(at, there, s=13, marker=mark, color=LANES[kind], alpha=0.65, linewidths=0, label=f"{kind}, r = {r:.2f}")
        reach = 1.05 * max(float(values.abs().nan_to_num().max()) for values in [at, *across.values()])
        ax.set(xlabel="place in the original", xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=7.5, handletextpad=0.1, columnspacing=0.9)
        ax.set_title(name, pad=20)
    axes[0, 0].set_ylabel("place in the picture")
    plt.show()

# %%
lost, nearer = ed.gives("densenet121"), {}
if names and not lost:
    print(f"mean distance of places across, in half widths of a picture, {len(outer)} images: two different originals {chance:.2f}, original and codec {limit:.2f}")
    matches = []
    for name in [name for name in names if f"pooled / {name}" in found]:
        away = {kind: (across[f"{kind} / {name}"] - at).abs() for kind in ("spatial", "pooled")}
        good = away["spatial"].isfinite() & away["pooled"].isfinite()
        good &= found[f"spatial / {name}"].match(5)[outer] & found[f"pooled / {name}"].match(5)[outer]  # both keep what is there
        gap = (away["pooled"] - away["spatial"])[good]
        error = gap.std().item() / len(gap) ** 0.5 if len(gap) > 1 else np.nan
        nearer[name] = int(good.sum()), away["spatial"][good].mean().item(), away["pooled"][good].mean().item(), error
        matches.append(f"{both(name, 5, '.0%')[0]} ({name})")
        print(f"{name}: spatial {away['spatial'].nanmean():.2f}, pooled {away['pooled'].nanmean():.2f}")
    farther = all(count > 1 and b > a for count, a, b, _ in nearer.values())
    reason = ("Mean distance of the object from its place in the original, in half widths and across, on images with the object off the middle where both "
              "pictures keep the answer among five. "
              + "; ".join(f"{name}, {count} images: spatial {a:.3f}, pooled {b:.3f} (difference {b - a:+.3f} ± {error:.3f})"
                          for name, (count, a, b, error) in nearer.items())
              + f". Two unrelated originals: {chance:.3f}. Over all images top-5 match is {', '.join(matches)}.")
claim("featinv-5", holds=farther if whole and not lost else None, because=short or (f"No judge of places: {lost}." if lost else reason))

# %% [markdown]
# ## Whose fault is a wrong colour?
#
# When a red car comes back blue, either the network didn't keep its colour or the inverter didn't use it. A {term}`probe <linear probe>` helps to tell. It's a linear map,
# fitted on other images, from the features of one position to the mean colour of the patch beneath. The share of variance that it explains on new images says how much colour
# is in the features for anyone to read. Beside it is the same question put to the pictures: how strongly do the colours of their patches correlate with the originals'? If
# pictures were drawn from the true distribution of images with these features, that correlation would be just the share of variance that the features explain. So both stand
# on one scale.

# %%
if names:
    probes, hues = {}, {}
    for name in names:
        inverter = inverters[f"spatial / {name}"]
        maps = torch.cat([own[name].maps, inverter.features(models[name], real).cpu()])
        probes[name] = colours.probe(maps, torch.cat([images.pixels, real]), seed=seed)
        fresh = probes[name].rows[probes[name].rows < n]  # images that were drawn, and that the probe didn't learn from
        for kind in ("spatial", "pooled"):
            if f"{kind} / {name}" in drawn:
                hues[f"{kind} / {name}"] = colours.kept(images.pixels[fresh], drawn[f"{kind} / {name}"][fresh], tuple(maps.shape[2:]))

# %% tags=["hide-input"]
if names:
    fig, axes = plt.subplots(1, 2, figsize=(8, 0.85 + 0.38 * len(names)), sharey=True)
    for k, (ax, part) in enumerate(zip(axes, ("light and dark", "hue and its strength"), strict=True)):
        for y, name in enumerate(names):
            spots = {"what a linear probe reads off the features": (getattr(probes[name], ("luminance", "chroma")[k]), "D", "#777777")}
            spots |= {f"in pictures, {kind}": (hues[f"{kind} / {name}"][k], "s" if kind == "spatial" else "o", LANES[kind])
                      for kind in ("spatial", "pooled") if f"{kind} / {name}" in hues}
            ax.plot([0, 1], [y, y], color="#E9E9E9", lw=1, zorder=0)
            for label, (value, mark, ink) in spots.items():
                ax.plot(value, y, mark, ms=7 if mark == "D" else 6.5, color=ink, mfc="white" if mark == "D" else ink, mew=1.6,
                        label=label if y == 0 else None)  # fmt: skip
        ax.set(title=part, xlim=(min(-0.05, *ax.get_xlim()), 1.02), ylim=(len(names) - 0.5, -0.5))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    axes[0].set_yticks(range(len(names)), names)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    fig.supxlabel("colour of patches: share of variance (probe) or correlation with the original (pictures)", fontsize=9)
    plt.show()

# %% [markdown]
# Where the square is well to the left of the diamond, the colour was there and the drawing missed it. Where both are far to the left, suspect the network: little of that
# colour can be read off its features. The square may also lie to the right of the diamond. The inverter sees all positions at once, knows what sunflowers look like, and isn't
# linear. What else each layer still knows (part, texture, number and more) is asked in {doc}`/featinv/x-what-survives`.
#
# ## Draw it again
#
# Features don't fix a picture. An inverter that has learnt its task shows that openly: draw from other noise, and whatever the features leave open comes out differently.
# That makes repetition a measuring device for what a network has *not* kept.

# %%
if names:
    lot = torch.tensor(rest[16 : 16 + again])
    seeds = range(seed, seed + draws)
    repeated, spread = {}, {}
    for row in rows:
        name = row.split(" / ")[1]
        few = replace(own[name], **{what: getattr(own[name], what)[lot] for what in ("maps", "outputs", "vectors")})
        sets = reconstruct(inverters[row], few.maps.repeat(draws, 1, 1, 1), seeds=[s for s in seeds for _ in lot]).unflatten(0, (draws, len(lot)))
        repeated[row], spread[row] = sets, judge.spread(few, sets)
    apart = images.pixels[lot].var(0).sum(0).sqrt().mean().item()  # between different test images
    summary = pd.DataFrame({row: {"colours of a pixel, over seeds": deviation.mean().item(), "share of that between images": deviation.mean().item() / apart,
                                  "cosine, over seeds": cosines.std(0).mean().item(), "cosine, over images": cosines.mean(0).std().item()}
                            for row, (cosines, deviation) in spread.items()}).T.rename_axis("deviation of")
    display(summary.round(3))

# %% tags=["hide-input"]
def repeats(which, order):
    """Draw two images, their pictures from several seeds, and a map of where these differ."""
    side, gap, foot, big, head, left = 0.84, 0.05, 0.17, 1.3, 0.22, 2.3
    block = len(order) * (side + foot) + 0.16
    high, width = head + len(which) * block - 0.16, left + (draws + 1) * (side + gap) + 0.05
    fig = plt.figure(figsize=(width, high), layout="none")

    def paste(x, y, wide, picture, **how):
        ax = fig.add_axes([x / width, (y - wide) / high, wide / width, wide / high])
        ax.set_axis_off()
        return ax.imshow(picture, **how)

    most = max(spread[row][1].max().item() for row in order)
    for b, k in enumerate(which):
        start = high - head - b * block
        middle = start - (block - 0.16) / 2
        paste(0.02, middle + big / 2, big, images.pixels[lot[k]].permute(1, 2, 0))
        label = f"test image,\n{ed.classes[int(images.labels[lot[k]])]}"
        fig.text((0.02 + big / 2) / width, (middle - big / 2 - 0.04) / high, label, ha="center", va="top", fontsize=8.5)
        for r, row in enumerate(order):
            kind, name = row.split(" / ")
            y = start - r * (side + foot)
            fig.text((left - 0.08) / width, (y - side / 2) / high, f"{name}\n{kind}", ha="right", va="center", fontsize=8.5, color=LANES[kind], linespacing=1.3)
            for s in range(draws):
                x = left + s * (side + gap)
                paste(x, y, side, repeated[row][s, k].permute(1, 2, 0))
                fig.text((x + side / 2) / width, (y - side - 0.015) / high, told(spread[row][0][s, [k]])[0], ha="center", va="top", fontsize=7.5)
            x = left + draws * (side + gap) + 0.08
            paste(x, y, side, spread[row][1][k], vmin=0, vmax=most)
            fig.text((x + side / 2) / width, (y - side - 0.015) / high, f"mean {spread[row][1][k].mean():.2f}", ha="center", va="top", fontsize=7.5)
    for s in range(draws):
        fig.text((left + s * (side + gap) + side / 2) / width, (high - head + 0.05) / high, f"seed {seeds[s]}", ha="center", fontsize=8.5)
    fig.text((left + draws * (side + gap) + 0.08 + side / 2) / width, (high - head + 0.05) / high, "deviation", ha="center", fontsize=8.5)
    return fig


if names:
    which = list({int(images.labels[lot[k]]): k for k in reversed(range(len(lot)))}.values())[::-1][:2]  # two classes
    order = [f"spatial / {name}" for name in names] + ([average] if average else [])
    show(repeats(which, order), "fig-featinv-a3",
         f"One feature map, {draws} noises. In each row the image at the left is drawn again and again, from the same features and another noise each time. Last column: the "
         "standard deviation of each pixel's colour over the seeds, from dark for none to yellow for the most, on one scale, and below it its mean. Numbers under pictures are "
         "cosines of their features with the image's (FeatInv, supplement A.3).",
         alt="Two test images, and beside each several rows of pictures from different seeds that end in a heat map of where they differ.")

# %% [markdown]
# Where the maps are dark, the features pin the picture down. Outlines can be bright even if a thing keeps its place, because a shift by one pixel may change black to white there.
# The table above says how much is left open by features with positions, and how much by their mean. One caution: an inverter that always draws the same for lack of ideas would
# look certain, too. Spread is only worth something beside the scores above.
#
# ## Strength and guidance
#
# Two dials are left. *{term}`Control strength`* scales what the control adds to the frozen model. {term}`Guidance <classifier-free guidance>` draws each step with a condition
# and without it, and goes on in the direction of the difference. In the authors' code only the prompt is left out; the drawn world's inverters leave out prompt and features together, as
# they did now and then in training. The paper chose both dials for each network, by how many answers match on validation images. Here, too, they are tried on validation images,
# and no other score of this page is measured on these. First a look.

# %%
if names:
    held = ed.images("val", n + tries).pixels[n:]  # in some editions val and test are one folder
    usual = {name: how(inverters[f"spatial / {name}"].drawing) for name in names}
    dials = {"strengths": sorted({*strengths, *(way.strength for way in usual.values())}),
             "guidances": sorted({*guidances, *(way.guidance for way in usual.values())})}
    judges = {name: judge.of(inverters[f"spatial / {name}"], models[name], held) for name in names}
    sweeps = {name: settings.sweep(inverters[f"spatial / {name}"], judges[name], seeds=seed, **dials) for name in names}
    best = {name: settings.best(sweep) for name, sweep in sweeps.items()}
    common, costs = settings.common(sweeps)
    rho = {name: settings.agreement(sweep) for name, sweep in sweeps.items()}

# %% tags=["hide-input"]
if names:
    example = next((name for name in names if name == "ConvNeXt"), names[0])
    maps = judges[example].maps[:2]
    cells = []
    for j, strength in enumerate(dials["strengths"]):
        tried = [reconstruct(inverters[f"spatial / {example}"], maps, seeds=seed, strength=strength, guidance=guidance)
                 for guidance in dials["guidances"]]
        middle = j == len(dials["strengths"]) // 2
        cells.append([cell for k in range(2) for cell in [held[k] if middle else None, *[pictures[k] for pictures in tried]]])
    heads = ["image", *[f"guidance\n{guidance:g}" for guidance in dials["guidances"]]] * 2
    plt.show(sg.plot.grid(cells, rows=[f"strength {strength:g}" for strength in dials["strengths"]], columns=heads))

# %% tags=["hide-input"]
if names:
    def counted(setting):
        """A line of the sweep: what each network keeps with a setting."""
        line = {"strength": f"{setting[0]:g}", "guidance": f"{setting[1]:g}"}
        for name in names:
            one = sweeps[name][setting]
            line |= {f"{name}: match (%)": f"{100 * settings.share(one, 1):.0f} / {100 * settings.share(one, 5):.0f}",
                     f"{name}: cosine": one.cosine.mean().item()}
        chosen = [name for name in names if best[name] == setting] + ["all together"] * (setting == common)
        return line | {"best for": ", ".join(chosen)}


    show(pd.DataFrame([counted(setting) for setting in next(iter(sweeps.values()))]), "tab-featinv-a2",
         f"Control strength and guidance, tried on {tries} validation images: an image more or less is {100 / tries:.2g} points. *Match*: as the first answer / among five. "
         "*Best for* a network is the setting with most top-1 matches, of equals the one of the highest cosine. To find the best for *all together*, each network's loss in top-5 "
         "match against its own best setting is taken, and the setting chosen whose largest loss is smallest. All other pictures of this page are drawn with "
         + " or ".join(dict.fromkeys(f"strength {way.strength:g} and guidance {way.guidance:g}" for way in usual.values()))
         + ", as the edition's file says (FeatInv, supplement A.2, whose numbers the paper's main text doesn't give).")

# %% tags=["hide-input"]
if names:
    MARKS = dict(zip(dials["strengths"], "vsD^oP*X", strict=False))
    INKS = dict(zip(dials["guidances"], sg.plot.PALETTE, strict=False))
    fig, axes = plt.subplots(1, len(names), figsize=(8, 2.7), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        for (strength, guidance), one in sweeps[name].items():
            ax.plot(100 * settings.share(one, 1), one.cosine.mean().item(), MARKS[strength], color=INKS[guidance], ms=7, alpha=0.8, mew=0)
        ax.set(title=f"{name}: rank correlation {rho[name]:.2f}", xlabel="top-1 match, %")
        ax.margins(0.15)
    axes[0, 0].set_ylabel("cosine")
    blank = [plt.Line2D([], [], ls="", marker=mark, color="#555555", label=f"strength {strength:g}") for strength, mark in MARKS.items()]
    blank += [plt.Line2D([], [], ls="", marker="o", color=ink, label=f"guidance {guidance:g}") for guidance, ink in INKS.items()]
    fig.legend(handles=blank, loc="outside upper center", ncols=len(blank), handletextpad=0.1, columnspacing=1.2)
    plt.show()

# %%
if whole:
    constant = [name for name, value in rho.items() if np.isnan(value)]
    together = None if constant else min(rho.values()) > 0.8
    reason = f"Spearman's correlation of top-1 match and cosine over {len(next(iter(sweeps.values())))} settings: "
    reason += ", ".join(f"{value:.2f} ({name})" for name, value in rho.items()) + "."
    reason += f" The match of {', '.join(constant)} is the same for all settings." if constant else ""
claim("featinv-6", holds=together if whole else None, because=short or reason)

# %%
if whole:
    reason = f"With strength {common[0]:g} and guidance {common[1]:g}, top-5 match on {tries} validation images falls below each one's best by " + ", ".join(
        f"{100 * lost:.1f} points ({name})" for name, lost in costs.items()) + f"; one image is {100 / tries:.1f} points."
claim("featinv-7", holds=max(costs.values()) < 0.03 if whole else None, because=short or reason)

# %% [markdown]
# What is better left out? To leave out the prompt alone, as the authors' code does, asks a model for something that it never practised: features without a prompt. Here are both ways, from
# the same noise.

# %%
if names:
    left_out, strong = {}, min((guidance for guidance in dials["guidances"] if guidance > 1), default=1.75)
    for name in names:
        ways = {"no guidance": {"guidance": 1.0}, f"{strong:g}, without the prompt": {"guidance": strong, "against": "prompt"},
                f"{strong:g}, without prompt and features": {"guidance": strong, "against": "all"}}
        tried = {way: judge.judged(judges[name], reconstruct(inverters[f"spatial / {name}"], judges[name].maps, seeds=seed, **dial)) for way, dial in ways.items()}
        left_out[name] = {way: f"{settings.share(one, 1):.0%}, {one.cosine.mean():.2f}" for way, one in tried.items()}
    display(pd.DataFrame(left_out).rename_axis("top-1 match, cosine"))

# %% tags=["hide-input"]
if names:
    easiest = max(names, key=lambda name: mean(f"spatial / {name}", 5))
    said = ["- A drawing is judged by the network that it was drawn from, between two anchors: another image and the codec. "
            + " ".join(f"{name} comes {way_up(f'spatial / {name}'):.0%} of the way in cosine"
                       + (f", from a mean over positions {way_up(f'pooled / {name}'):.0%}." if f"pooled / {name}" in found else ".") for name in names)
            + " See {numref}`tab-featinv-1`.",
            f"- Most answers are kept by {easiest}: {mean(f'spatial / {easiest}', 5):.1%} among five, {mean(f'spatial / {easiest}', 1):.1%} in first place."]
    if nearer:
        said.append("- Does a mean over positions know where things are? Drawn from it, objects end up on average "
                    + ", ".join(f"{b:.2f} half widths from their place across ({name}; from the map {a:.2f})" for name, (_, a, b, _) in nearer.items())
                    + f". Objects of two unrelated images are {chance:.2f} apart ({{numref}}`fig-featinv-a4`).")
    said += ["- Before blaming the drawing for a wrong colour, ask a linear probe whether the features had it.",
             "- One picture is one guess. Draw several, and trust what they share ({numref}`fig-featinv-a3`).",
             f"- Strength {common[0]:g} with guidance {common[1]:g} costs no network more than {100 * max(costs.values()):.1f} points of top-5 match against its best "
             "({numref}`tab-featinv-a2`)."]
    display(Markdown("\n".join([":::{admonition} What to take away", ":class: tip", *said, ":::"])))

# %% [markdown]
# ## Copy this
#
# Reconstruct and judge, for any timm network with a grid of positions. Everything here is random and untrained, so that the cell needs no files. A trained inverter comes from
# `python -m sightglass invert train --edition world --model resnet50 --tap block4` and is read by `control.load("resnet50", "block4")`.

# %%
import timm
import torch

from sightglass.invert import base as bases
from sightglass.invert import codec, control, judge, prompts
from sightglass.invert.encoder import features
from sightglass.invert.sample import reconstruct

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(8, 3, 64, 64)  # in [0, 1]
my_base = bases.freeze(bases.build(codec.fit(my_images), prompts.world_words(), widths=(16, 32)))  # yours: bases.load()
my_shape = tuple(features(my_model, my_images[:1], "layer3").shape[1:])
my_inverter = control.build(my_base, my_shape, "layer3")  # yours: control.load(...)
my_own = judge.of(my_inverter, my_model, my_images)  # what the network sees in the originals
my_pictures = reconstruct(my_inverter, my_own.maps, seeds=0, steps=4)
my_scores = judge.summary(judge.judged(my_own, my_pictures))
my_floor, my_ceiling = judge.floor(my_own), judge.ceiling(my_own, my_base, my_images)
assert my_pictures.shape == (8, 3, 64, 64) and my_shape == (256, 4, 4)
assert 0 < my_floor.cosine.mean() < my_ceiling.cosine.mean() <= 1 and set(my_scores) == {"cosine", "top-5", "top-1"}

# %% [markdown]
# :::{dropdown} Try next: an earlier layer
# Train an inverter for `block4` or `block3` (`python -m sightglass invert train --edition world --model resnet50 --tap block3`), write `resnet50: block3` into a copy of the
# edition's file, and run this page on it with `-p edition=mine.yaml`. Which comes back first, colour or outline?
# :::
#
# :::{dropdown} Try next: fewer steps
# Write `resnet50: {tap: block5, drawing: {steps: 3}}` into a copy of the edition's file and run the page with `-p edition=mine.yaml`. What becomes of the cosine, what of FD?
# And with fifty steps?
# :::
#
# :::{dropdown} Try next: the paper's way to choose
# Put the settings that are best for each network in {numref}`tab-featinv-a2` into a copy of the edition's file, in the form `drawing: {strength: 1.3, guidance: 1.75}`. Does
# {numref}`tab-featinv-1` change by more than its errors?
# :::
