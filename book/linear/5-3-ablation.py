# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Put the description in the neuron's place (Linear Explanations, section 5.3)
#
# **Question.** If a neuron is taken out of a network and something plays its part that knows nothing but its description, does the
# network notice?
#
# A correlation says how alike the play and the neuron are. It doesn't say whether the network can live with the difference: it
# may concern images where the neuron hardly matters. The {term}`ablation score` asks the network itself
# {cite:p}`oikarinen2024`. On this page you will see five methods of description tested so, and then what else the score
# depends on. That turns out to be a good deal.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `explainer` and `simulator`, and a network with a linear classifier | about a minute on one core, less after {doc}`/linear/5-2-correlation` | minutes on a GPU | {doc}`/linear/5-2-correlation` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the split into train, val and test
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition; its penultimate layer is explained
photos = 6000  # probing images; the world has 10,000
fixed = 1.1  # another temperature to compare with; 1.1 is that of the published code
steps = 100  # of the descent that Optim is

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

import sightglass as sg
from sightglass import explain
from sightglass.explain.methods import LINEAR, METHODS
from sightglass.show import beside, claim, show

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
seen = explain.probe(ed, network, "penultimate", n=photos, seed=seed, keep=sg.kept)
found = explain.described(ed, seen, keep=sg.kept)
played = explain.played(ed, seen, found, keep=sg.kept)  # {method: (n, units)}
missing = {method: words for method, words in found.items() if isinstance(words, str)}
val, test = seen.splits.val, seen.splits.test
answers = torch.tensor(ed.outputs)[seen.images.labels]  # each image's output in the network
head = explain.head_of(model, seen.q[val], answers[val])
heads = {"fitted": head, "fixed": explain.Head(head.weight, head.bias, fixed)}
units = seen.q.shape[1]
print(f"{units} units, {len(val)} images to scale by and {len(test)} to judge by, temperature {head.temperature:.2f}")


def rows(play, part):
    """What some images say: the play and the units (n, units), and the right answers."""
    return explain.Rows(play[part], seen.q[part], answers[part])


def score(play, *, at="fitted", scale="optim", start="norm"):
    """Ablation scores of all units, with the slopes and offsets that were used."""
    return explain.ablation(heads[at], rows(play, val), rows(play, test), scale=scale, start=start, steps=steps)


# %% [markdown]
# ## One neuron taken out
#
# The {term}`simulator` plays the neuron on images that nothing was fitted to, the play goes into the network in the neuron's
# place, and the loss of each image is computed anew. Below is the neuron that the network misses most: the one whose replacement
# by its mean changes the losses most. On the left, the neuron over its play. On the right, by how much each image's loss changes: to the
# right when the mean stands in for the neuron, upwards when the play does. Below the diagonal, the play is the better stand-in.

# %%
base = heads["fitted"].logits(seen.q[test]).cpu()
wrong = base.argmax(1) != answers[test]


def changes(line, play, at="fitted"):
    """By how much each test image's loss changes when each unit is played, scaled by a line (slope, offset): (n, units)."""
    change = line[0] * play[test] + line[1] - seen.q[test]
    return explain.loss_changes(heads[at], seen.q[test], answers[test], change).abs().cpu()


nothing = torch.zeros_like(seen.q)  # a play that says the same of every image
mean = (torch.zeros_like(seen.q[0]), seen.q[val].mean(0))
lost = {at: changes(mean, nothing, at) for at in heads}
unit = int(lost["fitted"].sum(0).argmax())
best = LINEAR[1] if LINEAR[1] in played else LINEAR[0]
optim = score(played[best])
line = (optim.slope, optim.offset)
by_mean, by_play = lost["fitted"][:, unit], changes(line, played[best])[:, unit]

# %% tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5))
playing, real = ((values[test, unit]).cpu() for values in (line[0] * played[best] + line[1], seen.q))
ends = [min(float(playing.min()), float(real.min())), max(float(playing.max()), float(real.max()))]
left.plot(ends, ends, color="#8A8A8A", lw=0.8)
left.set(xlabel="activation, played", ylabel="activation, real", title=f"unit {unit} over its play by {best}")
ends = [1e-6, 2 * float(max(by_mean.max(), by_play.max()))]
right.plot(ends, ends, color="#8A8A8A", lw=0.8)
right.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title="what it does to the loss",
          xlabel="change of an image's loss, mean in its place", ylabel="play in its place")  # fmt: skip
for part, colour, name in ((~wrong, sg.plot.colour(best), "image, network right"), (wrong, "black", "image, network wrong")):
    left.scatter(playing[part], real[part], s=5, alpha=0.5, color=colour, linewidths=0)
    right.scatter(by_mean[part].clamp_min(1e-6), by_play[part].clamp_min(1e-6), s=5, alpha=0.5, color=colour, linewidths=0, label=name)
right.legend(loc="lower right", markerscale=2)
plt.show()
Markdown(f"{best} says of this neuron: *{found[best].sentence(unit)}*. Over {len(test)} images the changes add up to {float(by_mean.sum()):.2f} with the mean and to "
         f"{float(by_play.sum()):.2f} with the play. One minus the second over the first is the play's ablation score, {float(optim.score[unit]):.2f}.")

# %% [markdown]
# So the score is
#
# ```{math}
# 1 - \frac{\sum_x |L(x;\, \text{neuron played}) - L(x)|}{\sum_x |L(x;\, \text{neuron replaced by its mean}) - L(x)|},
# ```
#
# 1 for a perfect play, and 0 for one that is no better than knowing the neuron's mean. The play has no natural unit: an image-text network says
# how likely a zebra is, not how much the neuron ought to fire. So it is scaled, {math}`c\,s + d`, on validation images. *Norm* takes
# the line that explains most of the neuron's variance. *Optim* looks for the line that changes the losses least.
#
# A small thing matters here. The published code starts Optim at {math}`c=1, d=0` and goes a hundred steps. Linear explanations, which were fitted
# to the neuron, begin at home there; a method of one word begins wherever its word's numbers lie. We start all methods at Norm's line, count steps
# in each neuron's own spread, and keep the result only where it is better on validation images. The published start is shown in the second table.

# %% tags=["nbval-check-output"]
ways = {"Optim": {}, "Norm": {"scale": "norm"}, "Optim, the paper's start": {"start": "paper"}}
results = {(at, way, method): score(play, at=at, **how).score.cpu()
           for at in heads for way, how in ways.items() for method, play in played.items()}  # fmt: skip


def means(at, way):
    """Mean score of every method and its standard error over units: a row of a table."""
    row = {}
    for method in played:
        row[method], row[f"{method} ±"] = explain.mean_and_error(results[at, way, method])
    return row


absent = "".join(f" {method}: {reason}." for method, reason in missing.items())
show(beside(pd.DataFrame({"ResNet50" if network == "resnet50" else network: means("fitted", "Optim")}).T, "tab-le-3"), "tab-le-3",
     f"Ablation scores, Optim, mean over {units} neurons of {network}'s penultimate layer and its standard error; temperature fitted. "
     f"The edition {ed.name}.{absent} (Linear Explanations, table 3)")

# %%
def order(at, way):
    """Methods from the best mean score to the worst."""
    return sorted(played, key=lambda method: -float(results[at, way, method].mean()))


rivals = [method for method in played if method not in LINEAR]
ratios = {}
for at in heads if rivals else ():
    row = means(at, "Optim")
    ratios[at] = row[best] / max(row[method] for method in rivals)
said = (f"{best} reaches {ratios['fitted']:.1f} times the score of the best of {', '.join(rivals)} at the fitted temperature, {head.temperature:.2f}, "
        f"and {ratios['fixed']:.1f} times at the fixed one, {fixed}." if ratios else "No baseline is to be had.")
claim("linear-6", holds=ratios["fitted"] >= 3 if ratios and best == LINEAR[1] else None, because=said + absent)

# %% [markdown]
# ## What the scale does
#
# Before we say why, the other ways to scale, and the same with a fixed temperature, which need not fit the images:

# %%
names = {("fitted", "Norm"): "Norm", ("fitted", "Optim"): "Optim",
         ("fitted", "Optim, the paper's start"): "Optim, the paper's start",
         ("fixed", "Norm"): f"Norm, temperature {fixed}", ("fixed", "Optim"): f"Optim, temperature {fixed}"}
lines = {name: means(*how) for how, name in names.items()}
show(beside(pd.DataFrame(lines).T, "tab-le-9"), "tab-le-9",
     f"Ablation scores by scale. The first three rows at the fitted temperature, {head.temperature:.2f}.{absent} (Linear Explanations, table 9; its temperature is "
     "1.1)")

# %%
above = all(lines["Optim"][method] > lines["Norm"][method] for method in played)
ranked = {at: [order(at, way) for way in ("Norm", "Optim")] for at in heads}
pairs = list(zip(ranked["fitted"][0], ranked["fitted"][0][1:], strict=False))
apart = {pair: explain.mean_and_error(results["fitted", "Norm", pair[0]] - results["fitted", "Norm", pair[1]]) for pair in pairs}
close = ", and between ".join(" and ".join(pair) for pair, (middle, error) in apart.items() if middle < 2 * error)
claim("linear-8", holds=above and ranked["fitted"][0] == ranked["fitted"][1],
      because="Optim minus Norm: " + ", ".join(f"{lines['Optim'][m] - lines['Norm'][m]:+.3f} ({m})" for m in played)
              + f". By Norm: {' > '.join(ranked['fitted'][0])}; by Optim: {' > '.join(ranked['fitted'][1])}. At temperature {fixed} the orders are "
              + ("the same." if ranked["fixed"][0] == ranked["fixed"][1] else "different, too.")
              + (f" By Norm less than two standard errors lie between {close}." if close else ""))

# %% [markdown]
# Optim may choose any line, also a flat one. Then what does it make of a play that says nothing at all, the same number for
# every image? If the score were only about descriptions, it would be 0.

# %%
flat = {at: score(nothing, at=at).score.cpu() for at in heads}
scrambled = {}
dice = torch.Generator().manual_seed(seed)
for at in heads:
    mixed = played[best].clone()
    for part in (val, test):
        mixed[part] = played[best][part[torch.randperm(len(part), generator=dice).to(part.device)]]
    scrambled[at] = score(mixed, at=at).score.cpu()

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8, 0.7 + 0.36 * (len(played) + 2)), sharey=True)
for ax, at in zip(axes, heads, strict=True):
    bars = {"the same for all": flat[at], f"{best}, images mixed up": scrambled[at]}
    bars = {**{m: results[at, "Optim", m] for m in METHODS if m in played}, **bars}
    for i, (name, values) in enumerate(reversed(bars.items())):
        middle, error = explain.mean_and_error(values)
        ax.barh(i, middle, xerr=error, height=0.62, color=sg.plot.colour(name) if name in played else "#999999")
        if name in played:
            ax.plot(float(results[at, "Norm", name].mean()), i, "D", ms=5, mfc="white", mec="black")
    ax.axvline(float(flat[at].mean()), color="black", lw=0.8, ls=":")
    ax.set(xlabel="ablation score", title=f"temperature {heads[at].temperature:.2f} ({at})")
    ax.set_yticks(range(len(bars)), list(reversed(bars)))
plt.show()
Markdown("Bars: Optim. Diamonds: Norm. Dotted: what Optim gets for a play without any description, "
         f"{float(flat['fitted'].mean()):.3f} and {float(flat['fixed'].mean()):.3f}.")

# %% [markdown]
# The mean is a poor rival. A neuron that is silent on most images has a mean that it hardly ever takes, and a constant nearer to its usual
# value disturbs the network less. Optim finds that constant without reading a word of the description. So a fairer zero is the
# best constant, found in the same way. Counted from there:

# %%
def over_flat(at, method):
    """Scores of units with the best constant as zero in the mean's place; (units,), NaN where it is perfect itself."""
    left = 1 - flat[at]
    return 1 - (1 - results[at, "Optim", method]) / left.where(left > 0, torch.nan)


fair = pd.DataFrame({m: {f"{at}, temperature {heads[at].temperature:.2f}": explain.mean_and_error(over_flat(at, m))[0] for at in heads}
                     for m in played}).T
fair.round(3)

# %% [markdown]
# ## What the temperature does
#
# Logits are divided by a temperature before the loss is computed. The paper calibrates it, which means making the validation loss smallest; the published
# code has a constant. Below 1, the network is surer after the division than it was trained to be. Why should that matter? The score adds up changes of loss over images, and the temperature
# decides whose changes count. A network that is nearly always right has losses near nothing for nearly all images, and next to
# these the few that it gets wrong are giants.

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(6, 2.8))
shares = {}
for at, style in zip(heads, ("-", "--"), strict=True):
    each = lost[at].sum(1)  # (n,): of all units
    held = 100 * each.sort(descending=True).values.cumsum(0) / each.sum()
    ax.plot(100 * np.arange(1, len(each) + 1) / len(each), held, style, color="black",
            label=f"temperature {heads[at].temperature:.2f} ({at})")
    shares[at] = float(each[wrong].sum() / each.sum())
ax.set(xlabel="images, those that change most first, %", ylabel="share of all changes, %", xscale="log", xlim=(100 / len(test), 100), ylim=(0, 100))
ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
ax.legend(loc="lower right")
plt.show()
again = explain.head_of(model, seen.q[test], answers[test]).temperature
Markdown(f"Fitted on validation images the temperature is {head.temperature:.2f}; test images would ask for {again:.2f}. {network} gets {100 * float(wrong.float().mean()):.1f}% of the test images wrong. These hold {100 * shares['fitted']:.0f}% of all changes of the loss "
         f"(each neuron replaced by its mean) at the fitted temperature, {head.temperature:.2f}, and {100 * shares['fixed']:.0f}% at {fixed}.")

# %% [markdown]
# The more of the sum a few failures hold, the more the score asks one thing: how does the play do where the network
# fails? No description is made for that, and hardly any can do it. Read an ablation score together with its temperature.
#
# ## Does the score follow the correlation?
#
# The paper finds that it does, along a parabola: the score is about the *square* of the correlation, which is the share of variance
# explained. It takes all neurons and methods together. We do, too, at both temperatures.

# %%
rho = {method: explain.correlations(play[test], seen.q[test]).cpu() for method, play in played.items()}
x = torch.cat(list(rho.values())).numpy()
fits = {}
for at in heads:
    y = torch.cat([results[at, "Optim", method] for method in rho]).numpy()
    square, base = np.polyfit(x**2, y, 1)
    fits[at] = {"square": square, "base": base, "r2": np.corrcoef(x**2, y)[0, 1] ** 2, "straight": np.corrcoef(x, y)[0, 1] ** 2}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(8, 3.7), sharey=True)
along = np.linspace(min(0, x.min()), x.max(), 200)
for ax, (at, fit) in zip(axes, fits.items(), strict=True):
    for method in METHODS:
        if method in played:
            ax.scatter(rho[method], results[at, "Optim", method], s=5, alpha=0.45, color=sg.plot.colour(method), linewidths=0, label=method)
    ax.plot(along, fit["square"] * along**2 + fit["base"], color="black", label=f"{fit['square']:.2f} ρ² {fit['base']:+.2f}")
    ax.set(xlabel="correlation score ρ", title=f"temperature {heads[at].temperature:.2f} ({at}): "
                                               f"R² {fit['r2']:.2f}")  # fmt: skip
    ax.legend(handles=[ax.lines[-1]], loc="upper left")
axes[0].set(ylabel="ablation score, Optim", ylim=(-0.5, 1))
fig.legend(*[part[:-1] for part in axes[0].get_legend_handles_labels()], loc="outside lower center", ncols=5, markerscale=3)
show(fig, "fig-le-5",
     f"Correlation and ablation score of {units} neurons by {len(played)} methods, one dot each, with the quadratic fit. Left: "
     f"the fitted temperature; right: {fixed}. Dots below −0.5 aren't drawn. A recount from the authors' result files gives 0.42 ρ² + 0.01 and R² 0.74.{absent} (Linear Explanations, figure 5)",
     alt="Two clouds of dots of several colours, ablation score over correlation score, each with a parabola through it.")

# %%
claim("linear-7", holds=fits["fitted"]["r2"] > max(0.5, fits["fitted"]["straight"]),
      because="Variance explained by the parabola and by a straight line: "
              + "; ".join(f"{f['r2']:.2f} and {f['straight']:.2f} at temperature {heads[at].temperature:.2f}" for at, f in fits.items())
              + f". {len(x)} pairs of neuron and method.")

# %% tags=["hide-input"]
gap = {at: means(at, "Optim")[best] - float(flat[at].mean()) for at in heads}
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- An ablation score asks the network, and not a formula, whether a description will do. The best here is "
    f"{max(means('fitted', 'Optim')[m] for m in played):.2f} ({{numref}}`tab-le-3`), where 1 would be a neuron played perfectly.",
    f"- Optim gives {float(flat['fitted'].mean()):.2f} to a play without any description, because the mean is a poor rival. Compare methods by what they add to that: "
    f"{best} adds {gap['fitted']:.2f}, {gap['fixed']:.2f} at temperature {fixed} ({{numref}}`tab-le-9`).",
    f"- The temperature decides which images count. At {head.temperature:.2f} a parabola of the correlation explains {100 * fits['fitted']['r2']:.0f}% of the scores' variance, at "
    f"{fixed} it is {100 * fits['fixed']['r2']:.0f}% ({{numref}}`fig-le-5`). Give it with every ablation score.", ":::"]))

# %% [markdown]
# ## Copy this
#
# Ablation scores of a timm model's last units, for any play of them. Weights and images are random here, and the play is the neuron plus noise.

# %%
import timm
import torch

from sightglass import explain

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False, num_classes=10).eval().requires_grad_(False)
my_images, my_labels = torch.rand(24, 3, 64, 64), torch.arange(24) % 10
my_q = explain.activations(my_model, my_images, {"penultimate": "mean"})["penultimate"]  # (n, units)
my_play = my_q + 0.5 * my_q.std(0) * torch.randn_like(my_q)  # what your descriptions predict, (n, units)
to_scale, to_judge = (explain.Rows(my_play[part], my_q[part], my_labels[part]) for part in (slice(12), slice(12, 24)))
my_head = explain.head_of(my_model, my_q[:12], my_labels[:12])  # temperature fitted
my_scores = explain.ablation(my_head, to_scale, to_judge, scale="optim")
assert my_scores.score.shape == my_scores.slope.shape == (512,) and my_scores.score.max() <= 1
my_scores.score[:5]

# %% [markdown]
# :::{dropdown} Try next: your own temperature
# Run `python -m sightglass run world linear/5-3 -p fixed=2`. Whose changes count when all losses are large? Does the parabola fit better still?
# :::
#
# :::{dropdown} Try next: neurons of another network
# `-p network=densenet121` explains the last units of a network that was built and trained differently. Does the order of methods stay? And what
# does a play without a description get there?
# :::
