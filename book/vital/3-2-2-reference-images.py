# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which images to match (VITAL, section 3.2.2)
#
# **Question.** How many images of a class are enough, and what happens when some of them show something else?
#
# VITAL draws what its {term}`reference images` have in common {cite:p}`gorgun2025`. Whoever picks them therefore picks a
# part of the answer. This page changes the references in four ways: how many there are, where they come from, how many of
# them are wrong, and how much they differ among themselves. Everything else stays as it is.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes, a network, and an image-text network as judge | about a minute on one core | minutes on a GPU | {doc}`/vital/3-2-distribution-matching` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
judge = "clip"  # an image-text network of the edition; it takes no part in making the pictures
classes = []  # names; empty takes up to ten of the edition's
references = 50  # the usual number per class
sizes = [5, 10, 20, 50, 100]  # and others
foreign = [5, 10, 20]  # how many of the usual number are replaced by images of other classes
seeds = 1  # pictures per class and set of references
steps = 30  # there are many sets, so few steps ...
tv = 2e-3  # ... and more smoothing than usual, which makes up for them
second = ""  # edition of the second data set; empty takes the places of the world
second_network = "resnet18"  # a role of that edition
modes = []  # classes to take apart; empty takes the three whose images differ most
pool = 200  # images of each of these
groups = 10  # that they are divided into
nearest = 20  # references for the picture of a group

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch

import sightglass as sg
from sightglass import concepts, metrics, world, zoo
from sightglass.show import beside, claim, show
from sightglass.visualize.fourier import fourier
from sightglass.visualize.vital import blocks, features, optimise, settings, sorted_values, vital

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
taps = blocks(model)  # block1 to block5, or as many as the network has
every = list(ed.classes)
names = list(classes) or every[:: max(1, len(every) // 10)][:10]
label = torch.tensor([every.index(name) for name in names])
target = torch.tensor(ed.outputs)[label]
sizes = sorted({*sizes, references})
# real images (classes, n, 3, size, size), and others that the network wasn't trained on
real = ed.references(names, max(sizes), seed=seed).to(ed.device)
unseen = ed.references(names, references, seed=seed, split="test").to(ed.device)

# %% [markdown]
# ## Five images or a hundred
#
# First the pictures, then how they were made. From row to row only the number of references changes; each larger set
# contains the smaller ones.

# %%
sets = {f"{n} references": (n, 0, 0) for n in sizes}  # images of the class, unseen ones, foreign ones
sets["test references"] = (0, references, 0)
sets |= {f"{n} foreign images": (references - n, 0, n) for n in foreign}
rooms = (max(sizes), references, max(foreign))
counts = torch.stack([torch.cat([torch.arange(room) < n for room, n in zip(rooms, some, strict=True)])
                      for some in sets.values()]).float()
share = (counts / counts.sum(1, keepdim=True)).to(ed.device)  # (sets, images): what an image counts in a set

# %%
def strangers(k):
    """Draw images of other classes than the k-th, (max(foreign), 3, size, size)."""
    generator = torch.Generator().manual_seed(1000 * seed + k)
    step = torch.randint(1, len(names), (max(foreign),), generator=generator)
    return real[(k + step) % len(names), torch.randint(max(sizes), (max(foreign),), generator=generator)]


# %%
targets, embedded = {tap: [] for tap in taps}, []
for k in range(len(names)):
    images = torch.cat([real[k], unseen[k], strangers(k)])
    found = features(model, zoo.normalise(model, images), None, [*taps, "penultimate"], None)
    embedded.append(found["penultimate"][: max(sizes)].mean(-1))
    for tap in taps:  # a set's target is the mean of its images' sorted activations
        targets[tap].append(torch.einsum("sn,ncp->scp", share, sorted_values(found[tap])))
targets = {tap: torch.stack(found, 1) for tap, found in targets.items()}  # (sets, classes, c, p)
embedded = torch.stack(embedded)  # (classes, n, features)

# %%
how = settings(model, "world", {"steps": steps, "tv": tv})
pictures = {name: optimise(model, target, {tap: q[i] for tap, q in targets.items()},
                           range(seed, seed + seeds), ed.size, how, None)
            for i, name in enumerate(sets)}  # fmt: skip

# %% tags=["hide-input"]
some = range(0, len(names), max(1, len(names) // 8))[:8]
rows = {"a reference": real[:, 0]} | {f"{n} references": pictures[f"{n} references"] for n in sizes}
show(sg.plot.grid([[images[k].cpu() for k in some] for images in rows.values()], rows=list(rows), columns=[names[k] for k in some]),
     "fig-vital-14", f"VITAL images of {network} from more and more references; the first row is a real image of each class. {steps} steps "
     "from the same noise in every row. Look for what changes from five to fifty, and what from fifty to a hundred (VITAL, figure 14).",
     alt="Columns of pictures of one class each, real at the top, and below it generated ones that hardly differ from row to row.")

# %% [markdown]
# The target of a channel is an average: its values are sorted for every reference, and the sorted lists are averaged.
# So a set of references is nothing but a share for each image, and all sets of this page were computed from one pass over
# the images. An average also says why few references can do: its chance error falls as one over their number. The table shows
# how far the targets lie from those of other images, which the network has never seen, at each {term}`tap`, as a share of the
# targets' own variance.

# %%
order = list(sets)
other = order.index("test references")


def apart(size):
    """Mean squared distance between the targets from so many references and those from unseen images, per tap."""
    row = order.index(f"{size} references")
    return {tap: float((q[row] - q[other]).square().mean() / q[other].var()) for tap, q in targets.items()}


table = pd.DataFrame([apart(size) for size in sizes], index=[f"{size} references" for size in sizes])
table.rename_axis(f"distance to {references} unseen images").round(4)

# %% [markdown]
# Do the pictures improve with the targets? Four numbers per set: how often the network itself recognises the pictures
# (accuracy), how far their features lie from those of real images ({term}`FID <Fréchet inception distance>`), and how
# often an image-text network, which had no say in making them, names the class first or among its first five
# ({term}`zero-shot accuracy`). A drawn class varies less than a photographed one, so expect fewer references to do here.

# %%
ear = None if ed.gives(judge) else ed.model(judge)


def named(ear, images, words, wanted, **how):
    """What the judge says of images: % named first and among the first five."""
    if ear is None:
        return {}
    first, five = metrics.zero_shot(ear, images, words, wanted, **how)
    return {"zero-shot top-1": 100 * first, "zero-shot top-5": 100 * five}


def scores(images):
    """The four numbers of the published tables for pictures of all classes."""
    images, times = metrics.eight_bits(images), len(images) // len(names)
    return {"accuracy": 100 * metrics.accuracy(model, images, target.repeat(times)),
            "FID": metrics.frechet(metrics.features(model, images), embedded.flatten(0, 1)),
            **named(ear, images, every, label.repeat(times))}  # fmt: skip


# %%
def real_against_real(draws=5):
    """FID of as many real images, drawn class by class, to all others."""
    chance, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        mixed = embedded[:, torch.randperm(max(sizes), generator=chance)]
        found.append(metrics.frechet(mixed[:, :seeds].flatten(0, 1), mixed[:, seeds:].flatten(0, 1)))
    return sum(found) / draws


heard = named(ear, unseen[:, :10].flatten(0, 1), every, label.repeat_interleave(10))
print("unseen real images:", ", ".join(f"{what} {value:.0f}%" for what, value in heard.items()) or ed.gives(judge))
measured = pd.DataFrame({name: scores(images) for name, images in pictures.items()}).T
floor, n = real_against_real(), len(names) * seeds

# %%
show(beside(measured.loc[[f"{n} references" for n in sizes]], "tab-vital-5"),
     "tab-vital-5", f"Number of references per class, for {network} of the edition {ed.name}: {n} pictures in each row here, "
     f"3,000 in the paper. {n} real images, {'one' if seeds == 1 else seeds} of each class, have an FID of {floor:.1f} to the others (VITAL, table 5).")

# %% [markdown]
# Of {math}`n` pictures, one is {math}`100/n` points, so a share counts as different only when it differs by more than its standard
# error. FID has no such jumps, and since all rows start from the same noise, small differences tell something there. An FID below
# that of real images is no mistake: a picture made from averages is more typical than a real image.
#
# In the paper the FID *rises* with the number of references, from 40 to 59, while the judge agrees more and more. The
# authors speak of saturation near fifty.

# %%
def enough(first):
    """Whether the judge's first choices rise up to the usual number and not beyond, and the numbers that decide."""
    few, usual, most = (first[f"{m} references"] / 100 for m in (min(sizes), references, max(sizes)))
    error = (metrics.standard_error(usual, n) ** 2 + metrics.standard_error(most, n) ** 2) ** 0.5
    because = (f"Zero-shot top-1 is {few:.0%} with {min(sizes)} references, {usual:.0%} with {references} and {most:.0%} with "
               f"{max(sizes)}; the standard error of the last step is {100 * error:.0f} points ({n} pictures each).")
    because += "" if few < usual else f" So {min(sizes)} references do at least as well as {references}."
    return few < usual and abs(most - usual) <= error, because


lacking = ed.gives(judge)
holds, because = (None, f"No judge: {lacking}.") if lacking else enough(measured["zero-shot top-1"])
claim("vital-5", holds=holds, because=because)

# %% [markdown]
# ## Other images, and wrong ones
#
# Class folders contain mistakes, and references found by a search contain more. So we replace some of the fifty by images of other
# classes, drawn at random. (The paper "adds" them and doesn't say whether something leaves the set for them. Here the
# number stays at fifty.)

# %% tags=["hide-input"]
rows = {"a reference": real[:, 0], "one of the foreign": torch.stack([strangers(k)[0] for k in range(len(names))]),
        "no foreign": pictures[f"{references} references"]} | {f"{m} foreign": pictures[f"{m} foreign images"] for m in foreign}
show(sg.plot.grid([[images[k].cpu() for k in some] for images in rows.values()], rows=list(rows), columns=[names[k] for k in some]),
     "fig-vital-13", f"The same classes with more and more foreign images among the {references} references. The second row shows one of the "
     "foreign images. Look for the number at which you stop seeing the class (VITAL, figure 13).",
     alt="Columns of pictures of one class each; from the third row down the references hold more and more images of other classes.")

# %% [markdown]
# What goes wrong is again the average. A stripe is a large value in one channel, and every foreign image
# without stripes pulls the sorted list down, for the whole picture alike. The method can't put foreign images aside as
# outliers, since all it keeps of the references are the lists' means.
#
# Two further rows of the table ask whether the images' origin matters: references that the network was never trained on,
# and another data set altogether. The paper takes CIFAR-10 and a network that it doesn't name. The world has no second
# set of images, but a second question about them, and a network that learned to answer it: *where* is this, of ten places?
# Its pictures by VITAL follow, and beside them those of the usual way, which raises the network's output over a free
# spectrum, low frequencies first {cite:p}`olah2017` (the *Fourier* rows of the tables).

# %%
in_world = not ed.gives("edits")  # only the world knows all of a scene
no_second = "" if second or in_world else f"the {ed.name} edition has no second data set; name one with the parameter second"


def places():
    """Pixels (places, 2 * references, 3, size, size) of test images by place, none of them hard to see."""
    scenes = ed.images("test").scenes
    rows = [((scenes.hard < 0) & (scenes.background == k)).nonzero()[: 2 * references, 0] for k in range(len(world.BACKGROUNDS))]
    return scenes.pixels()[torch.stack(rows)]


if second:
    data = sg.load(second, device=device)
    words, phrasing = list(data.classes), {}
    given, rest = (data.references(words, references, seed=seed, split=split) for split in ("train", "test"))
elif in_world:
    data, words, phrasing = ed, [world.place(place) for place in world.BACKGROUNDS], {"templates": ["{}"]}
    given, rest = places().split(references, 1)

# %%
made = {}
if not no_second:
    answering, given = data.model(second_network), given.to(data.device)
    wanted, listener = torch.arange(len(words)), None if data.gives(judge) else data.model(judge)
    options = {"steps": steps, "seed": range(seed, seed + seeds)}
    made = {"VITAL": vital(answering, wanted, given, tv=tv, **options), "Fourier": fourier(answering, wanted, given, **options)}

# %% tags=["hide-input"]
if made:
    rows = [given[:, 0], *(images[0] for images in made.values())]
    plain = sg.plot.grid([list(images.cpu()) for images in rows], rows=["a reference", *made], columns=words)

# %% [markdown]
# Scored in the same way: accuracy by the network that answers, FID in its own features, and the judge, who is now asked
# about the places. His answers to real images stand in a row of their own.

# %%
def second_scores(images, *, real=False):
    """The four numbers for pictures (m, words, 3, size, size) of the second data set; the judge's alone for real ones."""
    labels, images = wanted.repeat(len(images)), metrics.eight_bits(images.flatten(0, 1))
    heard = named(listener, images, words, labels, **phrasing)
    if real:
        return heard
    distance = metrics.frechet(metrics.features(answering, images), metrics.features(answering, given.flatten(0, 1)))
    return {"accuracy": 100 * metrics.accuracy(answering, images, labels), "FID": distance, **heard}


if made:
    measured.loc["CIFAR-10 / real images"] = pd.Series(second_scores(rest.transpose(0, 1), real=True))
    for name, images in made.items():
        measured.loc[f"CIFAR-10 / {name}"] = pd.Series(second_scores(images))

# %%
here = {"ImageNet / train references": f"{references} references", "ImageNet / test references": "test references"}
here |= {f"ImageNet / {m} foreign images": f"{m} foreign images" for m in foreign}
stand_in = f"the {second} edition" if second else "the world's ten places and the network for places"
show(beside(measured.drop([f"{m} references" for m in sizes if m != references]), "tab-vital-6", rows=here, missing=no_second),
     "tab-vital-6", f"Where references come from, and foreign images among them: {network} of the edition {ed.name}, {n} pictures a row. In rows "
     f"of ImageNet stand this edition's own classes, in those of CIFAR-10 {stand_in if made else 'nothing'} (VITAL, table 6).")

# %% [markdown]
# With few pictures a share moves by chance, so the claim allows each step to go the other way by up to its standard error, but asks
# for a fall from the first step to the last. The paper's rows have 3,000 pictures each.

# %%
worse = measured.loc[[f"{references} references", *(f"{m} foreign images" for m in sorted(foreign))]]


def declines(first):
    """Whether the judge's first choices fall over all steps, and at none of them rise by more than a standard error."""
    error = [metrics.standard_error(x / 100, n) for x in first]
    steps = zip(first[1:], first[:-1], error[1:], error[:-1], strict=True)
    return first[-1] < first[0] and all((after - before) / 100 <= (e**2 + f**2) ** 0.5 for after, before, e, f in steps)


rises, known = bool((worse["FID"].diff().dropna() > 0).all()), bool((worse["accuracy"] > 95).all())
first = [] if lacking else worse["zero-shot top-1"].tolist()
because = (f"With 0, {', '.join(map(str, sorted(foreign)))} foreign images FID is {', '.join(f'{x:.1f}' for x in worse['FID'])}, "
           f"zero-shot top-1 {', '.join(f'{x:.0f}%' for x in first) or 'unknown'}, accuracy never "
           f"below {worse['accuracy'].min():.0f}% ({n} pictures each).")
claim("vital-6", holds=None if lacking else rises and known and declines(first), because=because)

# %% [markdown]
# Mind the column of accuracy. The network that answers there is the one whose features were matched, so it can be content with
# pictures that puzzle everybody else. A visualization isn't good because its own network recognises it.
#
# ## One class, many looks
#
# Where a class has several looks, the average of all of them may look like none. So we take a class apart: its images
# are grouped by their features in the {term}`penultimate layer` (k-means), and each group's centre gets a picture
# of its own, made from the images nearest to it.

# %%
spread = embedded.var(1).sum(-1)  # how much the images of a class differ
several = list(modes) or [names[k] for k in spread.topk(min(3, len(names))).indices.tolist()]
many = ed.references(several, pool, seed=seed).to(ed.device)
points = [metrics.features(model, images) for images in many]
found = [concepts.clusters(x, groups, seed=seed) for x in points]
near = [torch.cdist(f.centre, x).topk(nearest, largest=False).indices for f, x in zip(found, points, strict=True)]
chosen = torch.stack([images[rows] for images, rows in zip(many, near, strict=True)])  # (classes, groups, nearest, ...)
own = torch.tensor([ed.outputs[every.index(name)] for name in several]).repeat_interleave(groups)
images = vital(model, own, chosen.flatten(0, 1), steps=steps, tv=tv, seed=seed)
by_mode = images.unflatten(0, (len(several), groups))
landed = [metrics.features(model, images) for images in by_mode]
maps = [metrics.tsne(x, y, f.centre, seed=seed) for x, y, f in zip(points, landed, found, strict=True)]

# %% tags=["hide-input"]
def scatter(ax, places, label, title):
    """Dots for real images by group, a triangle for each centre, a square for each picture."""
    dots, squares, centres = (p.numpy() for p in places)
    look, each = dict(cmap="tab10", vmin=0, vmax=9), range(len(centres))
    ax.scatter(*dots.T, c=label, s=9, alpha=0.5, lw=0, **look)
    ax.scatter(*centres.T, c=each, marker="^", s=48, ec="black", lw=0.8, **look)
    ax.scatter(*squares.T, c=each, marker=sg.plot.marker("VITAL"), s=40, ec="black", lw=0.8, **look)
    for k, place in enumerate(squares):
        ax.annotate(str(k + 1), place, (4, 3), textcoords="offset points", fontsize=8, weight="bold")
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#CCCCCC")


def strip(fig, top, images, text):
    """A row of pictures below a height of the figure, each framed in the colour of its group; the first has none."""
    wide, high = 0.078, 0.078 * fig.get_figwidth() / fig.get_figheight()
    fig.text(0.078, top - high / 2, text, ha="right", va="center", fontsize=8)
    for k, image in enumerate(images):
        if image is not None:
            ax = fig.add_axes([0.085 + 0.0835 * k, top - high, wide, high], xticks=[], yticks=[])
            ax.imshow(image.cpu().permute(1, 2, 0).clamp(0, 1))
            ax.spines[:].set(visible=True, lw=2 if k else 0.5, color=plt.get_cmap("tab10")((k - 1) % 10) if k else "black")


# %% tags=["hide-input"]
fig = plt.figure(figsize=(8, 2.9 + 1.48 * len(several)), layout="none")
unit = 1 / fig.get_figheight()  # an inch
for k, name in enumerate(several):
    ax = fig.add_axes([(k + 0.01) / len(several), 1 - 2.55 * unit, 0.98 / len(several), 2.3 * unit])
    scatter(ax, maps[k], found[k].label, name)
    everything = pictures[f"{references} references"][names.index(name)] if name in names else None
    top = 1 - (2.85 + 1.48 * k) * unit
    strip(fig, top, [None, *(many[k, row[0]] for row in near[k])], f"{name}:\nnearest")
    strip(fig, top - 0.66 * unit, [everything, *by_mode[k]], "VITAL")
for k, text in enumerate(["all", *range(1, groups + 1)]):
    fig.text(0.124 + 0.0835 * k, 1 - 2.8 * unit, str(text), ha="center", fontsize=8)
show(fig, "fig-vital-17", f"Classes taken apart: {groups} groups of {pool} images each. Above: maps of the features (t-SNE); a dot is a real image, "
     "a triangle the centre of a group, a square the VITAL picture of that group, with the group's number. Below: the real image nearest to each "
     f"centre, and the VITAL picture made from the {nearest} nearest ones; under *all* the picture made from {references} images of "
     "any look. Look for looks that the groups show and *all* mixes up (VITAL, figure 17).",
     alt="Three clouds of coloured dots with a triangle and a square in each colour, and rows of small pictures in frames of the same colours.")

# %%
nearer = [torch.cdist(y, f.centre).argmin(1).cpu() == torch.arange(groups) for y, f in zip(landed, found, strict=True)]
right = torch.cat(nearer).float()
claim("vital-7", holds=bool(right.mean() > 0.5),
      because=f"{int(right.sum())} of {len(right)} pictures lie nearest to the centre of their own group ("
              + ", ".join(f"{name} {int(hit.sum())} of {groups}" for name, hit in zip(several, nearer, strict=True))
              + f"); by chance it would be {len(right) / groups:.0f}.")

# %% [markdown]
# t-SNE {cite:p}`maaten2008` keeps neighbours together and nothing else: the sizes of clouds and the gaps between them carry no
# meaning. The claim was therefore decided by distances among the features themselves.
#
# :::{admonition} What to take away
# :class: tip
# - A target is an average over the references, so its chance error falls as one over their number; {numref}`tab-vital-5` shows what is
#   left of that in the pictures.
# - Wrong references are not voted down. They enter the average with full weight ({numref}`fig-vital-13`), and the network's
#   own accuracy is a poor guard against them ({numref}`tab-vital-6`).
# - A picture shows the mean of its references. If their looks differ, take them apart first ({numref}`fig-vital-17`).
# :::
#
# ## Copy this
#
# Any timm model, any images of one class: group them, and make one picture for each group. The weights are random here, so
# that nothing is downloaded; use `pretrained=True` and your own images in [0, 1].

# %%
import timm
import torch

from sightglass.concepts import clusters
from sightglass.metrics import features
from sightglass.visualize.vital import vital

my_model = timm.create_model("resnet18", pretrained=False)
my_model = my_model.eval().requires_grad_(False)
my_images = torch.rand(16, 3, 96, 96)  # of one class, in [0, 1]
my_groups = clusters(features(my_model, my_images), 2, nearest=6)
my_references = my_images[my_groups.nearest]  # (groups, references, 3, height, width)
my_pictures = vital(my_model, [281, 281], my_references, steps=5, seed=0)
assert my_pictures.shape == (2, 3, 96, 96)

# %% [markdown]
# :::{dropdown} Try next: how few will do?
# Run `python -m sightglass run world vital/3-2-2 -p sizes=[1,2,3]`. A single reference is copied in its colours and in the
# places where it is light and dark? No: positions are sorted away. See what of one image survives that.
# :::
#
# :::{dropdown} Try next: foreign images that look alike
# `strangers` draws from all other classes. Let it draw from one class that resembles the own one, such as horses among
# zebras, and compare: does the picture turn into a mixture or into a compromise?
# :::
