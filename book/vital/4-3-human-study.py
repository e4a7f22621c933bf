# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Asking people (VITAL, section 4.3 and appendix D)
#
# **Question.** Do people understand these pictures, and how would we find out?
#
# Other networks can count how often a picture is recognised. Whether a *person* sees what the network sees, only people can
# tell. VITAL {cite:p}`gorgun2025` asked a hundred of them in two studies. This page builds both studies from the pictures
# of this run, shows what participants see, and sets the published answers beside those that were given here. A network
# or a program could fill in the pages, too, but its answers wouldn't be worth anything: where no person was asked, the page says so.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network; a Chromium browser for the pictures of pages | about a minute on one core, once the class pictures are kept | minutes on a GPU | {doc}`/vital/4-1-class-neurons` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
words = 10  # classes whose pictures are rated
channels = 8  # inner neurons; the paper has 10 to rate, 9 to choose by
describe = 9  # classes to be named
pairs = 4  # classes to choose by
probing = 600  # images that the channels' patches are cut from
steps = 0  # of every method; 0 takes each method's own
relevance = "LRP"  # LRP | AttnLRP (transformers) | guided backpropagation | gradient x activation
answers = "answers"  # a folder with the files that people saved
encoder = "world/clip"  # compares words; or a model of sentence-transformers

# %%
import io
import itertools
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import fisher_exact

import sightglass as sg
from sightglass import plot, study, zoo
from sightglass.concepts import pooled, top_patches
from sightglass.metrics import wilson
from sightglass.show import png, published, show, unavailable
from sightglass.study import drawing, figures, numbers
from sightglass.study.items import SYMBOLS
from sightglass.study.pictures import framed
from sightglass.visualize.fourier import mean_spectrum
from sightglass.visualize.methods import METHODS, applies
from sightglass.visualize.neurons import vital_inner
from sightglass.zoo.taps import record

plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
names = every[:: max(1, len(every) // 24)][:24]
target = torch.tensor([ed.outputs[every.index(name)] for name in names])
real = ed.references(names, 50, seed=seed).to(ed.device)
how = {"steps": steps} if steps else {}

# %% [markdown]
# ## The questions
#
# The first study has three sections, from easy to hard: rate pictures of a *word*, rate pictures beside real patches
# that excite the same *channel*, and say in one word what a picture shows. In the second study people see what a part of
# the network likes best, and pick which of two covered pictures it prefers. We deal the classes out at random, and as far
# as they go no class comes twice: whoever has read the word *agaric* can't be asked any more what an agaric is.

# %%
draw = torch.Generator().manual_seed(seed)
dealt = itertools.cycle(torch.randperm(len(names), generator=draw).tolist())


def deal(n):
    """The next n classes, or all where there are fewer."""
    return list(itertools.islice(dealt, min(n, len(names))))


rated, named, paired, (example,) = deal(words), deal(describe), deal(pairs), deal(1)
for title, some in (("rate", rated), ("name", named), ("choose", paired)):
    print(f"{title}: {', '.join(names[k] for k in some)}")

# %% [markdown]
# The class pictures are those of {doc}`/vital/4-1-class-neurons`, by the four methods of the study, as far as the network
# allows them.

# %%
asked_about = ("VITAL", "MACO", "Fourier", "DeepInversion")
spectrum = mean_spectrum(real.flatten(0, 1))  # of real images, for MACO
made = {}
for method in asked_about:
    if reason := applies(method, model):
        print(f"{method}: {unavailable(reason)}")
        continue
    keep = sg.kept if method == "DeepInversion" else sg.kept_each  # it looks at all pictures of its batch together
    own = {"magnitude": spectrum} if method == "MACO" else {}
    made[method] = keep(METHODS[method], model, target, real, seed=seed, **own, **how).cpu()

# %% [markdown]
# For inner neurons we draw channels of `block5` at random, leave out those that hardly any image excites, and look for
# the sixteen patches of distinct training images that excite each of them most. VITAL matches these patches, MACO takes no
# more than their average spectrum, and Fourier only needs the channel's number.

# %%
pool = ed.images("train", probing).pixels
alive = ((pooled(model, pool, "block5") > 0).sum(0) >= 50).nonzero().flatten().cpu()
draw = torch.Generator().manual_seed(seed)
chosen = alive[torch.randperm(len(alive), generator=draw)[:channels]].sort().values
patches = top_patches(model, pool, chosen, at="block5", k=16, shortlist=32)
by_relevance = how if relevance == "LRP" else how | {"relevance": relevance}  # LRP is the default
given = model, chosen, patches.images
inner = {"VITAL": sg.kept_each(vital_inner, *given, at="block5", seed=seed, **by_relevance).cpu()}
for method in ("MACO", "Fourier"):
    inner[method] = sg.kept(METHODS[method], *given, at="block5", seed=seed, **how).cpu()
channel_names = [f"channel {c}" for c in chosen.tolist()]

# %% [markdown]
# A forced choice needs two pictures of which the network prefers one. Following {cite:t}`zimmermann2021`, we take the test
# image that excites the class or channel most, cover it with a square of its mean colour at 81 places, and keep
# the place that hurts least and the one that hurts most.

# %%
test = ed.images("test", probing).pixels


def covered_pairs(targets, at):
    """The image of all that excites each target most, covered at its dullest and at its best place."""
    best = pooled(model, test, at)[:, targets].argmax(0).tolist()
    return [study.occluded_pair(model, test[i], int(c), at=at).cpu()
            for i, c in zip(best, targets, strict=True)]


class_pairs = covered_pairs(target[[*paired, example]], "logits")
channel_pairs = covered_pairs(chosen, "block5")

# %%
def by_method(pictures, k, wanted):
    """One question's picture by each of the wanted methods, as far as the network allows them."""
    return {method: pictures[method][k] for method in wanted if method in pictures}


sections = {
    "words": {names[k]: by_method(made, k, made) for k in rated},
    "references": {name: (patches.images[k, :8], by_method(inner, k, ("VITAL", "MACO")))
                   for k, name in enumerate(channel_names)},
    "describe": {names[k]: by_method(made, k, ("VITAL", "DeepInversion", "MACO")) for k in named},
    "demonstration": {names[example]: (class_pairs[-1], {"real": real[example, :2]})},
    "classes": {names[k]: (pair, by_method(made, k, made)) for k, pair in zip(paired, class_pairs[:-1], strict=True)},
    "inner": {name: (pair, by_method(inner, k, inner))
              for k, (name, pair) in enumerate(zip(channel_names, channel_pairs, strict=True))},
}
items = study.write_items("study", sections, edition=ed.name, network=network, seed=seed)
workshop = tempfile.TemporaryDirectory()
site = study.build_study(Path(workshop.name) / "site", items)

# %% [markdown]
# ## What participants see
#
# The pages are ordinary files: no server, no account, no request to any other machine. They work with a thumb, with a
# keyboard and without a network, keep the answers when the page is reloaded, and refuse an unfinished page in words.
# The order of questions, and of pictures in a question, is drawn anew for everybody, and no picture tells its method.

# %% tags=["hide-input"]
def page(name):
    """A page as a figure, and how it was drawn in words for the caption."""
    figure, by_browser = study.page_figure(site, name)
    return figure, "as a browser shows it" if by_browser else "as a sketch, since no browser was found"


figure, seen = page("welcome")
show(figure, "fig-vital-34", f"The first page of the first study, {seen}. What happens with the answers stands on it (VITAL, figure 34).",
     alt="A page of text that thanks for helping, lists three parts and has a button Start.")

# %%
figure, seen = page("words")
show(figure, "fig-vital-35", f"Section 1, {seen}: a word, and a picture by each method to be rated from 1 to 5. Which method made which "
     "isn't told (VITAL, figure 35).",
     alt="A page with a word in the heading and a row of pictures, each with buttons from 1 to 5 below it.")

# %%
figure, seen = page("references")
show(figure, "fig-vital-36", f"Section 2, {seen}. Above: the eight patches of real images that excite a channel most. Below: what two methods "
     "make for that channel (VITAL, figure 36).",
     alt="A page with a strip of eight small reference pictures, and below it two pictures to be rated from 1 to 5.")

# %% [markdown]
# In the third section everybody sees each class once, by one method, since a second picture of the same thing would be
# easy. Which method it is depends on a sign that the participant chooses without knowing what it means.

# %%
figure, seen = page("subset")
show(figure, "fig-vital-37", f"The choice of a subset, {seen}. Each sign stands for another distribution of the methods over the questions "
     "(VITAL, figure 37).",
     alt="A page that asks to choose one of a few signs such as a hash and a dollar.")

# %%
figure, seen = page("describe")
show(figure, "fig-vital-38", f"Section 3, {seen}: what is it? There is no word to lean on, so this is the hardest section, and the nearest to how "
     "such pictures are used (VITAL, figure 38).",
     alt="A page with one picture and an empty field for one word.")

# %%
figure, seen = page("people")
show(figure, "fig-vital-39", f"The last page asks for age and gender, {seen}. Both may be left out (VITAL, figure 39).",
     alt="A page with two rows of round buttons, one for age and one for gender.")


# %% [markdown]
# The second study asks no opinion. Its questions have a right answer, which the network gives, so it measures whether a
# picture helps to predict the network. An example with real images comes first, to show what is meant.

# %% tags=["hide-input"]
def stacked(pages):
    """Several pages below one another in one figure, and how they were drawn."""
    drawn = [page(name) for name in pages]
    pixels = [(plt.imread(io.BytesIO(png(figure)))[..., :3] * 255).astype(np.uint8) for figure, _ in drawn]
    widest = max(p.shape[1] for p in pixels)
    padded = [np.pad(p, ((0, 12), (0, widest - p.shape[1]), (0, 0)), constant_values=255) for p in pixels]
    plt.close("all")
    return framed(np.concatenate(padded)[:-12]), drawn[0][1]


figure, seen = stacked(["choice welcome", "classes", "inner"])
show(figure, "fig-vital-43", f"The second study, {seen}: its first page, a question about a class, and a question about a "
     "channel. At the left stands what a method says the network likes; at the right the same image is covered at two places (VITAL, figure 43).",
     alt="Three pages below one another: a welcome, and two questions with a made picture, two covered pictures and confidence from 1 to 3.")

# %% [markdown]
# Such a question is only fair if the network does prefer one of the two. What is left of its answer under each of the squares?
# Where the two numbers are close, nobody can be expected to guess right.

# %% tags=["hide-input"]
def answer_of(images, c, at):
    """Mean activation of one channel for each image."""
    with record(model, at) as kept, torch.no_grad():
        model(zoo.normalise(model, images.to(ed.device)))
    return kept[at][:, int(c)].mean(-1).tolist()


asked = [(names[k], pair, target[k], "logits") for k, pair in zip(paired, class_pairs[:-1], strict=True)]
asked += [(name, pair, c, "block5") for name, pair, c in zip(channel_names, channel_pairs, chosen, strict=True)]
key = pd.DataFrame([(name, *answer_of(pair, c, at)) for name, pair, c, at in asked],
                   columns=["question", "activation, preferred picture", "activation, other picture"])
key.set_index("question").round(2)

# %% [markdown]
# ## What people answered
#
# Each participant saves one file, and all files of a folder are read together. A file that a program filled in says so itself, and is left
# out. Intervals come from drawing *participants* anew, since ten answers of one person aren't ten independent answers.

# %%
found = study.read(answers)
for reason in found.left_out:
    print(f"left out: {reason}")
encode = study.encoder(encoder)
described = numbers.with_similarity(found.of("describe"), encode)
people = {which: found.count(which) for which in ("ratings", "choice")}
who = {which: f"{n} {'people' if n > 1 else 'person'} answered" if n else "nobody was asked"
       for which, n in people.items()}
for which, text in who.items():
    print(f"{which}: {text}")


# %% tags=["hide-input"]
def quantiles_of_the_text(ax):
    """The 5 % quantiles that the paper's text names."""
    low = published("fig-vital-7").query("column == '5 % quantile of similarity'").set_index("row")["value"]
    methods = ("VITAL", "DeepInversion", "MACO")
    for x, (method, colour) in enumerate(drawing.tints(methods).items()):
        value = low["VITAL / free word" if method == "VITAL" else "other methods / free word"]
        ax.hlines(value, x - 0.25, x + 0.25, color=colour, lw=3)
        ax.text(x, value + 0.04, f"about {value:g}", ha="center", fontsize=8)
    ax.set(xlim=(-0.6, 2.6), ylim=(-0.1, 1.05), ylabel="similarity, 5 % quantile")
    ax.set_xticks(range(len(methods)), methods, fontsize=7)


def two_rows(upper, lower, answered):
    """A row of three panels for the paper, and one for this run, lower where it has nothing to show."""
    low = 1 if answered else 0.42
    fig = plt.figure(figsize=(8, 2.6 * (1 + low)))
    parts = fig.subfigures(2, 1, hspace=0.04, height_ratios=(1, low))
    for part, title in zip(parts, (upper, lower), strict=True):
        part.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=9)
    return fig, [part.subplots(1, 3) for part in parts]


fig, (upper, lower) = two_rows("the paper: 58 people", f"this run: {who['ratings']}", people["ratings"])
for ax in upper[:2]:
    drawing.empty(ax, "the paper draws bars\nwithout numbers; by its text\nVITAL gets scores of 4 and 5\nabout ten times as often")
quantiles_of_the_text(upper[2])
drawing.score_bars(lower[0], found.of("words"))
drawing.score_bars(lower[1], found.of("references"))
drawing.violins(lower[2], described)
for ax, title in zip(upper, ("1: a word is given", "2: reference patches are given", "3: one word is asked for"), strict=True):
    ax.set_title(title)
show(fig, "fig-vital-7", "The three sections of the first study. Above: what the paper prints as numbers, all of it from the text. "
     "Below: the answers of this run, with scores from 1 to 5 in the first two panels and the similarity of words in the third (VITAL, figure 7).",
     alt="Two rows of three panels: above, words and three short lines for similarities; below, the answers given here "
         "or a note that nobody was asked.")

# %% [markdown]
# Who were the 58? The paper prints six percentages and no counts. We look for all group sizes that can give these percentages.

# %%
shares = published("fig-vital-15").set_index("row")["value"]
ages = shares.index.str[0].str.isdigit()


def counts(n):
    """People in each group of n, None where the printed percentages aren't those of n people."""
    people = (shares * n / 100).round().astype(int)
    exact = ((100 * people / n).round(1) == shares).all()
    return people if exact and people[ages].sum() == people[~ages].sum() == n else None


sizes = [n for n in range(1, 59) if counts(n) is not None]
print(f"sizes that fit: {sizes}")

# %% tags=["hide-input"]
table = pd.DataFrame({"what": np.where(ages, "age", "gender"), "value": shares.index, "share": shares / 100})
table["people"] = counts(sizes[-1])
show(figures.people_bars(table.reset_index(drop=True)),
     "fig-vital-15", "Who took part in the first study of the paper: published shares, and in brackets the counts that fit them, "
     f"out of {sizes[-1]} who told. In this run {who['ratings']} (VITAL, figure 15).",
     alt="Two bar charts: most participants are 25 to 34 years old, and about three of five are male.")

# %%
numbers.demographics(found.people) if len(found.people) else print(unavailable("nobody was asked"))

# %% [markdown]
# Mostly young adults, then, and all of them volunteers: a study among children or among experts might end differently.
#
# ## Question by question
#
# The paper draws its answers for each question, too, and prints no numbers with them. The next three figures show the questions
# with their pictures, now with the methods' names, and below them the answers where there are some. *If you would like to take part
# yourself, do so before you read on.*

# %% tags=["hide-input"]
def questions(given, draw, cells, rows, columns, **labels):
    """The answers to a section where people gave some, else its questions and a row that says so."""
    if len(given):
        return draw(given)
    empty = ["nobody was asked: there are no files of answers"] * len(columns)
    return plot.grid([*cells, empty], rows=[*rows, "answers"], columns=columns, **labels)


figure = questions(found.of("words"), figures.scores_by_question, [[made[m][k] for k in rated] for m in made], list(made),
                   [names[k] for k in rated])
show(figure, "fig-vital-40", f"Section 1, one column per word, one row per method; {who['ratings']}. "
     "Which row would you give a 5? (VITAL, figure 40)",
     alt="A grid of made pictures, a column for each word and a row for each method, and below it a row for the answers.")

# %% tags=["hide-input"]
best = [[patches.images[k, i] for k in range(len(chosen))] for i in range(3)]
cells = [*best, *([inner[m][k] for k in range(len(chosen))] for m in ("VITAL", "MACO"))]
figure = questions(found.of("references"), figures.scores_by_question, cells, 
                   ["best patch", "second", "third", "VITAL", "MACO"], channel_names, width=min(8, 1.1 * len(chosen)))
show(figure, "fig-vital-41", f"Section 2, one column per channel of block5; {who['ratings']}. Above, the three patches that "
     "excite it most: what do they share, and is it in the pictures of VITAL and MACO? (VITAL, figure 41)",
     alt="A grid with three rows of real patches and two rows of made pictures, a column for each channel, and a row for the answers.")

# %% tags=["hide-input"]
methods = list(sections["describe"][names[named[0]]])
signs = [SYMBOLS[(m - q) % len(methods)] for m in range(len(methods)) for q in range(len(named))]
figure = questions(described, figures.similarity_by_question, [[made[m][k] for k in named] for m in methods], methods,
                   [names[k] for k in named], captions=signs)
show(figure, "fig-vital-42", f"Section 3, one column per class, which participants have to name; {who['ratings']}. "
     "The sign below a picture is that of the people who see it: everybody gets each class once, and each method equally often (VITAL, figure 42).",
     alt="A grid of made pictures, a column for each class and a row for each method, with a sign below every picture.")

# %% [markdown]
# ## How near is a word?
#
# Section 3 is scored by the cosine similarity between the answer and the true word, as a text encoder sees them. The paper used the
# Universal Sentence Encoder; here it is the text tower of the world's `clip`, unless the parameter `encoder` names another. Similarities
# of two encoders are on different scales, so a wrong word's similarity has to be known first. This table needs no participants:
# it compares the class names with each other.

# %%
vectors = encode(names)
similar = pd.DataFrame((vectors @ vectors.T).numpy(), names, names)
others = similar.where(~np.eye(len(names), dtype=bool))
nearest = others.apply(lambda row: f"{row.idxmax()} ({row.max():.2f})", axis=1)
farthest = others.apply(lambda row: f"{row.idxmin()} ({row.min():.2f})", axis=1)
pd.DataFrame({"nearest other name": nearest, "farthest": farthest}).loc[[names[k] for k in named]]

# %% tags=["nbval-check-output"]
wrong = np.nanquantile(others, [0.5, 0.95])
print(f"a wrong class name: median {wrong[0]:.2f}, 95 % quantile {wrong[1]:.2f}; the right one: 1.00")

# %% [markdown]
# ## Predicting the network
#
# The second study has published numbers, and more follows from them than the paper says. Its 42 participants saw four classes, each by one of
# four methods, and nine channels, each by one of three: that makes 42 and 126 answers per method. The whiskers are Wilson's intervals for
# so many answers, as if all were independent. Dotted lines mark guessing.

# %%
printed = published("fig-vital-44").pivot(index="row", columns="column", values="value").dropna(subset="correct")
printed["correct"] /= 100
printed["part"], printed["method"] = zip(*printed.index.str.split(" / "), strict=True)
printed["answers"] = printed["part"].map({"class neurons": 42 * 4 // 4, "inner neurons": 42 * 9 // 3})
printed[["low", "high"]] = [wilson(row.correct, row.answers) for row in printed.itertuples()]
parts = {part: printed[printed["part"] == part].set_index("method").loc[lambda t: [m for m in asked_about if m in t.index]].reset_index()
         for part in printed["part"].unique()}

# %% tags=["hide-input"]
fig, (upper, lower) = two_rows("the paper: 42 people", f"this run: {who['choice']}", people["choice"])
for ax, (part, rows) in zip(upper[::2], parts.items(), strict=True):
    drawing.correct_bars(ax, rows)
    ax.set_title(part)
drawing.empty(upper[1], "the paper draws dots\nwithout numbers")
upper[1].set_title("each class")
drawing.correct_bars(lower[0], numbers.correctness(found.of("classes")))
figures.correct_dots(lower[1], found.of("classes"))
drawing.correct_bars(lower[2], numbers.correctness(found.of("inner")))
show(fig, "fig-vital-44", "The second study: right choices, and in brackets the mean confidence from 1 to 3. "
     "Above: the paper's numbers with 95 % intervals for as many answers as its design gives. Below: the answers of this run (VITAL, figure 44).",
     alt="Above, two bar charts of right choices near 90 to 100 percent with whiskers that overlap; "
         "below, the answers given here or a note that nobody was asked.")

# %% [markdown]
# The bars differ by a few answers. How likely would differences of this size be if the methods were equally good? Fisher's exact test
# compares VITAL with each of the others.

# %% tags=["nbval-check-output"]
rows = []
for part, t in parts.items():
    right = dict(zip(t["method"], (t["correct"] * t["answers"]).round().astype(int), strict=True))
    n = int(t["answers"].iloc[0])
    for method in [m for m in right if m != "VITAL"]:
        p = fisher_exact([[right["VITAL"], n - right["VITAL"]], [right[method], n - right[method]]]).pvalue
        rows.append((part, method, f"{right['VITAL']} of {n}", f"{right[method]} of {n}", round(p, 3)))
fisher = pd.DataFrame(rows, columns=["part", "other method", "VITAL right", "other right", "p"])
fisher

# %% [markdown]
# The forced choice is easy with any method: even a Fourier picture tells most people which piece of an image matters. Of the
# five differences only one, VITAL against Fourier on channels, would come about by chance less than once in twenty times, and among
# five comparisons that says little. So with 42 participants this study shows that every method helps, and hardly that one
# helps more than another. By the numbers of the text, the first study tells the methods apart far better.
#
# ## Paper against this run

# %% tags=["hide-input"]
text = published("fig-vital-7").set_index(["row", "column"])["printed"]
middle = numbers.quantiles(described).set_index("method") if len(described) else None


def measured(take):
    """A number of this run's words, or why there is none."""
    return unavailable("nobody was asked") if middle is None else f"{take(middle):.2f}"


def size(section):
    """Questions × methods of a section."""
    shown = next(iter(sections[section].values()))
    return f"{len(sections[section])} × {len(shown[1] if isinstance(shown, tuple) else shown)}"


lines = [
    ("study 1: participants", text["all", "participants"], people["ratings"]),
    ("words × methods", "10 × 4", size("words")),
    ("channels × methods", "10 × 2", size("references")),
    ("words to find × methods", "9 × 3", size("describe")),
    ("similarity, 5 % quantile, VITAL", f"about {text['VITAL / free word', '5 % quantile of similarity']}",
     measured(lambda t: t.loc["VITAL", "5 %"])),
    ("similarity, 5 % quantile, others", f"about {text['other methods / free word', '5 % quantile of similarity']}",
     measured(lambda t: t.drop(index="VITAL")["5 %"].max())),
    ("median similarity, VITAL ahead by", f"more than {text['VITAL minus others / free word', 'median of similarity']}",
     measured(lambda t: t.loc["VITAL", "median"] - t.drop(index="VITAL")["median"].max())),
    ("study 2: participants", published("fig-vital-44").set_index("row")["printed"]["all"], people["choice"]),
    ("classes × methods", "4 × 4", size("classes")), ("channels × methods, study 2", "9 × 3", size("inner")),
]
pd.DataFrame(lines, columns=["", "paper", "this run"]).astype(str).set_index("")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - The three ways of asking aren't equally strict. A word or reference patches tell people what to look for; only an open
#   question ({numref}`fig-vital-38`) shows whether the picture speaks for itself.
# - A rating measures whether people like a picture, a forced choice whether it helps them to predict the network. The paper's forced
#   choice is near its ceiling for every method ({numref}`fig-vital-44`).
# - The sample was small, young and voluntary ({numref}`fig-vital-15`). The instrument is here so that you can ask others.
# :::
#
# ## Ask people yourself
#
# `python -m sightglass study OUT --contact you@example.org` writes the pages to the folder `OUT`. Put it on any web server for files, or
# open `OUT/index.html` on a machine of yours. Collect the files that participants send, and read them with
# `python -m sightglass study read FOLDER`, which writes the figures of this page with confidence intervals. To see them on this page, run it with
# `-p answers=/path/to/FOLDER`.
#
# ## Copy this
#
# The same with any timm model and any pictures in [0, 1], without editions. Use `pretrained=True` and pictures of your own methods; the
# weights and pictures here are random so that the cell needs no download.

# %%
import tempfile
from pathlib import Path

import timm
import torch

from sightglass import study

my_model = timm.create_model("resnet18", pretrained=False)
my_model = my_model.eval().requires_grad_(False)
my_images = {"VITAL": torch.rand(3, 96, 96), "my method": torch.rand(3, 96, 96)}  # of one class
my_pair = study.occluded_pair(my_model, torch.rand(3, 96, 96), 281, steps=3)  # preferred first
assert my_pair.shape == (2, 3, 96, 96)

my_folder = Path(tempfile.mkdtemp())
my_questions = {"words": {"tabby": my_images}, "describe": {"tabby": my_images},
                "classes": {"tabby": (my_pair, my_images)}}
study.write_items(my_folder / "items", my_questions)
my_pages = study.build_study(my_folder / "pages", my_folder / "items", contact="you@example.org")
my_answers = study.read(my_folder / "answers")  # where you put the files that people send
assert len(study.read_items(my_folder / "items")["sections"]) == 3 and my_answers.count("ratings") == 0
print(sorted(path.name for path in my_pages.iterdir()))

# %% [markdown]
# :::{dropdown} Try next: what do you see yourself?
# Build the pages, answer the third section alone, and put your file into a folder. With one participant the intervals are
# as wide as they can be, but the violins of {numref}`fig-vital-42` fill.
# :::
#
# :::{dropdown} Try next: another network
# Run `python -m sightglass run world vital/4-3 -p network=densenet121`. Do its channels show things that can be named?
# :::
