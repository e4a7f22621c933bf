# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Let the words play the neuron (Linear Explanations, section 4)
#
# **Question.** How can one tell whether a description of a neuron is any good, without asking whether it
# sounds good?
#
# By making it predict. Somebody who has never seen the neuron gets the description and new images, and says
# for each what the neuron will do. This is {term}`simulation`. It was first done for language models, with a
# large language model in the part of that somebody {cite:p}`bills2023`. For images, an image-text network can
# take the part {cite:p}`oikarinen2024`, and thousands of predictions cost one product of matrices. On this
# page you will see one neuron played so, then who may be the judge, and what the two scores measure.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `explainer` and `simulator`; `clip` and masks for all methods | half a minute on one core, another minute where no other page has looked at the images | minutes on a GPU | {doc}`/linear/3-method` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the split into train, val and test, and of all that is shuffled
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition that tells its classes; its penultimate layer is explained
photos = 6000  # probing images; the world has 10,000
neuron = -1  # one of the layer's; -1 takes the median one by the score of its linear explanation

# %%
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from matplotlib.colors import to_rgb

import sightglass as sg
from sightglass import explain
from sightglass.explain.methods import LINEAR, METHODS, explained, words_of
from sightglass.metrics import eight_bits
from sightglass.show import show

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
images = explain.probing(ed, photos)
seen = explain.probe(ed, network, "penultimate", images=images, seed=seed, keep=sg.kept)
train, val, test = seen.splits.train, seen.splits.val, seen.splits.test
found = explain.described(ed, seen, keep=sg.kept)  # every method's words
played = explain.played(ed, seen, found, keep=sg.kept)  # {method: (n, units)}, in the simulator's eyes
eyes = explain.matrices(ed, seen, explain.concepts(ed), keep=sg.kept)  # how much of a word is in an image
rho = {method: explain.correlations(play[test], seen.q[test]).cpu() for method, play in played.items()}

method = LINEAR[1]
units = seen.q.shape[1]
unit = neuron if neuron >= 0 else int(rho[method].argsort(descending=True)[units // 2])
if not found[method].terms(unit):
    raise ValueError(f"unit {unit} has no explanation, so there is nothing to play; take another neuron")

# %% [markdown]
# ## The picture to keep in mind

# %% tags=["hide-input"]
answers = torch.tensor(ed.outputs)[images.labels]  # each image's output in the network
head = explain.head_of(model, seen.q[val], answers[val])


def rows(play, part):
    """What some images say: the play and the units (n, units), and the right answers."""
    return explain.Rows(play[part], seen.q[part], answers[part])


def changes(slope, offset, play):
    """By how much test images' losses change when each unit becomes slope * play + offset: (n, units)."""
    moved = slope * play[test] + offset - seen.q[test]
    return explain.loss_changes(head, seen.q[test], answers[test], moved).abs().cpu()


ablated = explain.ablation(head, rows(played[method], val), rows(played[method], test))
by_mean = changes(0, seen.q[val].mean(0), played[method])[:, unit]
by_play = changes(ablated.slope, ablated.offset, played[method])[:, unit]

terms = found[method].terms(unit)
names = [name for _, name in terms]
weights = np.array([weight for weight, _ in terms])
bias, score = float(found[method].bias[unit]), float(rho[method][unit])
real, play = (values[test, unit].cpu().numpy() for values in (seen.q, played[method]))
levels = np.linspace(real.max(), real.min(), 8)  # images at even steps of what the neuron does
some = np.array(list(dict.fromkeys(np.abs(real - level).argmin() for level in levels)))
there = eyes["simulator"].only(names).values.cpu().numpy()[test.cpu().numpy()[some]]  # (images, words)
most = by_mean.argsort(descending=True)[:8].tolist()  # images that need the neuron most
said = head.logits(seen.q[test]).argmax(1).cpu()

# %% tags=["hide-input"]
HUES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#999933", "#332288", "#882255",
        "#44AA99", "#999999"]  # fmt: skip
INK, HIGH = "#444444", 7.3
thumb = {i: eight_bits(images.pixels[test[i]]).permute(1, 2, 0).cpu() for i in {*some.tolist(), *most}}
fig = plt.figure(figsize=(8, HIGH), layout="none")


def box(x, y, wide, high):
    """Axes at a place of the figure, in inches."""
    ax = fig.add_axes([x / 8, y / HIGH, wide / 8, high / HIGH])
    ax.tick_params(length=2)
    return ax


def note(x, y, text, **how):
    """Words at a place of the figure, in inches."""
    fig.text(x / 8, y / HIGH, text, **({"fontsize": 8, "ha": "left", "va": "bottom"} | how))


def paste(x, y, side, i):
    """A test image at a place of the figure."""
    ax = box(x, y, side, side)
    ax.imshow(thumb[i])
    ax.set_axis_off()


low, tall, wide = 3.45, 2.64, 2.1 if len(names) > 2 else 0.6 * len(names)
step = tall / len(some)
table = box(0.85, low, wide, tall)
table.set(xlim=(0, len(names)), ylim=(len(some), 0), xticks=[], yticks=[])
table.spines[:].set_visible(False)
bars = box(0.85, low + tall + 0.08, wide, 0.42)
bars.bar(np.arange(len(names)) + 0.5, weights, 0.66, color=HUES[: len(names)])
bars.set(xlim=(0, len(names)), xticks=[], yticks=[], ylim=(min(0, weights.min()), max(0, weights.max())))
bars.spines[:].set_visible(False)
bars.axhline(0, color="#999999", lw=0.8)
for j, (weight, name) in enumerate(terms):
    at = 0.85 + wide * (j + 0.5) / len(names)
    note(at, low + tall + 0.52, f"{weight:.2f}", ha="center", fontsize=7.5)
    how = {"rotation": 40, "rotation_mode": "anchor", "color": HUES[j], "fontweight": "bold"}
    note(at - 0.04, low + tall + 0.7, name, **how)
    for i, share in enumerate(there[:, j]):
        tint = (*to_rgb(HUES[j]), 0.9 * float(share) ** 0.8)
        table.add_patch(plt.Rectangle((j + 0.03, i + 0.04), 0.94, 0.92, fc=tint, ec="#DDDDDD", lw=0.6))
        how = {"fontsize": 7.5 if len(names) < 7 else 6, "color": "black" if share >= 0.05 else "#AAAAAA"}
        table.text(j + 0.5, i + 0.52, f"{share:.2f}", ha="center", va="center", **how)
for i, image in enumerate(some.tolist()):
    paste(0.47, low + tall - (i + 1) * step + 0.01, step - 0.02, image)
    note(0.38, low + tall - (i + 0.5) * step, "ABCDEFGH"[i], ha="right", va="center", fontweight="bold")

side = box(1.0 + wide, low, 4.5 - wide - 1.0, tall)
for i, image in enumerate(some.tolist()):
    parts = np.r_[bias, weights * there[i]]
    for sign in (1, -1):  # what adds to the right, what takes away to the left
        ends = np.r_[0, np.where(parts * sign > 0, parts, 0).cumsum()]
        for j, colour in enumerate(["#CCCCCC", *HUES[: len(names)]]):
            side.barh(i + 0.33, ends[j + 1] - ends[j], 0.34, left=ends[j], color=colour)
    side.plot([parts.sum()] * 2, [i + 0.12, i + 0.54], color="black", lw=1.4)
    side.barh(i + 0.7, real[image], 0.3, color=INK)
side.set(ylim=(len(some), 0), yticks=[])
side.axvline(0, color="#999999", lw=0.8)
side.spines["left"].set_visible(False)
note(1.0 + wide, low + tall + 0.04, "4  summed: the play (coloured)\n     beside the neuron (dark)")
note(0.16, low + tall + 0.3, "3  the words\nand their\nweights", va="center")
note(0.07, low + tall / 2, "1  test images", rotation=90, va="center", ha="left")
how = (0.85 + wide / 2, "center") if len(names) > 2 else (0.85 + wide, "right")
note(how[0], low - 0.06, "2  how much of a word\nthe simulator sees", ha=how[1], va="top")

cloud = box(5.25, low, 2.6, tall + 0.5)
cloud.scatter(play, real, s=5, alpha=0.4, color=sg.plot.colour(method), linewidths=0)
for i, image in enumerate(some.tolist()):
    cloud.plot(play[image], real[image], "o", ms=10, mfc="white", mec="black", mew=0.8)
    cloud.text(play[image], real[image], "ABCDEFGH"[i], fontsize=7, ha="center", va="center_baseline")
cloud.set(xlabel="the play, from words alone", ylabel="the neuron")
note(5.25, low + tall + 0.54, f"5  all {len(test)} test images: correlation {score:.2f}")

MEAN, PLAY = "#AAAAAA", sg.plot.colour(method)
loss = box(0.85, 0.92, 4.7, 1.5)
places = np.arange(len(most))
loss.bar(places - 0.18, by_mean[most], 0.34, color=MEAN)
loss.bar(places + 0.18, by_play[most], 0.34, color=PLAY)
loss.set(xlim=(-0.5, len(most) - 0.5), xticks=[], ylabel="change of the loss")
classes = {output: name for name, output in zip(ed.classes, ed.outputs, strict=True)}
for i, image in enumerate(most):
    middle = 0.85 + 4.7 * (i + 0.5) / len(most)
    paste(middle - 0.24, 0.4, 0.48, image)
    right = said[image] == answers[test][image]
    answer = "right" if right else classes.get(int(said[image]), "other").replace(" ", "\n")
    note(middle, 0.36, answer, ha="center", va="top", fontsize=7, color="#777777" if right else "black")
note(0.78, 0.36, "network says", ha="right", va="top", fontsize=7)
note(0.16, 2.56, f"6  in the neuron's place, its mean or the play: the {len(most)} images that need it most")
total = box(6.35, 0.92, 1.5, 1.5)
total.bar([0, 1], [float(by_mean.sum()), float(by_play.sum())], 0.62, color=[MEAN, PLAY])
total.set(xlim=(-0.5, 1.5), xticks=[], ylabel="change of the loss, sum")
for j, (colour, text) in enumerate(((MEAN, "its mean"), (PLAY, "the play"))):
    note(6.35 + 1.5 * (j + 0.5) / 2, 0.87, text, ha="center", va="top", color=colour, fontweight="bold")
note(6.35, 2.56, f"all {len(test)} test images")
result = f"ablation score {float(ablated.score[unit]):.2f}".replace("-", "−")
note(7.1, 0.36, result, ha="center", va="bottom")

caption = f"""Unit {unit} of {network}'s penultimate layer, *{found[method].sentence(unit)}*, is played by
its description. (1) Test images, at even steps of what the neuron does. (2) The simulator, which has never
seen the neuron, tells how much of each word is in them. (3) Each number is multiplied by the word's weight,
and (4) the products are added up, with a grey piece for the constant; the black line marks the sum. (5) Its
correlation with the neuron is the first score. (6) For the second, the network runs on with the play,
brought to the neuron's scale, where the neuron was: how much do its losses change, compared with the
neuron's mean in that place? Below each image is what the network answers. (Linear Explanations, figure 2)"""
show(fig, "fig-le-2", caption,
     alt="A column of small images, a table of tinted cells for each image and word, stacked bars beside "
         "dark bars, a scatter of played against real activations, and below paired bars of changed losses.")

# %% [markdown]
# The chance that a word is in an image is {math}`P_\text{sim}(c\,|\,x) = \sigma(a \cos{} + ab)`, as on the
# {doc}`page before </linear/3-method>`, but with the cosines of another network, the {term}`simulator`, and
# two numbers {math}`a` and {math}`b` of its own. A description {math}`E` is a list of words and weights, and
# the play is their sum:
#
# ```{math}
# s(x, E) = \sum_{(w, c) \in E} w\, P_\text{sim}(c\,|\,x) + \text{bias}
# ```
#
# A single word, such as other methods give, is a list of length one. All of this happens on test images, a
# fifth of the {term}`probing data`, which had no part in finding words or weights. The simulator looks at
# each image once and never again: any further description, of any neuron, is a product with numbers that are
# there already.

# %%
by_hand = eyes["simulator"].only(names).values[test] @ torch.tensor(weights).to(seen.q) + bias
assert torch.allclose(by_hand, played[method][test, unit], atol=1e-4)
print(f"{units} units played on {len(test)} images by {len(played)} methods")

# %% [markdown]
# ## Why another network must be the judge
#
# Suppose that whoever finds the words takes cats for rockets, and writes "rocket" wherever a neuron likes
# cats. If the same one plays the neuron, the mistake cancels: it sees rockets in all the right places. So let
# us do that to the {term}`explainer` for all its words. Every word secretly stands for another one, drawn
# with the seed. Nobody can read such descriptions. Who notices?

# %%
shuffled = torch.randperm(len(eyes["explainer"]), generator=torch.Generator().manual_seed(seed)).tolist()
secret = dict(zip(eyes["explainer"].names, (eyes["explainer"].names[j] for j in shuffled), strict=True))
coded = replace(found[method], names=tuple(secret[name] for name in found[method].names))
confused = explain.Matrix(tuple(secret[name] for name in eyes["explainer"].names), eyes["explainer"].values)


def judged(words, by):
    """Correlation of all units on test images, (units,), by a matrix of presences."""
    return explain.correlations(explain.simulate(words, by)[test], seen.q[test]).cpu()


trials = {("plain words", "the explainer"): judged(found[method], eyes["explainer"]),
          ("plain words", "the simulator"): rho[method],
          ("secret words", "the explainer"): judged(coded, confused),
          ("secret words", "the simulator"): judged(coded, eyes["simulator"])}
print(f"unit {unit}: {coded.sentence(unit)}")

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 2.3))
dice = np.random.default_rng(seed)
for i, ((_, judge), values) in enumerate(trials.items()):
    colour = sg.plot.colour(method) if judge == "the simulator" else "#999999"
    ax.scatter(values, i + dice.uniform(-0.25, 0.25, units), s=4, alpha=0.4, color=colour, linewidths=0)
    ax.plot([values.mean()] * 2, [i - 0.36, i + 0.36], color="black")
ax.set_yticks(range(len(trials)), [f"{kind}, judged by {judge}" for kind, judge in trials])
ax.set(xlabel=f"correlation; one dot for each of {units} units, a line for the mean")
ax.invert_yaxis()
ax.axvline(0, color="#999999", lw=0.8)
plt.show()

# %% [markdown]
# The explainer's own score can't tell plain words from secret ones, not in a single unit. The simulator can.
#
# Real networks misread fewer words than that, so what a common judge hides is smaller. To see it for the
# whole layer, let each image-text network find the words once, and each judge them all. A good judge gives
# higher scores to everybody, and good eyes find better words. What matters is the rest: how much more a
# network gives to itself than these two explain.

# %%
networks = [who for who in ("explainer", "simulator", "clip") if not ed.gives(who)]
finds = {who: explained(eyes[who], seen, keep=sg.kept) for who in networks}
cross = {(a, b): judged(finds[a], eyes[b]) for a in networks for b in networks}
pairs = [(a, b) for i, a in enumerate(networks) for b in networks[i + 1 :]]
home = {(a, b): (cross[a, a] + cross[b, b] - cross[a, b] - cross[b, a]) / 2 for a, b in pairs}

# %% tags=["hide-input"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 2.7), width_ratios=[1, 1.5])
means = np.array([[float(cross[a, b].mean()) for b in networks] for a in networks])
left.imshow(means, cmap="Oranges", vmin=means.min() - 0.02, vmax=means.max() + 0.06)
for (i, j), value in np.ndenumerate(means):
    left.text(j, i, f"{value:.3f}", ha="center", va="center", fontweight="bold" if i == j else "normal")
left.set_xticks(range(len(networks)), networks)
left.set_yticks(range(len(networks)), networks)
left.set(xlabel="judged by", ylabel="words found by", title="mean correlation")
left.spines[:].set_visible(False)
left.tick_params(length=0)
for i, values in enumerate(home.values()):
    right.scatter(values, i + dice.uniform(-0.25, 0.25, units), s=4, alpha=0.4, color="#999999", linewidths=0)
    right.plot([values.mean()] * 2, [i - 0.36, i + 0.36], color="black")
right.axvline(0, color="#999999", lw=0.8)
right.set_yticks(range(len(home)), [" and\n".join(pair) for pair in home])
right.set(xlabel="correlation", title="what a network gives to itself; one dot for each unit")
right.invert_yaxis()
plt.show()
favour = {" and ".join(pair): explain.mean_and_error(values) for pair, values in home.items()}
Markdown("Own words minus the others', mean over units and its standard error: "
         + ", ".join(f"{middle:+.4f} ± {error:.4f} ({pair})" for pair, (middle, error) in favour.items()))

# %% [markdown]
# Where do two networks differ? On words. Each dot below is a word that explanations of this layer use. The
# further right, the more explainer and simulator agree on which images show it. Agreement isn't truth. Where
# the truth is known, as in the drawn world, the height tells how right the simulator is.

# %% tags=["hide-input"]
used = words_of({method: found[method]})
opinion = {who: eyes[who].only(used).values[test].cpu() for who in ("explainer", "simulator")}
agree = explain.correlations(opinion["explainer"], opinion["simulator"])
if images.scenes is not None:
    fact = explain.truth(images.scenes, used).values[test.cpu()]
    height, often = explain.correlations(opinion["simulator"], fact), fact.sum(0) >= 10
    label = "simulator and truth, correlation"
else:
    height, often = opinion["simulator"].mean(0).double(), torch.ones(len(used), dtype=torch.bool)
    label = "how common the word is, mean of P"
odd = [i for i in agree.argsort().tolist() if often[i]]  # from the least agreement to the most
low = [i for i in height.argsort().tolist() if often[i]]
fig, ax = plt.subplots(figsize=(6, 3.4))
ax.scatter(agree[often], height[often], s=12, alpha=0.6, color=sg.plot.colour(method), linewidths=0)
for i in dict.fromkeys(odd[:4] + low[:3]):
    ax.annotate(used[i], (agree[i], height[i]), xytext=(5, -2), textcoords="offset points", fontsize=8)
ax.set(xlabel="explainer and simulator, correlation", ylabel=label)
plt.show()

# %% tags=["hide-input"]
word = odd[0]
apart = (opinion["explainer"][:, word] - opinion["simulator"][:, word]).abs().argsort(descending=True)[:8]
captions = ["\n".join(f"{who} {P[i, word]:.2f}" for who, P in opinion.items()) for i in apart.tolist()]
if images.scenes is not None:
    captions = [f"{text}\ntruth {fact[i, word]:.0f}" for i, text in zip(apart, captions, strict=True)]
sg.plot.grid(images.pixels[test[apart.to(test.device)]].cpu(), rows=1, captions=captions)
plt.show()
Markdown(f"The word of least agreement, *{used[word]}*, and the test images where they are furthest apart.")

# %% [markdown]
# ## What the explainer's own score promises
#
# The score that comes with an explanation is a correlation, too: on validation images, in the explainer's own
# eyes. It meets three tests, one after the other. The images on which weights were fitted; those by which
# words were chosen; and new ones. Only then another pair of eyes.
#
# Two kinds of linear explanation stand side by side from here on. *LE(SigLIP)*, the one above, finds its words
# with an image-text network: in the paper that is a SigLIP {cite:p}`zhai2023`, in the drawn world a small one of
# the same family. *LE(Label)* finds them in the labels of the images, so its own score is the labels'.

# %% tags=["hide-input"]
authors = dict(zip(LINEAR, ("labels", "explainer"), strict=True))
own = {name: explain.simulate(found[name], eyes[who]) for name, who in authors.items()}
stages = {"fitted\n(train)": train, "chosen\n(validation)": val, "new images\n(test)": test}
fig, axes = plt.subplots(1, 3, figsize=(8, 2.8), width_ratios=[1.5, 1, 1])
for name, ax in zip(own, axes[1:], strict=True):
    at = [explain.correlations(own[name][part], seen.q[part]).cpu() for part in stages.values()] + [rho[name]]
    middles, errors = zip(*map(explain.mean_and_error, at), strict=True)
    axes[0].errorbar(range(4), middles, errors, marker="o", capsize=3, color=sg.plot.colour(name), label=name)
    ax.scatter(at[1], at[3], s=5, alpha=0.5, color=sg.plot.colour(name), linewidths=0)
    ends = [min(float(at[1].min()), float(at[3].min())), max(float(at[1].max()), float(at[3].max()))]
    ax.plot(ends, ends, color="#8A8A8A", lw=0.8)
    ax.set(title=name, xlabel="own score, validation")
axes[0].set_xticks(range(4), [*stages, "new eyes\n(simulator)"], fontsize=7)
axes[0].set(ylabel="mean correlation", xlim=(-0.4, 3.4))
axes[0].legend(loc="best")
axes[1].set_ylabel("simulated, test")
plt.show()

# %% [markdown]
# From fitted to new images, a score loses what fitting and choosing gained by chance; and it moves up or down
# a little with how hard each part's images happen to be, which all units share. The last step goes either
# way. Another network may not know a word, or take it differently, which costs correlation. This happens with
# names that are clear to a labeller and to nobody else. But it may also have the better eyes, or give shares
# where a label says yes or no, and a neuron is seldom yes or no. Either way, the own score can't tell. So
# compare methods by the simulated one.
#
# ## What the correlation forgives
#
# To know a score, try to cheat it. Below, one neuron (upwards, always the same) is played in eight ways.

# %% tags=["hide-input"]
s, q = played[method][test, unit].cpu(), seen.q[test, unit].cpu()
mixed = s[torch.randperm(len(s), generator=torch.Generator().manual_seed(seed))]
wrong = s.index_fill(0, s.argmin(), float(s.max() + 20 * s.std()))
true = seen.q[test].cpu()
peaks = true * (true > true.kthvalue(int(0.95 * len(true)), dim=0).values)  # of all units, 0 below
tricks = {"as it is": s, "3 s + 2": 3 * s + 2, "squared": (s - s.min()) ** 2,
          "yes or no": (s > s.mean()).float(), "one image gone wrong": wrong,
          "right on the top 5%,\nsilent elsewhere": peaks[:, unit], "turned round": -s,
          "images mixed up": mixed}  # fmt: skip
fig, axes = plt.subplots(2, 4, figsize=(8, 4), sharey=True)
for ax, (name, values) in zip(axes.flat, tricks.items(), strict=True):
    ax.scatter(values, q, s=4, alpha=0.35, color=sg.plot.colour(method), linewidths=0)
    mark = round(float(explain.correlations(values[:, None], q[:, None])), 2) + 0.0  # no minus before a zero
    ax.set(title=f"{name}\n{mark:.2f}", xticks=[], yticks=[])
fig.supxlabel("the play, changed", fontsize=9)
fig.supylabel("the neuron", fontsize=9)
plt.show()
top_only = explain.correlations(peaks, true)
Markdown(f"Sixth panel, for all {units} units: {float(top_only.mean()):.2f} on average, from "
         f"{float(top_only.min()):.2f} to {float(top_only.max()):.2f}. "
         f"{method} has {float(rho[method].mean()):.2f} on average.")

# %% [markdown]
# Scale and offset are forgiven completely: a play may be in any unit of measure. A bend is forgiven in part,
# as long as the order stays. The wrong sign isn't, nor is a single absurd value. And silence? The sixth panel
# is somebody who knows the neuron's highest activations perfectly and nothing else, which is what most
# descriptions aim at. For a neuron that rests on nearly all images that is nearly everything. For one that is
# busy on many it is a modest part, and most of what the network uses the neuron for lies below the top
# ({doc}`/linear/2-top-impact`).
#
# ## One neuron, described by every method
#
# A description of one word meets the same test: its play is how likely the simulator thinks the word to be.
# The neuron is that of the first figure. Network Dissection, MILAN and CLIP-Dissect describe its highest
# activations, with a word or a short phrase; {doc}`/linear/5-1-qualitative` says more about them.

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, len(played), figsize=(8, 2.7), sharey=True)
for ax, name in zip(axes, played, strict=True):
    ax.scatter(played[name][test, unit].cpu(), q, s=4, alpha=0.35, color=sg.plot.colour(name), linewidths=0)
    words = [word for _, word in found[name].terms(unit)] or ["–"]
    how = {"fontsize": 8, "color": sg.plot.colour(name), "fontweight": "bold"}
    ax.set_title(f"{name}: {float(rho[name][unit]):.2f}", **how)
    ax.set_xlabel(fill(found[name].sentence(unit) if name in LINEAR else words[0], 20), fontsize=7.5)
axes[0].set_ylabel("the neuron")
plt.show()
absent = " ".join(f"{name} has no word: {why}." for name, why in found.items() if isinstance(why, str))
Markdown(f"Unit {unit} over its play by each method, and the correlation on {len(test)} images. {absent}")

# %% [markdown]
# Look at the left edge of each cloud. There, the word says that the neuron has nothing to do, and it is busy.
# A sum can give these images to further words. How the methods compare over whole layers and other networks
# is the subject of {doc}`/linear/5-2-correlation`.
#
# ## What counts as 0, and what the ± means
#
# A unit that never moves has no correlation, and neither has a play that is the same for all images. Both
# count as 0 here, for a description of nothing is worth nothing; left out, they would flatter networks and
# methods that have many of them. The usual function gives a result that isn't a number, and a mean over units
# with one of these among them isn't one either.

# %%
still = torch.zeros_like(s)
three = explain.correlations(torch.stack([s, s, still], 1), torch.stack([q, still, q], 1))
with np.errstate(invalid="ignore"):
    usual = np.corrcoef(s.numpy(), still.numpy())[0, 1]
print(f"played: {three[0]:.2f}; a still unit: {three[1]:.2f}; a still play: {three[2]:.2f}; NumPy: {usual}")
print(f"{int(explain.dead(seen.q).sum())} of {units} units never reach 0.01, "
      f"{len(found[method].empty)} have no words")

# %% [markdown]
# Tables of this part give means over units, ± their standard error. It tells how the mean would vary with
# other *units*. All of them share their test images, and with other *images* every score would move. The
# bands below show by how much: images drawn with replacement, 200 times, each band with nine tenths of the
# results.

# %% tags=["hide-input"]
draws = torch.randint(len(test), (200, len(test)), generator=torch.Generator().manual_seed(seed))
counts = torch.stack([row.bincount(minlength=len(test)) for row in draws]).double()  # (200, n)


def drawn_again(play):
    """Correlations of all units on each draw of test images: (200, units)."""
    a, b = (values[test].cpu().double() for values in (play, seen.q))
    a, b = a - a.mean(0), b - b.mean(0)
    ma, mb, maa, mbb, mab = (counts @ values / len(test) for values in (a, b, a * a, b * b, a * b))
    return (mab - ma * mb) / ((maa - ma**2) * (mbb - mb**2)).clamp_min(1e-20).sqrt()


fig, ax = plt.subplots(figsize=(6.5, 2.8))
lines = []
for name in [m for m in METHODS[2::-1] if m in played][:1] + [method]:
    order, again = rho[name].argsort(), drawn_again(played[name])
    band = again.quantile(torch.tensor([0.05, 0.95], dtype=torch.float64), dim=0)[:, order]
    ax.fill_between(range(units), *band, color=sg.plot.colour(name), alpha=0.3, lw=0)
    ax.plot(range(units), rho[name][order], color=sg.plot.colour(name), label=name)
    middle, error = explain.mean_and_error(rho[name])
    moves = float(again.mean(1).std())
    lines.append(f"{name}: {middle:.3f}, ± {error:.3f} over units, ± {moves:.3f} over images")
ax.set(xlabel="units, from the worst to the best", ylabel="correlation", xlim=(0, units - 1))
ax.legend(loc="lower right")
plt.show()
Markdown("Mean of the layer. " + "; ".join(lines) + ".")

# %% [markdown]
# So the ± serves to compare layers or networks. Methods are compared on the same units and images, where most
# of that variation is shared: take the standard error of their *difference*.
#
# ## The other score: put the play in the neuron's place
#
# A correlation weighs all images alike. The {term}`ablation score` weighs them by what they mean to the
# network: the play, brought to the neuron's scale on validation images, takes the neuron's place, and the
# change of losses is held against the one that the neuron's mean causes. The lower half of the first figure
# shows both for one unit. 1 is a perfect play, 0 one that is no better than the mean, and a play can do worse
# than that. Scale, zero and temperature all have a say in it, more than one would like:
# {doc}`/linear/5-3-ablation`. Here are both ends and the words in between, for the whole layer, with a
# simpler scale than in the figure: the straight line through the cloud.

# %%
plays = {"the neuron itself": seen.q, "its mean": torch.zeros_like(seen.q), "the words": played[method]}
for name, play in plays.items():
    scores = explain.ablation(head, rows(play, val), rows(play, test), scale="norm").score
    mean, one = (round(float(value), 2) + 0.0 for value in (scores.mean(), scores[unit]))
    print(f"{name}: {mean:.2f} on average, {one:.2f} for unit {unit}")

# %% [markdown]
# ## Other people's words
#
# Nothing in a simulation depends on where the words come from. Explanations are saved as a table or as
# records and read back, and the simulator plays what it reads.

# %%
with TemporaryDirectory() as folder:
    for file in (Path(folder) / "layer.csv", Path(folder) / "layer.json"):
        found[method].save(file)
        again = explain.simulate(explain.load(file), eyes["simulator"])
        assert torch.allclose(again, played[method], atol=1e-4)
    lines = (Path(folder) / "layer.csv").read_text().splitlines()
print("\n".join([lines[0], *[line for line in lines if line.startswith(f"{unit},")]]))

# %% [markdown]
# Columns are the same for everybody: unit, concept, weight, and for each unit its bias and score. So write
# your own. Here somebody remembers only two of the neuron's words, and no weights:

# %%
with TemporaryDirectory() as folder:
    file = Path(folder) / "mine.csv"
    file.write_text("unit,concept,weight,bias,score\n" + "\n".join(f"0,{name},1,0,nan" for name in names[:2]))
    mine = explain.load(file)
by_me = explain.correlations(explain.simulate(mine, eyes["simulator"])[test], seen.q[test][:, [unit]])
print(f"{mine.sentence(0)}: {float(by_me):.2f}, where {found[method].sentence(unit)} has {score:.2f}")

# %% tags=["hide-input"]
gift = max(middle for middle, _ in favour.values())
largest = max(float(values.max()) for values in home.values())
code = [abs(float(trials["secret words", judge].mean())) for judge in ("the explainer", "the simulator")]
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- A description is a prediction. Let a network that has never seen the neuron make it, on all kinds of "
    "images, and compare ({numref}`fig-le-2`).",
    f"- The judge is never the one who found the words: descriptions that nobody else can read get "
    f"{code[0]:.2f} on average from their author, and {code[1]:.2f} from another judge. For honest networks the favour "
    f"is {gift:.3f} at most on average, but up to {largest:.2f} for a single unit.",
    f"- Correlations forgive scale and offset. Knowing the highest activations perfectly, and nothing else, "
    f"gets {float(top_only.mean()):.2f} on average; {method}, nowhere perfect, "
    f"{float(rho[method].mean()):.2f}.",
    "- Still units and still plays count as 0; the ± is over units, not over images.", ":::"]))

# %% [markdown]
# ## Copy this
#
# Two opinions on the same images: one finds the words, the other judges. It may list its words in any order,
# and may know more of them. Weights, images and opinions are random here.

# %%
import timm
import torch

from sightglass import explain

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False, num_classes=10).eval().requires_grad_(False)
my_images = torch.rand(60, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_q = explain.activations(my_model, my_images, {"penultimate": "mean"})["penultimate"]  # (n, units)
my_names = [f"word {i}" for i in range(12)]
my_finder = explain.Matrix(my_names, torch.rand(60, 12))  # (n, words), 0 to 1
my_judge = explain.Matrix(["another word", *my_names[::-1]], torch.rand(60, 13))
my_splits = explain.split(60, seed=0)
my_words = explain.explain(my_finder, my_q, my_splits)
my_play = explain.simulate(my_words, my_judge)  # (n, units)
my_scores = explain.correlations(my_play[my_splits.test], my_q[my_splits.test])
assert my_play.shape == my_q.shape == (60, 512) and my_scores.shape == (512,)
print(f"{my_words.sentence(0)}: {float(my_scores[0]):.2f}")

# %% [markdown]
# :::{dropdown} Try next: be the explainer
# Take a unit with `-p neuron=...`, look at the images of the first figure, and write three words with weights
# in a file of your own, as above. Do you beat the single words? Do you beat the sum?
# :::
#
# :::{dropdown} Try next: best and worst
# `explain.scores(ed, seen, found, keep=sg.kept)` gives all correlations. Run the page for the best unit and
# for the worst one. What is wrong with the worst: its words, or the simulator's eyes? The table of presences
# tells.
# :::
#
# :::{dropdown} Try next: another judge
# Replace `eyes["simulator"]` by `eyes["clip"]` in the last cells. Which of your words does that network not
# understand? {doc}`/linear/b-ablations` does it for all methods.
# :::
