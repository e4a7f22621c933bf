# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which attributor finds the true edges? (beyond the paper)
#
# **Question.** A concept graph says that one concept makes another. If we had built the network ourselves and knew, would the graph be right?
#
# The paper chooses {term}`integrated gradients` for {term}`ICAT` because a target's answer rises and falls fastest when concepts are put in
# or taken out in its order ({doc}`/ierf/6-2-icat`). That tests an attribution by the network it explains, but nobody knows what the network
# *really* does, so no edge can be called wrong. Here is a network whose edges are known because they were put there by hand:
# each concept of its second layer is made by a few of the first, its *parents*, and held back by others, its *inhibitors*.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | any images | half a minute on one core | the same | {doc}`/ierf/6-4-concept-graph` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
photos = 12
side = 16  # to which they are made smaller, in pixels
seeds = 6  # networks, planted anew
targets = 16  # concepts of the second layer
parents = 3  # of each
against = 1  # inhibitors of each
more = [1, 2, 4]  # numbers of inhibitors in the second part
steps = 16  # of integrated gradients
drawn = 8  # targets of one network in the figure

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

import sightglass as sg
from sightglass.show import show
from sightglass.trace import icat
from sightglass.trace.icat.attributors import ATTRIBUTORS
from sightglass.trace.icat.planted import COLOURS, LAYERS

sg.plot.style()
ed = sg.load(edition, device=device)
images = ed.images("test", 10 * photos).pixels
bright = images[images.mean((1, 2, 3)).argsort(descending=True, stable=True)[: 5 * photos : 5]]  # some scenes are nearly dark
x = (F.adaptive_avg_pool2d(bright, side) - 0.5) / 0.25
TOGETHER = "found together"  # no attribution: how concepts and targets correlate over positions


def plant(seed, against=against):
    """Build a network with its truth, and link its two layers."""
    plan = icat.planted(x, targets=targets, parents=parents, against=against, seed=seed)
    return plan, icat.between(plan.model, x, LAYERS, plan.earlier, plan.later)


def ask(link, which=tuple(ATTRIBUTORS)):
    """Return each attributor's edges (16, targets) and its seconds."""
    found = {}
    for name in which:
        started = time.process_time()
        found[name] = icat.edges_of(link, attributor=name, steps=steps).strength.cpu(), time.process_time() - started
    return found | {TOGETHER: (icat.together(link).cpu(), 0.0)}


plans = [plant(seed + k) for k in range(seeds)]
answers = [ask(link) for _, link in plans]

# %% [markdown]
# ## The network
#
# The first layer sees sixteen things: eight colours, and edges that face in eight directions. Each target of the second layer
# adds up three of them, each taken from some place nearby, and subtracts another one. It begins where this sum exceeds a
# threshold, and it has a ceiling. So that no attributor can succeed by looking at channels, both layers are turned: no channel is a concept.
# The attributors get what they get in a real network, the concepts of both layers and sparse codes, and not a word about the wiring.
#
# In the figure, the truth at the upper left. In the other panels, each target is joined to as many concepts as it has parents, those
# with the largest strengths, and to as many as it has inhibitors, those with the most negative ones.

# %% tags=["hide-input"]
TRUE, BACK, FALSE = "#2269A6", "#C0392B", "#E8A33D"
PAINT = {"dark": "#333333", "blue": "#2E62D9", "green": "#2C9B3F", "cyan": "#33C4D0", "red": "#D9302E",
         "magenta": "#C83BBE", "yellow": "#EFC928", "bright": "#F7F5EE"}


def face(k):
    """Draw a concept of the first layer: a patch of its colour, or an edge that faces its way."""
    if k < len(COLOURS):
        return np.full((32, 32, 3), plt.matplotlib.colors.to_rgb(PAINT[COLOURS[k]]))
    turn = (k - len(COLOURS)) * np.pi / 4
    down, across = np.mgrid[-1:1:32j, -1:1:32j]
    light = 1 / (1 + np.exp(-14 * (across * np.cos(turn) + down * np.sin(turn))))
    return np.repeat((0.2 + 0.75 * light)[..., None], 3, axis=2)


def picks(strength, edges):
    """List (concept, target, for or against, whether so) of as many extremes as there are true edges."""
    lines = []
    for t in range(drawn):
        order = strength[:, t].argsort(descending=True).tolist()
        up, down = int((edges[:, t] > 0).sum()), int((edges[:, t] < 0).sum())
        lines += [(k, t, 1, bool(edges[k, t] > 0)) for k in order[:up]]
        lines += [(k, t, -1, bool(edges[k, t] < 0)) for k in order[len(order) - down :]]
    return sorted(lines, key=lambda line: line[3])  # what is right lies on top


def wires(ax, title, strength, edges):
    """Draw both layers as columns, and lines for what was found."""
    count = len(edges)
    low = np.linspace(1, 0, count)
    high = np.linspace(0.97, 0.03, drawn)
    for k, t, sign, right in picks(strength, edges):
        way = (1 - np.cos(np.linspace(0, np.pi, 30))) / 2
        colour = FALSE if not right else TRUE if sign > 0 else BACK
        ax.plot(np.linspace(0.05, 0.95, 30), low[k] + way * (high[t] - low[k]), color=colour, lw=1.5 if right else 1,
                ls="-" if sign > 0 else (0, (2.2, 1.4)), zorder=3 if right else 2, solid_capstyle="round")
    for k in range(count):
        ax.imshow(face(k), extent=(-0.045, 0.035, low[k] - 0.026, low[k] + 0.026), zorder=4, aspect="auto")
        ax.add_patch(plt.Rectangle((-0.045, low[k] - 0.026), 0.08, 0.052, fill=False, edgecolor="#777777", lw=0.5, zorder=5))
    ax.plot(np.full(drawn, 0.98), high, "o", color="white", mec="#444444", mew=1, ms=6, zorder=4)
    hits = icat.found(strength[:, :drawn], edges[:, :drawn])
    told = f"{hits['parents']:.0%} of parents" + (f", {hits['against']:.0%} of inhibitors" if "against" in hits else "")
    ax.text(0.5, 1.15, title, fontsize=9, fontweight="bold", ha="center")
    ax.text(0.5, 1.08, "every line is true" if strength is edges else told, fontsize=7.5, ha="center")
    ax.set(xlim=(-0.08, 1.05), ylim=(-0.05, 1.05))
    ax.set_axis_off()


plan, answer = plans[0][0], answers[0]
panels = {"the truth": plan.edges} | {name: strength for name, (strength, _) in answer.items()}
fig = plt.figure(figsize=(8, 6.6), layout="none")
for i, (title, strength) in enumerate(panels.items()):
    spot = fig.add_axes((0.01 + 0.25 * (i % 4), 0.51 - 0.505 * (i // 4), 0.23, 0.42))
    wires(spot, title, plan.edges if title == "the truth" else strength, plan.edges)
words = fig.add_axes((0.77, 0.02, 0.22, 0.4), xlim=(0, 1), ylim=(0, 1))
words.set_axis_off()
for y, (colour, line, text) in zip((0.86, 0.68, 0.5, 0.32), ((TRUE, "-", "parent, found"), (BACK, (0, (2.2, 1.4)), "inhibitor, found"),
                                  (FALSE, "-", "said to be a parent,\nbut isn't"), (FALSE, (0, (2.2, 1.4)), "said to be an inhibitor,\nbut isn't")), strict=True):
    words.plot([0, 0.2], [y, y], color=colour, ls=line, lw=2)
    words.text(0.26, y, text, va="center", fontsize=8)
words.text(0, 0.1, f"left: {len(plan.edges)} concepts of the first layer\nright: {drawn} targets of the second", fontsize=7.5, va="center", color="#555555")
show(fig, "fig-ierf-x2",
     f"A planted network and what was found of it: {drawn} of its {targets} targets, each with {parents} parents and {against} "
     f"inhibitor{'s' if against != 1 else ''}. Left in each panel the concepts of the first layer, colours and edges; right the targets. Blue and red lines "
     "are edges that are really there, orange ones aren't.",
     alt="Seven small diagrams of lines between sixteen little pictures and eight circles; the first shows the truth, the others what each "
         "method finds, with wrong lines in orange.")

# %% [markdown]
# ## Scores
#
# For every target, how many of its parents are among as many of its strongest edges? How many of its inhibitors are among the most negative ones?
# *Area* is the chance that a parent is stronger than a concept without an edge, 0.5 for a coin. *Gap* is how far all shares
# together are from the change that they should add up to. The numbers are means over planted networks with their standard errors.
# The last lines are what to beat: whatever is found together with the target, and a blind draw.

# %%
def spread(values):
    """Write a mean with its standard error."""
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}" if len(values) > 1 else f"{values.mean():.2f}"


def blind(plan, draw):
    """Score edges drawn at random."""
    return icat.found(torch.rand(plan.edges.shape, generator=draw), plan.edges)


score = {name: [icat.found(answer[name][0], plan.edges) for answer, (plan, _) in zip(answers, plans, strict=True)] for name in answers[0]}
draw = torch.Generator().manual_seed(seed)
score["a blind draw"] = [{k: float(np.mean([blind(plan, draw)[k] for _ in range(20)])) for k in own} for own, (plan, _) in zip(score[TOGETHER], plans, strict=True)]
lines = []
for name, own in score.items():
    line = {"attributor": name} | {what: spread([s[k] for s in own]) for k, what in (("parents", "parents found"), ("against", "inhibitors found"), ("area", "area")) if k in own[0]}
    if name in ATTRIBUTORS:
        changes = [icat.edges_of(link, attributor=name, steps=steps).gap for _, link in plans[:2]]
        line |= {"gap": f"{np.mean(changes):.2f}", "seconds": f"{np.mean([answer[name][1] for answer in answers]):.1f}"}
    lines.append(line)
show(pd.DataFrame(lines).fillna("").set_index("attributor"), "tab-ierf-x3",
     f"True edges found in {seeds} planted networks of {targets} targets with {parents} parents and {against} inhibitor{'s' if against != 1 else ''} "
     f"each, on {len(x)} images; means with standard errors. Seconds are for all edges of a network on one core.")

# %% [markdown]
# Parents are the easy part. Everything that raises a target is a parent here, so whoever follows slopes or differences through the network finds them, and correlation,
# which doesn't, misses many: colours and edges come together in images for reasons of their own. The z+ rule
# of LRP sees positive weights only, and in turned layers these belong to all concepts alike.
#
# Inhibitors tell attributors apart. One reason lies in the question: ICAT weighs positions by how much of the target is there, and
# where an inhibitor has won, there is nothing of it. What's left are places where the inhibitor lost. There the plain gradient sees no trace of
# an inhibitor behind a threshold or a ceiling that has been passed, while the way from nothing to everything passes through them.
#
# ## More inhibitors
#
# Does it help if there are more of them? Bars are standard errors over planted networks; dotted, a blind draw.

# %% tags=["hide-input"]
few = max(2, seeds // 2)
fig, axes = plt.subplots(1, 2, figsize=(7.6, 2.9), sharex=True)
LOOKS = dict(zip([*ATTRIBUTORS, TOGETHER], ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#777777"), strict=True))
curves = {name: {what: [] for what in ("parents", "against")} for name in LOOKS}
for number in more:
    rounds = [plant(seed + k, against=number) for k in range(few)]
    own = [ask(link) for _, link in rounds]
    for name in LOOKS:
        hits = [icat.found(answer[name][0], plan.edges) for answer, (plan, _) in zip(own, rounds, strict=True)]
        for what, points in curves[name].items():
            values = np.array([hit[what] for hit in hits])
            points.append((values.mean(), values.std(ddof=1) / few**0.5))
for ax, what, title, count in zip(axes, ("parents", "against"), ("parents found", "inhibitors found"), (np.full(len(more), parents), np.array(more)), strict=True):
    for name, colour in LOOKS.items():
        mean, error = np.array(curves[name][what]).T
        ax.errorbar(more, mean, error, color=colour, marker="o", ms=4, lw=1.6, capsize=2, label=name)
    ax.plot(more, count / len(plan.edges), color="#777777", ls=":")
    ax.set(xlabel="inhibitors of each target", ylim=(0, 1.04), title=title, xticks=more)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
plt.show()

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - On a network with known edges, attributors that follow slopes or differences find what makes a target. LRP by the z+ rule doesn't: it's about as
#   poor a guide here as which concepts come along with the target ({numref}`fig-ierf-x2`).
# - What holds a target back is found in part only, and here integrated gradients are ahead ({numref}`tab-ierf-x3`): the paper's choice, for a reason of its own.
# - So believe the lines of a {doc}`concept graph </ierf/6-4-concept-graph>` sooner than what it leaves out: what holds a concept back isn't drawn there at all.
# - The network is simple: one layer deep between its concepts, which are orthogonal and given. What's easy here may be hard in a trained network. And
#   deletion and insertion may rate what fails here otherwise: compare LRP's place in {doc}`/ierf/6-2-icat`, where nobody knows the true edges.
# :::
#
# ## Copy this
#
# A planted network for any images, and any edges scored against its truth. Here a network of your own is explained, too, though nobody knows its truth.

# %%
import timm
import torch

from sightglass.concepts.dictionaries import dictionary
from sightglass.trace import icat
from sightglass.trace.icat.planted import LAYERS
from sightglass.zoo.taps import record

my_x = torch.nn.functional.avg_pool2d(torch.randn(6, 3, 40, 40, generator=torch.Generator().manual_seed(0)), 4) * 4
my_plan = icat.planted(my_x, targets=6)
my_link = icat.between(my_plan.model, my_x, LAYERS, my_plan.earlier, my_plan.later)
my_edges = icat.edges_of(my_link, steps=16)
my_score = icat.found(my_edges.strength, my_plan.edges)
print({name: round(value, 2) for name, value in my_score.items()}, f"gap {my_edges.gap:.3f}")
assert my_edges.strength.shape == my_plan.edges.shape == (16, 6) and my_score["parents"] > 0.9

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
with record(my_model, ["layer2", "layer3"]) as kept, torch.no_grad():
    my_model(my_images)
my_low, my_high = (dictionary(kept[tap].mT.flatten(0, 1), 12, nonzeros=3) for tap in ("layer2", "layer3"))
my_own = icat.edges(my_model, my_images[:3], ("layer2", "layer3"), my_low, my_high, steps=4)
assert my_own.strength.shape == (12, 12)

# %% [markdown]
# :::{dropdown} Try next: a crowd of parents
# Run `python -m sightglass run world ierf/x-planted -p parents=6`, then `-p parents=10`. Who loses count first?
# :::
#
# :::{dropdown} Try next: fewer images
# With `-p photos=2` some inhibitors never meet their target. Can anyone find them?
# :::
