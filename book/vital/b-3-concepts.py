# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pictures of concepts (VITAL, appendix B.3)
#
# **Question.** A network that knows zebras must have noticed something about them. Can its notion of a zebra be taken
# apart into pieces, and can we see each piece?
#
# A {term}`channel` is a poor place to look: one {term}`concept` is often spread over many. CRAFT {cite:p}`fel2023craft`
# looks for *directions* instead, mixtures of channels that occur together. VITAL {cite:p}`gorgun2025` then makes a
# picture of a direction just as it does of a channel. We do both for four classes, which stand at even distances in the
# edition's list. And because the scenes are drawn, we can look up what the pieces really lie on.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes, one network with ReLUs | about a minute on one core | minutes on a GPU | {doc}`/vital/3-3-relevance` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
layer = "block5"  # its activations must never be negative
classes = []  # four names; empty takes four evenly spread over the edition's list
photos = 100  # images of each class
concepts = 10  # directions per class; the five most important are shown
tested = 24  # of these images, the ones on which the directions' importance is measured
references = 20  # patches that VITAL matches, per direction
where = "everywhere"  # where relevance starts; "best" is the paper's single position
steps = 45  # of each picture; 0 takes the method's own number
tv = 0.002  # weight of smoothness, which so few steps need more of; 0 takes the method's own

# %%
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts import craft
from sightglass.metrics import auc, eight_bits
from sightglass.show import show, unavailable
from sightglass.visualize.neurons import vital_inner

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
names = (list(classes) or every[:: max(1, len(every) // 4)])[:4]
pace = {name: value for name, value in {"steps": steps, "tv": tv}.items() if value}
shown = 5  # concepts of each class, the most important first

# %% [markdown]
# ## What are the images of a class made of?
#
# Take images of one class, nothing else. Cut each into overlapping patches half as wide as the image, enlarge every
# patch to full size, and ask the network's last {term}`block` about it; the mean over positions is one row
# {math}`\mathbf a_p \ge 0` of channels per patch {math}`p`. Then find a few directions {math}`\mathbf d_j \ge 0` from which all rows
# can be put together,
#
# $$ \mathbf a_p \approx \sum_j u_{pj}\, \mathbf d_j , \qquad u_{pj} \ge 0 , $$ (eq-vital-craft)
#
# which is *non-negative matrix factorisation*. Since nothing can be subtracted, directions come out as parts rather
# than as differences. The patches with the largest {math}`u_{pj}` show what direction {math}`j` stands for.
#
# How much does the class depend on a direction? Multiply its amounts by a number between 0 and 1, those of the others
# by other numbers, run the rest of the network, and repeat. The *importance* of a direction is its total Sobol index: the
# share of the output's variance that is left when all other numbers are held still, averaged over where they are held. Shares
# overlap where directions act together, so they need not add up to one.

# %%
def images_of(name):
    """Images of a class (n, 3, h, w), and their scenes where the edition draws its own."""
    if ed.gives("masks"):
        return ed.references([name], photos, seed=seed)[0], None
    rows = (seen.labels == every.index(name)).nonzero()[:photos, 0]
    return seen.pixels[rows], seen.scenes[rows]


seen = None if ed.gives("masks") else ed.images("train", photos * len(every))
pages = {}  # name: concepts, scenes
for name in names:
    images, scenes = images_of(name)
    found = craft(model, images, ed.outputs[every.index(name)], at=layer, r=concepts, k=references, tested=tested, seed=seed)
    pages[name] = found, scenes

# %% [markdown]
# ## A picture of each direction
#
# The best patches of a direction, from as many images, are its {term}`reference images`. VITAL matches activation
# times {term}`relevance` to them. For a channel, relevance starts at that channel. For a direction the paper lets it start at one
# position, the one whose activations point most nearly along the direction, with the direction's own entries. On images this small
# that position jumps about while the picture is made, and the aim with it. So we let it start at every position, as
# strongly as the direction is present there; the parameter `where` has both. Relevance is sent back in two
# ways: by {term}`layer-wise relevance propagation` and by guided backpropagation {cite:p}`springenberg2015`.

# %%
relevances = ["LRP", "guided backpropagation"]
directions = torch.cat([found.directions[:shown] for found, _ in pages.values()])
patches = torch.cat([found.patches.images[:shown] for found, _ in pages.values()])


def pictures(relevance):
    """A picture of every direction, or the sentence why there is none."""
    try:
        return sg.kept(vital_inner, model, directions, patches.to(ed.device), at=layer, relevance=relevance, where=where,
                       seed=seed, **pace)  # fmt: skip
    except ValueError as reason:  # the network has nothing that this relevance could follow
        return [unavailable(str(reason))] * len(directions)


made = {relevance: pictures(relevance) for relevance in relevances}

# %% [markdown]
# ## What do the patches lie on?
#
# The directions have no names. People give them names by looking at the patches; here the {term}`pixel truth` can do it. For
# every patch we know which share of it each part of the object covers, and the surroundings; in which place the scene
# is set; whether it is dark, close, far or hidden; and which kind of the class it shows. A direction is named after whatever
# sets its patches apart most clearly: what one of its patches most probably has more of than any other patch of the class.

# %%
def truths(scenes, patch):
    """What is true of each patch that CRAFT saw: {name: (n, down, across)}, shares of it or 0 and 1."""
    maps = {part: (scenes.part == i) & (scenes.instance == 1) for i, part in enumerate(world.PARTS, 1)}
    maps |= {"surroundings": scenes.instance == 0, "another object": scenes.instance == 2, "something in front": scenes.instance == 3}
    told = {what: F.avg_pool2d(where.float()[:, None], patch, patch // 2)[:, 0] for what, where in maps.items() if where.any()}
    whole = {world.place(place): scenes.background == i for i, place in enumerate(world.BACKGROUNDS)}
    whole |= {f"{what} scenes": scenes.hard == i for i, what in enumerate(world.HARD)}
    whole |= {kind: scenes.kind == i for i, kind in enumerate(world.KINDS)}
    like = next(iter(told.values()))
    told |= {what: where.float()[:, None, None].expand_as(like) for what, where in whole.items() if where.any()}
    return {what: value for what, value in told.items() if value.std() > 0}


def named(found, scenes):
    """Per direction: what sets its patches apart, how clearly, how much of it they hold, and how much all patches do."""
    patch = int(found.patches.box[0, 0, 2])
    told, rows = truths(scenes, patch), []
    for source, box in zip(found.patches.source[:shown], found.patches.box[:shown], strict=True):
        down, across = box[:, 0] // (patch // 2), box[:, 1] // (patch // 2)
        own = {what: value[source, down, across] for what, value in told.items()}
        clear = {what: float(auc(value.flatten(), own[what])) for what, value in told.items()}
        best = max(clear, key=clear.get)
        rows.append((best, clear[best], float(own[best].mean()), float(told[best].mean())))
    return rows


lacking = ed.gives("masks")
labels = {name: [(None, *[float("nan")] * 3)] * shown if lacking else named(*page) for name, page in pages.items()}

# %%
lines = [[name, j + 1, float(found.importance[j]), *labels[name][j]]
         for name, (found, _) in pages.items() for j in range(shown)]  # fmt: skip
table = pd.DataFrame(lines, columns=["class", "concept", "importance", "its patches stand out by", "chance of more",
                                     "in them", "in all"])  # fmt: skip

# %% tags=["nbval-check-output"]
print(*filter(None, [lacking, table.dropna(axis=1, how="all").to_string(index=False, float_format="{:.2f}".format)]), sep="\n")

# %% [markdown]
# *Chance of more* says how often one of the concept's patches has more of it than one of all the patches of the class; half is
# no difference. *In them* and *in all* are the mean shares. Names of places, kinds and scenes stand for whole images; all
# other names are parts and count pixels. The name is the best one of this list, which isn't to say that the
# network thinks in this list.
#
# In each figure a row is a concept, the most important first. Cover the right half, say what the patches have in common,
# and then look whether the pictures show it.

# %%
few = 5  # patches shown


def page(k):
    """Patches and pictures of a class's concepts."""
    name = names[k % len(names)]
    found, first = pages[name][0], shown * (k % len(names))
    rows = [[*found.patches.images[j, :few], *(made[relevance][first + j] for relevance in relevances)] for j in range(shown)]
    titles = [f"{labels[name][j][0] or f'concept {j + 1}'}\n{float(found.importance[j]):.2f}" for j in range(shown)]
    return sg.plot.grid(rows, rows=titles, columns=["best patch", *["patch"] * (few - 1), "VITAL, LRP", "VITAL, guided backprop."])


def caption(k, number):
    """Say what a figure shows."""
    about = "number" if lacking else "name, after what its patches show by the drawn truth"
    return (f"The {shown} most important concepts of *{names[k % len(names)]}*, a row each: its best patches, from distinct images, and two VITAL "
            f"pictures of its direction. At the left: its {about}, and its importance for the class (VITAL, figure {number}).")  # fmt: skip


alt = "Five rows, one per concept: five real patches that resemble each other, then two optimised pictures."

# %%
show(page(0), "fig-vital-30", caption(0, 30), alt=alt)

# %%
show(page(1), "fig-vital-31", caption(1, 31), alt=alt)

# %%
show(page(2), "fig-vital-32", caption(2, 32), alt=alt)

# %%
show(page(3), "fig-vital-33", caption(3, 33), alt=alt)

# %% [markdown]
# ## Which pictures show their own concept?
#
# An image-text network that had no part in the making compares each picture with the patches of the five concepts of its
# class. It should find it nearest to its own. Guessing would be right once in five. Concepts of one class
# share a lot, so this is a hard test.

# %%
@torch.no_grad()
def embedded(judge, images):
    """Unit vectors of images (n, 3, h, w) in the eyes of a judge, (n, width)."""
    return F.normalize(judge(zoo.normalise(judge, eight_bits(images).to(ed.device))), dim=-1).cpu()


def recognised(judge, images):
    """Tell of each picture (concepts, 3, h, w) whether the judge finds it nearest to its own concept's patches."""
    own = F.normalize(torch.stack([embedded(judge, some[:10]).mean(0) for some in patches]), dim=-1)
    alike = (embedded(judge, images) @ own.T).unflatten(1, (len(names), shown)).unflatten(0, (len(names), shown))
    return torch.stack([alike[k, :, k].argmax(1) == torch.arange(shown) for k in range(len(names))])


# %%
mute = ed.gives("clip")
drawn = {relevance: images for relevance, images in made.items() if torch.is_tensor(images)}
hits = {} if mute else {relevance: recognised(ed.model("clip"), images.cpu()) for relevance, images in drawn.items()}
marks = pd.DataFrame({relevance: hit.sum(1).tolist() for relevance, hit in hits.items()}, index=names)
marks.loc["all"] = marks.sum()

# %% tags=["nbval-check-output"]
print(mute or marks.rename_axis(f"recognised, of {shown} each").to_string())

# %% [markdown]
# ## Paper against this run
#
# The appendix shows pictures and no numbers. What it says of the concepts can be set beside ours: it names them
# by eye, and finds parts (a rabbit's ear, a bear's face, a dog's leg), kinds of fur, and surroundings such as grass and water
# among the five most important.

# %% tags=["hide-input"]
def sort_of(name):
    """Say which sort of thing a concept was named after."""
    around = ("surroundings", "another object", "something in front", *map(world.place, world.BACKGROUNDS))
    if name in world.PARTS:
        return "a part"
    return "a kind" if name in world.KINDS else "what is around it" if name in around else "how the scene was taken"


sorts = table["its patches stand out by"].map(sort_of) if not lacking else pd.Series(dtype=str)
top = table.groupby("class", sort=False)["importance"].max()
said = [f"- Of {len(table)} concepts, "
        + ", ".join(f"{count} {'is' if count == 1 else 'are'} told apart best by {sort}" for sort, count in sorts.value_counts().items())
        + "."] if len(sorts) else []  # fmt: skip
if hits:
    share = [f"{int(marks.loc['all', relevance])} of {len(directions)} pictures by {relevance}" for relevance in marks]
    said.append(f"- An image-text network finds {' and '.join(share)} nearest to their own concept's patches; guessing would find "
                f"{len(directions) / shown:.0f}.")  # fmt: skip
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- A class falls into directions whose patches have something in common that a person can see ({numref}`fig-vital-30` to {numref}`fig-vital-33`).",
    *said,
    f"- The classes lean on few of them: the most important concept has an importance of {top.min():.2f} to {top.max():.2f}, and "
    f"{int((table['importance'] < 0.05).sum())} of the {len(table)} shown are below 0.05. A concept can be plain to see and hardly matter.",
    ":::"]))

# %% [markdown]
# ## Copy this
#
# Concepts and their pictures from any timm network with ReLUs and any images in [0, 1] of one class. Use
# `pretrained=True` and your own images; the weights here are random so that the cell needs no download.

# %%
import timm
import torch

from sightglass.concepts import craft
from sightglass.visualize import neurons

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(8, 3, 64, 64)  # of one class
my_concepts = craft(my_model, my_images, 281, at="layer3", r=3, k=4, points=4)
my_pictures = neurons.vital_inner(my_model, my_concepts.directions, my_concepts.patches.images, at="layer3", steps=3, seed=0)
assert my_concepts.directions.shape == (3, 256) and my_concepts.importance.shape == (3,)
assert my_pictures.shape == (3, 3, 64, 64)

# %% [markdown]
# :::{dropdown} Try next: smaller patches
# Pass `patch=16` to `craft`. Do concepts turn into smaller parts? Is the most important one still as important?
# :::
#
# :::{dropdown} Try next: take a part away
# Draw the class again without the part that a concept was named after, as {doc}`/vital/3-3-relevance` does for one class. Does
# its output fall as far as the importance of the concept suggests?
# :::
