# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The words of a layer (iERF, section 6.1)
#
# **Question.** A layer says at each position of an image a few hundred numbers. In which words does it speak, and how
# does one find them?
#
# A {term}`PFV` is all that a layer says at one position, and no channel needs to mean anything by itself. So look for
# directions instead, many more than channels, of which each PFV needs only a few. Such a set is a {term}`dictionary`,
# its directions are the layer's {term}`concepts <concept>`, and how much of each is in a PFV is its
# {term}`sparse code`. This page finds dictionaries in four ways, compares them at equal sparsity, and asks the
# truth of the images whether a concept is something that one could name {cite:p}`kim2026`.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | a convolutional network; names and claim 13 take masks, and the SAE its weights | a minute on one core | an hour on a GPU, most of it for clusters on the CPU | {doc}`/ierf/3-foundations` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
layers = ["layer1.1", "layer2.0", "layer2.2", "layer3.2", "layer4.2"]  # of the paper's eight
taps = ["layer1.1", "layer1.2", "layer2.0", "layer2.2", "layer2.3", "layer3.0", "layer3.2", "layer3.5", "layer4.2"]  # where PFVs are drawn, for other pages too
close = "layer2.2"  # the layer that figures look at
about = "bee"  # the class whose concepts are compared; the paper takes another insect, the grasshopper
photos = 900  # images; four fifths of them make concepts, the rest tries them
each = 4  # PFVs from each image; the paper takes one from each of 50,000
ratio = 8  # concepts for each channel, if there are three PFVs for each concept
tried = 80  # PFVs of the other images that are coded
asked = 20  # concepts, drawn at random, whose exemplars are held against the truth in each layer
sae_steps = 0  # of training autoencoders for layers that have none; 0 trains none

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from matplotlib.colors import ListedColormap

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts.dictionaries import EXTRACTORS, dictionary, fitted, given, sparsity
from sightglass.show import beside, claim, published, show, unavailable
from sightglass.trace.cafe import sae, sae_fit
from sightglass.trace.drawn import drawn, one_of_each_image, taken
from sightglass.trace.graph import name_of
from sightglass.trace.graph.pictures import box, lit, veiled
from sightglass.trace.icat import importance
from sightglass.trace.srd import ierf
from sightglass.world.truth import nearest_colour
from sightglass.world.vocabulary import membership

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
images = ed.images("test", photos)
layers = layers if close in layers else [*layers, close]
taps = [*taps, *(tap for tap in layers if tap not in taps)]
found = sg.kept(drawn, model, images.pixels, taps, each=each, seed=seed)
samples = {tap: taken(found, tap) for tap in layers}
cut = int(0.8 * len(images))  # images before it make concepts
no_truth = "" if images.scenes is not None else ed.gives("masks") or "masks of this edition aren't read here"


def lights(tap, rows):
    """iERFs (m, s, s) of some vectors of a layer's sample: the share of each pixel in each."""
    once, again = rows.unique(return_inverse=True)
    maps = []
    for part in once.split(64):
        image, inverse = samples[tap].image[part].cpu().unique(return_inverse=True)
        x = zoo.normalise(model, images.pixels[image].to(ed.device))
        maps.append(ierf(model, x, tap, samples[tap].position[part], images=inverse).cpu())
    return torch.cat(maps)[again.cpu()]


def exemplars(tap, distance, count=10):
    """The vectors of least distance (k, m), one of each image: (k, count) rows of the layer's sample."""
    return torch.stack([one_of_each_image(line, samples[tap].image, count) for line in distance])

# %% [markdown]
# ## Where the vectors come from
#
# Most positions of an image show nothing that matters to the network. So positions are drawn by chance, each with a
# probability in proportion to its relevance to the predicted class, by {term}`sharing ratios <sharing ratio>`
# ({doc}`/ierf/4-1-sharing-ratios`). One pass backwards gives the relevance at all layers.

# %%
for tap, s in samples.items():
    print(f"{tap}: {len(s.vectors)} PFVs of {s.vectors.shape[1]} channels, from {len(s.image.unique())} images")

# %% [markdown]
# ## Splitting a cloud until its parts are pure
#
# The paper's choice is {term}`bisecting k-means`. Take all PFVs as one cluster. Split the one that spreads most in
# two, and go on. The mean of each final cluster is a concept, so every concept lies where PFVs really are, and the
# PFVs nearest to it are its exemplars. What an exemplar means is seen by its {term}`iERF`: the pixels that made it.

# %%
def sized(tap):
    """How many concepts a layer gets: `ratio` for each channel, or as many as its PFVs suffice for."""
    makes = int((samples[tap].image < cut).sum())
    return min(ratio * samples[tap].vectors.shape[1], makes // 3)


def made(tap, method):
    """Make a layer's dictionary from the vectors of the first images."""
    s = samples[tap]
    return dictionary(s.vectors[s.image < cut], sized(tap), method=method, seed=seed)


words = made(close, "bisecting k-means")  # (K, c) of a layer
own = samples[close]

# %% tags=["hide-input"]
def apart(places, count):
    """Choose points (k, 2) that lie far from each other, the first one nearest to the middle."""
    chosen = [int(places.norm(dim=1).argmin())]
    while len(chosen) < min(count, len(places)):
        chosen.append(int(torch.cdist(places, places[chosen]).amin(1).argmax()))
    return sorted(chosen, key=lambda k: float(places[k, 0]))


def strip(fig, rows, tap, left, top, side, across=10, gap=0.03):
    """Draw exemplars (m,) in rows of `across`, lit where their iERFs are, at a place in inches; return their iERFs."""
    wide, high = fig.get_size_inches()
    maps = lights(tap, rows)
    masks = lit(maps)
    for j, (image, mask) in enumerate(zip(samples[tap].image[rows].tolist(), masks, strict=True)):
        pixels = (images.pixels[image].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        x, y = left + j % across * (side + gap), top - (j // across + 1) * (side + gap)
        ax = fig.add_axes([x / wide, y / high, side / wide, side / high])
        ax.imshow(veiled(pixels, mask), interpolation="nearest")
        down, along = box(mask)
        at = (along.start - 0.5, down.start - 0.5), along.stop - along.start, down.stop - down.start
        ax.add_patch(plt.Rectangle(*at, fill=False, ec="#D55E00", lw=1.1))
        ax.set(xlim=(-0.5, pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5))
        ax.set_axis_off()
    return maps


def named(tap, rows, maps):
    """What the truth of the images calls exemplars, "" where there is none."""
    return "" if no_truth else name_of(images.scenes[samples[tap].image[rows].cpu()], maps)


first = own.vectors[own.image < cut].cpu()
centre = first.mean(0)
plane = torch.linalg.svd(first - centre, full_matrices=False)[2][:2].T  # the two main directions
spread = ((first - centre) @ plane).numpy()
bounds = [(q[0] - 0.06 * np.ptp(q), q[1] + 0.06 * np.ptp(q)) for q in (np.r_[v.min(), v.max()] for v in spread.T)]

HIGH = 6.35
fig = plt.figure(figsize=(8, HIGH), layout="none")
shades = ListedColormap([*sg.plot.PALETTE[:6], "#882255", "#666666"])
centres = words.centres.cpu()
chosen = apart((centres - centre) @ plane, 5)
for j, count in enumerate((1, 2, 8, len(centres))):
    ax = fig.add_axes([(0.05 + 2 * j) / 8, (HIGH - 2.25) / HIGH, 1.88 / 8, 1.88 / HIGH])
    middles = dictionary(first, count, seed=seed).centres if 1 < count < len(centres) else centres if count > 1 else centre[None]
    mine = torch.cdist(first, middles).argmin(1)
    colours = "#9AA5AD" if count == 1 else shades(mine.numpy() % 8)
    ax.scatter(*spread.T, s=3, c=colours, alpha=0.55, lw=0)
    if count <= 8:
        ax.plot(*((middles - centre) @ plane).numpy().T, "o", ms=5, mfc="white", mec="black", mew=1.2)
    else:
        for k, c in enumerate(chosen):
            at = ((centres[c] - centre) @ plane).numpy()
            if np.hypot(*at) > 0.1 * np.ptp(bounds[1]):
                ax.annotate("", at, (0, 0), arrowprops={"arrowstyle": "-|>", "lw": 1.3, "color": "black", "shrinkA": 0, "shrinkB": 5})
            ax.plot(*at, "o", ms=11, mfc="white", mec="black", mew=1, zorder=5)
            ax.text(*at, "ABCDE"[k], ha="center", va="center_baseline", fontsize=7.5, fontweight="bold", zorder=6)
    ax.set(xlim=bounds[0], ylim=bounds[1], xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color="#CCCCCC")
    head = f"{len(first)} PFVs" if count == 1 else f"{count} clusters"
    fig.text((0.99 + 2 * j) / 8, (HIGH - 0.3) / HIGH, head, ha="center", fontsize=9)
rows = exemplars(close, torch.cdist(centres[chosen], own.vectors.cpu()))
for k, row in enumerate(rows):
    top = HIGH - 2.5 - k * 0.77
    maps = strip(fig, row, close, 1.5, top, 0.61, gap=0.035)
    fig.text(0.1 / 8, (top - 0.34) / HIGH, "ABCDE"[k], fontsize=10, fontweight="bold", va="center")
    label = named(close, row, maps) or f"concept {chosen[k]}"
    fig.text(0.34 / 8, (top - 0.34) / HIGH, label.replace(" ", "\n", 1), fontsize=9, va="center")
show(fig, "fig-ierf-16",
     f"Bisecting k-means in {close} of {network}. Top: PFVs, each a dot, on the two directions in which they differ most, and the clusters "
     "after the first splits and after the last; white dots are centres, and arrows lead from the middle to five of the final ones that lie far "
     "apart. Many clusters lie above each other here and apart in the other directions. Below: the ten PFVs nearest to each of the five, "
     "in ten images. What made the PFV is in colour and framed. Names come from the truth of the drawn images (iERF, figure 16).",
     alt="Four clouds of dots that are split into more and more clusters, and five rows of ten pictures of which small parts are lit.")

# %% [markdown]
# ## Sparse codes
#
# A PFV {math}`x` is then written as a sum of few concepts, the rows of {math}`V`, by the *lasso*
# (the paper's equation 12): what is left over is paid for, and so is each coefficient.
#
# ```{math}
# u = \arg\min_u\ \tfrac{1}{2}\lVert x - uV \rVert^2 + \lambda \lVert u \rVert_1
# ```
#
# The paper doesn't say how large {math}`\lambda` is. It does print how sparse its codes are, so {math}`\lambda` is set here to give codes as
# sparse as those. The solver follows the exact solution while {math}`\lambda` falls, and is checked by the conditions of optimality.
# Here is the first PFV that took no part in making concepts, and what is left of it concept by concept:

# %%
paper = published("tab-ierf-3").set_index(["row", "column"]).value


def column(tap):
    """The published table's name of a layer."""
    return tap.replace("layer", "layer ")


def wanted(tap):
    """How many nonzeros a layer's codes should have, by the published share."""
    rate = paper.get(("bisecting k-means / l0 ratio", column(tap)), 0.996)
    return max(1.0, (1 - rate) * sized(tap))


others = own.vectors[own.image >= cut][:tried]  # of images that made no concepts
coded = fitted(words, others, wanted(close))
u = coded.codes(others[:1, :, None])[0, 0]
used = u.abs().argsort(descending=True)[: int((u != 0).sum())]
left = [float((others[0] - u[used[: k + 1]] @ coded.atoms[used[: k + 1]]).norm() / others[0].norm()) for k in range(len(used))]
pd.DataFrame({"concept": used.tolist(), "coefficient": u[used].tolist(), "left over, as a share": left}).round(3)

# %% [markdown]
# ## Which dictionary?
#
# The paper compares three: *dictionary learning* finds directions together with the codes; a
# {term}`sparse autoencoder` {cite:p}`huben2024` learns directions together with an encoder that guesses the codes in one step;
# bisecting k-means takes the means of clusters. Two of its choices make the comparison harder to read.
# The autoencoder's codes are its encoder's, the others' are from the lasso. And ordinary k-means, the obvious rival of bisecting k-means,
# is missing. Both are added: the line *SAE, lasso* has the autoencoder's directions, and its offset, and everybody's lasso.
#
# All numbers are of images that made no concepts. The {math}`\ell_0` *ratio* is the share of coefficients that are zero. The *relative
# error* is {math}`\lVert x - uV \rVert / \lVert x \rVert`: 0 is perfect, and 1 is what saying nothing costs.

# %%
def shipped():
    """Autoencoders of the network's layers that come with the book, and why there are no others."""
    name = ed.networks[network].name
    try:
        known = sae.world(name) if name.startswith("world/") else {}
    except FileNotFoundError as missing:
        return {}, str(missing)
    return known, "no autoencoder is shipped for this layer" if known else f"none is shipped for {network} of this edition"


saes, no_sae = shipped()
for tap in layers:
    if sae_steps and tap not in saes:
        v = samples[tap].vectors[samples[tap].image < cut]
        saes[tap] = sae_fit.train(v, width=sized(tap), seed=seed, steps=sae_steps)
dictionaries = {tap: {m: words if (tap, m) == (close, words.method) else made(tap, m) for m in EXTRACTORS} for tap in layers}
for tap in layers:
    if tap in saes:
        dictionaries[tap]["SAE, lasso"] = given(saes[tap].atoms.to(samples[tap].vectors), method="SAE")


def tested(tap, count=tried):
    """PFVs of images that made no concepts, (m, c)."""
    return samples[tap].vectors[samples[tap].image >= cut][:count]


def error_and_codes(tap, method, x, nonzeros):
    """Mean relative error, and codes (m, K), of PFVs x (m, c) by the lasso; an SAE's offset is part of its dictionary."""
    offset = saes[tap].after.to(x) if method == "SAE, lasso" else 0
    d = fitted(dictionaries[tap][method], x - offset, nonzeros)
    codes = d.codes((x - offset)[:, :, None])[:, 0]
    return ((x - offset - codes @ d.atoms).norm(dim=1) / x.norm(dim=1)).mean().item(), codes


def scored(tap):
    """Error and l0 ratio of every dictionary of a layer on PFVs of other images, {row: number}."""
    x, line = tested(tap), {}
    for method in dictionaries[tap]:
        error, codes = error_and_codes(tap, method, x, wanted(tap))
        line |= {f"{method} / relative error": error, f"{method} / l0 ratio": sparsity(codes).mean()}
    if tap in saes:
        codes = saes[tap].encode(x)
        error = (x - saes[tap].decode(codes)).norm(dim=1) / x.norm(dim=1)
        line |= {"SAE / relative error": error.mean(), "SAE / l0 ratio": sparsity(codes).mean()}
    return {row: float(value) for row, value in line.items()}


measured = pd.DataFrame({column(tap): scored(tap) for tap in layers})
measured = measured[[c for c in measured if c in set(published("tab-ierf-3").column)]]
lost = [tap for tap in layers if tap not in saes]
show(beside(measured, "tab-ierf-3", missing=no_sae), "tab-ierf-3",
     f"How well four dictionaries rebuild PFVs of {network}, and how sparse their codes are. There are "
     f"{', '.join(f'{sized(tap)} ({tap})' for tap in layers)} concepts: {ratio} for each channel, or a third of the PFVs that make them. "
     + (f"{', '.join(lost)}: {no_sae}. " if lost else "") + "A dash stands where this run measured nothing (iERF, table 3).")

# %% [markdown]
# One number at one sparsity may mislead, so here is the error at several. Lower is better, and each curve is one dictionary whose
# {math}`\lambda` varies. The cross is the autoencoder with its own codes. It may well lie below its own curve: the lasso makes all coefficients
# smaller than they should be, as that lowers their price, and a trained encoder needn't.

# %% tags=["hide-input"]
LOOKS = {"bisecting k-means": ("#0072B2", "o"), "k-means": ("#56B4E9", "s"), "dictionary learning": ("#009E73", "^"), "SAE, lasso": ("#D55E00", "D")}
shown = ([tap for tap in layers if tap in saes] or layers)[:3]
fig, axes = plt.subplots(1, len(shown), figsize=(8, 2.9), sharey=True, squeeze=False)
for tap, ax in zip(shown, axes[0], strict=True):
    x = tested(tap, tried // 2)
    for method in dictionaries[tap]:
        line = []
        for count in (1.5, 5, 16):
            error, codes = error_and_codes(tap, method, x, count)
            line.append(((codes != 0).sum(1).float().mean().item(), error))
        colour, mark = LOOKS[method]
        ax.plot(*zip(*line, strict=True), color=colour, marker=mark, ms=4, label=method)
    if tap in saes:
        codes = saes[tap].encode(x)
        error = ((x - saes[tap].decode(codes)).norm(dim=1) / x.norm(dim=1)).mean().item()
        ax.plot((codes != 0).sum(1).float().mean().item(), error, "X", color="#D55E00", ms=9, mec="white", label="SAE, its own codes")
    ax.set(title=tap, xlabel="nonzeros in a code")
    ax.set_xscale("log")
    ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
axes[0, 0].set(ylabel="relative error", ylim=(0, None))
fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
plt.show()

# %%
PAPERS = ("bisecting k-means", "dictionary learning", "SAE")  # those that the paper compares
errors = measured.loc[[f"{m} / relative error" for m in PAPERS if f"{m} / relative error" in measured.index]].dropna(axis=1)
zeros = measured.loc[[row.replace("relative error", "l0 ratio") for row in errors.index], errors.columns]
if len(errors) < 3 or not errors.shape[1]:
    verdict, reason = None, f"It takes three extractors in the same layers: {no_sae}."
else:
    ours, K = errors.iloc[0], np.array([sized(tap) for tap in layers if column(tap) in errors.columns])
    nonzeros = ((1 - zeros) * K).mean(axis=1)
    best, sparse = int((ours == errors.min()).sum()), bool((zeros.max() - zeros.iloc[0] <= 0.01).all())
    verdict = best > errors.shape[1] / 2 and sparse
    fair = measured.loc["SAE, lasso / relative error", errors.columns]
    alike = int((ours < np.minimum(errors.iloc[1], fair)).sum())
    plain = measured.loc["k-means / relative error"]
    reason = (f"It has the lowest error of the three in {best} of the {errors.shape[1]} layers that have all three: {ours.mean():.3f} on average against "
              f"{errors.iloc[1].mean():.3f} for dictionary learning and {errors.iloc[2].mean():.3f} for the SAE's own codes, which "
              f"have {nonzeros.iloc[2]:.0f} nonzeros instead of {nonzeros.iloc[0]:.0f}; its l0 ratio is {'' if sparse else 'not '}within 0.01 of the best. With the SAE's dictionary under the same lasso ({fair.mean():.3f}), it is the best of the three in {alike}; plain k-means is "
              f"below bisecting k-means in {int((plain < measured.loc['bisecting k-means / relative error']).sum())} of {len(plain)} layers.")
claim("ierf-12", holds=verdict, because=reason)

# %% [markdown]
# ## Can one name what one finds?
#
# The paper shows three concepts by either method for one class and finds k-means' easier to label. Here are the three that matter most to
# a class in the same way: concepts ranked by their share in the class's output on its images, by integrated gradients
# ({doc}`/ierf/6-2-icat`), with codes by the same lasso. Each comes with its ten exemplars.

# %%
label = list(ed.classes).index(about) if about in ed.classes else 0
with torch.no_grad():
    shots = (images.labels == label).nonzero()[:6, 0]
    x = zoo.normalise(model, images.pixels[shots].to(ed.device))
rivals = {"bisecting k-means": dictionaries[close]["bisecting k-means"]}
if close in saes:
    rivals["SAE"] = dictionaries[close]["SAE, lasso"]
tops = {}
for method, d in rivals.items():
    d = fitted(d, others, wanted(close))
    share = importance(model, x, close, d, [ed.outputs[label]], steps=16).strength[:, 0]
    tops[method] = share.argsort(descending=True)[:3]

# %% tags=["hide-input"]
def distances(tap, method, concepts):
    """How far a layer's vectors are from concepts, (k, m): from a centre, or behind the highest code of a latent."""
    s = samples[tap]
    if method == "bisecting k-means":
        return torch.cdist(dictionaries[tap][method].centres[concepts], s.vectors)
    return -saes[tap].encode(s.vectors).T[concepts]


fig = plt.figure(figsize=(8, 5.55), layout="none")
for j, (method, concepts) in enumerate(tops.items()):
    fig.text((0.05 + 4.05 * j) / 8, 5.38 / 5.55, method, fontsize=10, fontweight="bold", va="center")
    for k, row in enumerate(exemplars(close, distances(close, method, concepts))):
        top = 5.0 - 1.72 * k
        maps = strip(fig, row, close, 0.05 + 4.05 * j, top, 0.73, across=5, gap=0.03)
        said = named(close, row, maps)
        fig.text((0.05 + 4.05 * j) / 8, (top + 0.09) / 5.55, f"{k + 1}  concept {int(concepts[k])}" + (f": {said}" if said else ""), fontsize=8.5, va="center")
if close not in saes:
    fig.text(6 / 8, 0.5, unavailable(no_sae), ha="center", fontsize=8)
show(fig, "fig-ierf-15",
     f"The three concepts of {close} that matter most to *{ed.classes[label]}*, by bisecting k-means and by an SAE, each with ten exemplars: "
     "the PFVs nearest to a centre, or those with a latent's highest codes, one of each image. What made the PFV is in colour and framed; "
     "names are from the truth under these pixels (iERF, figure 15).",
     alt="Two columns of three concepts with ten small pictures each, lit in small places.")

# %% [markdown]
# Three concepts prove nothing, and ease of labelling is a matter of taste. The drawn world can do better, for it knows what is under each
# iERF: object, family, part, texture, colour, place. Draw concepts at random; for each, ask whether there is one true concept
# that all of its ten exemplars show, which means on half of their iERF or more. Ten PFVs dealt out at random say
# what is due to chance. Exemplars of an SAE latent are the PFVs with its highest codes, as usual;
# latents that fire in fewer than ten images are left out.

# %%
def shows(tap, rows):
    """Which true concepts lie under half of the iERF of vectors of a sample: (m, concepts)."""
    s, mass = images.scenes[samples[tap].image[rows].cpu()], lights(tap, rows).clamp(min=0)
    mass = mass / mass.sum((1, 2), keepdim=True).clamp(min=1e-12)

    def under(ids, names):
        """Whether each of the ids 1..names has half of the mass."""
        held = torch.zeros(len(mass), names + 1).scatter_add_(1, ids.flatten(1).long(), mass.flatten(1))
        return held[:, 1:] >= 0.5

    noun = torch.zeros_like(s.instance, dtype=torch.long)
    for k, which in ((1, s.label), (2, s.second)):
        noun = torch.where(s.instance == k, which[:, None, None] + 1, noun)
    nouns = under(noun, len(world.NOUNS))
    kin = membership()[:, : len(world.FAMILIES)].long()
    family = torch.cat([torch.zeros(1, dtype=torch.long), kin.argmax(1) + 1])[noun]
    place = torch.where(s.instance == 0, s.background[:, None, None] + 1, 0)
    paint = nearest_colour(s.pixels().permute(0, 2, 3, 1).flatten(0, 2)).unflatten(0, s.instance.shape) + 1
    sizes = len(world.FAMILIES), len(world.PARTS), len(world.TEXTURES), len(world.BACKGROUNDS), len(world.COLOURS)
    return torch.cat([nouns, *(under(*pair) for pair in zip((family, s.part, s.texture, place, paint), sizes, strict=True))], 1)


def agreement(tap, rows):
    """How many of ten exemplars (k, 10) share the true concept that most of them show: (k,)."""
    return shows(tap, rows.flatten()).unflatten(0, rows.shape).sum(1).amax(1)


# %%
drawing, agree = torch.Generator().manual_seed(seed), {}
for tap in [] if no_truth else [tap for tap in layers if tap in saes][:3]:
    s = samples[tap]
    count = len(dictionaries[tap]["bisecting k-means"].atoms)
    firing = torch.zeros(len(images), len(saes[tap].atoms)).index_add_(0, s.image.cpu(), (saes[tap].encode(s.vectors) > 0).float().cpu())
    alive = ((firing > 0).sum(0) >= 10).nonzero()[:, 0]
    pick = torch.randperm(count, generator=drawing)[:asked]
    latents = alive[torch.randperm(len(alive), generator=drawing)[:asked]]
    lists = {"bisecting k-means": exemplars(tap, distances(tap, "bisecting k-means", pick))}
    lists["SAE"] = exemplars(tap, distances(tap, "SAE", latents))
    lists["chance"] = torch.stack([torch.randperm(len(s.image), generator=drawing)[:10] for _ in range(asked // 3)])
    agree[tap] = {name: agreement(tap, rows) for name, rows in lists.items()}

# %% tags=["hide-input"]
if agree:
    inks = {"bisecting k-means": ("#0072B2", "-"), "SAE": ("#D55E00", "-"), "chance": ("#8A8A8A", "--")}
    fig, axes = plt.subplots(1, len(agree), figsize=(8, 2.8), sharey=True, squeeze=False)
    for (tap, lists), ax in zip(agree.items(), axes[0], strict=True):
        for name, counts in lists.items():
            at_least = [(counts >= k).float().mean().item() for k in range(1, 11)]
            ax.plot(range(1, 11), at_least, color=inks[name][0], ls=inks[name][1], marker="o", ms=3.5, label=name)
        ax.set(title=tap, xlabel="exemplars with one true concept\nin common, at least", ylim=(0, 1.03), xticks=range(2, 11, 2))
    axes[0, 0].set_ylabel("share of concepts")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    plt.show()
else:
    display(Markdown(f"The figure is {unavailable(no_truth or no_sae)}."))

# %%
if not agree:
    verdict, reason = None, f"It takes masks and an autoencoder: {no_truth or no_sae}."
else:
    pure = pd.DataFrame({tap: {name: (counts == 10).float().mean().item() for name, counts in lists.items()} for tap, lists in agree.items()}).mean(axis=1)
    mine, theirs = pure["bisecting k-means"], pure["SAE"]
    error = (sum(p * (1 - p) for p in (mine, theirs)) / (asked * len(agree))) ** 0.5
    verdict = bool(mine > theirs)
    reason = (f"All ten exemplars show one true concept for {mine:.0%} of {asked * len(agree)} concepts by bisecting k-means and for {theirs:.0%} of as many SAE latents, "
              f"in {len(agree)} layers; ten PFVs at random do for {pure['chance']:.0%}. The standard error of the difference is {error:.0%}"
              f"{', so the draw of concepts may decide which is ahead' if abs(mine - theirs) <= 2 * error else ''}.")
claim("ierf-13", holds=verdict, because=reason)

# %% tags=["hide-input"]
said = []
if "SAE / relative error" in measured.index and "SAE, lasso / relative error" in measured.index:
    pair = measured.loc[["SAE / relative error", "SAE, lasso / relative error"]].dropna(axis=1)
    both = measured.loc["bisecting k-means / relative error", pair.columns]
    said.append(f"- An SAE's own codes, which have far more nonzeros, leave {pair.iloc[0].mean():.2f} of a PFV over, its directions under the lasso {pair.iloc[1].mean():.2f}, and bisecting k-means under the lasso "
                f"{both.mean():.2f} ({{numref}}`tab-ierf-3`): a comparison of dictionaries has to code all of them alike.")
if agree:
    said.append(f"- Whether a concept can be named is a matter of fact where the truth is known: {mine:.0%} of k-means concepts have one true concept in all ten exemplars, {theirs:.0%} of SAE latents, with a standard error of {error:.0%} for the difference.")
Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- Concepts of a layer are directions, more of them than channels, of which each PFV needs a few. Centres of clusters serve as well as learned ones, and come with exemplars ({numref}`fig-ierf-16`).",
    *said, ":::"]))

# %% [markdown]
# ## Copy this
#
# Concepts of a layer of any timm network, the codes of a PFV, and the pixels that made a concept's nearest exemplar. Use `pretrained=True`
# and your own images; the weights here are random.

# %%
import timm
import torch

from sightglass.concepts.dictionaries import dictionary, nearest
from sightglass.trace.drawn import drawn, taken
from sightglass.trace.srd import ierf
from sightglass.zoo import normalise

my_model = timm.create_model("resnet18", pretrained=False, num_classes=10).eval().requires_grad_(False)
my_images = torch.rand(12, 3, 64, 64)  # (n, 3, height, width) in [0, 1]
my_sample = taken(drawn(my_model, my_images, ["layer2"], each=8), "layer2")  # PFVs that matter, and where they are
my_words = dictionary(my_sample.vectors, 16, nonzeros=4)  # or method="k-means", "dictionary learning"
my_codes = my_words.codes(my_sample.vectors[:5, :, None])  # (vectors, 1, concepts)
my_best = nearest(my_sample.vectors, my_words, 1)[0]  # concept 0's nearest PFV
my_pixels = ierf(my_model, normalise(my_model, my_images[my_sample.image[my_best]]), "layer2", my_sample.position[my_best])
assert my_codes.shape == (5, 1, 16) and my_pixels.shape == (1, 64, 64)

# %% [markdown]
# :::{dropdown} Try next: fewer, larger clusters
# Run `python -m sightglass run world ierf/6-1 -p ratio=1`. Which concepts of {numref}`fig-ierf-16` fall together? Does it become easier or harder
# to find one true concept?
# :::
#
# :::{dropdown} Try next: another class
# `-p about=zebra`, or `-p about=lighthouse`. Are the most important concepts about the class at all, or about what surrounds it?
# :::
