# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do the words drive the neuron? (beyond the paper)
#
# **Question.** A neuron's word fits its images. Does the neuron answer to what the word says, or to something that goes along with it?
#
# Ducks are seen on water. A neuron that answers to water is high on ducks, so every method that compares words with activations, as
# linear explanations do {cite:p}`oikarinen2024`, may call it a duck neuron, and its word will even predict it well. Photographs can hardly settle this: whoever takes the
# duck out of one has to make up what was behind it. A drawn world knows. This page draws the same scene twice, once without and once
# with what a word says, and measures what the neuron does. Nothing but the edit can have caused the difference.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition whose scenes can be edited, which is the world | two minutes on one core, half a minute once networks have looked at the scenes | photographs can't be edited | {doc}`/linear/5-2-correlation` |

# %% tags=["parameters"]
edition = "world"  # others have no scenes that can be edited
seed = 0  # of the split into train, val and test
device = "auto"  # auto | cpu | cuda
networks = ["resnet50", "resnet18", "vgg16", "vit_b_16", "vit_l_32"]  # the first one in detail
photos = 6000  # probing images; the world has 10,000
pairs = 24  # scenes for each word, drawn without and with it
along = 0.2  # correlation from which we say that a word goes along with a neuron

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from scipy.stats import spearmanr

import sightglass as sg
from sightglass import explain, world
from sightglass.explain.cause import causes, foresight, word_by_word
from sightglass.explain.effects import WEAK
from sightglass.explain.methods import LINEAR, METHODS
from sightglass.explain.painting import SMALL
from sightglass.explain.simulate import standard
from sightglass.metrics import bootstrap
from sightglass.show import show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
NAMES = {"resnet50": "ResNet50", "resnet18": "ResNet18 (places)", "vgg16": "VGG16", "vit_b_16": "ViT-B-16",
         "vit_l_32": "ViT-L-32"}
why = ed.gives("edits")
roles = [] if why else [role for role in networks if not ed.gives(role)]
words = [] if why else [name for name in explain.concepts(ed) if explain.paintable(name)]
if why:
    display(Markdown(f"The exhibits of this page are {unavailable(why)}."))


def measured(role):
    """A network's probe, every method's words for its units, their scores, and what painting words does."""
    seen = explain.probe(ed, role, images=images, seed=seed, keep=sg.kept)
    found = explain.described(ed, seen, keep=sg.kept)
    score = explain.scores(ed, seen, found, keep=sg.kept)
    said = {m: word_by_word(e) if m == "MILAN" else e for m, e in found.items() if not isinstance(e, str)}
    options = {"at": seen.at, "pool": seen.pool, "pairs": pairs, "seed": seed, "size": ed.size}
    effect = explain.effects(ed.model(role), words, seen.q, **options, keep=sg.kept)
    return seen, said, score, effect


if roles:
    images = explain.probing(ed, photos)
    last = {role: measured(role) for role in roles}
    seen, said, score, effect = last[roles[0]]

# %% [markdown]
# ## One scene, drawn twice
#
# From each group of words, here is the one whose painting moves some neuron most, and that neuron.

# %% tags=["hide-input"]
KNOWN = world.GROUPS
GROUPS = {"noun": world.NOUNS, "kind": world.KINDS, "family": KNOWN["family"], "order": KNOWN["order"],
          "place": KNOWN["place"], "colour": world.COLOURS, "texture": KNOWN["texture"], "part": world.PARTS,
          "second thing": tuple(SMALL), "number": KNOWN["count"]}
# a noun of one kind is a noun, so nouns come last
GROUP = {name: group for group, names in reversed(GROUPS.items()) for name in names}


def strongest_of_groups(effect):
    """Choose the word of each group that drives a neuron most, and that neuron, none of them twice."""
    sizes, chosen = effect.mean.where(effect.drives(), 0.0), {}
    for group in GROUPS:
        rows = [i for i, name in enumerate(effect.names) if GROUP[name] == group]
        free = sizes[rows].clone()
        free[:, list(dict(chosen.values()).values())] = 0
        row, unit = divmod(int(free.argmax()), free.shape[1])
        chosen[group] = effect.names[rows[row]], unit
    return chosen


def answers(role, seen, pair, units):
    """What units answer to scenes without and with a word: (2, pairs, units)."""
    both = torch.cat([pair.without, pair.within])
    found = explain.activations(ed.model(role), both, {seen.at: seen.pool})[seen.at]
    return found[:, units].cpu().unflatten(0, (2, -1))


def slopes(ax, answer):
    """Draw a unit's answers (2, pairs) without and with a word, and their mean."""
    ax.plot([0, 1], answer, color="#999999", lw=0.6, alpha=0.7)
    ax.plot([0, 1], answer.mean(1), color=sg.plot.colour("le siglip"), lw=2.4, marker="o", ms=4)
    ax.set(xticks=[], yticks=[], xlim=(-0.25, 1.25))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.axhline(0, color="#999999", lw=0.8, zorder=0)


if roles:
    chosen = strongest_of_groups(effect)
    paintings = explain.painted([name for name, _ in chosen.values()], pairs, seed=seed, size=ed.size)
    fig = plt.figure(figsize=(8, 3.5), layout="none")
    left, wide = 0.085, 0.915 / len(chosen)
    high = wide * 0.94 * 8 / 3.5
    for i, (group, (name, unit)) in enumerate(chosen.items()):
        answer = answers(roles[0], seen, paintings[name], [unit])[..., 0]
        change = answer[1] - answer[0]
        usual = int(change.argsort()[len(change) // 2])  # the pair with the median change
        x = left + wide * i
        for j, part in enumerate((paintings[name].without, paintings[name].within)):
            ax = fig.add_axes([x, 0.865 - (high + 0.012) * (j + 1), wide * 0.94, high])
            ax.imshow(part[usual].permute(1, 2, 0))
            ax.set_axis_off()
        slopes(fig.add_axes([x, 0.125, wide * 0.94, 0.275]), answer)
        fig.text(x + 0.47 * wide, 0.965, group, ha="center", va="center", fontsize=7.5, color="#666666")
        two_lines = name.replace(" ", "\n", 1) if len(name) > 10 else name
        fig.text(x + 0.47 * wide, 0.9, two_lines, ha="center", va="center", fontsize=8, linespacing=1.05)
        size = float(effect.mean[effect.names.index(name), unit])
        below = f"unit {unit}:\n{size:+.1f} spreads"
        fig.text(x + 0.47 * wide, 0.055, below, ha="center", va="center", fontsize=7.5)
    for y, text in ((0.865 - high / 2 - 0.012, "without"), (0.865 - 1.5 * high - 0.024, "with"),
                    (0.26, f"activation\nin {pairs} such\npairs"), (0.055, "mean\nchange of")):
        fig.text(left - 0.01, y, text, ha="right", va="center", fontsize=8)
    show(fig, "fig-le-x1",
         "Scenes of the world without a word and with it. Of each group of words it's the one whose "
         f"painting moves a unit of {roles[0]}'s {seen.at} layer most, with that unit. Below, the unit's "
         f"activation on {pairs} such scenes: a thin grey line is one scene, from without to with; the "
         "thick line is their mean, and the number beneath it their mean change in spreads of the unit. "
         "The scene shown is the one with the median change.",
         alt="Ten columns with a pair of small scenes that differ in one edit each, such as another "
             "animal, another colour or a second thing, and below each pair a bundle of lines that "
             "mostly rise.")

# %% [markdown]
# Each group has an edit of its own:
#
# | word | what is done to the scene |
# |---|---|
# | noun, kind, family, order | the main object is exchanged for one of that sort, in the same pose |
# | place | the background is exchanged |
# | colour | the main object gets another main colour |
# | texture | an object that can wear it gets it, instead of a plain coat |
# | part | the part is drawn on an object that has it, instead of being left out |
# | small ..., two things | a second object is put beside the first |
#
# **What an edit holds fixed.** Position, size, pose, light, grain, what stands in front, and everything else that isn't named: both scenes
# come from the same random numbers. Every pair is then checked against the {term}`pixel truth`: the word must be absent before, and visible
# after.
#
# **What it doesn't.** A thing comes with what it's made of. Whoever paints a zebra paints stripes, a mane and an animal, so a
# stripe neuron is rightly said to be driven by zebras, and the two can't be told apart by this edit alone. A thing also takes
# the place of another, so an effect is always against what was there before, here all other things in turn. Beside
# these, an effect is a mean over scenes: a neuron that wants a wheel only on red cars looks half-hearted about wheels. Parts
# are painted where they belong, on all objects that have them. Textures, colours and places are painted on whatever can wear
# them or stand there, fur on a finch as well as on a horse, so a neuron that wants fur on a rabbit is judged more strictly.
#
# ## How good are the methods' words?
#
# An effect is counted in *spreads*: standard deviations of that neuron over the {term}`probing images <probing data>`. We say that a word **drives** the
# neuron if painting it in raises the activation by a tenth of a spread or more, and by more than three standard errors. A word with a
# negative weight must lower it. The columns of the table:
#
# - **drives**: the share of all words said by a method that do, with its 95% interval over neurons;
# - **if dealt out**: the same for these words dealt out to any neurons. A method that likes words which drive half of the
#   layer gains nothing by that;
# - **strongly**: with an effect of half a spread or more;
# - **first word**: the share for each neuron's first or heaviest word alone;
# - **effect**: the mean change in spreads, of all words;
# - **reach**: how far a neuron's best word goes towards the strongest cause that any painted word has;
# - **foresight**: the correlation, neuron by neuron, of what the explanation promises of *all* paintings, named or not, with what they do. What
#   a painting adds to the scenes is taken from the truth, so no simulator is involved;
# - **simulated**: for comparison, the usual score, which needs no edits: the mean correlation with the neuron in the {term}`simulator`'s play.
#
# Two lines say where the scale begins and ends: any word, and the word with the largest effect.

# %%
def readable(lines, score):
    """Turn the measures of `causes` and the simulated correlations into the columns of the page."""
    interval = [f"{d:.2f} ({low:.2f}–{high:.2f})" if low == low else f"{d:.2f}"
                for d, low, high in zip(lines.drive, lines.low, lines.high, strict=True)]  # fmt: skip
    simulated = [float(score[m].mean()) if m in score else np.nan for m in lines.method]
    table = pd.DataFrame({
        "method": lines.method, "words": lines.words, "drives (95%)": interval, "if dealt out": lines.chance,
        "strongly": lines.strongly, "first word": lines["first"], "effect": lines.effect,
        "reach": lines.reach, "foresight": lines.foresight, "simulated": simulated,
    })  # fmt: skip
    return table.set_index("method")


if roles:
    tables = {role: causes(effect, said) for role, (_, said, _, effect) in last.items()}
    lost = int(tables[roles[0]]["not painted"].sum())
    show(readable(tables[roles[0]], score), "tab-le-x1",
         f"Do the words drive the neuron? {len(seen.q.T)} units of {roles[0]}'s {seen.at} layer, "
         f"{len(effect.names)} words painted into up to {pairs} scenes each. Shares are of the words "
         "said. A caption of MILAN counts as the words in it, in their order; "
         + (f"{lost} words couldn't be painted." if lost else "all words could be painted."))

# %% [markdown]
# Read *drives* beside *if dealt out*, and *reach* beside both. A word may drive its neuron and still be far from the best one, as
# a stripe is for a zebra neuron. A method that says more words must find more causes to keep its share, so compare *first word*, too. And
# look at the last line. No single word has a larger effect than the strongest cause. It needn't be the word that foresees most of the
# other edits, though: a wider one, which holds for more of them, may do better. A sum may go beyond both.
#
# ## Five networks
#
# The same for networks of other families and tasks. A filled mark is the share of words that drive, and the hollow one beside
# it the share if the same words are dealt out to any neurons. Units without positions leave Network Dissection and MILAN out.

# %% tags=["hide-input"]
if roles:
    fig, ax = plt.subplots(figsize=(7.6, 0.75 * len(roles) + 0.9))
    for i, role in enumerate(roles):
        lines = tables[role].set_index("method")
        for m in METHODS:
            y = i + 0.15 * (METHODS.index(m) - 2)
            if m in lines.index:
                row = lines.loc[m]
                ax.plot([row.chance, row.drive], [y, y], color=sg.plot.colour(m), lw=0.8, alpha=0.5)
                ax.plot([row.low, row.high], [y, y], color=sg.plot.colour(m), lw=2.5)
                ax.plot(row.drive, y, "o", color=sg.plot.colour(m), ms=6, label=m if i == 0 else None)
                ax.plot(row.chance, y, "o", mfc="white", color=sg.plot.colour(m), ms=5)
        if i:
            ax.axhline(i - 0.5, color="#E3E3E3", lw=0.8)
    ax.set(xlim=(0, 1), ylim=(len(roles) - 0.5, -0.5))
    ax.set_xlabel("share of the words said that drive the neuron; hollow: dealt out")
    ax.set_yticks(range(len(roles)), [NAMES.get(role, role) for role in roles])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    fig.legend(loc="outside upper center", ncols=5)
    plt.show()

# %% tags=["hide-input"]
if roles:
    blocks = {NAMES.get(role, role): readable(tables[role], last[role][2]) for role in roles}
    shown = pd.concat(blocks, names=["network"]).drop(columns=["strongly", "if dealt out"]).dropna(subset="reach")
    numbers = shown.select_dtypes(float).columns
    display(shown.assign(**{name: ["–" if x != x else f"{x:.2f}" for x in shown[name]] for name in numbers}))

# %% [markdown]
# ## Do words that predict better also cause more?
#
# The simulated correlation of {doc}`/linear/5-2-correlation` needs no edits, so one would like it to vouch for causes. And if a word goes
# along with a neuron, how far is that from driving it? Every word that a method said of a neuron is a point at the right of this figure: across,
# the correlation of the word's truth with the neuron on test images; up, what painting it in does. At the lower right are the words to
# beware of.

# %% tags=["hide-input"]
SORTS = {"things": ("noun", "kind", "family", "order"), "places": ("place",),
         "colours and textures": ("colour", "texture"), "parts": ("part",),
         "second things": ("second thing", "number")}
SORT = {name: sort for sort, groups in SORTS.items() for name in GROUP if GROUP[name] in groups}
INKS = dict(zip(SORTS, ("#0072B2", "#009E73", "#E69F00", "#CC79A7", "#666666"), strict=True))


def uses():
    """List every word that a method said of a unit: how it goes along on test images, and its effect."""
    test = seen.splits.test
    true = explain.truth(images.scenes[test], effect.names).values
    truth = (standard(true).T @ standard(seen.q[test].cpu())).numpy()  # correlations (words, units)
    number = {name: i for i, name in enumerate(effect.names)}
    lines = []
    for m, found in said.items():
        verdict = explain.judge(effect, found)
        for k in range(len(found)):
            for v, (weight, name) in enumerate(found.terms(k)):
                if verdict.known[k, v]:
                    sign = -1 if weight < 0 else 1
                    lines.append({
                        "method": m, "unit": k, "word": name, "sort": SORT[name], "weight": abs(weight),
                        "goes along": sign * truth[number[name], k], "effect": float(verdict.size[k, v]),
                        "drives": bool(verdict.drives[k, v]), "chance": float(verdict.chance[k, v]),
                    })  # fmt: skip
    return pd.DataFrame(lines)


def by_correlation(ax, bins=5):
    """Draw the share of words that drive against the simulated correlation, in equal parts of the units."""
    for m, values in score.items():
        mine = spoken[spoken.method == m].groupby("unit").drives.mean()
        x = values.cpu().numpy()[mine.index]
        parts = np.array_split(np.argsort(x), bins)
        y = [mine.iloc[part].mean() for part in parts]
        ends = np.array([bootstrap(mine.iloc[part].to_numpy(float)) for part in parts]).T
        at = [x[part].mean() for part in parts]
        rank = spearmanr(x, mine).statistic
        look = {"color": sg.plot.colour(m), "marker": "o", "ms": 4, "lw": 1.4, "elinewidth": 0.7}
        ax.errorbar(at, y, np.abs(ends - y), label=f"{m} {rank:.2f}", **look)
    ax.set(ylim=(0, 1.03), xlabel="simulated correlation of the unit", ylabel="share of its words that drive")


def by_sort(ax):
    """Draw the share of words that drive by their sort, and the share if they are dealt out."""
    for i, sort in enumerate(SORTS):
        for m in said:
            mine = spoken[(spoken.method == m) & (spoken.sort == sort)]
            y = i + 0.14 * (METHODS.index(m) - 2)
            if len(mine) >= 10:
                ink, chance, drive = sg.plot.colour(m), mine.chance.mean(), mine.drives.mean()
                ax.plot([chance, drive], [y, y], color=ink, lw=0.8, alpha=0.5)
                ax.plot(drive, y, "o", color=ink, ms=5)
                ax.plot(chance, y, "o", mfc="white", color=ink, ms=4)
    ax.set(xlim=(-0.02, 1.02), ylim=(len(SORTS) - 0.5, -0.5), xlabel="share that drive; hollow: dealt out")
    ax.set_yticks(range(len(SORTS)), [sort.replace(" and ", "\nand ") for sort in SORTS])
    ax.tick_params(axis="y", length=0)


def by_word(ax):
    """Draw every word said of a unit, once: how it goes along, what it does; mark some that only go along."""
    once = spoken.drop_duplicates(["unit", "word"]).sample(frac=1, random_state=seed)
    ax.scatter(once["goes along"], once.effect, s=7, c=[INKS[sort] for sort in once.sort], alpha=0.55, lw=0)
    ax.axhline(0, color="#999999", lw=0.8, zorder=0)
    for sort, ink in INKS.items():
        ax.plot([], [], "o", color=ink, ms=4, label=sort)
    ax.legend(loc="upper left", handletextpad=0.2)
    ax.set_xlabel("correlation of the word's truth with the unit")
    ax.set_ylabel("effect of painting the word, in spreads")
    ends = 0.98 - 0.09 * np.arange(len(idle))  # below the cloud, where there is room for numbers
    line = {"arrowstyle": "-", "lw": 0.7, "color": "#222222", "shrinkA": 0, "shrinkB": 3}
    for number, (end, (_, row)) in enumerate(zip(ends, idle.iterrows(), strict=True), 1):
        ax.annotate(str(number), (row["goes along"], row.effect), (end, 0.14), textcoords=ax.transAxes,
                    ha="center", va="top", arrowprops=line)  # fmt: skip
        ax.plot(row["goes along"], row.effect, "o", ms=6, mfc="none", mec="#222222", mew=0.8)


if roles:
    spoken = uses()
    idle = spoken[(spoken["goes along"] >= along) & (spoken.effect.abs() < WEAK)]
    idle = idle.sort_values("goes along", ascending=False).drop_duplicates("sort").drop_duplicates("unit")
    fig = plt.figure(figsize=(8, 5.6))
    ax = fig.subplot_mosaic([["units", "words"], ["sorts", "words"]], width_ratios=[1, 1.1])
    by_correlation(ax["units"])
    by_sort(ax["sorts"])
    by_word(ax["words"])
    fig.legend(*ax["units"].get_legend_handles_labels(), loc="outside upper left", ncols=3,
               title="method, and the rank correlation of the first panel", alignment="left")  # fmt: skip
    show(fig, "fig-le-x2",
         f"Words that predict and words that drive, for {roles[0]}. Top left: units in five parts by how "
         "well a method's words simulate them, and the share of these words that drive, with 95% "
         "intervals. Bottom left: the same share by the sort of word, filled, and what it would be if "
         "the words were dealt out to any units, hollow; sorts with fewer than ten words are left out. "
         "Right: every word that a method said of a unit. The numbers mark, of each sort, the word that "
         "goes along best among those that do next to nothing.",
         alt="Left, rising lines of methods and rows of dots by sort of word; right, a cloud of points "
             "whose effect grows with the correlation, and a band of points on zero below it, some of "
             "them numbered.")

# %% [markdown]
# Within a method, units that are simulated better tend to have more words that drive them, as far as there is room for more; the rank
# correlations above the figure tell how much so. Between methods that needn't hold. To predict, a word that goes along is as good as the cause, and nothing goes along better than what belongs
# to it: a fish's fin, a ladybird's legs. The lower left panel counts them, and shows why a longer list of words isn't free. A list of
# nothing but things is a safe one for a network that was taught to tell things, so compare the methods on the other networks before
# giving one of them the credit.
#
# The numbered words predict their neuron and don't drive it. What does? At the left of each row, a scene without and with the word; at the
# right, without and with the strongest cause of that neuron. The numbers below are its activation.

# %% tags=["hide-input"]
if roles and len(idle):
    best = [effect.names[int(effect.mean[:, unit].argmax())] for unit in idle.unit]
    paintings = explain.painted([*idle.word, *best], pairs, seed=seed, size=ed.size)
    rows, captions = [], []
    for unit, *two in zip(idle.unit, idle.word, best, strict=True):
        cells = []
        for name in two:
            answer = answers(roles[0], seen, paintings[name], [unit])[..., 0]
            change = answer[1] - answer[0]
            usual = int(change.argsort()[len(change) // 2])
            cells += [paintings[name].without[usual], paintings[name].within[usual]]
            captions += [f"{answer[0, usual]:.2f}", f"{name}: {answer[1, usual]:.2f}"]
        rows.append(cells)
    told = []
    for i, (unit, word) in enumerate(zip(idle.unit, idle.word, strict=True), 1):
        who = spoken.method[(spoken.unit == unit) & (spoken.word == word)]
        told.append(f"{i}: “{word}”\nof unit {unit}\nby {', '.join(who)}")
    columns = ["without the word", "with the word", "without the cause", "with the cause"]
    sg.plot.grid(rows, rows=told, columns=columns, captions=captions, width=6)
    plt.show()

# %% [markdown]
# Some of these are companions: what stands in the image whenever the neuron's true cause does. Others belong to the cause without being what the
# network looks at: a part that another part of the same animal makes superfluous, or a word wider than the one that counts, which
# holds for all images of the cause and for many more besides.
#
# ## Does the weight say how strong the cause is?
#
# A {term}`linear explanation` promises more than a list: the word with twice the weight should move the neuron twice as much. The
# weight is in units of activation, so dividing by the neuron's spread gives the promised effect, to be held against the measured one.

# %% tags=["hide-input"]
if roles:
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 3.5), sharex=True, sharey=True)
    spread = seen.q.std(0).cpu().numpy()
    for ax, m in zip(axes, LINEAR, strict=True):
        mine = spoken[spoken.method == m]
        promised = mine.weight / spread[mine.unit]
        ends = np.quantile(np.r_[promised, mine.effect], [0.002, 0.998])
        ax.plot([0, ends[1]], [0, ends[1]], color="#999999", lw=0.8)
        ax.axhline(0, color="#999999", lw=0.8, zorder=0)
        ax.scatter(promised, mine.effect, s=6, c=[INKS[sort] for sort in mine.sort], alpha=0.5, lw=0)
        ax.set_title(f"{m}: rank correlation {spearmanr(promised, mine.effect).statistic:.2f}")
        ax.set_xlabel("promised by the weight, in spreads")
    axes[0].set_ylabel("measured by painting, in spreads")
    for sort, ink in INKS.items():
        axes[1].plot([], [], "o", color=ink, ms=4, label=sort)
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center", ncols=5, handletextpad=0.2)
    plt.show()

# %% [markdown]
# On the grey line, a word delivers what its weight promises. A word alone can deliver more than that, since painting it brings its
# companions within the sum: a zebra pays its own weight and that of "mammal", if both are in. The column *foresight* of
# {numref}`tab-le-x1` lets all words of a sum speak at once. Within a sum, this is how often the heavier of two words also has the
# larger effect:

# %% tags=["hide-input"]
if roles:
    for m in LINEAR:
        mine = spoken[spoken.method == m]
        two = mine.merge(mine, on="unit", suffixes=("", " of the other"))
        two = two[two.weight > two["weight of the other"]]
        larger = (two.effect > two["effect of the other"]).mean()
        print(f"{m}: {larger:.2f} of {len(two)} pairs of words; by chance 0.5")

# %% tags=["hide-input"]
if roles:
    lines = tables[roles[0]].set_index("method")
    told = [m for m in METHODS if m in lines.index]
    ahead = {m: foresight(effect, said[m]) for m in told}
    rank = {m: spearmanr(score[m].cpu(), ahead[m], nan_policy="omit").statistic for m in told}
    sorts = spoken[spoken.method == LINEAR[1]].groupby("sort").drives.mean().sort_values(ascending=False)
    shares = {
        "drive": ", ".join(f"{lines.drive[m]:.2f} ({m})" for m in told),
        "rank": ", ".join(f"{rank[m]:.2f} ({m})" for m in told),
        "sums": " and ".join(f"{lines.foresight[m]:.2f} ({m})" for m in LINEAR),
        "sort": ", ".join(f"{share:.2f} ({sort})" for sort, share in sorts.items()),
        "any": f"{lines.drive['any word, by chance']:.2f}",
        "one": f"{lines.foresight['the strongest cause']:.2f}",
        "others": "".join(f", {lines.foresight[m]:.2f} ({m})" for m in told if m not in LINEAR),
    }  # fmt: skip
    display(Markdown("\n".join([
        ":::{admonition} What to take away", ":class: tip",
        "- Ask what a word does, not only what it goes along with. Of the words said about "
        f"{NAMES.get(roles[0], roles[0])}, this share drives the neuron: {shares['drive']}; of any words, "
        f"{shares['any']} ({{numref}}`tab-le-x1`).",
        f"- Correlation is a guide to causes and not a proof ({{numref}}`fig-le-x2`). Do units that a "
        "simulator plays well also have words that foresee edits? The rank correlations are "
        f"{shares['rank']}.",
        f"- Can a sum foresee more than one word? Foresight is {shares['sums']}, "
        f"{shares['one']} for each neuron's strongest cause{shares['others']}.",
        f"- What belongs to a cause goes along with it. Of the words in sums of {LINEAR[1]}, this share "
        f"drives, by sort: {shares['sort']}.",
        "- Compare with the same words dealt out, and with the strongest cause. Without both ends a "
        "share says little.",
        ":::"])))

# %% [markdown]
# ## Copy this
#
# Any network and any layer. The painted scenes come with the library, so the test needs no data. Here the network is random. Some of its units
# answer to colours and places all the same.

# %%
import timm
import torch

from sightglass import explain, world

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = world.draw(world.plan(range(60)), maps=False).pixels()  # yours: (n, 3, height, width) in [0, 1]
my_q = explain.activations(my_model, my_images, {"layer2": "mean"})["layer2"]
my_effects = explain.effects(my_model, ["on snow", "at night", "zebra", "red"], my_q, at="layer2", pairs=6)
my_words = explain.of_words(["on snow", "zebra"], ["on snow", "zebra"] * 64)  # of a method
my_table = explain.causes(my_effects, {"mine": my_words})
print(my_table[["method", "drive", "chance", "effect"]].round(2).to_string(index=False))
assert my_effects.mean.shape == (4, 128) and my_table.method[0] == "mine"
assert explain.judge(my_effects, my_words).drives.shape == (128, 1)

# %% [markdown]
# :::{dropdown} Try next: a harder test
# Run `python -m sightglass run world linear/x-causes -p pairs=96`. Standard errors halve. Which method gains: the one with many weak words or
# the one with few strong ones?
# :::
#
# :::{dropdown} Try next: where do causes begin?
# Copy the setup and give `explain.probe` and `explain.effects` an earlier tap, such as `block2`. Which sorts of words drive units there?
# :::
#
# :::{dropdown} Try next: one cause behind another
# Is a zebra neuron driven by the stripes or by the animal? Paint stripes on horses and zebras without stripes with `world.edit(plan, texture=...)`,
# and compare the two effects. That is an edit which this page's table doesn't have.
# :::
