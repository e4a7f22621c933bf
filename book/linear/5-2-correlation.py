# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How well words predict neurons (Linear Explanations, section 5.2)
#
# **Question.** Given nothing but the words for a neuron, how well can one predict what it does on new images?
#
# A description may sound right and still say little. So let it act: a {term}`simulator`, an image-text network that took no
# part in finding the words, looks at new images and plays the neuron as the words say. The correlation score compares the
# play with the neuron {cite:p}`oikarinen2024`. This page does so for five networks and five methods, layer by
# layer, and counts the neurons that can't be explained because they never fire.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with `explainer` and `simulator`; `clip` and masks for all methods | a minute on one core once images are drawn and networks have looked at them, which other pages share | minutes on a GPU | {doc}`/linear/4-simulation` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the split into train, val and test
device = "auto"  # auto | cpu | cuda
photos = 6000  # probing images; the world has 10,000
networks = ["resnet50", "resnet18", "vgg16", "vit_b_16", "vit_l_32"]  # roles of the edition
another = "vit_l_16"  # one more, counted in the table of dead neurons

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown

import sightglass as sg
from sightglass import explain
from sightglass.explain.methods import LINEAR, METHODS, clip_dissected
from sightglass.explain.probe import mlp_units
from sightglass.show import beside, claim, show, unavailable

sg.plot.style()
pd.set_option("display.max_colwidth", None)  # show sums of words in full
ed = sg.load(edition, device=device)
images = explain.probing(ed, photos)
NAMES = {"resnet50": "ResNet50", "resnet18": "ResNet18 (places)", "vgg16": "VGG16", "vit_b_16": "ViT-B-16",
         "vit_l_32": "ViT-L-32", "vit_l_16": "ViT-L-16"}  # as the paper's tables call them
roles = [role for role in networks if not ed.gives(role)]
lacking = {NAMES.get(role, role): ed.gives(role) for role in networks if ed.gives(role)}


def played(role, at=""):
    """A network's probe at a tap, every method's words for its units, and their correlation on test images."""
    seen = explain.probe(ed, role, at, images=images, seed=seed, keep=sg.kept)
    found = explain.described(ed, seen, keep=sg.kept)
    return seen, found, explain.scores(ed, seen, found, keep=sg.kept)


last = {role: played(role) for role in roles}

# %% [markdown]
# ## Five ways to find the words
#
# All methods look at the same {term}`probing images <probing data>`, which no network was trained on. They are dealt into three parts:
# seven tenths to learn from, a tenth to choose by, two tenths to judge by.
#
# | method | looks at | says |
# |---|---|---|
# | Network Dissection {cite:p}`bau2017` | the highest activations and a mask for every word | the word whose pixels they cover best |
# | MILAN {cite:p}`hernandez2022` | the regions that excite the neuron most | a short caption |
# | CLIP-Dissect {cite:p}`oikarinen2023` | the highest images, through an image-text network | the word that fits them and not the others |
# | LE(Label) | all images, through their labels | a weighted sum of labels and the wider classes above them |
# | LE(SigLIP) | all images, through another image-text network | a weighted sum of any words |
#
# MILAN's original captioner learned from sentences that people had written about regions. The one here is small, and nobody wrote for it:
# it learned from what the world's masks say about the regions of four other networks' neurons. To these were added regions cut from
# the mask of a word or two, blurred and noisy, since few neurons care for a thing as small as a tongue.
#
# The last two are {term}`linear explanations <linear explanation>`. Here is what they all say about three neurons of one network,
# chosen by rule: the one that linear explanations predict best, the median one and the worst.

# %% tags=["hide-input"]
role = roles[0]
seen, found, score = last[role]
order = score[LINEAR[1] if LINEAR[1] in score else LINEAR[0]].argsort(descending=True)
chosen = {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}
rows = [{"neuron": f"{k} ({which})", "method": m, "says": e.sentence(k) if m in LINEAR else next((w for _, w in e.terms(k)), "–"),
         "correlation": float(score[m][k])}
        for which, k in chosen.items() for m, e in found.items() if not isinstance(e, str)]
pd.DataFrame(rows).set_index(["neuron", "method"]).round(2)

# %% [markdown]
# And all neurons of that network at once:

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(7, 2.8))
for i, (method, values) in enumerate(score.items()):
    box = ax.boxplot(values.cpu().numpy(), positions=[i], widths=0.5, patch_artist=True, flierprops={"ms": 2})
    box["boxes"][0].set(facecolor=sg.plot.colour(method), alpha=0.8)
    box["medians"][0].set(color="black")
ax.set_xticks(range(len(score)), list(score))
ax.set_ylabel("correlation on test images")
ax.set_title(f"{seen.q.shape[1]} neurons of {role}")
ax.axhline(0, color="#999999", lw=0.8)
plt.show()

# %% [markdown]
# ## Five networks
#
# Which layer? The one before the classifier. In the transformers that is the residual stream, whose axes mean nothing in
# particular, so the paper takes the hidden units of the last MLP, at the class token. Units without positions can't be
# laid over masks, which leaves Network Dissection and MILAN out for three networks, as in the paper.

# %%
def means(scores, alive=None):
    """Mean correlation of each method, and its standard error over units, as one row of a table."""
    row = {}
    for method, values in scores.items():
        row[method], row[f"{method} ±"] = explain.mean_and_error(values if alive is None else values[alive])
    return row


def dashes(methods):
    """Say which methods lack which networks, and why."""
    lines = []
    for m in methods:
        gaps = {NAMES[role]: found[m] for role, (_, found, _) in last.items() if isinstance(found[m], str)}
        if len(set(gaps.values())) == 1 or len(gaps) == len(last):
            lines.append(f"{m} has no numbers: {next(iter(gaps.values()))}.")
        elif gaps:
            lines.append(f"{m} has none for {', '.join(gaps)}, whose units have no positions.")
    return " ".join(lines)


table = pd.DataFrame({NAMES[role]: means(score) for role, (_, _, score) in last.items()}).T
show(beside(table, "tab-le-2", missing=lacking), "tab-le-2",
     f"Correlation of simulated and real activations, mean over all units and its standard error. {len(images)} images, of which "
     f"{len(seen.splits.test)} judge; the edition {ed.name}. {dashes(METHODS[:3])} (Linear Explanations, table 2).")

# %%
missing_methods = [m for m in METHODS[:3] if all(isinstance(found[m], str) for _, found, _ in last.values())]


def leads(scores):
    """How far, in standard errors, the worse linear explanation is above the best baseline: the smallest over baselines."""
    row, rivals = means(scores), [m for m in scores if m not in LINEAR]
    gaps = [(row[own] - row[other]) / (row[f"{own} ±"] ** 2 + row[f"{other} ±"] ** 2) ** 0.5
            for own in LINEAR if own in scores for other in rivals]  # fmt: skip
    return min(gaps) if gaps else float("nan")


ahead = {role: leads(score) for role, (_, _, score) in last.items()}
claim("linear-4", holds=all(gap > 2 for gap in ahead.values()),
      because="Standard errors between the worse of the two and the best baseline: "
              + ", ".join(f"{gap:.1f} ({role})" for role, gap in ahead.items())
              + (f". Not part of the comparison: {', '.join(missing_methods)}." if missing_methods else "."))

# %%
gain = {role: float((score["LE(SigLIP)"] - score["LE(Label)"]).mean()) for role, (_, _, score) in last.items()}
error = {role: explain.mean_and_error(score["LE(SigLIP)"] - score["LE(Label)"])[1] for role, (_, _, score) in last.items()}
claim("linear-5", holds=all(g > 0 for g in gain.values()),
      because="LE(SigLIP) minus LE(Label), mean over units with its standard error: "
              + ", ".join(f"{gain[role]:+.4f} ± {error[role]:.4f} ({role})" for role in roles) + ".")

# %% [markdown]
# In the drawn world two things differ from the paper: correlations are much higher, unless a network has many neurons that never fire, and
# LE(SigLIP) isn't ahead of LE(Label) everywhere. The networks explain both. The world has a few dozen kinds of things and its networks learned
# nothing else, so most of what their neurons do can be said in words that are on the list; in photographs there is more to a neuron
# than any list holds. And labels are exact here, whatever else is in the image, while each entry of the longer list is a network's
# opinion. What the longer list adds are colours, parts and places. That pays where neurons know about them without being told to, and
# not where the network was trained to say exactly the labels that the short list has.

# %% [markdown]
# ## How long are they?
#
# A sum with many terms predicts better and says less. The search stops when no further word raises the correlation on validation
# images by 0.02, and most sums stay short.

# %%
lengths = pd.DataFrame({NAMES[role]: {m: float(found[m].length.float().mean()) for m in LINEAR if not isinstance(found[m], str)}
                        for role, (_, found, _) in last.items()}).T
show(beside(lengths, "tab-le-4", missing=lacking), "tab-le-4",
     "Words in an explanation, mean over all units; those that never fire have none (Linear Explanations, table 4).")

# %% [markdown]
# ## Neurons that never fire
#
# A unit that stays below 0.01 on every probing image has nothing to be explained. Its correlation counts as 0, so a
# network with many of them looks harder to explain than it is. The {term}`dead neurons <dead neuron>` are first counted, then left out.

# %%
alive = {role: ~explain.dead(seen.q) for role, (seen, _, _) in last.items()}
share = {NAMES[role]: 100 * float((~units).float().mean()) for role, units in alive.items()}
if not ed.gives(another):
    net = ed.model(another)
    tap, pool = explain.last_units(net)
    answer = sg.kept(explain.activations, net, images.pixels[: photos // 4], {tap: pool})[tap]
    share[NAMES[another]] = 100 * float(explain.dead(answer).float().mean())
show(beside(pd.DataFrame({"dead": share}), "tab-le-14", missing=lacking | {NAMES[another]: ed.gives(another)}), "tab-le-14",
     f"Units that stay below 0.01 on all probing images; for {NAMES[another]} a quarter of the images (Linear Explanations, table 14).")

# %%
living = pd.DataFrame({NAMES[role]: means(score, alive[role]) for role, (_, _, score) in last.items()
                       if role.startswith("vit") or not alive[role].all()}).T
show(beside(living[[c for c in living if c.startswith(("CLIP", "LE"))]], "tab-le-15", missing=lacking), "tab-le-15",
     "Correlation without units that never fire, mean and standard error (Linear Explanations, table 15).")

# %% [markdown]
# ## Layer by layer
#
# Early layers see edges and colours, for which few lists have words. The paper finds their neurons harder to explain, by any method. The paper's own
# numbers for Network Dissection at the last layer differ a little between its two tables; both stand here as printed.

# %%
def layered(role):
    """Correlation and length of each method on the four stages of a ResNet."""
    rows, every = {}, {}
    for i, at in enumerate(("block2", "block3", "block4", ""), 1):
        _, found, score = played(role, at) if at else last[role]
        row = {m: float(values.mean()) for m, values in score.items()}
        row |= {f"{m} length": float(found[m].length.float().mean()) for m in LINEAR if not isinstance(found[m], str)}
        rows[f"layer{i}"], every[f"layer{i}"] = row, score
    return pd.DataFrame(rows).T, every


layers = {role: layered(role) for role in ("resnet50", "resnet18") if role in roles}
nothing = pd.DataFrame()
show(beside(layers.get("resnet50", (nothing,))[0], "tab-le-10", missing=ed.gives("resnet50")), "tab-le-10",
     "Correlation by layer of ResNet50, mean over units, and the number of words (Linear Explanations, table 10).")

# %%
show(beside(layers.get("resnet18", (nothing,))[0], "tab-le-11", missing=ed.gives("resnet18")), "tab-le-11",
     "The same for the ResNet18 that tells places (Linear Explanations, table 11).")

# %%
if "resnet50" in layers:
    by_layer, methods = layers["resnet50"][0], list(layers["resnet50"][1]["layer4"])
    late = {m: by_layer[m].idxmax() for m in methods}
    rivals = [m for m in methods if m not in LINEAR]
    best = {layer: all(line[own] > line[other] for own in LINEAR for other in rivals) for layer, line in by_layer.iterrows()}
    verdict = all(layer == "layer4" for layer in late.values()) and all(best.values())
    said = ("Highest mean correlation: " + ", ".join(f"{m} at {layer}" for m, layer in late.items())
            + f". Both linear explanations lead on {sum(best.values())} of {len(best)} layers.")
else:
    verdict, said = None, f"There is no ResNet50: {ed.gives('resnet50')}."
claim("linear-12", holds=verdict, because=said)

# %% [markdown]
# VGG16 ends in layers without positions, the last of them as wide as the original's. Are its last units *with* positions easier to
# explain? A unit there is the mean over what is left of the image after the last pooling.

# %%
if "vgg16" in roles:
    pair = {"second to last (fully connected)": last["vgg16"], "last convolution": played("vgg16", "features.43")}
    rows = {name: {m: float(score[m].mean()) for m in METHODS[2:] if m in score}
            | {f"{m} length": float(found[m].length.float().mean()) for m in LINEAR if m in score}
            for name, (_, found, score) in pair.items()}
    vgg = pd.DataFrame(rows).T
else:
    vgg = nothing
show(beside(vgg, "tab-le-12", missing=ed.gives("vgg16")), "tab-le-12",
     f"Two layers of VGG16; {100 * float((~alive['vgg16']).float().mean()) if 'vgg16' in alive else 0:.0f}% of the first one's units never fire "
     "(Linear Explanations, table 12).")

# %% [markdown]
# ## MLP or residual stream?
#
# Every block of a transformer adds to a stream that runs through all of them. Nothing makes a single axis of that stream mean
# something, as any rotation of it would do. The hidden units of an MLP are another matter: each passes through an activation function of its own.

# %%
def streams(role):
    """Correlations of the MLP and the stream of the last two blocks, by the names of the paper's table."""
    net, rows = ed.model(role), {}
    for name, block in (("block 11", -1), ("block 10", -2)):
        mlp = mlp_units(net, block)
        rows[f"{name} residual stream"] = played(role, mlp.rpartition(".mlp.")[0])[2]
        rows[f"{name} MLP"] = last[role][2] if block == -1 else played(role, mlp)[2]
    return rows


both = streams("vit_b_16") if "vit_b_16" in roles else {}
rows = {name: {m: float(score[m].mean()) for m in METHODS[2:] if m in score} for name, score in both.items()}
transformer = pd.DataFrame(rows).T
show(beside(transformer, "tab-le-13", missing=ed.gives("vit_b_16")), "tab-le-13",
     "The last two blocks of ViT-B/16, which the paper's tables call 11 and 10: the last at the class token, the one before as the mean "
     "over all tokens (Linear Explanations, table 13).")

# %%
if both:
    gaps = {(block, m): rows[f"{block} MLP"][m] - rows[f"{block} residual stream"][m]
            for block in ("block 11", "block 10") for m in rows["block 11 MLP"]}
    verdict = all(gap > 0 for gap in gaps.values())
    said = "Mean correlation of MLP units minus that of the stream: " + ", ".join(
        f"{gap:+.3f} ({m}, {'last block' if block == 'block 11' else 'the one before'})" for (block, m), gap in gaps.items()) + "."
else:
    verdict, said = None, f"There is no ViT-B/16: {ed.gives('vit_b_16')}."
claim("linear-13", holds=verdict, because=said)

# %% [markdown]
# Mind which methods say so. For a single word, the MLP is easier: its units are closer to one thing each. For a sum of words the
# order may turn. The world's transformers have a few axes in their stream for each class that they tell, and what the classifier needs
# lies in that stream, so an axis there may be close to a sum of a few classes, which is what a linear explanation is good at. The
# paper's transformer has fewer axes than classes, and an axis has to serve many of them.

# %% [markdown]
# ## How much hangs on the settings?
#
# CLIP-Dissect has two numbers that were set for a large network and fifty thousand images: how many images it looks at, and how
# sharply it tells words apart. This page scales both: the same share of the images, the same share of the scale that the network learned.
# Here is its mean correlation for other choices. The one used above is a five-hundredth of the images, with a tenth of the learned scale.

# %% tags=["hide-input"]
seen, found, score = last[roles[0]]
if isinstance(found["CLIP-Dissect"], str):
    sweep = Markdown(unavailable(found["CLIP-Dissect"]))
else:
    words, sweep = explain.concepts(ed), {}
    for top in (max(1, len(images) // 500), len(images) // 100):
        tries = {f"sharpness {a:g}": clip_dissected(ed, seen, words, sg.kept, top=top, sharpness=a) for a in (0.5, 1.3, 3, 10)}
        sweep[f"{top} images"] = {a: float(v.mean()) for a, v in explain.scores(ed, seen, tries, keep=sg.kept).items()}
    sweep = pd.DataFrame(sweep).T.round(3)
sweep

# %% [markdown]
# The published code lets the test images take part in two places: in the calibration of the image-text network and in the choice
# of usable words. This library does neither. How much would it have gained?

# %% tags=["hide-input"]
from dataclasses import replace

everything = torch.arange(len(images))
leaky = replace(seen, splits=explain.Splits(everything, seen.splits.val, seen.splits.test))  # calibrated and filtered on all
matrix = explain.usable(explain.matrices(ed, leaky, explain.concepts(ed), keep=sg.kept)["explainer"], everything)
leaked = {"as here": found["LE(SigLIP)"], "test images take part": explain.explain(matrix, seen.q, seen.splits)}
pd.DataFrame({"LE(SigLIP)": {name: float(v.mean()) for name, v in explain.scores(ed, seen, leaked, keep=sg.kept).items()}}).round(4)

# %% tags=["hide-input"]
first = table.iloc[0]
named = [m for m in METHODS if m in table and first[m] == first[m]]
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    f"- Let a description predict before you trust it. On {NAMES[roles[0]]} the mean correlations are "
    + ", ".join(f"{first[m]:.2f} ({m})" for m in named) + " ({numref}`tab-le-2`).",
    "- One word tells when a neuron is excited most. A sum of a few also tells how much it does on all other images "
    "({numref}`tab-le-4`).",
    "- Count the dead before you compare networks ({numref}`tab-le-14`).",
    "- A baseline that brings its settings from another data set is not a baseline yet.", ":::"]))

# %% [markdown]
# ## Copy this
#
# Any timm layer, any concept matrix: labels, attributes, or what an image-text network says. Here both are random, so nothing is to be
# expected of the correlation.

# %%
import timm
import torch

from sightglass import explain

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(60, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_labels = torch.rand(60, 5) < 0.3  # which of five concepts each image shows
my_q = explain.activations(my_model, my_images, {"layer4": "mean"})["layer4"]
my_matrix = explain.from_labels(my_labels, ["red", "round", "furry", "on snow", "wheel"])
my_splits = explain.split(len(my_images), seed=0)
my_words = explain.explain(my_matrix, my_q, my_splits)
my_test = my_splits.test
my_scores = explain.correlations(explain.simulate(my_words, my_matrix)[my_test], my_q[my_test])
print(my_words.sentence(0))
assert len(my_words) == 512 and my_scores.shape == (512,)

# %% [markdown]
# :::{dropdown} Try next: fewer images
# Run `python -m sightglass run world linear/5-2 -p photos=1000`. A hundred validation images decide then which words
# stay. Which method suffers most?
# :::
#
# :::{dropdown} Try next: who is the judge?
# Replace the simulator by the explainer: `explain.scores(ed, seen, found, by="explainer")`. Explainer and judge are one network now.
# Which method gains, and why would that be unfair?
# :::
