# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where a latent fires and what it has seen (iERF, section 5)
#
# **Question.** A feature inside a vision transformer is most active on a patch of sky. Is it about the sky?
#
# Attention carries news from anywhere to anywhere. A token in the background may well hold the note "there is a rabbit over there", so
# the place where a feature fires isn't the place it is about. **CAFE**, Concept-Anchored Feature Explanation {cite:p}`kim2026`, looks
# features up by their evidence: it sends the feature's activation back to the patches and takes the map that
# arrives, the feature's {term}`iERF` in this image, as its label.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with a vision transformer | a minute on one core | minutes on a GPU, most of them to train autoencoders | {doc}`/ierf/3-foundations` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of which latents are tested, of coalitions, and of autoencoders that aren't shipped
device = "auto"  # auto | cpu | cuda
network = "vit_b_16"  # a role of the edition; a vision transformer
photos = 800  # images in which latents may fire
fires = 8  # images that a latent has to fire in
placed = 100  # latents of each layer whose firing token and iERF are compared
tested = 24  # of them, latents for the insertion test
steps = 16  # of the insertion curves
coalitions = 128  # random sets of patches for KernelSHAP
path = 16  # steps of integrated gradients
learnt = 400  # images that autoencoders are trained on, where none are shipped

# %%
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import world, zoo
from sightglass.show import claim, show
from sightglass.trace import cafe
from sightglass.trace.cafe.insert import canvases, places, token_count
from sightglass.trace.cafe.latents import grid, reading, tokens
from sightglass.trace.cafe.local_rules import LocalRules
from sightglass.zoo.taps import record

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
seen = ed.images("test", photos)
x = zoo.normalise(model, seen.pixels.to(ed.device))  # (n, 3, size, size)
patches = grid(model, x)  # down, across
lacking = ed.gives("concepts")  # a list of what is in each image, to give latents a name

# %% [markdown]
# ## Latents instead of neurons
#
# The features are those of a {term}`sparse autoencoder`. It writes each token {math}`h` of a layer as a sum of a few of many
# directions:
#
# ```{math}
# z = \text{ReLU}\bigl(W_e (h - b_d) + b_e\bigr), \qquad \hat h = W_d\, z + b .
# ```
#
# One entry {math}`z_k` is an {term}`SAE latent`, and its direction is a column of {math}`W_d`. Each layer has an autoencoder of its own.
# They are {term}`Matryoshka SAE`s, as in the paper: nested, so that the first few latents must do on their own
# {cite:p}`bussmann2025,zaigrajew2025`. (The paper's own equations are those of a plain autoencoder.) The world's are shipped. For other
# editions they are trained here, in a smaller way than the paper's, each of which has seen half a billion patches.


# %%
def autoencoders():
    """Return {layer: autoencoder}: the shipped ones, or those of a quick training on the edition's images."""
    if ed.networks[network].name == "world/vit_b_16":  # the one with shipped autoencoders
        return {name: to_device(sae) for name, sae in cafe.world(network).items()}
    images = zoo.normalise(model, ed.images("train", learnt).pixels.to(ed.device))
    found = {}
    for layer in [tap for tap in zoo.taps(model) if tap.startswith("block")][1:]:  # the first holds bare patches
        h = torch.cat([tokens(model, part, layer).detach().flatten(0, 1) for part in images.split(50)])
        found[layer] = cafe.train(h, width=8 * h.shape[1], seed=seed)
    return found


def to_device(sae):
    """Move an autoencoder to where the network is."""
    return cafe.Sae(**{name: value.to(ed.device) for name, value in vars(sae).items()})


saes = autoencoders()
peaks = {layer: cafe.peaks(model, sae, x, layer) for layer, sae in saes.items()}  # highest code of each latent in each image
layers = list(saes)
first, last = layers[0], layers[-1]
print(f"{len(layers)} layers of {network}, {' x '.join(map(str, patches))} patches, {len(saes[last].encoder)} latents in {last}")


# %%
def names(layer, codes):
    """Name latents after the word that goes along best with their codes (n, K): [(word, correlation)], or nothing."""
    if lacking or seen.scenes is None:
        return [("", 0.0)] * codes.shape[1]
    z, there = codes.cpu(), seen.scenes.concept.float()
    z, there = ((v - v.mean(0)) / v.std(0).clamp_min(1e-9) for v in (z, there))
    best = (there.T @ z / len(z)).max(0)
    return [(world.CONCEPTS[i], float(r)) for i, r in zip(best.indices.tolist(), best.values, strict=True)]


def alive(codes):
    """List the latents that fire in enough of the images (n, K), and not in nearly all."""
    count = (codes > 0).sum(0)
    return ((count >= fires) & (count <= 0.9 * len(codes))).nonzero()[:, 0]


def left(images, fired, mask):
    """Share of the codes that is left when patches are blank where mask (n, patches) is 0: (n,)."""
    shown = F.interpolate(mask.unflatten(1, patches)[:, None].to(images), images.shape[2:], mode="nearest")
    with torch.no_grad():
        return reading(model, saes[fired.layer], images * shown, fired) / fired.value


def own_patch(fired):
    """Mark the patch of each firing token: (n, patches)."""
    extra = counts[fired.layer] - patches[0] * patches[1]
    return F.one_hot(fired.token - extra, patches[0] * patches[1]).float()


counts = {layer: token_count(model, x, layer) for layer in layers}
words = {layer: names(layer, peaks[layer].patch) for layer in layers}


# %% [markdown]
# ## Latents that fire beside the point
#
# There is a plain test of whether a latent is about the patch it fires on: blank that patch and read the same token again. If the code
# stays, the evidence was elsewhere. Among strong latents of the last layer whose four best images show the same class, these pass most
# clearly. Beside each image is its map of codes, which is what one usually looks at.


# %%
def elsewhere(layer, best=4):
    """Rank strong latents by how much of their code is left without the firing patch: latents (k,), rows (k, best)."""
    codes = peaks[layer].patch
    which = alive(codes)
    top = codes.topk(best, 0)
    strength = top.values.mean(0)[which]
    which = which[strength >= strength.quantile(0.8)]
    rows = top.indices.T[which]  # (k, best)
    fired = cafe.fire(model, saes[layer], x[rows.flatten()], which.repeat_interleave(best), layer)
    stays = left(x[rows.flatten()], fired, 1 - own_patch(fired)).unflatten(0, rows.shape).mean(1)
    order = stays.argsort(descending=True)
    return list(zip(which[order].tolist(), rows[order], strict=True))


def distinct(found, many):
    """Take the first latents whose best images all show one class, each another: [(latent, rows)]."""
    taken = {}
    for latent, rows in found:
        classes = seen.labels[rows.cpu()].unique().tolist()
        if len(classes) == 1:
            taken.setdefault(classes[0], (latent, rows))
    return list(taken.values())[:many] or found[:many]


ranking = {layer: elsewhere(layer) for layer in layers}
odd = distinct(ranking[last], 3)

# %% tags=["hide-input"]
RED = "#FF2020"


def picture(ax, row, token=None, layer=None):
    """Draw an image, with a box around the patch of a firing token."""
    ax.imshow(seen.pixels[int(row)].permute(1, 2, 0), extent=(0, patches[1], patches[0], 0), interpolation="nearest")
    box(ax, token, layer)
    bare(ax)


def box(ax, token, layer):
    """Draw a box around a token's patch; the class token has none."""
    place = -1 if token is None else int(token) - (counts[layer] - patches[0] * patches[1])
    if place >= 0:
        down, across = divmod(place, patches[1])
        for width, ink in ((3.2, "white"), (1.8, RED)):
            ax.add_patch(plt.Rectangle((across, down), 1, 1, fill=False, ec=ink, lw=width, clip_on=False))


def bare(ax):
    """Leave an image without axes."""
    ax.set(xticks=[], yticks=[], xlim=(0, patches[1]), ylim=(patches[0], 0))
    ax.spines[:].set_visible(False)


def tiles(ax, values, **how):
    """Draw one colour a patch."""
    ax.imshow(values.detach().cpu(), extent=(0, patches[1], patches[0], 0), interpolation="nearest", **how)
    bare(ax)


def lit(ax, row, map):
    """Draw an image where a map (down, across) is high, and fade it to dark elsewhere."""
    share = (map.clamp_min(0) / map.max().clamp_min(1e-12)).float().cpu()[None, None]
    wide = F.interpolate(share, seen.pixels.shape[2:], mode="bilinear")[0].clamp(0, 1) ** 0.5
    shade = 0.15 + 0.85 * wide
    ax.imshow((seen.pixels[int(row)] * shade).permute(1, 2, 0), extent=(0, patches[1], patches[0], 0))
    bare(ax)


def called(layer, latent, table=words):
    """Say which latent, and the word that goes along with it."""
    word, r = table[layer][latent]
    return f"latent {latent}" + (f"\n“{word}”\nr = {r:.2f}" if word else "")


# %% tags=["hide-input"]
fig, axes = plt.subplots(len(odd), 8, figsize=(8, 0.88 * len(odd) + 0.22), layout="none", squeeze=False)
fig.subplots_adjust(left=0.115, right=0.998, top=0.925, bottom=0.005, wspace=0.05, hspace=0.08)
for line, (latent, rows) in zip(axes, odd, strict=True):
    fired = cafe.fire(model, saes[last], x[rows], latent, last)
    codes = cafe.METHODS["activation"](model, saes[last], x[rows], fired).clamp_min(0)
    for j, row in enumerate(rows.tolist()):
        picture(line[2 * j], row, fired.token[j], last)
        tiles(line[2 * j + 1], codes[j])
        box(line[2 * j + 1], fired.token[j], last)
    line[0].text(-0.5, patches[0] / 2, called(last, latent), ha="right", va="center", fontsize=7.5)
for j in range(4):
    axes[0, 2 * j].set_title("image", fontsize=7.5)
    axes[0, 2 * j + 1].set_title("codes", fontsize=7.5)
show(fig, "fig-ierf-5",
     f"Non-localised latents of {last} of {network}. Each row is one latent and the four images in which it is strongest; beside each image "
     "is the latent's code on every patch's token, from nothing (dark) to its most (yellow). The red box marks the firing token. The word is "
     "the one of the scenes' true concepts that goes along best with the latent, and r is their correlation. Chosen by rule: among the "
     "strongest fifth of latents whose four images show one class, those whose code suffers least when the patch in the box "
     "is blanked, one for each class (iERF, figure 5).",
     alt="Three rows of four pictures, each beside a map of codes; red boxes lie mostly in the background next to the animal or thing.")

# %% [markdown]
# Each latent goes along with a thing, and its codes are often low on that thing and high all around it. Whoever cuts out the
# patch in the box and looks for what these patches have in common will name the latent after the background.
#
# ## CAFE, step by step
#
# Start at the code of one latent at one token, {math}`R = z_k`, and send this {term}`relevance` back through the encoder's row
# {math}`k` and through the blocks, by {term}`AttnLRP` {cite:p}`achtibat2024`. Its rules can be written as a gradient with a few
# changes: activation functions hand relevance through, layer norms keep their deviation as a constant, and attention shares
# relevance out among queries, keys and values. What arrives at patch {math}`p` is a vector over channels, and the
# iERF is the set of pairs {math}`\{(p, A(p \mid z_k, I))\}`. Two ways to make one number of the vector are compared on this page:
# its length, and its sum. Only the sum keeps the books: with what goes to the class token, positions and
# biases, sums add up to {math}`z_k`.


# %%
def on_the_way(image, fired, stops):
    """Send a code back and keep relevance at each of the stops: {stop: (c, tokens)}."""
    with torch.enable_grad(), record(model, stops) as kept, LocalRules(type(model).__name__):
        value = reading(model, saes[fired.layer], image.detach().clone().requires_grad_(True), fired)
    slopes = torch.autograd.grad(value.sum(), [kept[stop] for stop in stops])
    return {stop: (kept[stop].detach() * slope)[0] for stop, slope in zip(stops, slopes, strict=True)}


hero, row = max(((k, int(rows[0])) for k, rows in odd), key=lambda pair: float(peaks[last].patch[pair[1], pair[0]]))
one = x[[row]]
fired = cafe.fire(model, saes[last], one, hero, last)
stops = ["block1", *layers[:-1]]
sent = on_the_way(one, fired, stops)
maps = {name: cafe.METHODS[name](model, saes[last], one, fired) for name in ("activation", "AttnLRP", "AttnLRP, signed")}
curves = {name: cafe.insertion(model, saes[last], one, fired, map, steps=patches[0] * patches[1])[0] for name, map in maps.items()}
with torch.no_grad():
    code = saes[last].encode(tokens(model, one, last)[0, fired.token[0]])  # (K,) at the firing token
active = code.argsort(descending=True)[: int((code > 0).sum())][:16].tolist()
if hero not in active:
    active[-1] = hero

# %% tags=["hide-input"]
LOOK = {"activation": ("#444444", "--"), "AttnLRP": (sg.plot.colour("AttnLRP"), "-"),
        "AttnLRP, signed": (sg.plot.colour("CAFE"), "-"), "KernelSHAP": ("#0072B2", "-"),
        "integrated gradients": (sg.plot.colour("integrated gradients"), "-"), "gradients": ("#56B4E9", "-"),
        "nearest first": ("#AAAAAA", ":")}  # fmt: skip
HIGH = 6.1
fig = plt.figure(figsize=(8, HIGH), layout="none")


def at(left, bottom, wide, high):
    """Axes at a place of the figure, in inches."""
    return fig.add_axes([left / 8, bottom / HIGH, wide / 8, high / HIGH])


def note(left, bottom, text, **how):
    """Words at a place of the figure, in inches."""
    fig.text(left / 8, bottom / HIGH, text, **({"fontsize": 8, "va": "bottom"} | how))


side, up = 1.62, 4.2
picture(at(0.05, up, side, side), row, fired.token[0], last)
note(0.05, up + side + 0.05, "1  the image, cut into patches")
ax = at(1.95, up, side, side)
tiles(ax, maps["activation"][0].clamp_min(0))
box(ax, fired.token[0], last)
if patches[0] <= 10:
    high = maps["activation"][0].max()
    for (down, across), value in np.ndenumerate(maps["activation"][0].clamp_min(0).cpu().numpy()):
        ink = "black" if value > 0.6 * high else "white"
        ax.text(across + 0.5, down + 0.52, f"{value:.0f}", ha="center", va="center", fontsize=6, color=ink)
note(1.95, up + side + 0.05, f"2  codes of latent {hero}")
ax = at(4.3, up + 0.3, 3.6, side - 0.3)
ax.bar(range(len(active)), code[active].cpu(), 0.72, color=[RED if k == hero else "#BBBBBB" for k in active])
ax.set_xticks(range(len(active)), active, rotation=90, fontsize=6.5)
ax.tick_params(length=0)
ax.set(ylabel="code", xlim=(-0.6, len(active) - 0.4))
note(4.3, up + side + 0.05, f"3  the firing token as a sum of latents: z = {float(fired.value):.1f} for latent {hero}")

share, mid, gap = 1.18, 2.5, 0.14
steps_back = [*reversed(stops)]
shown = [(last, own_patch(fired)[0] * fired.value[0], float(fired.value))]
shown += [("patches" if s == "block1" else s, sent[s].sum(0)[-patches[0] * patches[1] :], None) for s in steps_back]
wide = min(share, (7.9 - gap * (len(shown) - 1)) / len(shown))
for j, (name, relevance, _) in enumerate(shown):
    ax = at(0.05 + j * (wide + gap), mid, wide, wide)
    top = float(relevance.abs().max())
    tiles(ax, relevance.unflatten(0, patches), cmap=sg.plot.DIVERGING, vmin=-top, vmax=top)
    ax.spines[:].set(visible=True, color="#BBBBBB")
    box(ax, fired.token[0], last)
    own = float((relevance * own_patch(fired)[0]).sum())
    text = f"{name}\nin the box {own:.1f}\nall patches {float(relevance.sum()):.1f}".replace("-", "−")
    note(0.05 + j * (wide + gap), mid - 0.05, text, fontsize=7, va="top")
    if j:
        note(0.05 + j * (wide + gap) - gap / 2, mid + wide / 2, "‹", ha="center", va="center", fontsize=13, rotation=180)
note(0.05, mid + wide + 0.05, "4  its relevance, sent back block by block (red for, blue against)")

low, tile = 0.1, 1.3
for j, name in enumerate(("AttnLRP", "AttnLRP, signed")):
    ax = at(0.05 + j * (tile + 0.12), low, tile, tile)
    lit(ax, row, maps[name][0])
    box(ax, fired.token[0], last)
    note(0.05 + j * (tile + 0.12), low + tile + 0.03, ("lengths", "sums")[j], fontsize=7.5)
note(0.05, low + tile + 0.2, "5  the iERF")
few = patches[0] * patches[1] // 4
for j, name in enumerate(("activation", "AttnLRP, signed")):
    seen_patches = canvases(maps[name], patches[0] * patches[1])[0, few]
    ax = at(3.05 + j * (tile * 0.82 + 0.12), low + 0.12, tile * 0.82, tile * 0.82)
    mask = F.interpolate(seen_patches[None, None].float(), seen.pixels.shape[2:], mode="nearest")[0].cpu()
    ax.imshow((seen.pixels[row] * mask + 0.5 * (1 - mask)).permute(1, 2, 0), extent=(0, patches[1], patches[0], 0))
    bare(ax)
    word = ("by code", "by iERF, sums")[j]
    note(3.05 + j * (tile * 0.82 + 0.12), low + tile * 0.82 + 0.15, word, fontsize=7.5, color=LOOK[name][0])
    note(3.05 + j * (tile * 0.82 + 0.12), low + 0.07, f"{float(curves[name][few]):.0%} of the code", fontsize=7.5, va="top")
note(3.05, low + tile + 0.2, f"6  only the first {few} patches")
ax = at(5.95, low + 0.37, 1.95, tile - 0.4)
for (name, values), (word, left_of) in zip(curves.items(), (("by code", 5.95), ("lengths", 6.6), ("sums", 7.2)), strict=True):
    ink, line = LOOK[name]
    ax.plot(np.linspace(0, 1, len(values)), values.cpu(), line, color=ink)
    note(left_of, low + tile + 0.03, word, fontsize=7.5, color=ink)
ax.axhline(1, color="#CCCCCC", lw=0.8, zorder=0)
ax.set(xlabel="share of patches", ylabel="code / whole")
note(5.65, low + tile + 0.2, "7  patch after patch")

arrived = float(sent["block1"].sum(0)[-patches[0] * patches[1] :].sum())
show(fig, "fig-ierf-6",
     f"CAFE on latent {hero} of {last}, the strongest of {{numref}}`fig-ierf-5`. (1) The image. (2) The latent's code on each patch's token; the box, in all "
     "panels, is the firing token. (3) The strongest codes at that token. (4) Relevance starts there as the latent's code, and is sent back; "
     "each panel has its own scale, and the numbers are sums over channels. (5) The iERF: the image where relevance is high, "
     "with the length or with the sum of each patch's vector. (6) The image with one patch in four, those with the highest codes or those "
     "of the iERF, and how much of the code they bring back. (7) The same for any number of patches (iERF, figure 6).",
     alt="Above, an image, a map of numbers and bars; in the middle a row of maps that spread from one token to the object; below, dimmed "
         "images, images with few patches, and rising curves.")

# %% [markdown]
# In step 4 much stays in the box for a while, since a block only adds to what its token holds already. A patch's channels can carry
# large relevance of both signs that cancels, and the length of the vector doesn't see that. This is what
# makes the box shine in the iERF by lengths.
#
# ## Does the evidence suffice?
#
# An iERF that is right names the patches that the code needs. So put them back on a blank image one after the other,
# in its order, and watch the code return ({term}`insertion and deletion`). A good order brings it back early, and the area under the
# curve says how early. The paper compares ordering by codes with iERFs by four attributors. We add sums, and as a control the patches
# nearest to the firing token first. The token that is read stays the one that fires on the whole image, and blank is
# the mean colour of the network's training images, or what its normalisation takes for that.


# %%
def sample(layer, many):
    """Draw latents, each with the image in which it is strongest, among those that fire often enough: images, Fired."""
    codes = peaks[layer].patch
    which = ((codes > 0).sum(0) >= fires).nonzero()[:, 0].cpu()
    which = which[torch.randperm(len(which), generator=torch.Generator().manual_seed(seed))[:many]].to(codes.device)
    images = x[codes[:, which].argmax(0)]
    return images, cafe.fire(model, saes[layer], images, which, layer)


def nearest(model, sae, images, fired):
    """Give patches that lie nearer to the firing token a higher number."""
    spots = places(patches, images)  # (2, down, across)
    here = torch.einsum("np,kp->nk", own_patch(fired), spots.flatten(1))
    return -(spots[None] - here[:, :, None, None]).norm(dim=1)


attributors = {**cafe.METHODS, "nearest first": nearest}
attributors["KernelSHAP"] = partial(cafe.METHODS["KernelSHAP"], samples=coalitions, seed=seed)
attributors["integrated gradients"] = partial(cafe.METHODS["integrated gradients"], steps=path)
curve, auc, failed = {}, {}, {}
for layer in layers:
    images, fired = sample(layer, tested)
    for name, attribute in attributors.items():
        try:
            found = attribute(model, saes[layer], images, fired)
        except ValueError as reason:  # the network uses what a method has no rule for
            failed[name] = str(reason)
            continue
        curve[layer, name] = cafe.insertion(model, saes[layer], images, fired, found, steps=steps).cpu()
        auc[layer, name] = cafe.area(curve[layer, name]).numpy()
usable = [name for name in attributors if (last, name) in auc]
for name, reason in failed.items():
    print(f"{name}: {reason}")


# %% tags=["hide-input"]
def error(values):
    """Standard error of a mean."""
    return values.std(ddof=1) / len(values) ** 0.5


TITLES = {"activation": "codes, activation ranking", "AttnLRP": "AttnLRP, lengths", "AttnLRP, signed": "AttnLRP, sums",
          "nearest first": "nearest first, a control"}
fig = plt.figure(figsize=(8, 5.3))
board = fig.subplot_mosaic([layers, ["areas"] * len(layers)], height_ratios=[1, 1.25])
for layer in layers:
    ax = board[layer]
    for name in usable:
        ink, line = LOOK[name]
        values = curve[layer, name]
        middle, ends = values.mean(0).numpy(), values.std(0).numpy() / len(values) ** 0.5
        t = np.linspace(0, 1, values.shape[1])
        ax.fill_between(t, middle - ends, middle + ends, color=ink, alpha=0.12, lw=0)
        ax.plot(t, middle, line, color=ink, lw=1.3)
    ax.axhline(1, color="#CCCCCC", lw=0.8, zorder=0)
    ax.set(title=layer, xticks=[0, 0.5, 1], ylim=(-0.03, 1.25))
    ax.set_xticklabels(["0", "½", "1"])
    if layer != first:
        ax.set_yticklabels([])
board[first].set_ylabel("code / whole code")
board[layers[len(layers) // 2]].set_xlabel("share of patches put back")
ax = board["areas"]
for j, layer in enumerate(layers):
    if j % 2:
        ax.axvspan(j - 0.5, j + 0.5, color="#F5F5F5", zorder=0)
    for i, name in enumerate(usable):
        values, place = auc[layer, name], j + 0.11 * (i - (len(usable) - 1) / 2)
        hollow = name in ("activation", "nearest first")
        ax.errorbar(place, values.mean(), error(values), color=LOOK[name][0], marker="o", ms=5, elinewidth=1.2,
                    mfc="white" if hollow else LOOK[name][0], ls="none", label=TITLES.get(name, name) if j == 0 else None)  # fmt: skip
ax.set_xticks(range(len(layers)), layers)
ax.tick_params(axis="x", length=0)
ax.set(xlim=(-0.5, len(layers) - 0.5), ylabel="area under the curve")
fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, handletextpad=0.2)
show(fig, "fig-ierf-7",
     f"Insertion of patches in the order of seven maps, for {tested} latents of each layer, drawn at random, each on its strongest "
     "image. Above: the code, as a share of that on the whole image, with standard errors as bands. It may exceed one, where later patches "
     "speak against the latent. Below: the area under these curves with standard errors over latents; higher is better (iERF, figure 7).",
     alt="Five panels of rising curves and, below them, dots with error bars for each layer and method.")

# %% tags=["hide-input"]
areas = pd.DataFrame({layer: {TITLES.get(n, n): auc[layer, n].mean() for n in usable} for layer in layers})
areas["mean"] = areas.mean(axis=1)
display(areas.round(3).rename_axis("order"))

# %%
PAPER = ["activation", "AttnLRP", "KernelSHAP", "integrated gradients", "gradients"]
if "AttnLRP" in usable:
    gain = {layer: auc[layer, "AttnLRP"] - auc[layer, "activation"] for layer in layers}  # pairs: same latent, same image
    ahead = [layer for layer in layers if gain[layer].mean() > 0]
    mean = {name: float(np.mean([auc[layer, name].mean() for layer in layers])) for name in usable}
    top = max((name for name in PAPER if name in usable), key=mean.get)
    clear = sum(gain[layer].mean() > 2 * error(gain[layer]) for layer in layers)
    verdict = len(ahead) == len(layers) and top == "AttnLRP"
    reason = (f"The area of AttnLRP (lengths) is above that of ranking by codes in {len(ahead)} of {len(layers)} layers, by more than two standard "
              f"errors in {clear}; on average over layers it is {mean['AttnLRP']:.3f} against {mean['activation']:.3f}. Of the paper's orders "
              f"the highest on average is {top} with {mean[top]:.3f}. AttnLRP with sums reaches {mean['AttnLRP, signed']:.3f}, and patches "
              f"nearest to the firing token {mean['nearest first']:.3f}.")
else:
    verdict, reason = None, f"AttnLRP can't follow this network: {failed['AttnLRP']}."
claim("ierf-10", holds=verdict, because=reason)

# %% [markdown]
# The paper prints curves and no areas, so only the order can be compared. Two of the methods have a head start: integrated gradients and
# KernelSHAP compare the image with the same blank one that the test begins with, while AttnLRP has never heard of it. What it has
# instead is its price, one pass back for each image.
#
# Look at the control as well. It knows nothing of the latent but where it fires. In an early layer that is nearly
# all there is to know. An attributor has earned its name where it leaves the control behind.
#
# ## Firing token against evidence, layer by layer
#
# Now the two places are held against each other: the firing token, and the centre of the iERF. Their distance is
# given in shares of the image's side. A centre can also move because a map is merely wide, so the plain test from above stands
# beside it: blank the patch that the token stands on, or blank all others.


# %%
def compared(layer):
    """Distance and both blanking tests for latents of a layer: a table, one row for each."""
    images, fired = sample(layer, placed)
    own = own_patch(fired)
    table = {"code left without the firing patch": left(images, fired, 1 - own), "code left with nothing else": left(images, fired, own)}
    for title, name in (("distance", "AttnLRP"), ("distance, sums", "AttnLRP, signed")):
        if name in usable:
            map = cafe.METHODS[name](model, saes[layer], images, fired)
            some = map.clamp_min(0).sum((1, 2)) > 0  # else it has no centre
            away = torch.full((len(images),), float("nan"), device=map.device)
            away[some] = cafe.distance(model, images[some], fired[some], map[some], count=counts[layer])
            table[title] = away
            table[f"firing patch is the highest, {'sums' if 'sums' in title else 'lengths'}"] = (map.flatten(1).argmax(1) == own.argmax(1)).float()
    return pd.DataFrame({title: values.cpu().numpy() for title, values in table.items()})


tables = {layer: compared(layer) for layer in layers}
summary = pd.concat(tables).groupby(level=0, sort=False).mean()
WITHOUT = "code left without the firing patch"
summary["evidence mostly elsewhere"] = [float((table[WITHOUT] > 0.5).mean()) for table in tables.values()]
display(summary.T.round(3).rename_axis("mean over latents"))

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 2, figsize=(7.6, 2.7))
for j, table in enumerate(tables.values()):
    spread = 0.6 * (np.random.default_rng(seed).random(len(table)) - 0.5)
    for ax, title in zip(axes, ("distance", WITHOUT), strict=True):
        if title in table:
            values = table[title].to_numpy()
            ax.scatter(j + spread, values, s=5, color=sg.plot.colour("AttnLRP"), alpha=0.35, lw=0)
            ax.plot([j - 0.36, j + 0.36], [np.nanmean(values)] * 2, color="black")
for ax in axes:
    ax.set_xticks(range(len(layers)), layers)
    ax.tick_params(axis="x", length=0)
axes[0].axhline(1 / patches[1], color="#999999", lw=0.8, ls=":")
axes[0].set_ylabel("firing token to centre of iERF\n(dotted: the width of a patch)")
axes[1].set(ylabel="code left without\nthe firing patch", ylim=(-0.05, 1.6))
axes[1].axhline(1, color="#999999", lw=0.8, ls=":")
plt.show()

# %% [markdown]
# One dot is one latent, the lines are means. Compare also, in the table, how often the firing patch is the highest of the map with how
# often the code depends on it. Where the first is larger, relevance has stayed in the box without the box being needed: a token's own
# content passes through all blocks, and rules that go through them one by one give it credit on the way. So a
# bright box is no evidence by itself: blank it and see.
#
# The next figure shows what the test finds in each layer: a strong latent whose code suffers least without its firing patch. Its
# last rows are latents read at the class token. That token has no place, so there is no box, and without an iERF
# there would be nothing to show but the images.

# %%
used = {latent for latent, _ in odd}
rows_of = []
for layer in layers:
    latent, rows = next(found for found in distinct(ranking[layer], 9) if layer != last or found[0] not in used)
    rows_of.append((layer, latent, rows, "patch"))
whole = {}
for layer in dict.fromkeys([layers[len(layers) // 2], last]):
    codes = peaks[layer].whole
    which = alive(codes)
    if len(which):
        whole[layer] = names(layer, codes)
        order = which[codes[:, which].max(0).values.argsort(descending=True)]
        many = 1 if layer != last else 2
        rows_of += [(layer, int(k), codes[:, k].topk(4).indices, "class") for k in order[:many]]

# %% tags=["hide-input"]
fig, axes = plt.subplots(len(rows_of), 6, figsize=(8, 1.12 * len(rows_of) + 0.45), layout="none", squeeze=False)
high = fig.get_figheight()
fig.subplots_adjust(left=0.155, right=0.998, top=1 - 0.36 / high, bottom=0.003, wspace=0.05, hspace=0.06)
for line, (layer, latent, rows, where) in zip(axes, rows_of, strict=True):
    two = rows[:2]
    fired = cafe.fire(model, saes[layer], x[two], latent, layer, where=where)
    for i, name in enumerate(("AttnLRP", "AttnLRP, signed")):
        for j, row in enumerate(two.tolist()):
            ax = line[3 * j + 1 + i]
            if name in usable:
                lit(ax, row, cafe.METHODS[name](model, saes[layer], x[[row]], fired[[j]])[0])
                box(ax, fired.token[j] if where == "patch" else None, layer)
            else:
                bare(ax)
    for j, row in enumerate(two.tolist()):
        picture(line[3 * j], row, fired.token[j] if where == "patch" else None, layer)
    title = layer if where == "patch" else f"{layer}, class token"
    text = called(layer, latent, words if where == "patch" else whole)
    line[0].text(-0.4, patches[0] / 2, f"{title}\n{text}", ha="right", va="center", fontsize=7)
for ax, title in zip(axes[0], ["image", "iERF, lengths", "iERF, sums"] * 2, strict=True):
    ax.set_title(title, fontsize=8)
show(fig, "fig-ierf-8",
     f"Where latents of {network} fire, and their iERFs: the two images in which a latent is strongest, with a box at the firing "
     "token, and twice the same image lit where the iERF is high. In the first rows, of each layer the strong latent, not yet shown, whose "
     "code suffers least when the firing patch is blanked, of those whose best images show one class where there are any; in the last, the strongest latents of the class token, which has no place. Words as in "
     "{numref}`fig-ierf-5` (iERF, figure 8).",
     alt="Rows of latents from early to late layers, then of the class token: pictures with a red box, and the same pictures lit up in parts.")

# %%
if "AttnLRP" in usable:
    ends = [tables[layer]["distance"].dropna().to_numpy() for layer in (first, last)]
    growth, doubt = ends[1].mean() - ends[0].mean(), float(np.hypot(error(ends[0]), error(ends[1])))
    trail = [float(value) for value in summary["distance"]]
    mostly = summary["evidence mostly elsewhere"]
    verdict = bool(growth > 2 * doubt)
    reason = (f"The mean distance is {trail[0]:.3f} of the image's side in {first} and {trail[-1]:.3f} in {last}, {growth / doubt:.0f} standard errors "
              f"more; layer by layer {', '.join(f'{value:.3f}' for value in trail)}. Without the firing patch more than half of the code is left for "
              f"{mostly.iloc[0]:.0%} of latents in {first} and {mostly.iloc[-1]:.0%} in {last}, so such latents become more common, "
              f"{'and are the larger part' if mostly.iloc[-1] > 0.5 else 'but not the larger part'}.")
else:
    verdict, reason = None, f"AttnLRP can't follow this network: {failed['AttnLRP']}."
claim("ierf-11", holds=verdict, because=reason)

# %% tags=["hide-input"]
mostly = summary["evidence mostly elsewhere"]
means = areas["mean"].sort_values(ascending=False)
highest = [f"{value:.0%} ({title.split(', ')[1]})" for title, value in summary.loc[last].items() if title.startswith("firing patch")]
credit = [f"- Either may leave credit at the firing patch that it hasn't earned. In {last} that patch is the highest of the map for "
          f"{' and '.join(highest)} of the latents."] if highest else []  # fmt: skip
display(Markdown("\n".join([
    ":::{admonition} What to take away", ":class: tip",
    "- Where a latent fires and what it is about are two questions ({numref}`fig-ierf-5`). Blank the firing patch to tell: more than half of the code "
    f"stays for {mostly.iloc[0]:.0%} of latents in {first} and for {mostly.iloc[-1]:.0%} in {last}.",
    "- An iERF is a label that can be tested, by putting its patches back ({numref}`fig-ierf-7`). The mean areas are "
    f"{', '.join(f'{value:.2f} ({name})' for name, value in means.items())}.",
    "- Reducing relevance to one number a patch is a choice. Lengths keep what cancels, and sums don't ({numref}`fig-ierf-6`).", *credit,
    "- A latent of the class token has no place to look at, and its iERF has one ({numref}`fig-ierf-8`).",
    ":::"])))

# %% [markdown]
# ## Copy this
#
# Any timm vision transformer, any autoencoder. Weights and images here are random and the training is short, so the latents mean nothing.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.trace import cafe
from sightglass.trace.cafe.latents import tokens

my_model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=96).eval().requires_grad_(False)
my_images = torch.rand(8, 3, 96, 96)  # yours, in [0, 1]
my_x = zoo.normalise(my_model, my_images)
my_tokens = tokens(my_model, my_x, "blocks.5")  # (images, tokens, channels)
my_sae = cafe.train(my_tokens.flatten(0, 1), width=256, steps=60, batch=64)
my_peaks = cafe.peaks(my_model, my_sae, my_x, "blocks.5")
my_latent = int(my_peaks.patch.amin(0).argmax())  # one that fires in all images
my_ierf, my_fired = cafe.cafe(my_model, my_sae, my_x, my_latent, "blocks.5", method="AttnLRP, signed")
my_curves = cafe.insertion(my_model, my_sae, my_x, my_fired, my_ierf, steps=6)
assert my_ierf.shape == (8, 6, 6) and my_fired.token.min() >= 1
assert my_curves.shape == (8, 7) and torch.allclose(my_curves[:, -1], torch.ones(8), atol=1e-4)

# %% [markdown]
# :::{dropdown} Try next: more latents
# Run `python -m sightglass run world ierf/5-cafe -p tested=128 -p coalitions=512`. Does the order of the methods in
# {numref}`fig-ierf-7` change? KernelSHAP gains most from more coalitions.
# :::
#
# :::{dropdown} Try next: the second best image
# A latent's strongest image may be a lucky one. In `sample`, replace `argmax(0)` by the tenth best and see whether the distances hold.
# :::
#
# :::{dropdown} Try next: test the word
# A latent that is named after the wheel should lose its code with the wheels. Draw a bus again with `world.edit(plan, without="wheel")`
# and read the same token.
# :::
