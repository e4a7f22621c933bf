# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The networks
#
# **Question.** Which networks do we look into, what do they get right, and what do they get wrong?
#
# Explaining a network that never errs is idle, and so is explaining one that guesses. This page introduces the networks
# that come with the book, shows where each of them can be tapped, and then looks for their mistakes.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network | under a minute on one core | minutes on a GPU | {doc}`/world/inside` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # the one to look at closely, a role of the edition
images = 0  # test images that it is scored on; 0 takes all

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.stats import binomtest

import sightglass as sg
from sightglass import plot, world, zoo
from sightglass.show import show, unavailable
from sightglass.zoo.score import average_precision, outputs
from sightglass.zoo.taps import record
from sightglass.zoo.weights import shipped

plot.style()
ed = sg.load(edition, device=device)
cards = {name: zoo.card(name) for name in shipped()}

# %% [markdown]
# ## Networks small enough to ship
#
# The papers look into large pretrained networks. The world needs small ones: each keeps the architecture of its
# family, built from timm's own classes {cite:p}`wightman2019`, with fewer channels. All were trained on the world's
# labels alone, without parts, masks or concepts, so that what a method finds inside is what training put there. The three
# that learn from phrases are the exception: their captions name colours, parts and places, too.

# %% [markdown]
# One thing sets the classifiers apart from most published networks. Their last epochs show every batch twice, the second time
# with each pixel pushed a little the way that raises the loss {cite:p}`goodfellow2015,shafahi2019`. Such a network can't rely on
# grain that nobody sees, and its gradients draw objects {cite:p}`santurkar2019`. So pictures made by gradient descent come out
# clearer here than they would for ordinary training of networks this small. The column *pushed by* says how far, in steps of an
# 8-bit pixel.

# %%
def pushed_by(card):
    """Size of the push in the last epochs, in 255ths of the pixel range."""
    size = 255 * card["recipe"]["finish"].get("adversarial", 0)
    return f"{size:.0f}" if size else "–"


def facts(card):
    """One row of the table of networks."""
    return {
        "family": card["family"], "learns": card["task"],
        "parameters, thousands": round(card["parameters"] / 1e3), "file, MB": card["bytes"] / 1e6,
        "training, minutes": round(card["minutes"]),
        "pushed by": pushed_by(card),
        "test accuracy, %": f"{100 * card['accuracy']['test']:.1f}",
    }  # fmt: skip


table = pd.DataFrame({name: facts(card) for name, card in cards.items()}).T.rename_axis("network")
show(
    table,
    "tab-world-x2",
    "The networks of the world. `nouns` has 24 classes, `places` 10, `kinds` 59. A network that learns "
    "from `phrases` is scored by choosing among the 24 nouns, which it was never told to do.",
)

# %% [markdown]
# A test image looks like a training image. Images of the other splits don't, and on most of them the networks get worse,
# each in its own way; inverted colours and sketches are hardest. That is welcome: a network that fails is what a diagnosis
# needs.

# %%
splits = ["test", "pairs", "elsewhere", "noise", "corrupt", "inverted", "sketch"]
accuracy = 100 * pd.DataFrame({name: card["accuracy"] for name, card in cards.items()}).T[splits]

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(8, 0.6 + 0.3 * len(accuracy)))
ax.imshow(accuracy, cmap="viridis", vmin=0, vmax=100, aspect="auto")
for i, name in enumerate(accuracy.index):
    for j, split in enumerate(splits):
        value = accuracy.loc[name, split]
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="black" if value > 55 else "white")
ax.set_xticks(range(len(splits)), splits)
ax.set_yticks(range(len(accuracy)), [f"{name} ({cards[name]['task']})" for name in accuracy.index])
ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
ax.spines[:].set_visible(False)
show(
    fig, "fig-world-x13",
    "Accuracy in % on splits of the world; {numref}`fig-world-x11` shows what they look like. In brackets stands what a "
    "network learned. Tasks differ in difficulty, so compare along a row first.",
    alt="A table of shaded numbers, high on test and pairs, lower on noise and corruption, lowest on inverted and sketch.",
)  # fmt: skip

# %% [markdown]
# ## Where they can be tapped
#
# Every network has the same seven {term}`taps <tap>`: `block1` to `block5`, `penultimate` and `logits`. Whatever the
# network's own layout, a tap gives activations as (images, channels, positions). For a convolutional network positions
# are pixels of the {term}`feature map`; for a transformer they are tokens, the class token first.

# %%
models = {name: sg.model(f"world/{name}") for name in cards}
index = torch.tensor([24 * 4 + world.NOUNS.index("clownfish")])
scene = world.draw(world.plan(index, seed, hard=0.0, pairs=0.0, home=1.0))
traces = {}
for name, model in models.items():
    with record(model, zoo.taps(model)) as kept, torch.no_grad():
        model(zoo.normalise(model, scene.pixels()))
    traces[name] = dict(kept)

# %%
shapes = {name: {tap: "×".join(str(k) for k in a.shape[1:] if k > 1) for tap, a in trace.items()}
          for name, trace in traces.items()}  # fmt: skip
show(
    pd.DataFrame(shapes).T.rename_axis("network"),
    "tab-world-x3",
    "Channels × positions at each tap. Most networks have fewer and fewer positions from block to "
    "block; plain transformers keep theirs. The last two taps have channels alone.",
)


# %%
def strength(trace, tap):
    """Length of the activations at each position, as a square map without class token."""
    norm = trace[tap][0].norm(dim=0)
    side = int(len(norm) ** 0.5)
    return norm[len(norm) - side**2 :].view(side, side)


blocks = [f"block{i}" for i in range(1, 6)]
chosen = ("resnet50", "vgg16", "densenet121", "convnext_base", "vit_l_16", "swinv2_base")
chosen = [name for name in chosen if name in models]
rows = [[scene.pixels()[0], *(plot.heat([strength(traces[name], b)])[0] for b in blocks)]
        for name in chosen]  # fmt: skip
show(
    plot.grid(rows, rows=chosen, columns=["picture", *blocks]),
    "fig-world-x14",
    "How strongly each position answers to one picture (the length of its vector of activations), "
    "at five depths of each family. Each map has its own scale, yellow is its strongest position.",
    alt="A fish and heat maps of it: fine and sharp at block 1, coarse squares at block 5.",
)

# %% [markdown]
# ## One network closely
#
# Now the mistakes of one network, on test images that it has never seen. Each off-diagonal number below counts the
# images of a class (row) that were taken for another one (column).

# %%
model, photos = ed.model(network), ed.images("test", images or None)
task = ed.networks[network].task or "nouns"
labels, names, columns = photos.labels, ed.classes, list(ed.outputs)
if photos.scenes is not None:
    labels, names = photos.scenes.target(task), world.TASKS[task]
    columns = list(range(len(names)))
with torch.no_grad():
    parts = photos.pixels.split(120)
    parts = [model(zoo.normalise(model, part.to(ed.device))).cpu() for part in parts]
probability = torch.cat(parts)[:, columns].softmax(1)
sure, said = probability.max(1)
right = said == labels
mixed = torch.zeros(len(names), len(names))  # rows: what it is, columns: the wrong answer
mixed = mixed.index_put((labels, said), (~right).float(), accumulate=True)

# %% tags=["hide-input"]
few = len(names) <= 60
fig, ax = plt.subplots(figsize=(7, 6) if few else (5, 5))
ax.imshow(mixed, cmap="Oranges", vmax=max(1, mixed.max()))
for i, j in mixed.nonzero().tolist() if few else []:
    ax.text(j, i, int(mixed[i, j]), ha="center", va="center", fontsize=7, color="white" if mixed[i, j] > 0.6 * mixed.max() else "black")
if few:
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    ax.set_yticks(range(len(names)), names, fontsize=7)
ax.plot([-0.5, len(names) - 0.5], [-0.5, len(names) - 0.5], color="#bbbbbb", lw=0.8)
ax.set(xlabel="answer of the network", ylabel="what it is")
show(
    fig, "fig-world-x15",
    f"The {int((~right).sum())} mistakes of {network} among {len(right):,} test images. The right answers, on the grey "
    "diagonal, are left out.",
    alt="A square table of counts: a few small numbers off the diagonal, most cells empty.",
)  # fmt: skip

# %%
def common(a, b):
    """The smallest group that both words belong to."""
    return max(world.parents(a) & world.parents(b), key=lambda w: len(world.parents(w)), default="–")


worst = [(names[i], names[j], common(names[i], names[j]), int(mixed[i, j]))
         for i, j in mixed.nonzero().tolist()]  # fmt: skip
pairs = pd.DataFrame(worst, columns=["what it is", "taken for", "both are", "images"])
pairs = pairs.sort_values("images", ascending=False, kind="stable").head(8)
show(
    pairs.reset_index(drop=True),
    "tab-world-x4",
    f"What {network} mixes up most often, and the smallest group of words that holds both.",
)

# %% [markdown]
# Numbers don't tell why. Here are the mistakes of which the network was surest, with its answer and its confidence.
# Name each picture before you read the caption, then ask yourself where the network may have got its answer from.

# %%
wrong = (~right).nonzero()[:, 0]
surest = wrong[sure[wrong].argsort(descending=True)][:24].tolist()
show(
    plot.grid(
        photos.pixels[surest],
        columns=8,
        captions=[f"{names[said[i]]} {sure[i]:.0%}\nis {names[labels[i]]}" for i in surest],
    ),
    "fig-world-x16",
    f"The {len(surest)} mistakes of which {network} was surest. Below each picture: its answer and "
    "confidence, then what the picture is.",
    alt="Small pictures that are dark, cropped, tiny or hidden, each with a wrong answer and the "
    "right one.",
)

# %% [markdown]
# Each scene knows how it was made, so this can be counted. How often is the wrong answer a noun that is at home on the
# very background that the picture has? How often is it of the same family? And how often would that
# be so by chance, with wrong answers drawn at random?

# %%
def homes(scenes):
    """The commonest background of each noun, (nouns,)."""
    each = (scenes.background[scenes.label == k] for k in range(len(world.NOUNS)))
    return torch.stack([where.mode().values for where in each])


def reasons(scenes):
    """What wrong answers have in common: {reason: (% of mistakes, % of random wrong answers)}."""
    home = homes(scenes)
    kin = [world.parents(name) & set(world.FAMILIES) for name in names]
    family = torch.tensor([[bool(a & b) for b in kin] for a in kin])
    other = torch.arange(len(names)) != labels[wrong, None]
    fits = {
        "is at home on the background of the picture": home == scenes.background[wrong, None],
        "is of the same family as the right one": family[labels[wrong]],
        "is the second thing in the picture":
            torch.arange(len(names)) == scenes.second[wrong, None],
    }  # fmt: skip
    pairs = {name: (hit.gather(1, said[wrong, None]), hit[other]) for name, hit in fits.items()}
    return {name: [100 * float(hits.float().mean()) for hits in pair] for name, pair in pairs.items()}


# %%
lacking = ed.gives("places") or ("" if task == "nouns" else f"{network} wasn't asked for nouns")
why = {unavailable(lacking): [None, None]} if lacking else reasons(photos.scenes)
table = pd.DataFrame.from_dict(why, orient="index", columns=["mistakes, %", "by chance, %"])
show(
    table.astype(float).round(1).rename_axis("the wrong answer ..."),
    "tab-world-x5",
    f"What the wrong answers of {network} have in common, and how common it would be by chance.",
)

# %% [markdown]
# The same for the images: in which circumstances do mistakes happen? An image is *easy* when it is hard in
# none of the four ways. A network that looked at nothing but the object would be as good away from home as at home.

# %%
def circumstances(scenes):
    """Which images are in which circumstances: {name: bool (n,)}."""
    kinds = {name: scenes.hard == k for k, name in enumerate(world.HARD)}
    at_home = scenes.background == homes(scenes)[scenes.label]
    return {
        "easy": scenes.hard < 0, **kinds,
        "at home": at_home, "elsewhere": ~at_home,
        "alone": scenes.count == 1, "two things": scenes.count == 2,
    }  # fmt: skip


cases = {} if photos.scenes is None else circumstances(photos.scenes)
rate = {name: (int(right[rows].sum()), int(rows.sum())) for name, rows in cases.items()}

# %% tags=["hide-input"]
fig, (ax, calm) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=[1.25, 1])
if not rate:
    ax.text(0.5, 0.5, unavailable(ed.gives("places")), transform=ax.transAxes, ha="center", wrap=True)
    ax.set_axis_off()
for y, (hits, n) in enumerate(rate.values()):
    colour = plot.PALETTE[0 if y < 5 else 1 if y < 7 else 2]
    ax.plot(100 * torch.tensor(binomtest(hits, n).proportion_ci(method="wilson")), [y, y], color=colour)
    ax.plot(100 * hits / n, y, "o", color=colour)
ax.set_yticks(range(len(rate)), [f"{name} ({n})" for name, (_, n) in rate.items()])
ax.set(xlabel="accuracy, %", ylim=(max(len(rate), 1) - 0.5, -0.5))
ax.xaxis.get_major_locator().set_params(integer=True)
order = sure.argsort().tensor_split(10)
confidence, correct = ([100 * float(v[o].float().mean()) for o in order] for v in (sure, right))
calm.plot([0, 100], [0, 100], color="#999999", ls=":")
calm.plot(confidence, correct, "o-")
low = 10 * (min(*confidence, *correct) // 10) - 2
calm.set(xlabel="confidence, %", ylabel="accuracy, %", xlim=(low, 102), ylim=(low, 102), aspect="equal")
show(
    fig, "fig-world-x17",
    f"Left: accuracy of {network} by circumstances, with 95% intervals and numbers of images. Right: mean confidence "
    "and accuracy in ten groups of equal size, from least to most sure; above the dotted line the network is better than it "
    "thinks.",
    alt="Dots with bars: far and dark images are the worst, and away from home is worse than at home. A calibration curve.",
)  # fmt: skip

# %% [markdown]
# ## Networks that know words
#
# Three networks learned from phrases: an image tower and a text tower that meet in one space. Two of them judge each
# phrase on its own with a sigmoid, as {term}`SigLIP` does {cite:p}`zhai2023`; the third lets phrases compete in a
# softmax, as {term}`CLIP` does {cite:p}`radford2021`. They differ in architecture, in the images that they saw and in
# their captions: what describes a neuron, the {term}`explainer`, must not be what tests the description, the
# {term}`simulator`.

# %%
speakers = [name for name, card in cards.items() if card["task"] == "phrases"]


def spoken(card):
    """One row of the table of image-text networks."""
    first, last = card["recipe"]["images"]
    return {
        "image tower": card["arguments"]["image"]["builder"].rpartition(".")[2],
        "loss": card["recipe"]["loss"], "training images": f"{first:,}–{last:,}",
        "zero-shot, %": f"{100 * card['accuracy']['test']:.1f}",
        "mAP, %": f"{100 * card['precision']['test']:.1f}",
        "mAP elsewhere, %": f"{100 * card['precision']['elsewhere']:.1f}",
    }  # fmt: skip


show(
    pd.DataFrame({name: spoken(cards[name]) for name in speakers}).T.rename_axis("network"),
    "tab-world-x6",
    "The image-text networks. Training images: indices of the scenes that a network saw. Zero-shot: "
    "accuracy of choosing among 24 nouns. mAP: mean average precision with each of "
    f"{len(world.CONCEPTS)} concepts as a query, on `test` and on `elsewhere`.",
)

# %% [markdown]
# Which concepts do they know? For each concept, images are ranked by how well they fit its name; average precision is
# 100% when all that show it come first.

# %%
asked = world.split("test")[:960]
vectors = {name: outputs(models[name], asked.image) for name in speakers}
precision = {}
for name, v in vectors.items():
    each = average_precision(v @ models[name].phrases(world.CONCEPTS).T, asked.concept)
    each = pd.Series(100 * each, index=list(world.CONCEPTS))
    groups = world.GROUPS.items()
    precision[name] = pd.Series({group: each[list(words)].mean() for group, words in groups})
by_group = pd.DataFrame(precision)

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 2.8))
for k, name in enumerate(by_group):
    ax.plot(by_group[name], range(len(by_group)), marker="os^"[k], ls="", color=plot.PALETTE[k], label=name)
chance = pd.Series(100 * asked.concept.float().mean(0), index=list(world.CONCEPTS))
chance = [chance[list(words)].mean() for words in world.GROUPS.values()]
ax.plot(chance, range(len(chance)), marker="|", ls="", color="#999999", label="chance")
ax.set_yticks(range(len(by_group)), by_group.index)
ax.set(xlabel="mean average precision, %", xlim=(0, 101), ylim=(len(by_group) - 0.5, -0.5))
ax.grid(axis="x")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
show(
    fig, "fig-world-x18",
    f"How well the image-text networks find each group of concepts, on {len(asked)} test images.",
    alt="Dots for three networks in eight rows, from nouns and families to parts and counts, far above chance.",
)  # fmt: skip

# %% [markdown]
# And three scenes with captions that are nearly right. A good network tells the red car from the blue one, and a zebra
# at sea from a zebra on sand, although it has hardly ever met a zebra at sea.

# %%
said_of = ["a red car on a street", "a blue car on a street", "a red bus",
           "a penguin and a small bee", "a penguin on snow", "a small zebra",
           "a zebra at sea", "a zebra on sand", "a horse at sea"]  # fmt: skip
true = [[0], [3, 4], [6]]
changes = [dict(kind="red car", background="street"),
           dict(kind="black penguin", background="snow", second="bee"),
           dict(kind="zebra", background="sea")]  # fmt: skip
company = [world.plan(torch.tensor([24 * 12]), seed, pairs=float("second" in change), hard=0.0)
           for change in changes]  # fmt: skip
edited = [world.edit(plan, **change) for plan, change in zip(company, changes, strict=True)]
trio = world.draw(world.Plan.cat(edited))
fit = {}
for name in speakers:
    words, pictures = models[name].phrases(said_of), outputs(models[name], trio.image)
    logits = models[name].compare(pictures, words)
    fit[name] = logits.sigmoid() if cards[name]["recipe"]["loss"] == "sigmoid" else logits.softmax(1)

# %% tags=["hide-input"]
fig, axes = plt.subplots(3, 1 + len(fit), figsize=(8, 6), width_ratios=[1.3] + [1] * len(fit), squeeze=False)
for i, row in enumerate(axes):
    row[0].imshow(trio.pixels()[i].permute(1, 2, 0))
    row[0].set(xticks=[], yticks=[])
    row[0].spines[:].set_visible(False)
    for ax, name in zip(row[1:], fit, strict=True):
        colours = [plot.PALETTE[2] if k in true[i] else "#bbbbbb" for k in range(len(said_of))]
        ax.barh(range(len(said_of)), 100 * fit[name][i], color=colours)
        ax.set_yticks(range(len(said_of)), said_of if ax is row[1] else [""] * len(said_of), fontsize=7.5)
        ax.set(xlim=(0, 100), ylim=(len(said_of) - 0.5, -0.5), xlabel="%" if i == 2 else "", title="" if i else name)
show(
    fig, "fig-world-x19",
    "How well nine captions fit three scenes, in %; green is true. `explainer` and `simulator` judge each caption on its own, "
    "`clip` shares 100% among the nine.",
    alt="Three pictures, a car, a penguin with a bee, and a zebra at sea, and bars for nine captions from three networks.",
)  # fmt: skip

# %% tags=["nbval-check-output"]
accurate = accuracy["test"].drop(speakers)
total = sum(card["bytes"] for card in cards.values()) / 1e6
print(f"networks: {len(cards)}, together {total:.1f} MB")
print(f"test accuracy of classifiers: {accurate.min():.1f} to {accurate.max():.1f}%")
print(f"{network}: {int((~right).sum())} mistakes in {len(right)} images")

# %% tags=["hide-input"]
nouns = [name for name, card in cards.items() if card["task"] == "nouns"]
drop = (accuracy["test"] - accuracy["elsewhere"])[nouns]
hardest = min(rate, key=lambda name: rate[name][0] / rate[name][1]) if rate else "not known"
baited = "" if lacking else (
    f"In {next(iter(why.values()))[0]:.0f}% of them the answer is a noun that is at home on the picture's background."
)  # fmt: skip
Markdown(f""":::{{admonition}} What to take away
:class: tip
- {len(cards)} networks in {total:.0f} MB; the classifiers are right on {accurate.min():.0f} to {accurate.max():.0f}% of
  the test images.
- Away from home those that learn nouns lose {drop.min():.0f} to {drop.max():.0f} points, most of all {drop.idxmax()}:
  they do look at the background.
- {network} makes {int((~right).sum())} mistakes in {len(right):,} test images of the edition {ed.name}; the hardest
  circumstance is *{hardest}*. {baited}
- These networks are small and never saw a photograph. What is true of their features is an example, not a law about networks.
:::
""")

# %% [markdown]
# ## Copy this
#
# Taps work on any timm model: names are found from the architecture, and a module path does as well. The weights are
# random here so that nothing is downloaded.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.zoo.taps import record

my_model = timm.create_model("convnextv2_atto", pretrained=False).eval()
my_images = torch.rand(2, 3, 224, 224)  # in [0, 1]
with torch.no_grad(), record(my_model, ["block2", "stages.3", "logits"]) as activations:
    my_model(zoo.normalise(my_model, my_images))
print({tap: tuple(a.shape) for tap, a in activations.items()})

# %% [markdown]
# :::{dropdown} Try next: do all networks fail on the same images?
# Run this page with `-p network=vit_l_16` and compare the mistakes. Images that all of them get wrong are hard to see;
# images that only one gets wrong tell what is special about it.
# :::
#
# :::{dropdown} Try next: what if one block is silenced?
# Import `replace` from `sightglass.zoo.taps`: `with replace(model, "block3", lambda a: 0 * a):` runs the network
# without what block 3 has to say. Replace it by its mean over many images instead, and see which of the two does more harm.
# :::
#
# :::{dropdown} Try next: your own network
# Write an edition file that names your images and your checkpoint, check it with `python -m sightglass doctor my.yaml`,
# and run this page: `python -m sightglass run my.yaml world/networks`.
# :::
