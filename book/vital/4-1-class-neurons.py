# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pictures of classes, by method and by network (VITAL, section 4.1)
#
# **Question.** From a picture alone, can you say which class a network had in mind?
#
# A {term}`feature visualization` is worth as much as what we can read off it. This page hangs the pictures of four methods
# side by side, on five networks of different kinds, and lets an image-text network say what it sees in them. At the end
# come the pictures that turned out worst, found by their scores.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and some networks | minutes on one core for the pictures, which are kept; then seconds | hours on a GPU | {doc}`/vital/3-2-distribution-matching` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
networks = ["resnet50", "convnext_base", "densenet121", "vit_l_16", "vit_l_32"]  # roles of the edition
classes = []  # names; empty takes up to 24 of the edition's
few = 12  # classes on all networks but the first
channels = 8  # inner neurons of the first network
probing = 600  # images that the neurons' patches are cut from
steps = 0  # of every method; 0 takes each method's own
references = 50  # real images per class
best = 16  # patches per inner neuron

# %%
import pandas as pd
import torch
from IPython.display import Markdown

import sightglass as sg
from sightglass import plot, zoo
from sightglass.concepts import pooled, top_patches
from sightglass.metrics import class_vectors, default_templates, eight_bits
from sightglass.show import published, show, unavailable
from sightglass.visualize.fourier import mean_spectrum
from sightglass.visualize.methods import METHODS, applies
from sightglass.visualize.neurons import vital_inner

plot.style()
ed = sg.load(edition, device=device)
models = {role: ed.model(role) for role in networks if not ed.gives(role)}
roles = list(models)
main, last = roles[0], roles[-1]
every = list(ed.classes)
names = list(classes) or every[:: max(1, len(every) // 24)][:24]
labels = torch.tensor([every.index(name) for name in names])
target = torch.tensor(ed.outputs)[labels]
# real images (classes, references, 3, size, size)
real = ed.references(names, references, seed=seed).to(ed.device)
how = {"steps": steps} if steps else {}
title = {"resnet50": "ResNet50", "convnext_base": "ConvNeXt", "densenet121": "DenseNet121",
         "vit_l_16": "ViT-L-16", "vit_l_32": "ViT-L-32"}  # as the paper's tables have them
title |= {role: role for role in roles if role not in title}

# %% [markdown]
# ## What do these networks want to see?
#
# On the first network, four methods draw every class, on the others half of them. All start from noise and take their own usual number of steps. Each picture is kept on disk: {doc}`/vital/4-1-1-embedding-space`,
# {doc}`/vital/4-2-benchmark` and {doc}`/vital/4-3-human-study` look at the same ones.

# %%
rows = ["MACO", "Fourier", "DeepInversion", "VITAL"]
all_of_them = list(range(len(names)))
some = all_of_them[:: max(1, len(names) // few)][:few]

spectrum = mean_spectrum(real.flatten(0, 1))  # of real images, for MACO


def pictures(method, role, wanted):
    """Pictures of some classes by a method on a network {class: picture}, or why there are none."""
    if why := applies(method, models[role]):
        return unavailable(why)
    keep = sg.kept if method == "DeepInversion" else sg.kept_each  # it looks at all pictures of its batch together
    own = {"magnitude": spectrum} if method == "MACO" else {}
    made = keep(METHODS[method], models[role], target[wanted], real[wanted], seed=seed, **own, **how)
    return dict(zip(wanted, made.cpu(), strict=True))


shown = {role: all_of_them if role == main else some for role in roles}
drawn = {(role, method): pictures(method, role, shown[role])
         for role in roles for method in rows}  # fmt: skip


def cells(role, method, wanted):
    """One row of a figure: pictures of some classes, or the sentence that says why there are none."""
    made = drawn.get((role, method), unavailable(f"{role} isn't one of this run's networks"))
    return [made if isinstance(made, str) else made[k] for k in wanted]


# %% [markdown]
# Name each column of {numref}`fig-vital-1` before you read the caption: a row is a network, a column is a class.

# %%
half = some[::2]
show(
    plot.grid([cells(role, "VITAL", half) for role in roles], rows=[title[role] for role in roles]),
    "fig-vital-1",
    "VITAL pictures of the same classes, drawn from networks of different kinds. Look for what a column has in common, and for what each "
    f"network leaves out. From left to right: {', '.join(names[k] for k in half)} (VITAL, figure 1).",
    alt="Five rows of pictures, one per network, in which each column repeats the colours and shapes of one class.",
)

# %% [markdown]
# ## Four methods, one class
#
# Two of the methods turn up the class's output and nothing else, over the frequencies of an image. *Fourier*
# {cite:p}`olah2017` may use any spectrum, MACO {cite:p}`fel2023maco` keeps the spectrum's magnitude of real images and moves phases only.
# {term}`DeepInversion` {cite:p}`yin2020` turns up the output, too, and asks for the means and variances
# that batch-norm layers remember from training. VITAL is the only one that looks at real images of the class, through
# the network, and it never looks at the output at all.

# %%
def heading(fig, first, count, text):
    """Write a title over some columns of a grid, and draw a line where others begin."""
    ax = fig.axes[0]
    places = [label.get_position() for label in ax.texts if label.get_position()[1] > 0]
    across = sorted(x for x, y in places if y == min(y for _, y in places))  # the middles of the columns
    ax.text(sum(across[first : first + count]) / count, -6, text, ha="center", va="bottom", fontsize=9, weight="bold")
    if first:
        ax.axvline((across[first - 1] + across[first]) / 2, color="#222222", lw=1.5)


four = some[:4]
page = [[real[k, 0].cpu() for k in four] * 2]
page += [cells(main, method, four) + cells(last, method, four) for method in rows]
fig = plot.grid(page, rows=["real", *rows], columns=[names[k] for k in four] * 2)
for side, role in enumerate((main, last)):
    heading(fig, side * len(four), len(four), title[role])
show(fig, "fig-vital-4", "Four methods on two networks. Top: a real image of each class. Compare what is *repeated* with what is "
     "*there once*: a class may have one head and many stripes. DeepInversion depends on batch-norm layers (VITAL, figure 4).",
     alt="Real images above four rows of pictures for two networks; one row of the second network holds a sentence instead of pictures.")

# %% [markdown]
# Each method draws what it was asked for. To raise an output, a second beak is as good as the first, and a sky is worth
# nothing. To match distributions, a feature must not come more often than in real images, and the sky has to be there, too.
#
# ## All classes of one network
#
# Which of these would a stranger name? We ask {term}`CLIP`, or rather the image-text network that plays its part in the
# edition, and that had no part in the making. For each picture, take how well it fits the name of its own class, and
# subtract how well it fits the best *other* name. Above zero the class is named.

# %%
speaks = not ed.gives("clip")  # else a classifier of the edition must judge by its own outputs
judge = ed.model("clip" if speaks else last)
words = class_vectors(judge, every, default_templates(judge)) if speaks else None


@torch.no_grad()
def margins(images, k):
    """How much better pictures fit their own classes (n,) than the best others, and which those are."""
    x = judge(zoo.normalise(judge, eight_bits(images).to(ed.device)))
    fit = x @ words.T if speaks else x.log_softmax(1)[:, list(ed.outputs)]
    fit, own = fit.cpu(), labels[k][:, None]
    rival = fit.scatter(1, own, -torch.inf).max(1)
    return fit.gather(1, own)[:, 0] - rival.values, [every[i] for i in rival.indices]


ahead = {role: margins(torch.stack(cells(role, "VITAL", wanted)), wanted) for role, wanted in shown.items()}
order = ahead[main][0].argsort(descending=True).tolist()
thirds = [part.tolist() for part in torch.tensor(order).tensor_split(3)]


def wall(role, wanted):
    """A real image of each class, and below it its pictures by every method."""
    page = [[real[k, 0].cpu() for k in wanted], *(cells(role, method, wanted) for method in rows)]
    return plot.grid(page, rows=["real", *rows], columns=[names[k] for k in wanted])


# %% [markdown]
# The classes come in the order of that margin for the VITAL pictures, the surest first. The hardest case of all is the
# last column of {numref}`fig-vital-20`.

# %%
show(wall(main, thirds[0]), "fig-vital-18",
     f"The third of the classes whose VITAL pictures are the easiest to name, by {title[main]} (VITAL, figure 18).",
     alt="Five rows of pictures: real images, then MACO, Fourier, DeepInversion and VITAL, for the classes named most surely.")

# %%
show(wall(main, thirds[1]), "fig-vital-19",
     f"The middle third of the classes, by {title[main]} (VITAL, figure 19).",
     alt="Five rows of pictures: real images, then MACO, Fourier, DeepInversion and VITAL, for the classes in the middle.")

# %%
show(wall(main, thirds[2]), "fig-vital-20",
     f"The third of the classes whose VITAL pictures are the hardest to name, by {title[main]}; the hardest is on the right. Which part of the "
     "real image went missing (VITAL, figure 20)?",
     alt="Five rows of pictures: real images, then MACO, Fourier, DeepInversion and VITAL, for the classes named least surely.")

# %% [markdown]
# ## The same methods on other networks
#
# The older methods were made for convolutions and batch norm. ConvNeXt and the two transformers have no batch norm, so
# DeepInversion has nothing to match in them. And a transformer sees the image through a coarse grid of patches, which can
# show in the picture.

# %%
show(wall("convnext_base", some), "fig-vital-24",
     "The methods on ConvNeXt, for the classes of {numref}`fig-vital-1` and as many more (VITAL, figure 24).",
     alt="Rows of real images and of pictures by three methods for ConvNeXt, with a sentence in the row of DeepInversion.")

# %%
show(wall("densenet121", some), "fig-vital-25",
     "The methods on DenseNet121, which has batch norm (VITAL, figure 25).",
     alt="Rows of real images and of pictures by four methods for a DenseNet.")

# %%
show(wall("vit_l_16", some), "fig-vital-22",
     "The methods on ViT-L-16, a transformer with small patches (VITAL, figure 22).",
     alt="Rows of real images and of pictures by three methods for a transformer, with a sentence in the row of DeepInversion.")

# %%
show(wall("vit_l_32", some), "fig-vital-23",
     "The methods on ViT-L-32, a transformer with patches twice as wide (VITAL, figure 23).",
     alt="Rows of real images and of pictures by three methods for a transformer, with a sentence in the row of DeepInversion.")

# %% [markdown]
# ## What do the networks agree on?
#
# Now across: other classes, a row each, and VITAL alone. What all networks draw belongs to the class. What only one
# draws belongs to the network: its sense of place, its patches, its favourite clue.

# %%
others = some[1::2] or some
page = [[real[k, 0].cpu(), *(cells(role, "VITAL", [k])[0] for role in roles)] for k in others]
show(plot.grid(page, rows=[names[k] for k in others], columns=["real", *(title[role] for role in roles)], width=7), "fig-vital-21",
     "VITAL pictures of other classes, a row each, from one network to the next. Read along a row: which clue does every network draw "
     "(VITAL, figure 21)?",
     alt="A table of pictures: classes down, a real image and five networks across.")

# %% [markdown]
# ## Where it fails
#
# The worst pictures, by score. For classes this is the margin of above. An inner neuron has no name, but it has the
# real patches that excite it most. So the judge compares its picture with those: how much nearer is it to its own patches than
# to those of any other neuron that was drawn? ({doc}`/vital/b-1-inner-neurons` tells how pictures of inner neurons are made.)

# %%
pool = ed.images("train", probing).pixels
alive = (pooled(models[main], pool, "block5") > 0).sum(0) >= references
alive = alive.nonzero().flatten().cpu()
draw = torch.Generator().manual_seed(seed)
chosen = alive[torch.randperm(len(alive), generator=draw)[:channels]].sort().values
patches = top_patches(models[main], pool, chosen, at="block5", k=best, shortlist=2 * best)
inner = sg.kept_each(vital_inner, models[main], chosen, patches.images, at="block5", seed=seed, **how).cpu()


@torch.no_grad()
def embedded(images):
    """Unit vectors of images (n, 3, h, w) in the eyes of the judge, (n, width)."""
    x = judge(zoo.normalise(judge, eight_bits(images).to(ed.device)))
    return torch.nn.functional.normalize(x, dim=-1).cpu()


of_patches = torch.stack([embedded(best).mean(0) for best in patches.images])
alike = embedded(inner) @ torch.nn.functional.normalize(of_patches, dim=-1).T  # (channels, channels)
nearest = alike.clone().fill_diagonal_(-torch.inf).max(1)
apart = alike.diagonal() - nearest.values

# %% tags=["hide-input"]
def class_failures(role, count):
    """The worst class pictures of a network, real images of the classes, and what the judge makes of them."""
    margin, rival = ahead[role]
    worst = margin.argsort()[:count].tolist()
    classes = [shown[role][i] for i in worst]
    notes = [f"{names[k]}\n{'taken for' if margin[i] < 0 else 'nearly'} {rival[i]}" for i, k in zip(worst, classes, strict=True)]
    return cells(role, "VITAL", classes), [real[k, 0].cpu() for k in classes], notes


def neuron_failures(count):
    """The worst pictures of inner neurons, the best patch of each, and whose patches the judge takes them for."""
    worst = apart.argsort()[:count].tolist()
    notes = [f"channel {chosen[c]}\n{'taken for' if apart[c] < 0 else 'nearly'} {chosen[nearest.indices[c]]}" for c in worst]
    return list(inner[worst]), [patches.images[c, 0] for c in worst], notes


a, b, c = class_failures(main, 3), neuron_failures(3), class_failures(last, 6)
page = [a[0] + c[0][:3], a[1] + c[1][:3], b[0] + c[0][3:], b[1] + c[1][3:]]
notes = [*a[2], *c[2][:3], *[""] * 6, *b[2], *c[2][3:]]
fig = plot.grid(page, rows=["VITAL", "real", "VITAL", "real"], columns=[" "] * len(page[0]), captions=notes)
heading(fig, 0, len(a[0]), title[main])
heading(fig, len(a[0]), len(page[0]) - len(a[0]), title[last])
show(fig, "fig-vital-26", f"The worst VITAL pictures of the run, each with a real image below it, or for a neuron its best patch. {title[main]}: the 3 of {len(names)} classes that "
     f"the judge names least, and the 3 of {len(chosen)} inner neurons whose pictures it tells least from other neurons' patches. {title[last]}: the 6 worst "
     "classes. *Nearly* means that the right one was still the best, if only just (VITAL, figure 26).",
     alt="Twelve failed pictures with real images below them, and the name or the neuron that the judge mixes each of them up with.")

# %% [markdown]
# The paper's own failures are of two kinds: scenes in which many things have to stand in the right place (its ambulance
# and its vacuum cleaner), and faces that lose their parts (its Persian cat and its husky). Both come from the loss. It counts
# how often each value occurs in a channel and never asks *where*. A picture with all its parts in a heap has no
# reason to improve. What keeps objects together at all are the deep channels, each of which sees a large part
# of the image at once.
#
# ## Paper against this run
#
# Section 4.1 prints pictures and no numbers. The nearest number is that of table 1: how many VITAL pictures an image-text
# network names.

# %% tags=["nbval-check-output"]
paper = published("tab-vital-1").set_index(["row", "column"]).value
lines = []
for role, (margin, _) in ahead.items():
    place = (f"{title[role]} / VITAL", "zero-shot top-1")
    clearest, worst = (names[shown[role][int(i)]] for i in (margin.argmax(), margin.argmin()))
    lines.append([title[role], len(margin), f"{100 * float((margin > 0).float().mean()):.0f}",
                  f"{paper.get(place, float('nan')):.1f}", clearest, worst])
table = pd.DataFrame(lines, columns=["network", "pictures", "named, %", "in the paper, %", "clearest", "worst"])
print(table.to_string(index=False))

# %% tags=["hide-input"]
counts = [100 * float((margin > 0).float().mean()) for margin, _ in ahead.values()]
hard = table["worst"].mode()[0]
Markdown(f""":::{{admonition}} What to take away
:class: tip
- The judge names {min(counts):.0f} to {max(counts):.0f}% of the VITAL pictures, depending on the network
  ({{numref}}`fig-vital-1` and {{numref}}`fig-vital-21`). {{doc}}`/vital/4-2-benchmark` has the other methods' numbers.
- The output of a class can be turned up without drawing the class. What a picture repeats, and what it leaves out, says
  which question the method asked ({{numref}}`fig-vital-4`).
- The worst pictures say something, too. {hard.capitalize()} is among the hardest here, and of {len(chosen)} pictures of inner neurons the
  judge finds {int((apart > 0).sum())} nearest to their own neuron's patches ({{numref}}`fig-vital-26`).
- The judge is a network as well. Where it fails and you don't, trust your eyes.
:::
""")

# %% [markdown]
# ## Copy this
#
# All methods have one signature. This runs those that a timm network allows, on random weights and random images;
# use `pretrained=True`, your own images, and more steps.

# %%
import timm
import torch

from sightglass.visualize import methods

my_model = timm.create_model("resnet18", pretrained=False)
my_model = my_model.eval().requires_grad_(False)
my_images = torch.rand(2, 4, 3, 64, 64)  # (classes, real images, 3, height, width) in [0, 1]
my_pictures = {name: method(my_model, [207, 281], my_images, steps=2, seed=0)
               for name, method in methods.METHODS.items() if not methods.applies(name, my_model)}
assert all(p.shape == (2, 3, 64, 64) for p in my_pictures.values())
print(f"{len(my_pictures)} methods: {', '.join(my_pictures)}")

# %% [markdown]
# :::{dropdown} Try next: is the first picture the only one?
# Call `METHODS["VITAL"](model, target, real, seed=[0, 1, 2])`, which gives three pictures of each class. What changes from seed to
# seed (place, size, left or right) is what the distributions leave open.
# :::
#
# :::{dropdown} Try next: a network of your own
# Write an edition file that names your images and networks, check it with `python -m sightglass doctor my.yaml`, and run
# this page with `-p networks='["my_role"]'`. The first of the networks gets every method on every class.
# :::
