# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Would another choice have told another story? (Linear Explanations, appendix B)
#
# **Question.** A linear explanation rests on four choices: who finds the concepts, out of which words, by what search, and who
# judges. Which of them matter?
#
# On the pages before, all four were fixed. Here each is changed alone, and everything else stays: another
# judge, other lists of words, another pair of eyes, no search. If methods traded places when the judge
# changes, the comparison of methods would be a comparison of judges.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `explainer`, `simulator` and `clip` | half a minute on one core after {doc}`/linear/5-2-correlation` | minutes on a GPU | {doc}`/linear/5-2-correlation` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the split into train, val and test
device = "auto"  # auto | cpu | cuda
networks = ["resnet50", "resnet18"]  # roles of the edition; the first is used for all but the first table
photos = 6000  # probing images; the world has 10,000
sets = {"class labels": "labels", "labels + Broden + nouns": "full", "20k common words": "distractors"}  # the paper's, and ours

# %%
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

import sightglass as sg
from sightglass import explain
from sightglass.explain.methods import LINEAR, METHODS
from sightglass.show import beside, claim, show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
images = explain.probing(ed, photos)
NAMES = {"resnet50": "ResNet50", "resnet18": "ResNet18 (places)"}  # as the paper's tables call them
roles = [role for role in networks if not ed.gives(role)]
probes = {role: explain.probe(ed, role, images=images, seed=seed, keep=sg.kept) for role in roles}
told = {role: explain.described(ed, seen, keep=sg.kept) for role, seen in probes.items()}
missing = {method: words for found in told.values() for method, words in found.items() if isinstance(words, str)}
absent = "".join(f" {method}: {reason}." for method, reason in missing.items())
first = roles[0]
seen, found = probes[first], told[first]
judges = {who: ed.gives(who) for who in ("simulator", "clip")}


def judged(descriptions, by="simulator", of=seen):
    """Correlations of all units on test images, {name: (units,)}, by an image-text network."""
    return {} if judges[by] else explain.scores(ed, of, descriptions, by=by, keep=sg.kept)


usual = judged(found)

# %% [markdown]
# ## Another judge
#
# The {term}`simulator` is an image-text network of the sigmoid family {cite:p}`zhai2023`, and so is the {term}`explainer` that finds words for LE(SigLIP). Two of a
# family may share their mistakes, and a method that learned from one would be flattered by the other. So let a
# network of another family judge, trained with a softmax over pairs as CLIP is {cite:p}`radford2021`.

# %%
scores = {(role, by): judged(told[role], by, probes[role]) for role in roles for by in judges}
means = {key: {m: float(values.mean()) for m, values in score.items()} for key, score in scores.items()}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, len(roles), figsize=(4 * len(roles), 2.8), sharey=True, squeeze=False)
for ax, role in zip(axes[0], roles, strict=True):
    for method in (m for m in METHODS if m in means[role, "simulator"]):
        line = [means[role, by].get(method) for by in judges if means[role, by]]
        ax.plot(range(len(line)), line, "o-", color=sg.plot.colour(method), label=method)
    ax.set(title=f"{NAMES.get(role, role)}", xlim=(-0.3, 1.3), ylim=(0, None))
    ax.set_xticks([0, 1], ["usual judge\n(sigmoid family)", "another judge\n(softmax family)"])
axes[0][0].set_ylabel("mean correlation")
fig.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %% [markdown]
# One more thing to watch. CLIP-Dissect finds its words through that very network. The paper has two CLIP networks, one to find and a larger one to judge;
# here `clip` does both, so CLIP-Dissect is judged by its own eyes. In the last row of the table it uses the explainer's. Rows named after a network alone
# are those of the other judge.

# %%
def dissected_by(role):
    """CLIP-Dissect through another image-text network's eyes."""
    names = explain.concepts(ed, "full")
    eyes, vectors = explain.seen_by(ed, role, images, keep=sg.kept)
    scale = float(eyes.log_scale.exp()) if hasattr(eyes, "log_scale") else 100.0
    match = explain.soft_wpmi(explain.cosines(eyes, vectors, names), seen.q, top=max(1, round(0.002 * len(images))), sharpness=0.1 * scale)
    return explain.of_words(names, explain.best_words(match, names, q=seen.q))


table = {NAMES.get(role, role): means[role, "clip"] for role in roles}
table |= {f"{NAMES.get(role, role)}, usual judge": means[role, "simulator"] for role in roles}
fair = judged({"CLIP-Dissect": dissected_by("explainer")}, "clip") if not ed.gives("explainer") else {}
table[f"{NAMES.get(first, first)}, CLIP-Dissect by the explainer"] = {m: float(values.mean()) for m, values in fair.items()}
show(beside(pd.DataFrame(table).T, "tab-le-5", missing=unavailable(judges["clip"])), "tab-le-5",
     f"Correlation of simulated and real activations with another family's network as simulator, and with the usual one; mean over all units. {len(images)} images; the "
     f"edition {ed.name}.{absent} (Linear Explanations, table 5)")

# %%
def order(row):
    """Methods from the best mean to the worst."""
    return sorted(row, key=lambda method: -row[method])


if judges["clip"]:
    verdict, said = None, f"There is no other judge: {judges['clip']}."
else:
    fall = {role: {m: means[role, "simulator"][m] - means[role, "clip"][m] for m in means[role, "clip"]} for role in roles}
    orders = {role: [order(means[role, by]) for by in ("simulator", "clip")] for role in roles}
    verdict = all(min(f.values()) > 0 and max(f, key=f.get) == LINEAR[1] and orders[role][0] == orders[role][1] for role, f in fall.items())
    said = " ".join(f"The usual judge minus the other, {role}: " + ", ".join(f"{loss:.3f} ({m})" for m, loss in f.items())
                    + f"; the order is {'the same' if orders[role][0] == orders[role][1] else 'now ' + ' > '.join(orders[role][1])}."
                    for role, f in fall.items())
claim("linear-9", holds=verdict, because=said + absent)

# %% [markdown]
# ## Other words
#
# A longer list has more good words and more bad ones. The paper has one of 8438 made from labels, parts, textures and nouns, one of the
# 20,000 commonest English words, and the classes' own names. The world's are shorter: all that its scenes can show; the same and, in addition, things
# that no scene shows (*purple zebra*, *owl bus*); and class names. A word stays only if the explainer believes in it: on the five best
# images it has to see a chance of one half on average. A good eye would drop every owl bus. The figure says how many words stay.

# %%
def learned(by, kind="full", **how):
    """Linear explanations by a concept matrix, with the number of words asked for and of those that are there at all."""
    names = () if by == "labels" else explain.concepts(ed, kind)
    matrix = explain.matrices(ed, seen, names, keep=sg.kept)[by]
    there = explain.usable(matrix, seen.splits.train)
    return explain.explain(there, seen.q, seen.splits, **how), len(matrix), len(there)


made = {name: learned("explainer", kind) for name, kind in sets.items()}
by_set = judged({name: explanation for name, (explanation, *_) in made.items()})

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 0.9 + 0.4 * len(made)))
for i, (name, (_, size, there)) in enumerate(made.items()):
    middle, error = explain.mean_and_error(by_set[name])
    ax.barh(i, middle, xerr=error, height=0.6, color=sg.plot.colour(LINEAR[1]), alpha=0.85)
    ax.text(0.01, i, f"{size} words, {there} of them stay", va="center", color="white")
ax.set_yticks(range(len(made)), [f"{kind}" for kind in sets.values()])
ax.set(xlabel=f"mean correlation of {LINEAR[1]}, {first}")
ax.invert_yaxis()
plt.show()

# %%
table = pd.DataFrame({name: {"correlation": float(by_set[name].mean()), "size": size} for name, (_, size, _) in made.items()}).T
show(beside(table, "tab-le-6"), "tab-le-6",
     f"Correlation of {LINEAR[1]} by concept set, {seen.q.shape[1]} units of {first}. Our sets are "
     + ", ".join(f"*{sets[name]}* for *{name}*" for name in sets) + ". (Linear Explanations, table 6)")


# %%
def gap(a, b):
    """The mean difference of two methods over the same units, with its standard error, in words."""
    middle, error = explain.mean_and_error(a - b)
    return f"{middle:+.4f} ± {error:.4f}"


full = by_set["labels + Broden + nouns"]
others = {kind: by_set[name] for name, kind in sets.items() if kind != "full"}
claim("linear-10", holds=all(float(full.mean()) > float(values.mean()) for values in others.values()),
      because="The full set minus another, mean over the same units with its standard error: " + ", ".join(f"{gap(full, values)} ({kind})" for kind, values in others.items()) + ".")

# %% [markdown]
# ## Other eyes
#
# Next, another explainer: the softmax network finds the words, the usual simulator judges. And a warning, since we are at it: the last row lets
# the simulator itself find the words. Whatever it misreads in an image it misreads twice, and the score goes up without the
# description having become any truer.

# %%
eyes = {"SigLIP ViT-L-16-384": "explainer", "CLIP ViT-L-14-336": "clip", "the judge itself": "simulator"}
eyes = {name: who for name, who in eyes.items() if not ed.gives(who)}
by_eyes = judged({name: learned(who)[0] for name, who in eyes.items()})
show(beside(pd.DataFrame({name: {"correlation": float(values.mean())} for name, values in by_eyes.items()}).T, "tab-le-7"), "tab-le-7",
     f"Correlation of linear explanations of {first} by who finds the words: ours are the explainer (sigmoid), `clip` (softmax), and the simulator itself. "
     "(Linear Explanations, table 7)")

# %%
baselines = {m: float(values.mean()) for m, values in usual.items() if m not in LINEAR}
if "CLIP ViT-L-14-336" in by_eyes and baselines:
    weak, strong = (by_eyes[name] for name in ("CLIP ViT-L-14-336", "SigLIP ViT-L-16-384"))
    verdict = float(weak.mean()) < float(strong.mean()) and float(weak.mean()) > max(baselines.values())
    said = (f"The softmax explainer minus the sigmoid one: {gap(weak, strong)}. It reaches {float(weak.mean()):.3f}; the baselines "
            + ", ".join(f"{value:.3f} ({m})" for m, value in baselines.items()) + ".")
else:
    verdict, said = None, f"There is no other explainer: {ed.gives('clip') or 'no baseline to compare with'}."
claim("linear-11", holds=verdict, because=said + absent)

# %% [markdown]
# ## No search
#
# Last, the search. The elastic net ranks the words, and the greedy search takes one after the other, as long as the correlation on
# validation images rises by 0.02 or more. What if one simply took the first five of the ranking, or the first four?

# %%
ways = {"greedy search": {}, "top 5": {"greedy": False, "length": 5}, "top 4": {"greedy": False, "length": 4}}
rows, each = {}, {}
for name, how in ways.items():
    both = {method: learned(by, **how)[0] for method, by in zip(LINEAR, ("labels", "explainer"), strict=True)}
    each[name] = judged(both)
    rows[name] = {method: float(values.mean()) for method, values in each[name].items()}
    rows[name] |= {f"{method} length": float(both[method].length.float().mean()) for method in both}
show(beside(pd.DataFrame(rows).T, "tab-le-8"), "tab-le-8",
     f"Correlation and number of words with the search and without it, {seen.q.shape[1]} units of {first} (Linear Explanations, table 8).")

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharey=True)
for ax, method in zip(axes, LINEAR, strict=True):
    x, y = (each[name][method].cpu() for name in ("top 5", "greedy search"))
    ax.scatter(x, y, s=6, alpha=0.5, color=sg.plot.colour(method), linewidths=0)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    ax.plot([low, high], [low, high], color="#8A8A8A", lw=0.8)
    ax.set(title=method, xlabel="correlation, first five words")
axes[0].set_ylabel("correlation, greedy search")
plt.show()
Markdown(f"One dot for each of {seen.q.shape[1]} units. Greedy search minus the first five: "
         + "; ".join(f"{method} {gap(each['greedy search'][method], each['top 5'][method])}" for method in LINEAR) + ".")

# %% [markdown]
# Where the search gains little in correlation, it may still be worth it for what it leaves out: a description is to be read by people, and
# neurons that one word describes get one.

# %% tags=["hide-input"]
spread = max(values.mean() for values in by_set.values()) - min(values.mean() for values in by_set.values())
swing = max((abs(means[first, "simulator"][m] - v) for m, v in means[first, "clip"].items()), default=float("nan"))
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    f"- Another judge moves scores by up to {swing:.2f} ({{numref}}`tab-le-5`). Correlations by different simulators can't be compared; the order of methods by one can.",
    f"- From the worst list of words to the best it is {float(spread):.2f} ({{numref}}`tab-le-6`). Of the words, "
    + ", ".join(f"{there} of {size} ({sets[name]})" for name, (_, size, there) in made.items())
    + " pass the explainer's filter: it is no protection from words for things that aren't there, unless the explainer is strict.",
    "- Never let the judge find the words, too ({numref}`tab-le-7`).",
    f"- The search saves words: {rows['greedy search'][LINEAR[1] + ' length']:.1f} on average in place of five, and the correlation is {rows['greedy search'][LINEAR[1]]:.3f} in place of "
    f"{rows['top 5'][LINEAR[1]]:.3f} ({{numref}}`tab-le-8`).", ":::"]))

# %% [markdown]
# ## Copy this
#
# Explain the units of a timm layer by any concepts P and activations q, with and without search. Weights, images and concepts are random here.

# %%
import timm
import torch

from sightglass import explain

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(60, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_q = explain.activations(my_model, my_images, {"layer3": "mean"})["layer3"]  # (n, units)
my_concepts = explain.from_labels(torch.rand(60, 20), [f"concept {i}" for i in range(20)])  # (n, concepts)
my_splits = explain.split(len(my_images))
my_words = explain.explain(my_concepts, my_q, my_splits)
my_top = explain.explain(my_concepts, my_q, my_splits, greedy=False, length=5)
my_scores = explain.correlations(explain.simulate(my_words, my_concepts)[my_splits.test], my_q[my_splits.test])
assert len(my_words) == my_q.shape[1] == len(my_scores) and int(my_top.length.max()) <= 5
my_words.sentence(0)

# %% [markdown]
# :::{dropdown} Try next: fewer images
# Run `python -m sightglass run world linear/b-ablations -p photos=1000`. Which suffers more from few images, the labels or the list of all words?
# :::
#
# :::{dropdown} Try next: another network
# `-p networks='["vgg16"]'`. Its neurons have other roles. Does the search gain more or less?
# :::
