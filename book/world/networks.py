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
network = "resnet50"  # a role of the edition: the one that is looked at closely
images = 2400  # test images that it is scored on

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown

import sightglass as sg
from sightglass import plot, world, zoo
from sightglass.show import show, unavailable
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
# labels alone, without parts, masks or concepts, so that what a method finds inside is what training put there. Those
# that learn from phrases are the exception, and they are never scored as if they hadn't seen them.

# %%
def facts(card):
    """One row of the table of networks."""
    return {
        "family": card["family"], "learns": card["task"], "parameters, thousands": round(card["parameters"] / 1e3),
        "file, MB": card["bytes"] / 1e6, "training, minutes": card["minutes"], "test accuracy, %": 100 * card["accuracy"]["test"],
    }  # fmt: skip


table = pd.DataFrame([facts(card) for card in cards.values()], index=pd.Index(cards, name="network"))
show(
    table,
    "tab-world-x2",
    "The networks of the world. `nouns` has 24 classes, `places` 10, `kinds` 59. A network that learns from `phrases` is "
    "scored by choosing among the 24 nouns, which it was never told to do.",
)

# %% [markdown]
# A test image looks like a training image. The other splits don't, and there the networks fall apart, each in its own
# way. Nothing was done against it: a network that fails is what a diagnosis needs.

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
    "Accuracy in % on splits of the world; {numref}`fig-world-x11` shows what they look like. Read along a row.",
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
scene = world.draw(world.plan(torch.tensor([24 * 4 + world.NOUNS.index("clownfish")]), seed, hard=0.0, pairs=0.0, home=1.0))
traces = {}
for name, model in models.items():
    with record(model, zoo.taps(model)) as kept, torch.no_grad():
        model(zoo.normalise(model, scene.pixels()))
    traces[name] = dict(kept)

# %%
shapes = {name: {tap: " × ".join(map(str, a.shape[1:])) for tap, a in trace.items()} for name, trace in traces.items()}
show(
    pd.DataFrame(shapes).T.rename_axis("network"),
    "tab-world-x3",
    "Channels × positions at each tap. Positions shrink from block to block; the last two taps have none left.",
)


# %%
def strength(trace, tap):
    """How strong the activations are at each position, as a square map; a class token is left out."""
    norm = trace[tap][0].norm(dim=0)
    side = int(len(norm) ** 0.5)
    return norm[len(norm) - side**2 :].view(side, side)


blocks = [f"block{i}" for i in range(1, 6)]
chosen = [name for name in ("resnet50", "vgg16", "densenet121", "convnext_base", "vit_l_16", "swinv2_base") if name in models]
rows = [[scene.pixels()[0], *plot.heat([strength(traces[name], b)])] for name in chosen for b in blocks[:1]]
rows = [[scene.pixels()[0], *(plot.heat([strength(traces[name], b)])[0] for b in blocks)] for name in chosen]
show(
    plot.grid(rows, rows=chosen, columns=["picture", *blocks]),
    "fig-world-x14",
    "How strongly each position answers to one picture, at five depths of each family; yellow is strong.",
    alt="A fish and heat maps of it: fine and sharp at block 1, coarse squares at block 5.",
)
