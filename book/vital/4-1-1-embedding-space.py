# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where pictures land among real images (VITAL, section 4.1.1)
#
# **Question.** To the network, does the picture of a class lie where the images of that class lie?
#
# The features of the {term}`penultimate layer` are the last thing that a network knows about an image before it names it.
# Images of one class lie together there. So we can put a {term}`feature visualization` among them and look which company it keeps
# {cite:p}`gorgun2025`.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and networks; pictures that {doc}`/vital/4-1-class-neurons` makes, too | half a minute with them, minutes without | minutes on a GPU | {doc}`/vital/4-1-class-neurons` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
others = ["vit_l_16", "vit_l_32", "convnext_base", "densenet121"]  # and more of them
classes = []  # five that look alike; empty takes the mammals of the world, elsewhere the first five
dots = 80  # real images per class on the maps
references = 50  # real images per class that pictures are made from and centres computed from

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch

import sightglass as sg
from sightglass import metrics, visualize, world
from sightglass.show import claim, show, unavailable
from sightglass.visualize.fourier import mean_spectrum

sg.plot.style()
ed = sg.load(edition, device=device)
every = list(ed.classes)
names = every[:: max(1, len(every) // 24)][:24]
alike = list(classes) or [name for name in names if "mammal" in world.parents(name)][:5] or names[:5]
names += [name for name in alike if name not in names]
target = torch.tensor([ed.outputs[every.index(name)] for name in names])
five = torch.tensor([names.index(name) for name in alike])
real = ed.references(names, references, seed=seed).to(ed.device)
# no network learned from these: many images of the five, some of every class
crowd = ed.references(alike, dots, seed=seed, split="test").to(ed.device)
unseen = ed.references(names, min(dots, 20), seed=seed, split="test").to(ed.device)

# %% [markdown]
# ## Five classes that look alike
#
# Telling a zebra from a bus is easy, so the paper takes five breeds of dog. The nearest thing to them in the world are its five
# mammals, with four legs, two ears and a tail each. Every class gets one picture by each method: VITAL, which matches distributions,
# DeepInversion {cite:p}`yin2020`, which raises the class's output and matches the means and variances that the network stored
# in training, and MACO {cite:p}`fel2023maco` and Fourier {cite:p}`olah2017`, which raise the output and nothing else.

# %%
spectrum = mean_spectrum(real.flatten(0, 1))  # of real images, for MACO


def pictures(model, method, of=slice(None)):
    """One picture per class (classes, 3, size, size), from the cache where another page has made it."""
    keep = sg.kept if method == "DeepInversion" else sg.kept_each  # it looks at all pictures of its batch together
    own = {"magnitude": spectrum} if method == "MACO" else {}
    made = keep(visualize.METHODS[method], model, target[of], real[of], seed=seed, **own)
    return metrics.eight_bits(made.to(ed.device))


model = ed.model(network)
methods = ["VITAL", "DeepInversion", "MACO", "Fourier"]
left_out = " ".join(f"{visualize.applies(m, model)}." for m in methods if visualize.applies(m, model))
shown = {method: pictures(model, method) for method in methods if not visualize.applies(method, model)}
landed = {method: metrics.features(model, images) for method, images in shown.items()}
on_map = metrics.tsne(metrics.features(model, crowd.flatten(0, 1)), *(f[five] for f in landed.values()), seed=seed)

# %% tags=["hide-input"]
SIZES = {"VITAL": 45, "DeepInversion": 110, "MACO": 85, "Fourier": 26}  # markers on one spot all stay visible


def scatter(ax, points, methods):
    """Real images as faint dots and pictures as markers with an edge, coloured by class."""
    real_ones, *made = (p.numpy() for p in points)
    shade = [sg.plot.PALETTE[k % len(sg.plot.PALETTE)] for k in range(len(five))]
    ax.scatter(*real_ones.T, c=[c for c in shade for _ in range(dots)], s=13, alpha=0.35, lw=0)
    for method, places in zip(methods, made, strict=True):
        ax.scatter(*places.T, c=shade, marker=sg.plot.marker(method), s=SIZES[method], ec="black", lw=0.9,
                   zorder=4 if method == "VITAL" else 3)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#CCCCCC")
    return shade


def legend(fig, methods, **where):
    """Markers in grey, since colour tells the class."""
    marks = [plt.Line2D([], [], ls="", marker=sg.plot.marker(m), ms=SIZES[m] ** 0.5, mfc="#CCCCCC", mec="black", label=m)
             for m in methods] + [plt.Line2D([], [], ls="", marker="o", ms=4, mfc="#999999", mec="none", label="real image")]
    fig.legend(handles=marks, ncols=len(marks), **where)


# %% tags=["hide-input"]
fig = plt.figure(figsize=(8, 4.3), layout="none")
shade = scatter(fig.add_axes([0.0, 0.08, 0.5, 0.91]), on_map, landed)
columns = {"real": crowd[:, 0], **{method: images[five] for method, images in shown.items()}}
wide, high = 0.44 / len(columns), 0.84 / len(five)
for j, (method, images) in enumerate(columns.items()):
    fig.text(0.56 + wide * (j + 0.5), 0.97, method, ha="center", fontsize=7.5)
    for i, name in enumerate(alike):
        ax = fig.add_axes([0.56 + wide * j, 0.95 - high * (i + 1), 0.96 * wide, 0.96 * high], xticks=[], yticks=[])
        ax.imshow(images[i].cpu().permute(1, 2, 0))
        ax.spines[:].set(visible=True, lw=2, color=shade[i])
        if not j:
            ax.set_ylabel(name, fontsize=8, labelpad=2)
legend(fig, landed, loc="lower left", bbox_to_anchor=(0.0, -0.01), columnspacing=1, handletextpad=0.2)
show(fig, "fig-vital-6", f"Left: a map (t-SNE) of the features of {network} for {len(five)} classes of the edition {ed.name}; colours are classes, "
     f"faint dots are {dots} real images of each, which neither network nor method has seen. Right: the pictures that the markers stand "
     f"for, in frames of the same colours. Look for markers inside the cloud of their own colour. {left_out} (VITAL, figure 6).",
     alt="Five clouds of dots with squares, stars, triangles and circles in and around them, and a grid of the pictures they stand for.")

# %% [markdown]
# A map of this kind, t-SNE {cite:p}`maaten2008`, keeps neighbours together; the width of a cloud and the gap between two of them
# carry no meaning. So we count in the features themselves, over all classes and not only five. A class's *centre* is the mean of its
# real images.

# %%
def company(landed, of, places, centres):
    """In which company pictures of some classes are, from their features, real images' and centres (classes, features)."""
    distance = torch.cdist(landed, centres)
    own, usual = distance[range(len(of)), of], (places[of] - centres[of, None]).norm(dim=-1)  # (some,), (some, images)
    gaps = torch.pdist(landed).mean() / torch.pdist(centres[of]).mean()
    nearest = distance.argmin(1).cpu() == of
    return {"own centre is the nearest, %": 100 * float(nearest.float().mean()), "distance to it": float(own.mean()),
            "real images that are farther from it, %": 100 * float((usual > own[:, None]).float().mean()),
            "spread of the pictures": float(gaps)}  # fmt: skip


def centres_of(model):
    """Mean features of the references, (classes, features)."""
    return metrics.features(model, real.flatten(0, 1)).unflatten(0, real.shape[:2]).mean(1)


def compared(model, landed, of):
    """A row of numbers for each method's pictures of some classes (some, features), and one for unseen real images."""
    places, centres = metrics.features(model, unseen.flatten(0, 1)).unflatten(0, unseen.shape[:2]), centres_of(model)
    rows = {method: company(f, of, places, centres) for method, f in landed.items()}
    single = [company(one, of, places, centres) for one in places[of].unbind(1)]  # one image of each class at a time
    table = pd.DataFrame({**rows, "unseen real images": pd.DataFrame(single).mean().to_dict()}).T
    table["distance to it"] /= table.loc["unseen real images", "distance to it"]
    return table


numbers = compared(model, landed, torch.arange(len(names)))
numbers.round(2)

# %% [markdown]
# The distance is in units of that of real images. *Spread* compares the distances among the pictures of different classes
# with those among the classes' centres: 1 means that pictures differ from one another as classes do, near 0 all pictures have collapsed
# onto one point, and above 1 they exaggerate, going the way of their class farther than any image of it does.
#
# A picture that matches distributions should win this comparison. The mean of a channel over all positions is a part of its
# distribution, and the centre consists of such means. What can't be taken for granted is where the other methods land, since
# nothing but the output ties them to the class. The claim has two halves, so the line below gives the spread as well: far away is
# not yet collapsed.

# %%
right, far, spread = (numbers[what] for what in ("own centre is the nearest, %", "distance to it", "spread of the pictures"))
blind = [method for method in ("Fourier", "MACO") if method in landed]
claim("vital-12", holds=bool(right["VITAL"] > 50 and all(far["VITAL"] < far[method] for method in blind)),
      because=f"Of {len(names)} pictures each, the own centre is the nearest for "
              + ", ".join(f"{right[m]:.0f}% ({m})" for m in ("VITAL", *blind)) + "; the distance to it, in units of that of real images, is "
              + ", ".join(f"{far[m]:.2f} ({m})" for m in ("VITAL", *blind)) + ". The spread, which would be near 0 after a collapse, is "
              + ", ".join(f"{spread[m]:.2f} ({m})" for m in ("VITAL", *blind)) + ".")

# %% [markdown]
# ## Other architectures
#
# The same five classes, as seen by networks of other families. Two methods are enough here: VITAL, and MACO as the one among
# those that only raise an output.

# %%
present = [role for role in others if not ed.gives(role)]
maps, tables = {}, {}
for role in present:
    net = ed.model(role)
    found = {method: metrics.features(net, pictures(net, method, five)) for method in ("VITAL", "MACO")}
    maps[role] = metrics.tsne(metrics.features(net, crowd.flatten(0, 1)), *found.values(), seed=seed)
    tables[role] = compared(net, found, five)

# %% tags=["hide-input"]
fig, axes = plt.subplots(-(-max(1, len(maps)) // 2), 2, figsize=(8, 3.1 * -(-max(1, len(maps)) // 2) + 0.3), squeeze=False)
for ax in axes.flat[len(maps):]:
    ax.set_axis_off()
for ax, (role, points) in zip(axes.flat, maps.items(), strict=False):
    scatter(ax, points, ["VITAL", "MACO"])
    ax.set_title(role)
colours = [plt.Line2D([], [], ls="", marker="o", color=sg.plot.PALETTE[k % len(sg.plot.PALETTE)], label=name)
           for k, name in enumerate(alike)]  # fmt: skip
fig.legend(handles=colours, loc="outside upper center", ncols=len(colours))
legend(fig, ["VITAL", "MACO"], loc="outside lower center")
missing = " ".join(f"{role} {unavailable(ed.gives(role))}." for role in others if ed.gives(role))
show(fig, "fig-vital-16", f"The map of {{numref}}`fig-vital-6` for other networks, each with its own features and its own pictures. {missing} "
     "Look for squares in the clouds of their colour, and for where the triangles gather (VITAL, figure 16).",
     alt="A map for each network with five clouds of coloured dots, and in each colour a square and a triangle.")

# %%
pd.concat(tables, names=["network", "pictures"]).round(2) if tables else missing

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - A picture can be given its class by a network and still be unlike every image of the class. Where it lands among real
#   images tells the two apart ({numref}`fig-vital-6`).
# - Maps are for looking, distances are for deciding. On a map of a few hundred points a stray marker has to be put somewhere,
#   and may well be put into a cloud.
# - To land among the real images isn't the same as being understood. The pictures at the right of
#   {numref}`fig-vital-6` are the other half of the answer, and {doc}`/vital/4-2-benchmark` asks a judge.
# :::
#
# ## Paper against this run
#
# The paper prints no numbers for its figures 6 and 16, only what it sees in them: real images form clean clusters, Fourier and
# MACO collapse onto one point away from all of them, DeepInversion falls into the right clusters, and VITAL into their
# middle. The first table above measures these four statements one by one.
#
# ## Copy this
#
# Any timm model: where do generated pictures land among real images? Here weights and images are random, so nothing is downloaded
# and nothing is to be expected.

# %%
import timm
import torch

from sightglass.metrics import features, tsne
from sightglass.visualize.methods import METHODS

my_model = timm.create_model("resnet18", pretrained=False)
my_model = my_model.eval().requires_grad_(False)
my_images = torch.rand(2, 20, 3, 96, 96)  # (classes, images, 3, height, width) in [0, 1]
my_pictures = {name: METHODS[name](my_model, [207, 281], my_images, steps=3, seed=0)
               for name in ("VITAL", "MACO")}
my_features = [features(my_model, x) for x in (my_images.flatten(0, 1), *my_pictures.values())]
my_map = tsne(*my_features, perplexity=10)
assert [tuple(points.shape) for points in my_map] == [(40, 2), (2, 2), (2, 2)]

# %% [markdown]
# :::{dropdown} Try next: how much of the map is chance?
# Run `python -m sightglass run world vital/4-1-1 -p seed=1`: other noise, other references, another map. Which markers stay
# where they were?
# :::
#
# :::{dropdown} Try next: does one network's picture convince another?
# Put the pictures of `resnet50` among the features of `vit_l_16`: take `pictures(ed.model("resnet50"), "VITAL")` and
# `metrics.features(ed.model("vit_l_16"), ...)`. If they land in the right clouds there, they show the class and not only what
# one network makes of it.
# :::
