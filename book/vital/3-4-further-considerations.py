# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Further considerations (VITAL, section 3.4)
#
# **Question.** Which parts of an optimised image may be believed, what do smoothing and the choice of layers do to it,
# and what does it cost?
#
# Section 3.4 of VITAL {cite:p}`gorgun2025` is about the three knobs that are left once references and relevance are
# chosen. Each is turned here, and then the clock is read.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with classes and one network | about a minute on one core | minutes on a GPU | {doc}`/vital/3-3-relevance` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
judge = "clip"  # an image-text network of the edition
relevance = "LRP"  # for transformers and ConvNeXt: AttnLRP
layer = "block5"  # where the neurons lie
neurons = []  # channels of that layer; empty takes the one that stands out most on each class below
classes = []  # names; empty takes every fourth of up to 24
steps = 70  # of each picture; 0 takes the method's own number
references = 50  # images per class
best = 16  # patches per neuron, from as many images
photos = 1200  # images in which patches are looked for
tv = [0.0, 1e-4, 5e-4, 2.5e-3]  # weights of total variation to try
l2 = [0.0, 2e-3, 1e-2]  # weights of the pixels' size to try
tried_on = 2  # which of the neurons: 0 is the first
grid_steps = 60  # of the pictures that try them
rounds = 2  # how often each method's time is taken

# %%
import time

import pandas as pd
import torch

import sightglass as sg
from sightglass import zoo
from sightglass.concepts import pooled, top_patches
from sightglass.metrics import class_vectors, default_templates
from sightglass.show import beside, claim, published, show
from sightglass.visualize import METHODS, applies, deepinversion, fourier, plugin, presets
from sightglass.visualize import neurons as inner
from sightglass.visualize.neurons import vital_inner
from sightglass.visualize.optimise import bell, descend, learning_rate, pixel_norm, prepare, shifted, total_variation
from sightglass.visualize.transparency import masked
from sightglass.visualize.vital import blocks, matching_loss

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
every = list(ed.classes)
names = every[:: max(1, len(every) // 24)][:24]
target = torch.tensor([ed.outputs[every.index(name)] for name in names])
some = [names.index(name) for name in classes] or list(range(1, len(names), 4)) or [0]
pace = {"steps": steps} if steps else {}
how = inner.PRESETS["world"] | pace  # for neurons

# %% [markdown]
# ## What wasn't used may be hidden
#
# A neuron cares for a part of its image. The rest of the canvas is pushed about by chance and by smoothing, and it
# would be wrong to read anything into it. The gradient tells which is which: what the loss never wanted to change
# doesn't matter. VITAL adds up the size of the gradient at each pixel over all steps, as MACO does
# {cite:p}`fel2023maco`, and the sum becomes the opacity of the pixel, the {term}`transparency map`.
#
# We take one neuron for each of a few classes, the channel that stands out most on it, and the patches that excite it
# most as {term}`reference images`.

# %%
seen = ed.images("test", photos)  # pixels (n, 3, size, size) and labels
answer = pooled(model, seen.pixels, layer).cpu()  # (n, c): mean over positions
apart = (answer - answer.mean(0)) / answer.std(0).clamp(min=1e-9)
on_class = [apart[seen.labels == every.index(names[k])].mean(0).nan_to_num() for k in some]
chosen = list(neurons) or [int(lead.argmax()) for lead in on_class]
patches = top_patches(model, seen.pixels, chosen, at=layer, k=best, shortlist=2 * best)
crops = patches.images.to(ed.device)  # (neurons, references, 3, size, size)
pictures, opacity = sg.kept(vital_inner, model, chosen, crops, at=layer, relevance=relevance, seed=seed,
                            transparency=True, **pace)  # fmt: skip

# %% tags=["hide-input"]
show(sg.plot.grid([list(crops[:, 0]), list(pictures), list(masked(pictures, opacity))],
                  rows=["its best patch", "whole image", "with transparency"], columns=[f"channel {c}" for c in chosen]),
     "fig-vital-9", f"Neurons of {layer} of {network}: the patch of a real image that excites each most, its VITAL image, and the same image "
     "with every pixel as opaque as the gradients that reached it were large (VITAL, figure 9).",
     alt="Three rows of pictures: real patches, optimised images, and the same images fading into white where they weren't used.")

# %% [markdown]
# The paper gives as its reason that parts which aren't used hardly change. Do they? Below, the pixels of each image are
# divided into quarters by opacity, and the mean distance that they have moved from the starting noise is printed.

# %% tags=["nbval-check-output"]
def beginning(job):
    """The noise that a picture starts from, in the network's pixels: (rows, 3, s, s)."""
    noise = job.draw(3, job.size, job.size) * how["start"]
    return noise * bell(job.size, how["centre"]).to(noise) if how["centre"] else noise


first = zoo.denormalise(model, beginning(prepare(model, chosen, crops, seed=seed, at=layer))).clamp(0, 1)
moved = (pictures - first.cpu()).abs().mean(1).flatten(1)  # (neurons, pixels)
quarter = opacity.flatten(1).argsort(1).tensor_split(4, 1)
path = [float(moved.gather(1, pixels).mean()) for pixels in quarter]
print("mean change of a pixel, from the least opaque quarter to the most:", ", ".join(f"{p:.2f}" for p in path))

# %% [markdown]
# A pixel runs from 0 to 1, and two random ones are a third apart. So a faint pixel has moved as well, if the first
# number isn't near zero: Adam divides each gradient by its usual size, and a pixel with tiny gradients takes steps like
# any other. The map shows where the network looked. It doesn't show where the image stayed as it was. And since it
# changes contrast, all numbers in this book are taken from the whole image.
#
# ## Smoothing
#
# Sorted activations say nothing about neighbouring pixels. Two small penalties can: the *total variation* TV, which is
# the size of the differences between neighbours, and the size of the pixels themselves, {math}`\ell_2`. The loss that
# VITAL lowers is
#
# $$ L(x^*) = L_\mathrm{SM}(x^*) + \alpha_\mathrm{TV}\, \mathrm{TV}(x^*) + \alpha_{\ell_2} \lVert x^* \rVert_2 . $$ (eq-vital-total)
#
# The next cell writes it out, with a pair of weights for each row of a batch, so that one run tries all pairs on the
# same neuron from the same start.

# %%
def try_weights(channel, crops, tv, l2):
    """Optimise a neuron's image for each pair of weights (m,), (m,), all in one batch: (m, 3, s, s)."""
    job = prepare(model, [channel], crops, seed=[seed] * len(tv), at=layer)
    goal = inner.set_goal(job, crops, relevance, how)

    def loss(x, step):
        shown = shifted(x, round(how["jitter"] * job.size), job.generators)
        matched = inner.relevant(model, shown, job.target, goal)
        return (matching_loss(matched, goal.quantiles, goal.weights)
                + tv * total_variation(shown) + l2 * pixel_norm(shown))

    ends = [zoo.normalise(model, torch.full((1, 3, 1, 1), v, device=ed.device)) for v in (0.0, 1.0)]
    x = descend(beginning(job), loss, steps=grid_steps, betas=(0.5, 0.9), bounds=ends,
                rate=lambda step: learning_rate(step, grid_steps, how["lr"]))  # fmt: skip
    return zoo.denormalise(model, x).clamp(0, 1).cpu()


# %%
one = min(tried_on, len(chosen) - 1)
pairs = torch.cartesian_prod(torch.tensor(tv), torch.tensor(l2)).to(ed.device)  # (m, 2), TV outermost
tried = try_weights(chosen[one], crops[one][None], *pairs.T)
usual = pooled(model, crops[one], layer)[:, chosen[one]].mean()
response = (pooled(model, tried, layer)[:, chosen[one]] / usual).cpu()  # (m,), 1 is the mean of its patches

# %% tags=["hide-input"]
across = tried.unflatten(0, (len(tv), len(l2))).transpose(0, 1)  # rows: l2, columns: TV
under = response.view(len(tv), len(l2)).T.flatten()
show(sg.plot.grid(across, rows=[f"$\\ell_2$: {w:g}" for w in l2], columns=[f"TV: {w:g}" for w in tv], width=6.5,
                  captions=[f"answer {r:.0%}" for r in under]),
     "fig-vital-10", f"Channel {chosen[one]} of {layer} with several weights of total variation (TV, to the right) and of the pixels' size "
     f"($\\ell_2$, downwards), {grid_steps} steps, without transparency. Below each image: the neuron's answer to it, as a share of its mean "
     "answer to its patches (VITAL, figure 10).",
     alt="A grid of optimised images: towards the right they get smoother, downwards paler.")

# %% [markdown]
# From left to right grain turns into smooth patches. From top to bottom colours move towards grey, first of all where
# nothing that is matched holds them. The neuron's answer below each image says what this costs: one wants the largest
# weights that cost no answer. In numbers, each averaged over the other weight:

# %%
rough = torch.stack([(tried[..., 1:] - tried[..., :-1]).abs().mean((1, 2, 3)),
                     (tried - tried.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3)), response])
rough = rough.view(3, len(tv), len(l2))
effects = pd.DataFrame(
    torch.cat([rough.mean(2).T, rough.mean(1).T]),
    columns=["difference of neighbours", "difference from the mean colour", "answer"],
    index=[*(f"TV {w:g}" for w in tv), *(f"l2 {w:g}" for w in l2)])  # fmt: skip
print(effects.round(3).to_string())

# %% [markdown]
# The paper's text weighs both by 0.000003 for inner neurons and its code by 0.0000003; for classes of a ResNet-50
# neither is used. The numbers can't be compared with those above: here every block's loss is divided by the variance of
# its targets, and 64 pixels leave less room between edges.
#
# ## Which layers?
#
# Does VITAL need all five blocks? The main text of the paper finds the first and the last enough, its supplement uses
# all five. Here is each block alone, the pair, and all.

# %%
taps = blocks(model)
real = ed.references(names, references, seed=seed).to(ed.device)
choices = {f"{tap} alone": [tap] for tap in taps} | {f"{taps[0]} and {taps[-1]}": [taps[0], taps[-1]]}
made = {name: sg.kept_each(METHODS["VITAL"], model, target[some], real[some], taps=matched, seed=seed, **pace)
        for name, matched in choices.items()}  # fmt: skip
made["all blocks"] = sg.kept_each(METHODS["VITAL"], model, target[some], real[some], seed=seed, **pace)

# %% [markdown]
# How good are they? Eyes will differ, so a judge is asked that took no part: an image-text network, of another family
# and trained on phrases. It says how sure it is of the right name among all class names.

# %%
@torch.no_grad()
def sure_of(images):
    """How sure the judge is of the class in one image per class, (k, 3, s, s): (k,)."""
    vectors = witness(zoo.normalise(witness, images.to(ed.device)))
    p = witness.compare(vectors, wanted).softmax(1).cpu()
    return p.gather(1, torch.tensor(some)[:, None])[:, 0]


missing = ed.gives(judge)
if not missing:
    witness = ed.model(judge)
    wanted = class_vectors(witness, names, default_templates(witness))
    sure = pd.DataFrame({name: sure_of(images) for name, images in made.items()}, index=[names[k] for k in some])
score = {name: float("nan") if missing else sure[name].mean() for name in made}
reality = float("nan") if missing else float(sure_of(real[some, 0]).mean())
print(missing or sure.T.round(2).to_string())

# %% tags=["hide-input"]
rows = [name if missing else f"{name} ({score[name]:.0%})" for name in made]
told = missing or (f"In brackets: how sure the network {judge} is of the class on average; of the real images "
                   f"in the first row it is {reality:.0%} sure")  # fmt: skip
show(sg.plot.grid([list(real[some, 0]), *[list(images) for images in made.values()]], rows=["real", *rows],
                  columns=[names[k] for k in some]),
     "fig-vital-11", f"VITAL images by {network} when only some of the blocks are matched. {told} (VITAL, figure 11).",
     alt="Rows of pictures: real images, single blocks, from colours and texture to shapes with grain, a pair of blocks, and all blocks.")

# %% [markdown]
# The first block knows colours and edges, so alone it gives patches of colour. Deeper blocks bring shapes, and hold less
# and less to the colours around them. That shallow and deep blocks complete each other is the paper's point; how many of
# those in between are needed is for the judge to say.

# %%
alone = {name: score[name] for name in list(made)[: len(taps)]}
both, whole = score[list(choices)[-1]], score["all blocks"]
finest = max(alone, key=alone.get)
beaten = [name for name in score if name != "all blocks" and score[name] > whole]
claim("vital-10", holds=None if missing else bool(both > max(alone.values()) and not beaten),
      because=missing or f"The judge is {whole:.0%} sure of the class with all blocks, {both:.0%} with the first and the "
      f"last, and {alone[finest]:.0%} with the best single one ({finest}), over {len(some)} classes."
      + (f" More than with all: {', '.join(beaten)}." if beaten else ""))

# %% [markdown]
# A judge has tastes of its own. This one was trained on phrases that name things, colours and places, and the right
# colours and stripes may be enough for it. Where it prefers a single block to all of them, look at the two rows before
# you believe it.
#
# ## What does a picture cost?
#
# Every method is run on the same images, on the same machine, in turns, for a few steps. A picture's time is what comes
# before the first step, such as looking at the references, plus the time of one step times the method's own number of
# steps.

# %%
few, ticks = min(4, len(some)), 14  # images at once; steps that are timed, two for each size of Plug-In Inversion
SETTINGS = {"VITAL": presets.PRESETS, "Fourier": fourier.FOURIER, "MACO": fourier.MACO,
            "DeepInversion": deepinversion.PRESETS, "Plug-In Inversion": plugin.PRESETS}  # fmt: skip


def seconds(method, wanted, given, steps, **options):
    """Time a whole picture of a method from a few of its steps, per image."""
    clock = [time.perf_counter()]

    def tick(step, loss):
        float(loss.sum())  # a GPU has to be waited for
        clock.append(time.perf_counter())

    method(model, wanted, given, steps=ticks, seed=seed, callback=tick, **options)
    step = (clock[-1] - clock[1]) / (ticks - 1)
    return (max(0.0, clock[1] - clock[0] - step) + steps * step) / len(given)


# %%
def jobs():
    """What is timed: {row of the table: (method, targets, references, steps, options)}."""
    group = target[some[:few]], real[some[:few]]
    for name, method in METHODS.items():
        if not applies(name, model):
            long = presets.settings(model, "world", {}, presets=SETTINGS[name], exceptions=presets.EXCEPTIONS if
                                    name == "VITAL" else {})["steps"]  # fmt: skip
            yield f"class neurons / {name}", (method, *group, long, {})
    long = inner.PRESETS["world"]["steps"]
    yield "inner neurons / VITAL", (vital_inner, chosen[:few], crops[:few], long, dict(at=layer, relevance=relevance))
    long = fourier.MACO["world"]["steps"]
    yield "inner neurons / MACO", (METHODS["MACO"], chosen[:few], crops[:few], long, dict(at=layer))


# %%
taken = {}
for _ in range(rounds):
    for row, (method, wanted, given, long, options) in jobs():
        taken.setdefault(row, []).append(seconds(method, wanted, given, long, **options))
measured = pd.DataFrame({"least": {row: min(t) for row, t in taken.items()}, "most": {row: max(t) for row, t in taken.items()}})
lines = published("tab-vital-x1")["row"].unique()
why = {row: reason for row in lines if (reason := applies(row.split(" / ")[1], model))}
table = beside(measured, "tab-vital-x1", missing=why)
table = table.sort_values("row", key=lambda rows: rows.str.startswith("inner"), kind="stable", ignore_index=True)
show(table, "tab-vital-x1", f"Seconds per image, least and most of {rounds} rounds, {few} images at once, {ed.size} pixels, on {ed.device}. Each "
     "method takes its own number of steps. The paper's times, from its text, are for 224 pixels and one image at a time on a machine that it "
     "doesn't name.")

# %% [markdown]
# Ratios carry over from one machine to another, seconds don't. MACO's depends on how many crops of its canvas the
# network sees at each step, one here and six in its published settings; VITAL's on how many activations are sorted.

# %%
fastest = measured["least"]  # what a busy machine adds is no part of a method
ours, maco = fastest["class neurons / VITAL"], fastest["class neurons / MACO"]
inversion = fastest.get("class neurons / DeepInversion")
claim("vital-11", holds=None if inversion is None else bool(ours < 2 * maco and ours < inversion),
      because=applies("DeepInversion", model) or f"In its fastest round VITAL takes {ours:.1f} s, MACO {maco:.1f} s and DeepInversion "
      f"{inversion:.1f} s per image: {ours / maco:.2f} times MACO's time, {ours / inversion:.2f} times DeepInversion's.")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - The transparency map says where the gradients were, which is where to look ({numref}`fig-vital-9`). Pixels without
#   it have changed, too.
# - Total variation removes grain, and the pixels' size takes colour from what isn't held ({numref}`fig-vital-10`).
# - Shallow blocks bring colours and edges, deep ones shapes. {numref}`fig-vital-11` shows what each adds, and its
#   brackets what a judge makes of it.
# - Class images by VITAL cost about what the older methods cost ({numref}`tab-vital-x1`). Inner neurons cost more,
#   since relevance is computed at every step.
# :::
#
# ## Copy this
#
# A neuron's image with its opacity, and a class image from two layers of your choice, on any timm model and any images
# in [0, 1]. Use `pretrained=True` and your own images; the weights here are random so that the cell needs no download.

# %%
import timm
import torch

from sightglass.visualize.neurons import vital_inner
from sightglass.visualize.transparency import masked
from sightglass.visualize.vital import vital

my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_images = torch.rand(1, 6, 3, 96, 96)  # (neurons, references, 3, height, width) in [0, 1]
my_picture, my_opacity = vital_inner(my_model, [281], my_images, at="logits", steps=5,
                                     transparency=True, tv=1e-3, l2=1e-3)  # or a channel at="layer4"
my_class = vital(my_model, [281], my_images, taps=["conv1", "layer4"], steps=5)
assert my_picture.shape == my_class.shape == (1, 3, 96, 96) and my_opacity.shape == (1, 96, 96)
assert masked(my_picture, my_opacity).shape == (1, 3, 96, 96)  # on white

# %% [markdown]
# :::{dropdown} Try next: is a stronger step worth it?
# In {numref}`fig-vital-11` add `choices["block3 and block5"] = ["block3", "block5"]` before the images are made. Which
# pair is best?
# :::
#
# :::{dropdown} Try next: other weights
# Run `python -m sightglass run world vital/3-4 -p tv=[0,0.001,0.002] -p l2=[0]`. Where does the neuron's answer begin
# to fall?
# :::
