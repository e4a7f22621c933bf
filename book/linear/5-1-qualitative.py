# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What neurons do below their maximum (Linear Explanations, section 5.1)
#
# **Question.** To find out what a neuron stands for, one looks at the images that excite it most. What does one miss?
#
# Whatever excites it half as much. This page looks at whole {term}`activation` ranges: at the share of images that show
# each concept, bin by bin, and at images of four ranges beside the words that each method found. All neurons are chosen by rules.
# None was picked because it looked good.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and an explainer | less than a minute on one core | half an hour on a GPU | {doc}`/linear/4-simulation` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition; the area charts are of its last units
second = "resnet18"  # a network that was trained on something else, here on places
others = ["vgg16", "vit_b_16", "vit_l_32"]  # one figure each
photos = 6000  # probing images; the world has 10,000, the paper 50,000
bins = 8  # equal parts of the range from 0 to a neuron's maximum
ranks = [5, 50, 250, 1000]  # where the four ranges of images end; the paper has 5, 50, 500, 5000
fewest = 10  # images in either half of a neuron's range, without which we don't judge its roles

# %%
from dataclasses import dataclass, replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown

import sightglass as sg
from sightglass import explain as ex
from sightglass.plot.labels import boxed, fitted
from sightglass.show import claim, show

sg.plot.style()
ed = sg.load(edition, device=device)
images = ex.probing(ed, photos)  # images that no network was trained on
SINGLE = [method for method in ex.METHODS if not method.startswith("LE")]  # they give one description each

# %% [markdown]
# ## Parts that don't overlap
#
# A {term}`linear explanation` is a weighted sum of {term}`concepts <concept>`. To see where in its range a neuron uses which of them, we sort
# images by activation, cut the range from 0 to the maximum into equal bins, and count. An image of a cat also shows a mammal
# and an animal, so plain shares would add up to more than everything. Instead each image goes to the *narrowest* concept of
# the explanation that it shows: with "cat" and "animal" in it, a cat counts as cat, and "animal" stands for all other animals. An image that
# shows two unrelated ones, say a cat beside a bus, is counted apart.

# %%
@dataclass(frozen=True, eq=False)
class Layer:
    """A network's last units: their probe, the words of all methods, and what is in the images by label."""

    probe: ex.Probe
    words: dict
    truth: ex.Matrix

    @property
    def q(self):
        """Activations (n, K)."""
        return self.probe.q.cpu()


@cache
def look_at(role):
    """Show the images to a network and let all methods describe its last units."""
    probe = ex.probe(ed, role, images=images, seed=seed, keep=sg.kept)
    return Layer(probe, ex.described(ed, probe, keep=sg.kept), ex.matrices(ed, probe)["labels"])


def parts_of(layer, k):
    """Sort images into exclusive parts by a unit's LE(Label): names, the part of each image (n,), and kinship (m, m).

    After the m concepts come two more parts: several of them, and none.
    """
    told = layer.words["LE(Label)"]
    names = [name for weight, name in told.terms(k) if weight > 0]
    shows = layer.truth.only(names).values.cpu().bool() if names else torch.zeros(len(layer.q), 0, dtype=torch.bool)
    both = shows.T.float() @ shows.float()
    within = (both == both.diagonal()[:, None]) & ~torch.eye(len(names), dtype=torch.bool)  # i is always j
    narrow = shows & ~(shows.float() @ within.float()).bool()
    part = torch.where(narrow.sum(1) > 1, len(names), len(names) + 1)
    part = torch.where(narrow.sum(1) == 1, narrow.float().argmax(1) if names else part, part)
    label = [f"{name}, not {' or '.join(names[i] for i in below[:, 0])}" if len(below := within[:, j].nonzero()) else name
             for j, name in enumerate(names)]  # fmt: skip
    return names, label, part, within | within.T


def binned(layer, k, part, m):
    """Count images by bin of a unit's activation and by part: (bins, m + 2)."""
    a = layer.q[:, k]
    row = (a.clamp_min(0) / a.max().clamp_min(1e-9) * bins).long().clamp_max(bins - 1)
    return torch.bincount(row * (m + 2) + part, minlength=bins * (m + 2)).reshape(bins, m + 2)


# %% [markdown]
# ## Which neurons: two roles, by a rule
#
# For each neuron we name the part that *rules* the upper half of its range, and the one that rules the lower half, without the lowest bin.
# A neuron is **two-faced** if these are two unrelated concepts, and the more so, the more each gives way to the other: its score is the
# smaller of two differences, by how much the upper ruler is more common above than below, and the lower one below than above. A neuron is
# **one-faced** if both halves are ruled by one concept or by relatives, such as "cat" and "animal, not cat". Its score is the share of the family
# in the half where it is smaller. A wide concept, such as "made thing", makes a wide family, so a one-faced neuron may still look like
# several things. Units are left out where a half holds too few images, or where no single concept rules it.

# %%
def faces(layer):
    """Judge all units: a table with the rulers of both halves and the score, negative for one-faced units."""
    rows = []
    for k in (layer.q.amax(0) > 1e-6).nonzero()[:, 0].tolist():
        names, _, part, kin = parts_of(layer, k)
        count = binned(layer, k, part, len(names)).float()
        above, below = count[bins // 2 :].sum(0), count[1 : bins // 2].sum(0)
        if not names or min(above.sum(), below.sum()) < fewest:
            continue
        above, below = above / above.sum(), below / below.sum()
        i, j = int(above.argmax()), int(below.argmax())
        if max(i, j) < len(names):  # else no single concept rules
            family = [n for n in range(len(names)) if n == i or kin[i, n]]
            score = min(above[i] - below[i], below[j] - above[j]).clamp_min(0)
            if j in family:
                score = -min(above[family].sum(), below[family].sum())
            rows.append((k, names[i], names[j], float(score)))
    return pd.DataFrame(rows, columns=["unit", "above", "below", "score"]).set_index("unit")


main = look_at(network)
judged = faces(main)
two_faced = judged[judged["score"] > 0].sort_values("score", ascending=False)
one_faced = judged[judged["score"] < 0].sort_values("score")
print(f"{main.q.shape[1]} units of {network}; rulers of both halves are known for {len(judged)}: "
      f"{len(two_faced)} two-faced, {len(one_faced)} one-faced")
print(two_faced.head(5).round(2).to_string())

# %% tags=["hide-input"]
def area(ax, layer, k):
    """Draw the area chart of a unit: shares of exclusive parts by bin, and how many images each bin holds."""
    names, label, part, _ = parts_of(layer, k)
    count = binned(layer, k, part, len(names)).numpy()
    total, width = count.sum(1), float(layer.q[:, k].max()) / bins
    filled = total > 0
    x = (np.arange(bins)[filled] + 0.5) * width
    share = 100 * count[filled] / total[filled, None]
    share = np.concatenate([share[:1], share, share[-1:]])  # to both edges
    colours = [*sg.plot.PALETTE[: len(names)], *["#5F5F5F"] * max(0, len(names) - len(sg.plot.PALETTE)), "#C9C9C9", "#F1F1F1"]
    x = np.concatenate([[0], x, [bins * width]])
    drawn = ax.stackplot(x, share.T, colors=colours, labels=[*label, "several of these", "none of these"], edgecolor="white", linewidth=0.6)
    for i, n in enumerate(total):
        ax.text((i + 0.5) * width, 101.5, f"{n:,}", ha="center", va="bottom", fontsize=7.5)
        ax.axvline(i * width, color="white", linewidth=0.5, alpha=0.6)
    told = fitted([f"unit {k}: {layer.words['LE(Label)'].sentence(k)}"], 370)[0]
    ax.set(xlim=(0, bins * width), ylim=(0, 100), xlabel=f"activation, in {bins} equal bins")
    ax.set_title(told.text, fontsize=told.points, pad=18)
    ax.legend(drawn[::-1], [d.get_label() for d in drawn][::-1], loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, handlelength=1.2)


pair = [*one_faced.index[:1], *two_faced.index[:1]]
if pair:
    fig, axes = plt.subplots(1, len(pair), figsize=(8, 4.4), squeeze=False)
    for ax, k in zip(axes[0], pair, strict=True):
        area(ax, main, k)
    axes[0, 0].set_ylabel("share of the bin's images, %")
    show(fig, "fig-le-3",
         f"What the images in each part of a neuron's range show: the most one-faced and the most two-faced unit of {network}. Above each chart its "
         "LE(Label) and how many images each bin holds; the last bins hold few. Colours don't overlap: an image counts once "
         "(Linear Explanations, figure 3).",
         alt="Two area charts of shares of concepts over activation: in one, relatives share the whole range; in the other, one concept at the left gives way to another.")

# %% [markdown]
# Read the charts from right to left. Whoever looks at the highest bins only, as one does with the top images, sees the right edge. Mind the
# numbers above: nearly all images are further left.
#
# ## What each method says
#
# Network Dissection {cite:p}`bau2017`, MILAN {cite:p}`hernandez2022` and CLIP-Dissect {cite:p}`oikarinen2023` describe the highest activations, with a
# word or a phrase. LE(Label) and LE(SigLIP) {cite:p}`oikarinen2024` are sums. The first is made of labels and the wider classes above them, as "mammal" is above
# "cat", the second of any words that an image-text network can be asked about. At the right of each description stands its correlation with the neuron on test images, when another
# image-text network, the {term}`simulator`, acts it out.

# %% tags=["hide-input"]
SIDE, GAP, DPI = 100, 3, 110  # pixels


def spread(layer, k):
    """Draw four images at random from each range of ranks of a unit: rows (4, 4)."""
    order = layer.q[:, k].argsort(descending=True)
    rows, start = [], 0
    for end in ranks:
        some = order[start:end]
        pick = torch.randperm(len(some), generator=torch.Generator().manual_seed(seed))[:4].sort().values
        rows.append(some[pick])
        start = end
    return rows


def maps_at(layer, chosen):
    """Find the maps of units over their images, {(unit, image): (h, w)}; empty where there are no positions."""
    model = ed.model(layer.probe.role)
    at = ex.methods.map_of(model, layer.probe)
    wanted = [(k, int(i)) for k in chosen for rows in spread(layer, k) for i in rows]
    if not at:
        return {}
    seen = sorted({i for _, i in wanted})
    maps = ex.activations(model, images.pixels[seen], {at: "none"})[at].cpu()
    side = round(maps.shape[2] ** 0.5)
    return {(k, i): maps[seen.index(i), k].unflatten(0, (side, side)) for k, i in wanted}


def framed(image, values):
    """Enlarge an image (3, h, w), and outline where a map exceeds half of its maximum: (SIDE, SIDE, 3)."""
    page = F.interpolate(image[None].float() / 255, size=(SIDE, SIDE), mode="bilinear", antialias=True)[0]
    if values is not None and float(values.max()) > 0:
        fine = F.interpolate(values[None, None].float(), size=(SIDE, SIDE), mode="bicubic")[0, 0]
        inside = (fine > fine.max() / 2).float()[None]
        wide, thin = (F.max_pool2d(inside, n, 1, n // 2) - inside > 0 for n in (7, 5))
        page = page.masked_fill(wide, 0.0)
        page[:, thin[0]] = torch.tensor([1.0, 0.85, 0.0])[:, None]
    return page.permute(1, 2, 0).numpy()


def acted(probe, words):
    """Correlate units with what the simulator makes of words, {method: (units,)}; empty without a simulator."""
    return {} if ed.gives("simulator") else ex.scores(ed, probe, words, keep=sg.kept)


def lines_of(layer, k, score):
    """Write what each method says of a unit, with its score: rows of method, description, correlation."""
    rows = []
    for method, told in layer.words.items():
        if isinstance(told, str):
            rows.append((method, told, ""))
        else:
            said = told.sentence(k).removeprefix("1.0 ") if method in SINGLE and told.terms(k) else told.sentence(k)
            rows.append((method, said if told.terms(k) else "nothing", f"{float(score[method]):.2f}" if method in score else ""))
    return rows


def panel(layer, chosen):
    """Draw units: what each method says, and images of four ranges. `chosen`: {unit: why it was chosen}."""
    units = list(chosen)
    maps = maps_at(layer, units)
    told = {m: e if isinstance(e, str) else e.pick(units) for m, e in layer.words.items()}
    score = acted(replace(layer.probe, q=layer.probe.q[:, units]), told)
    left = 155
    said = [[(m, boxed(text, 660, 38), r) for m, text, r in lines_of(layer, k, {m: s[j] for m, s in score.items()})]
            for j, k in enumerate(units)]  # fmt: skip
    block, step = 2 * SIDE + GAP, 2 * SIDE + GAP + 20
    heights = [26 + sum(b.height + 3 for _, b, _ in rows) + 24 + block + 22 for rows in said]
    high = sum(heights) - 22
    canvas, texts, y = np.ones((high, 880, 3)), [], 0
    for k, rows, height in zip(units, said, heights, strict=True):
        line = y + 16
        texts.append((0, line, f"unit {k} of {layer.probe.role}: {chosen[k]}", {"weight": "bold"}))
        texts.append((880, line, "correlation", {"ha": "right", "fontsize": 7.5}))
        line += 8
        for method, words, r in rows:
            texts.append((0, line + 12, method, {"color": sg.plot.colour(method), "weight": "bold", "fontsize": 8.5}))
            for n, text in enumerate(broken := words.text.split("\n")):
                texts.append((left, line + 12 + n * words.height // len(broken), text, {"fontsize": words.points}))
            texts.append((880, line + 12, r, {"ha": "right", "fontsize": 8.5}))
            line += words.height + 3
        top, first = line + 20, 1
        for j, rows_ in enumerate(spread(layer, k)):
            a = [round(x, 2) + 0.0 for x in layer.q[rows_, k].tolist()] or [0.0]
            texts.append((j * step, line + 14, f"ranks {first:,}–{ranks[j]:,}: {max(a):.2f} to {min(a):.2f}", {"fontsize": 8}))
            first = ranks[j] + 1
            for n, i in enumerate(rows_.tolist()):
                at_y, at_x = top + n // 2 * (SIDE + GAP), j * step + n % 2 * (SIDE + GAP)
                canvas[at_y : at_y + SIDE, at_x : at_x + SIDE] = framed(images.pixels[i], maps.get((k, i)))
        y += height
    fig = plt.figure(figsize=(880 / DPI, high / DPI), layout="none")
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, 880), ylim=(high, 0))
    ax.set_axis_off()
    ax.imshow(canvas, extent=(0, 880, high, 0), aspect="auto", interpolation="none")
    for x, line, text, how in texts:
        ax.text(x, line, text, **{"va": "baseline", "fontsize": 9, **how})
    return fig


def outlined(layer):
    """Say whether activations are outlined."""
    there = ex.methods.map_of(ed.model(layer.probe.role), layer.probe)
    line = "Yellow: where the map exceeds half of its maximum in this image; no line where it does so everywhere."
    return line if there else "These units have no positions that could be outlined."


ALT = "For each unit five lines with the words of five methods, and below four groups of four images from the highest to low activations."

# %%
show(panel(main, dict(zip(pair, ["most one-faced", "most two-faced"], strict=False)) or {0: "the first"}), "fig-le-4",
     f"The two units of the charts: what each method says, and images drawn at random from four ranges of {len(images.pixels):,} images, with the highest and the lowest "
     f"activation of those shown. {outlined(main)} Which description tells what the last two groups share? (Linear Explanations, figure 4.)", alt=ALT)

# %% [markdown]
# ## Does anyone name the second role?
#
# A description *names* a concept if it mentions it, or something that mostly goes with it: "tower" names the lighthouse, "green pineapple" the
# pineapple, and "animal" would pass for naming the cat. That is generous. Let us ask it of all two-faced units.

# %%
if images.scenes is not None:
    known = ex.truth(images.scenes, ex.concepts(ed, "full", task=main.probe.task))
else:
    known = main.truth
held = known.values.cpu().float()
together = held.T @ held
goes_with = together / together.diagonal().clamp_min(1)[:, None]  # share of i's images that show j, too


def names_it(text, concept):
    """Tell whether a description mentions a concept, or a word of which most images show it, or that most of its images show."""
    said = [i for i, name in enumerate(known.names) if f" {name} " in f" {text.replace(',', ' ')} "]
    j = known.names.index(concept)
    return f" {concept} " in f" {text} " or any(max(goes_with[i, j], goes_with[j, i]) >= 0.5 for i in said)


told = {m: e for m, e in main.words.items() if not isinstance(e, str)}
single = [m for m in told if m in SINGLE]
seen = pd.DataFrame({m: {k: [any(names_it(word, row[half]) for _, word in e.terms(k)) for half in ("above", "below")]
                         for k, row in two_faced.iterrows()} for m, e in told.items()})  # fmt: skip
share = {m: (100 * np.array(seen[m].tolist(), dtype=float).mean(0)) for m in seen} if len(seen) else {}
print(pd.DataFrame(share, index=["names the upper ruler, %", "names the lower ruler, %"]).T.round(0).to_string())
missed = [k for k in two_faced.index if single and not any(seen.loc[k, m][1] for m in single)]

# %%
if not single:
    verdict, reason = None, "No method with a single label could be had."
elif missed:
    k = missed[0]
    row, said = two_faced.loc[k], "; ".join(f"{m}: {told[m].terms(k)[0][1] if told[m].terms(k) else 'nothing'}" for m in single)
    verdict, reason = True, (f"{len(missed)} of {len(two_faced)} two-faced units. The most two-faced of them is unit {k}: {row['above']} rules its upper half, "
                             f"{row['below']} its lower one, and its LE(Label) is {told['LE(Label)'].sentence(k)}. {said}.")
else:
    verdict, reason = False, f"For all {len(two_faced)} two-faced units a method with a single label names the lower ruler."
claim("linear-3", holds=verdict, because=reason)

# %% [markdown]
# LE(Label) names the lower ruler by construction, since rulers are taken from its concepts. LE(SigLIP) didn't have to. It never saw the labels
# of these images other than to be calibrated.
#
# ## Neurons with good explanations
#
# The paper shows neurons that are easy to interpret. Our rules for them: the two units with the highest correlation of LE(SigLIP) on
# validation images, and the next two most two-faced ones.

# %%
def ranked(layer):
    """List live units by the validation correlation of the best explanation there is, the best first."""
    told = layer.words["LE(Label)"] if isinstance(layer.words["LE(SigLIP)"], str) else layer.words["LE(SigLIP)"]
    return [k for k in told.score.argsort(descending=True).tolist() if told.length[k]]


def at_random(layer, count, taken=()):
    """Draw live units with the seed."""
    live = [k for k in ranked(layer) if k not in taken]
    pick = torch.randperm(len(live), generator=torch.Generator().manual_seed(seed))
    return [sorted(live)[i] for i in pick[:count].tolist()]


def more(why, units):
    """Give units the reason why they are here."""
    return dict.fromkeys(units, why)


order = ranked(main)
show(panel(main, dict(zip(order[:2], ["best explained", "second best explained"], strict=False))), "fig-le-6",
     f"The two units of {network} that LE(SigLIP) explains best on validation images; correlations are of test images. {outlined(main)} "
     "(Linear Explanations, figure 6.)", alt=ALT)

# %%
next_two = two_faced.index[1:3].tolist() or order[2:4]
show(panel(main, dict(zip(next_two, ["second most two-faced", "third most two-faced"], strict=False))), "fig-le-7",
     f"The next two most two-faced units of {network}. Compare the first with the last group of images. (Linear Explanations, figure 7.)", alt=ALT)

# %% [markdown]
# ## Random neurons
#
# Good examples prove little. These six units were drawn with the seed from all that aren't dead.

# %%
drawn = at_random(main, 6)
show(panel(main, more("random", drawn[:2])), "fig-le-8", f"Random units of {network}, first and second. {outlined(main)} (Linear Explanations, figure 8.)", alt=ALT)

# %%
show(panel(main, more("random", drawn[2:4])), "fig-le-9", f"Random units of {network}, third and fourth. (Linear Explanations, figure 9.)", alt=ALT)

# %%
show(panel(main, more("random", drawn[4:])), "fig-le-10", f"Random units of {network}, fifth and sixth. (Linear Explanations, figure 10.)", alt=ALT)

# %% [markdown]
# Look for the group of images at which a single word stops being true, and whether the sum still is. Where correlations of several
# methods are alike, the sum has gained nothing.
#
# ## A network that was trained on places
#
# The same for a network that tells where things are and doesn't care what they are. Its labels are places, with no wider classes
# above them.

# %%
def by_rule(layer, rules):
    """Choose units by rules: best, median, two-faced, random; none is chosen twice."""
    order, found = ranked(layer), {}
    table = faces(layer)
    split = table[table["score"] > 0].sort_values("score", ascending=False).index.tolist()
    rank = {"best explained": order, "median explanation": order[len(order) // 2 :], "most two-faced": split,
            "random": at_random(layer, len(order))}  # fmt: skip
    for rule in rules:
        k = next((k for k in rank[rule] if k not in found), None)
        if k is not None:
            found[k] = rule
    return found


def page(role, rules, start=0):
    """Draw units of a network that rules choose, from the given one on: the figure, and a sentence on outlines."""
    if reason := ed.gives(role):
        return sg.plot.grid([[reason] * 4]), ""
    layer = look_at(role)
    return panel(layer, dict(list(by_rule(layer, rules).items())[start:])), outlined(layer)


FOUR = ["best explained", "median explanation", "most two-faced", "random"]
fig, note = page(second, FOUR[:2])
show(fig, "fig-le-11", f"Units of {second}, which tells places: the best explained and the median one. {note} (Linear Explanations, figure 11.)", alt=ALT)

# %%
fig, note = page(second, FOUR, 2)
show(fig, "fig-le-12", f"Units of {second}: the most two-faced and a random one. {note} (Linear Explanations, figure 12.)", alt=ALT)

# %% [markdown]
# ## Networks of other families
#
# What the classifier of VGG16 reads are numbers without positions. In transformers we look, as the paper does, at the hidden units of the last
# block's MLP at the class token. There are no maps to outline, and methods that need regions have to pass. Three units each: the best explained, the
# most two-faced and a random one.

# %%
RULES = ["best explained", "most two-faced", "random"]
fig, note = page(others[0], RULES)
show(fig, "fig-le-13", f"Units of {others[0]}. {note} (Linear Explanations, figure 13.)", alt=ALT)

# %%
fig, note = page(others[1], RULES)
show(fig, "fig-le-14", f"Units of {others[1]}. {note} (Linear Explanations, figure 14.)", alt=ALT)

# %%
fig, note = page(others[2], RULES)
show(fig, "fig-le-15", f"Units of {others[2]}. {note} (Linear Explanations, figure 15.)", alt=ALT)

# %% tags=["hide-input"]
score = {m: float(s.mean()) for m, s in acted(main.probe, main.words).items()}
halves = "; ".join(f"{m} {a:.0f}% and {b:.0f}%" for m, (a, b) in share.items())
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    f"- A neuron may change its mind on the way up. Both rulers are known for {len(judged)} of {main.q.shape[1]} units of {network}, and {len(two_faced)} of these "
    "have two unrelated ones "
    "({numref}`fig-le-3`).",
    f"- How often the upper and the lower ruler of these are named: {halves}. For {len(missed)} no single label names the lower one.",
    "- Top images hide this, random images of lower ranges show it ({numref}`fig-le-4`). Look at them before you believe a word.",
    f"- Mean correlation over all units of {network}: " + "; ".join(f"{m} {s:.2f}" for m, s in score.items()) + ".", ":::"]))

# %% [markdown]
# ## Copy this
#
# Explain the channels of any timm model, and count what rules each part of their range. Weights, images and labels are random here;
# use `pretrained=True` and your own.

# %%
import timm
import torch

from sightglass import explain

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images, my_labels = torch.rand(60, 3, 64, 64), torch.arange(60) % 3
my_q = explain.activations(my_model, my_images, {"layer4": "mean"})["layer4"]  # (n, units)
my_matrix = explain.from_labels(torch.nn.functional.one_hot(my_labels, 3), ["ant", "bee", "cow"])
my_words = explain.explain(my_matrix, my_q, explain.split(len(my_q), seed=0))
my_bins = (my_q / my_q.amax(0).clamp_min(1e-9) * 8).long().clamp(0, 7)  # (n, units)
my_shares = torch.stack([(my_matrix.values[:, :, None] * (my_bins == b)[:, None]).sum(0) for b in range(8)])
print("unit 0:", my_words.sentence(0), "| images of each label in its highest bin:", my_shares[7, :, 0].tolist())
assert my_q.shape == (60, 512) and len(my_words) == 512
assert my_shares.shape == (8, 3, 512) and my_shares.sum((0, 1)).eq(60).all()

# %% [markdown]
# :::{dropdown} Try next: other random neurons
# Run `python -m sightglass run world linear/5-1 -p seed=1`. Are the six random units explained as well as these? Does another two-faced unit
# win? It may, since other images explain and other ones validate.
# :::
#
# :::{dropdown} Try next: only the very top
# `-p ranks=[5,10,20,40]` shows what one usually gets to see. For how many units would you have guessed the second role?
# :::
