# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Who has how much of whom? (iERF, section 4.1)
#
# **Question.** A network turns pixels into vectors, and those into other vectors, fifty times over. How much of a vector at the end belongs
# to one pixel at the start?
#
# Section 3 showed what the answer looks like ({doc}`/ierf/3-foundations`). This page shows how it is computed. The paper's engine is called
# sharing ratio decomposition, SRD {cite:p}`kim2026,han2024`. It asks the question for one layer only, where it has an exact answer, and
# chains the answers. That can be done forwards, which shows what is going on, or backwards, which takes a single pass for
# every layer and pixel together. Both must give the same numbers, and here they are made to.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with a ResNet; other networks for the table | half a minute on one core | a minute on a GPU | {doc}`/ierf/3-foundations` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # nothing on this page is drawn by chance
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition; one of timm's ResNets with bottlenecks
about = "owl"  # the class of the first picture; the first one where an edition has no such class
inside = "layer2.1"  # a bottleneck, whose 3 × 3 convolution is looked at closely
networks = ["resnet50", "resnet18", "vgg16", "densenet121", "convnext_base"]  # for the table
photos = 24  # images for sums of relevance
small = 32  # pixels a side, for the recursion that the table checks against

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

import sightglass as sg
from sightglass import zoo
from sightglass.show import claim, show
from sightglass.trace.srd import forward_ierf, ierf, mixture, relevance_of_layers, sharing_ratios, srd
from sightglass.zoo.taps import record

sg.plot.style()
ed = sg.load(edition, device=device)
model, every = ed.model(network), list(ed.classes)
taps = [tap for tap in zoo.taps(model) if tap.startswith("block")]


def prepared(images, net=model):
    """Images as a network eats them, and its answers."""
    x = zoo.normalise(net, images.to(ed.device))
    with torch.no_grad():
        return x, net(x).cpu()


def on_grey(picture, map, most=None):
    """A signed map (h, w) over a picture (3, h, w) in pale grey: red is positive, blue negative: (h, w, 3)."""
    most = float(most or map.abs().flatten().quantile(0.998)) or 1.0
    level = (map / most).clamp(-1, 1)
    map = F.interpolate(level[None, None], picture.shape[1:])[0, 0]
    grey = (0.8 + 0.2 * picture.mean(0))[..., None].expand(-1, -1, 3)
    ends = torch.tensor([[0.70, 0.09, 0.17], [0.13, 0.40, 0.67]])  # of the house's red and blue
    colour = torch.where(map[..., None] >= 0, ends[0], ends[1])
    alpha = map.abs().pow(0.7)[..., None]
    return (alpha * colour + (1 - alpha) * grey).numpy()


seen = ed.images("test", 200)
x, logits = prepared(seen.pixels)
target = torch.tensor([ed.outputs[label] for label in seen.labels.tolist()])
mine = seen.labels == every.index(about if about in every else every[0])
row = int((mine & (logits.argmax(1) == target)).float().argmax())  # the first picture of it that is recognised
image, one = seen.pixels[row], x[[row]]

# %% [markdown]
# ## One layer: how much is mine?
#
# Between two activation functions a network is affine: it multiplies by fixed numbers and adds. So the {term}`PFV` at position {math}`j`, before
# its activation function, is a plain sum of parts, one for each PFV {math}`i` that it was computed from. A part alone is what would come out
# if only that one were there. The {term}`sharing ratio` is the length of the part in the direction of the whole, as a share of the whole:
#
# $$ \mu_{i \to j} = \frac{\langle \hat v_{i \to j},\, v_j \rangle}{\| v_j \|^2}, \qquad v_j = \sum_i \hat v_{i \to j} . $$ (eq-ierf-ratio)
#
# A part that points against the whole has a negative ratio. Because the parts sum to the whole, the ratios sum to one. And because the whole is taken
# before the activation function, nothing needs to be known about that function: ReLU, GELU or tanh, the shares stay. The same holds for the channels
# that ReLU switches off; they are part of what the vector says.
#
# Once the shares are known, the {term}`iERF` of {math}`v_j` follows from the iERFs of its sources, and those from theirs, down to pixels,
# where the iERF of a pixel is the pixel itself.
#
# $$ \mathrm{iERF}(v_j) = \sum_i \mu_{i \to j}\; \mathrm{iERF}(v_i) . $$ (eq-ierf-recursion)

# %%
block = model.get_submodule(inside)
before, after = f"{inside}.act1", f"{inside}.act2"  # the sources, and the 3 × 3 convolution's PFVs
with record(model, [before, f"{inside}.bn2"]) as kept, torch.no_grad():
    model(one)
side = round(kept[before].shape[2] ** 0.5)
sources = kept[before].unflatten(2, (side, side))  # (1, c, side, side)
whole = kept[f"{inside}.bn2"][0]  # (c, positions), before the activation function


def affine(v):
    """The map between the two activation functions: a convolution, then a normalisation with fixed numbers."""
    return block.bn2(block.conv2(v))


ratio = sharing_ratios(affine, sources).cpu()  # (positions out, positions in)
relevant = relevance_of_layers(model, one, target[[row]], taps=[after])[after][0].cpu().reshape(side, side)
inner = relevant[1:-1, 1:-1]  # where all nine sources exist
down, across = divmod(int(inner.argmax()), side - 2)
j = (down + 1) * side + across + 1
nine = [(down + a) * side + across + b for a in range(3) for b in range(3)]
maps = ierf(model, one, before, nine).cpu()  # (9, size, size)
made = ierf(model, one, after, [j])[0].cpu()
summed = torch.einsum("i,ihw->hw", ratio[j, nine], maps)
nothing = affine(torch.zeros_like(sources)).flatten(2)[0, :, j].cpu()  # the constant that the layer adds
alone = [affine(sources * (torch.arange(side * side) == i).reshape(side, side).to(sources)).flatten(2)[0, :, j].cpu() for i in nine]
parts = torch.stack(alone) - nothing + nothing / 9  # (9, c): what comes of each source, and its share of the constant
v = whole[:, j].cpu()
assert torch.allclose(parts @ v / (v @ v), ratio[j, nine], atol=1e-5) and torch.allclose(parts.sum(0), v, atol=1e-4)

# %% tags=["hide-input"]
order = ratio[j, nine].argsort(descending=True).tolist()
told = [order[0], order[1], order[-1]]
COLOURS = (*sg.plot.PALETTE[:2], sg.plot.PALETTE[2])
weight = maps.clamp(min=0).sum(0)
centre = [int((weight.sum(d) * torch.arange(ed.size)).sum() / weight.sum()) for d in (1, 0)]
room = next((r for r in range(8, ed.size // 2, 2) if weight[max(0, centre[0] - r):centre[0] + r, max(0, centre[1] - r):centre[1] + r].sum()
             > 0.97 * weight.sum()), ed.size // 2)
rows_cut, columns_cut = (slice(s := max(0, min(ed.size - 2 * room, c - room)), s + 2 * room) for c in centre)
cut = (slice(None), rows_cut, columns_cut)

TALL = 6.9
fig = plt.figure(figsize=(8, TALL), layout="none")
tile, gap, top = 0.122, 0.012, 0.928
tall, row_gap = tile * 8 / TALL, 0.031
most = float(maps.abs().flatten().quantile(0.999))


def signed(number, digits=3):
    """A number with its sign, and a real minus."""
    return f"{number:+.{digits}f}".replace("-", "−")


for k, i in enumerate(nine):
    r, c = divmod(k, 3)
    ax = fig.add_axes([0.003 + c * (tile + gap), top - (r + 1) * tall - r * row_gap, tile, tall])
    ax.imshow(on_grey(image[cut], maps[k][cut[1:]], most))
    ax.set(xticks=[], yticks=[])
    lead = COLOURS[told.index(k)] if k in told else "#bbbbbb"
    ax.spines[:].set(visible=True, color=lead, lw=2.2 if k in told else 0.8)
    ax.set_title(f"{signed(float(ratio[j, i]))} ×", fontsize=8.5, pad=3, color=lead if k in told else "#222222",
                 fontweight="bold" if k in told else "normal")
grid_bottom = top - 3 * tall - 2 * row_gap
big = 0.28
mid = (top + grid_bottom) / 2
xs = 3 * (tile + gap) + 0.04
fig.text(xs - 0.025, mid, "=", fontsize=20, ha="center", va="center")
ax = fig.add_axes([xs, mid - big * 8 / TALL / 2, big, big * 8 / TALL])
ax.imshow(on_grey(image[cut], summed[cut[1:]]))
ax.set(xticks=[], yticks=[])
ax.spines[:].set(visible=True, color="#222222", lw=1.2)
ax.set_title("the nine, weighted and summed:\nthe iERF of the new PFV", fontsize=8.5, pad=4)
ax = fig.add_axes([xs + big + 0.03, mid - big * 8 / TALL / 2, 0.997 - xs - big - 0.03, big * 8 / TALL])
ax.imshow(image.permute(1, 2, 0))
for colour, width in (("white", 2.4), ("black", 1.1)):
    ax.add_patch(plt.Rectangle((columns_cut.start - 0.5, rows_cut.start - 0.5), 2 * room, 2 * room, fill=False, ec=colour, lw=width))
ax.set_axis_off()
ax.set_title("all of the picture", fontsize=8.5, pad=4)
fig.text(0, 0.985, "a  nine iERFs of the layer before, around one position, and the share of each", fontsize=9, va="center", fontweight="bold")
low = grid_bottom - 0.045
fig.text(0, low, f"b  where the shares come from: {len(v)} channels, sorted by the whole", fontsize=9, va="center", fontweight="bold")
length = float(v @ v)
lines = [("the whole, $v_j$", v, "#444444", f"squared length {length:.2f}")]
lines += [(f"part {n}", parts[k], COLOURS[n - 1],
           f"inner product {signed(float(parts[k] @ v), 2)}\n÷ {length:.2f} = {signed(float(parts[k] @ v) / length)}") for n, k in enumerate(told, 1)]
each = (low - 0.022) / len(lines)
bounds = 1.06 * min(float(v.min()), float(parts.min())), 1.06 * max(float(v.max()), float(parts.max()))
by_size = v.argsort(descending=True)
for n, (name, numbers, colour, text) in enumerate(lines):
    ax = fig.add_axes([0.115, low - 0.018 - (n + 1) * each + 0.01, 0.66, each - 0.01])
    ax.bar(range(len(v)), v[by_size], 0.82, color="#dddddd")
    ax.bar(range(len(v)), numbers[by_size], 0.82 if n == 0 else 0.5, color=colour)
    ax.axhline(0, color="#999999", lw=0.7)
    ax.set(xticks=[], yticks=[], xlim=(-0.7, len(v) - 0.3), ylim=bounds)
    ax.spines[:].set_visible(False)
    where = ax.get_position()
    fig.text(0.105, where.y0 + where.height / 2, name, ha="right", va="center", fontsize=8.5, color=colour)
    fig.text(0.79, where.y0 + where.height / 2, text, ha="left", va="center", fontsize=8.5, color=colour, linespacing=1.4)
show(fig, "fig-ierf-2",
     f"One step of the recursion, in {inside} of {network}. (a) Nine neighbouring PFVs feed one of the next layer. Their iERFs are drawn on the part of the picture "
     "that is framed at the right, red for a positive share of a pixel and blue for a negative one. The number is the sharing ratio; a sum "
     f"weighted with it gives the new iERF. (b) The new PFV before its activation function, {len(v)} channels, and three of the parts "
     "it is made of, framed in the same colour: the two largest and the least. Grey bars repeat the whole. The ratio is an inner product with the whole over the whole's "
     "squared length; a part includes its ninth of the layer's constant (iERF, figure 2).",
     alt="Nine small pictures with red spots and numbers, an equals sign, their weighted sum and the picture; below, rows of bars for a vector and three parts of it.")

# %%
constant = float((nothing @ v) / (v @ v))  # what the layer's own constants have in the vector
print("shares of the nine:", " ".join(f"{float(r):+.3f}" for r in ratio[j, nine]), f"sum {float(ratio[j].sum()):.6f}")
print(f"the layer's constant has {constant:+.3f}, handed out evenly and contained in the shares above")
difference = float((summed - made).abs().max() / made.abs().max())
print(f"nine iERFs, weighted, against the iERF by one backward pass from the image: largest difference {difference:.0e} of the largest value")
assert difference < 1e-4

# %% [markdown]
# The layer has constants of its own (biases, or what normalisation adds). They are part of the vector and belong to no source. The paper says
# that the ratios sum to one, so somebody must get them; we hand them out evenly. More on that below.
#
# What else is in a network? A pool is affine once it is known who won. A shortcut is a sum of two vectors, so that both have a share in it,
# found by the same inner product. Here is how that comes out, weighted by how relevant each position is. The taller the grey bar, the more of its
# vectors a block only passes on. (The first block of each stage has a convolution in its shortcut, too; it counts as shortcut.)

# %% tags=["hide-input"]
shortcuts = [name for name, module in model.named_modules() if hasattr(module, "downsample") and hasattr(module, "bn3")]
into = {name: f"{name}.downsample" if model.get_submodule(name).downsample is not None else f"{name}:input" for name in shortcuts}
ends = {name: f"{name}.act3" for name in shortcuts}
matter = relevance_of_layers(model, x[:photos], logits[:photos].argmax(1), taps=list(ends.values()))
with record(model, [*into.values(), *ends.values(), *[f"{name}.bn3" for name in shortcuts]]) as kept, torch.no_grad():
    model(x[:photos])
skip = {}
for name in shortcuts:
    z = kept[into[name]] + kept[f"{name}.bn3"]
    assert torch.allclose(z.relu(), kept[ends[name]], atol=1e-3)
    mu = (kept[into[name]] * z).sum(1) / z.square().sum(1).clamp(min=1e-30)
    r = matter[ends[name]].clamp(min=0)
    skip[name] = float((mu * r).sum() / r.sum())
fig, ax = plt.subplots(figsize=(8, 2.1))
ax.bar(range(len(skip)), skip.values(), 0.72, color="#999999", label="came by the shortcut")
ax.bar(range(len(skip)), [1 - s for s in skip.values()], 0.72, bottom=list(skip.values()), color=sg.plot.colour("srd"), label="by the convolutions")
ax.set(xticks=range(len(skip)), xticklabels=[name.removeprefix("layer") for name in skip], yticks=[0, 0.5, 1], ylabel="share of a PFV",
       xlabel=f"residual block of {network}, stage.block")
ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=2, borderpad=0)
plt.show()

# %% [markdown]
# ## The last step: from vectors to a class
#
# The recursion ends at the last block, where each position has its iERF. A {term}`saliency map` is their sum, weighted by what each
# position says about the class. That weight is its Grad-CAM score {cite:p}`selvaraju2017`, less the mean score over all classes, and zero where that
# is negative. The score is linear in the logits, so the mean takes no pass of its own: one backward pass from the
# logit less the mean logit gives the difference at once.
#
# A picture with two objects shows what the weights are for.

# %%
pairs = ed.images("pairs", 60) if not ed.gives("pairs") else seen
px, answers = prepared(pairs.pixels)
if pairs is seen:
    outputs = torch.tensor(ed.outputs)
    both = outputs[answers[:, outputs].topk(2, 1).indices]  # no second object is known, so ask for the network's first two ideas
    which = row
else:
    both = torch.stack([torch.tensor([ed.outputs[k] for k in labels.tolist()]) for labels in (pairs.labels, pairs.scenes.second)], 1)
    chances = answers.softmax(1).gather(1, both)
    which = int(chances.min(1).values.argmax())  # both objects are seen
pair, classes = pairs.pixels[which], both[which]
of = dict(zip(ed.outputs, every, strict=True))
names = [of[int(k)] for k in classes]
two = px[[which, which]]
found = srd(model, two, classes, at=taps[-1], levels=taps)
last = found.low.flatten(1).cpu()  # (2, positions): the weights of the last PFVs
wide = found.low.shape[-1]
final = ierf(model, px[[which]], taps[-1], torch.arange(wide * wide)).cpu()
by_hand = torch.einsum("kp,phw->khw", last, final)
assert (by_hand - found.input.cpu()).abs().max() < 1e-4 * found.input.abs().max()

# %% tags=["hide-input"]
fig = plt.figure(figsize=(8, 3.75), layout="none")
tile = 0.45 / wide
high = tile * 8 / 3.75
for p in range(wide * wide):
    r, c = divmod(p, wide)
    ax = fig.add_axes([c * tile + 0.1 * tile, 1 - (r + 0.8) * high, tile * 0.8, high * 0.8])
    ax.imshow(on_grey(pair, final[p]))
    ax.set_axis_off()
    for k in range(2 if wide <= 5 else 0):
        fig.text((c + 0.3 + 0.4 * k) * tile, 1 - (r + 0.89) * high, f"{float(last[k, p]):.2f}", fontsize=8, va="center", ha="center",
                 color=sg.plot.PALETTE[k], fontweight="bold" if last[k, p] > 0.5 * last[k].max() else "normal")
size = 0.25
for k in range(2):
    ax = fig.add_axes([0.485 + 0.265 * k, 0.005, size, size * 8 / 3.75])
    ax.imshow(on_grey(pair, by_hand[k]))
    ax.set_axis_off()
    ax.set_title(f"weighted for {names[k]}", fontsize=9, pad=4, color=sg.plot.PALETTE[k])
ax = fig.add_axes([0.485, 0.65, 0.34 * 3.75 / 8, 0.34])
ax.imshow(pair.permute(1, 2, 0))
ax.set_axis_off()
beside = [f"Left: the iERFs of all {wide * wide} positions", f"of {taps[-1]}" + (", each with its weight for" if wide <= 5 else "."),
          f"{names[0]} and for {names[1]}." if wide <= 5 else "", "Below: the two weighted sums."]
fig.text(0.485 + 0.34 * 3.75 / 8 + 0.02, 0.82, "\n".join(filter(None, beside)), fontsize=8.5, va="center", linespacing=1.4)
plt.show()

# %% [markdown]
# ## The same thing backwards
#
# The recursion is a picture to think with and a poor program: it holds a map of the whole image for every position of every layer. But only
# a weighted sum of the last iERFs is wanted. Start with their weights then, call them relevance {math}`R_j`, and hand them back along the same
# ratios, {math}`R_i = \sum_j \mu_{i \to j} R_j`. Since the parts are what an affine map {math}`J` makes of the sources,
#
# $$ R_i = \sum_j R_j \frac{\langle \hat v_{i \to j}, v_j \rangle}{\| v_j \|^2}
#        = \Bigl\langle v_i,\; J^{\top}\Bigl(\frac{R_j\, v_j}{\| v_j \|^2}\Bigr)_i \Bigr\rangle , $$ (eq-ierf-backward)
#
# (constants aside). The product with {math}`J^\top` is what every deep learning library does in its backward pass. So all that has to be
# changed in an ordinary backward pass is what happens at an activation function: take the inner product of activation and gradient, and
# send {math}`R_j v_j / \| v_j \|^2` on. Convolutions, pools, shortcuts and the rest need no rule.

# %%
hot = F.one_hot(last.argmax(1)[:1], wide * wide).float().to(two)
alone = srd(model, two[:1], [], at=taps[-1], levels=taps, weights=hot)
stages = [{tap: found.maps[tap][k].cpu() for tap in taps} | {"pixels": found.input[k].cpu()} for k in range(2)]
stages += [{tap: alone.maps[tap][0].cpu() for tap in taps} | {"pixels": alone.input[0].cpu()}]

# %% tags=["hide-input"]
order = [*taps[::-1], "pixels"]
fig = plt.figure(figsize=(8, 4.2), layout="none")
left, arrow = 0.102, 0.021
wide_in = (1 - left - arrow * (len(order) - 1)) / len(order)
high_in = wide_in * 8 / 4.2
titles = [f"class\n*{names[0]}*", f"class\n*{names[1]}*", f"one PFV\nof {taps[-1]}"]
for r, (stage, title) in enumerate(zip(stages, titles, strict=True)):
    y = 0.9 - (r + 1) * high_in - r * 0.058
    fig.text(left - 0.012, y + high_in / 2, title.replace("*", ""), ha="right", va="center", fontsize=8.5,
             color=[*sg.plot.PALETTE[:2], "#222222"][r])
    for i, tap in enumerate(order):
        at = left + i * (wide_in + arrow)
        ax = fig.add_axes([at, y, wide_in, high_in])
        ax.imshow(on_grey(pair, stage[tap]))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="#cccccc", lw=0.8)
        fig.text(at + wide_in / 2, y - 0.022, f"sum {float(stage[tap].sum()):.4f}", ha="center", va="center", fontsize=7.5)
        if i:
            fig.text(at - arrow / 2, y + high_in / 2, "→", ha="center", va="center", fontsize=10, color="#555555")
        if r == 0:
            fig.text(at + wide_in / 2, 0.955, f"{tap}\n{stage[tap].shape[0]} × {stage[tap].shape[1]}", ha="center", va="center", fontsize=8.5)
show(fig, "fig-ierf-13",
     f"The backward pass through {network}, drawn on real maps over the picture in grey. It starts at the last block with the weights of the PFVs for a class, and every layer "
     "hands relevance on to the one before, until it is at the pixels. All maps of a row come from one pass. First two rows: two "
     "classes of a picture that holds both. Last row: all the weight on one PFV, which makes the last map its iERF. Below each map, "
     "what it sums to (iERF, figure 13).",
     alt="Three rows of six maps each, from a coarse grid at the left to fine shapes at the right; the first row ends on one object, the second on the other.")

# %% [markdown]
# Each row of {numref}`fig-ierf-13` is one pass, and its maps are the low, high and input resolutions that the next page
# compares with other methods ({doc}`/ierf/4-2-saliency`). They also say which vectors of each layer matter, from which the concepts of
# {doc}`/ierf/6-1-concepts` are drawn. The sum below each map is the same from left to right. That isn't luck, it
# depends on what is done with constants.
#
# ## What becomes of constants?
#
# The paper says that every part is an affine function of its source, and that ratios sum to one. It doesn't say which source gets the
# layer's constant. Three conventions are possible: *spread* hands it out evenly over the sources of a position, as above; *centred* takes it out of the whole
# first, so that shares are those of what the sources have made; *drop* leaves it in the whole and gives it to nobody, which is what
# one gets if one forgets about it.

# %%
BIASES = ("spread", "centred", "drop")
few = x[:photos]
guess = logits[:photos].argmax(1)


def passed(net, x, classes, at, levels):
    """Relevance that is left at each level and at pixels, as a share of what was sent, and the maps, for each convention."""
    out = {}
    for bias in BIASES:
        s = srd(net, x, classes, at=at, levels=levels, bias=bias)
        sent = s.low.sum((1, 2))
        left = torch.stack([*[s.maps[level].sum((1, 2)) for level in levels], s.input.sum((1, 2))])
        out[bias] = (left / sent).cpu(), s.input.cpu()
    return out


levels = taps[::-1]
kept_of = passed(model, few, guess, taps[-1], levels)

# %% tags=["hide-input"]
fig = plt.figure(figsize=(8, 2.05), layout="none")
at_row = min(row, photos - 1)
for i, bias in enumerate(BIASES):
    ax = fig.add_axes([0.19 * i, 0.13, 0.183, 0.183 * 8 / 2.05])
    ax.imshow(on_grey(seen.pixels[at_row], kept_of[bias][1][at_row]))
    ax.set_axis_off()
    ax.set_title(f"{bias}: sum {float(kept_of[bias][0][-1, at_row]):.2f}", fontsize=8.5, pad=3)
ax = fig.add_axes([0.62, 0.21, 0.375, 0.635])
for bias, colour, width in zip(BIASES, (sg.plot.colour("srd"), sg.plot.PALETTE[0], "#777777"), (4, 1.6, 1.6), strict=True):
    ax.plot(range(len(order)), kept_of[bias][0], color=colour, lw=0.5, alpha=0.35)
    ax.plot(range(len(order)), kept_of[bias][0].median(1).values, color=colour, lw=width, label=bias, alpha=0.6 if width > 2 else 1)
ax.set(xticks=range(len(order)), xticklabels=[tap.removeprefix("block") for tap in order], ylim=(0, None), xlabel="block")
ax.set_title("share of the relevance that is left", fontsize=8.5, pad=3)
ax.legend(loc="lower left", ncol=3, fontsize=7.5, handlelength=1.3)
plt.show()

# %% [markdown]
# Here the maps look much alike. The sums don't: with *drop*, relevance leaks or grows on its way, by another amount for each image
# (thin lines; the thick ones are medians), and then a map's values are shares of nothing in particular. The book spreads.
#
# ## How exact is it?
#
# For each network, all {term}`iERF`s of its last block are built twice: by the recursion from pixels forwards, which uses no
# derivatives, and by the backward pass. The recursion needs a copy of the network's maps for every pixel, so the images for it are
# shrunk. By then ratios have been chained through every layer, and the sum of an iERF is one because theirs is at each of them.

# %%
def measured(role):
    """One row of the table: a network's errors, and what other conventions would have done."""
    net = ed.model(role)
    at = [tap for tap in zoo.taps(net) if tap.startswith("block")][-1]
    stages = [tap for tap in zoo.taps(net) if tap.startswith("block")]
    x, answers = prepared(seen.pixels[:photos], net)
    tiny = F.adaptive_avg_pool2d(x[[row % photos]], min(small, ed.size))
    started = time.process_time()
    forward = forward_ierf(net, tiny, at).cpu()
    seconds = time.process_time() - started
    backward = ierf(net, tiny, at, torch.arange(len(forward))).cpu()
    mu = mixed(len(forward))
    maps = torch.einsum("p,phw->hw", mu, forward), mixture(net, tiny, at, mu[None].to(tiny))[0].cpu()
    worst = max(float((a - b).abs().max() / a.abs().max()) for a, b in ((forward, backward), maps))
    sums = max(float((e.sum((1, 2)) - 1).abs().max()) for e in (forward, backward))
    other = passed(net, x, answers.argmax(1), at, stages)
    frozen = srd(net, x[:1], answers[:1].argmax(1), at=at, levels=[]).frozen
    usual = other["spread"][1]
    like = {bias: np.mean([np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(usual, other[bias][1], strict=True)])
            for bias in BIASES[1:]}
    return {"network": role, "last PFVs": len(forward), "forward against backward": worst, "sum of ratios, off one": sums,
            "sums of layers, apart": float((other["spread"][0] - 1).abs().max()),
            "drop: arrives": float(other["drop"][0][-1].median()),
            "drop: least": float(other["drop"][0][-1].min()), "drop: most": float(other["drop"][0][-1].max()),
            "map like spread's, centred": like["centred"], "map like spread's, drop": like["drop"],
            "scale held fixed": ", ".join(name.replace("_", " ") for name in frozen) or "nowhere", "recursion, s": seconds}


def mixed(count):
    """Unequal weights for PFVs, as a class would give: (count,)."""
    return torch.linspace(1, 2, count)


table = pd.DataFrame([measured(role) for role in networks if not ed.gives(role)]).set_index("network")

# %% tags=["hide-input"]
off = ["forward against backward", "sum of ratios, off one", "sums of layers, apart"]
page = table[off].map(lambda value: f"{value:.0e}")
page["dropped: arrives"] = [f"{row['drop: arrives']:.2f}, from {row['drop: least']:.2f} to {row['drop: most']:.2f}" for _, row in table.iterrows()]
page[["dropped: map", "centred: map"]] = table[["map like spread's, drop", "map like spread's, centred"]].map(lambda value: f"{value:.2f}")
page["scale held fixed"] = table["scale held fixed"]
show(page, "tab-ierf-x1",
     "Sharing ratios, checked. *Forward against backward*: largest difference between iERFs, and a weighted sum of them, built from pixels "
     f"forwards and by the backward pass, as a share of the largest value (one image of {min(small, ed.size)} pixels a side). *Sum of ratios*: how "
     "far the sum of any iERF is from one. *Sums of layers*: how far the relevance of any block or of the pixels is from what was sent, at "
     f"worst over {photos} images. These three with constants spread, in single precision. *Dropped: arrives*: the share of relevance that "
     "reaches the pixels when constants are left out, as median, least and most. *Map*: mean correlation of the input-scale map under that convention with the "
     "usual one. Normalisations that look at the image itself are given with their scale held fixed (iERF, beyond the paper).")

# %%
for role, numbers in table.iterrows():
    print(f"{role}: the recursion took {numbers['recursion, s']:.1f} s of processor time for {int(numbers['last PFVs'])} iERFs of one small image")
bound = 1e-5
sums, conserved = float(table["sum of ratios, off one"].max()), float(table["sums of layers, apart"].max())
claim("ierf-1", holds=max(sums, conserved) < bound,
      because=f"With constants spread, sums of ratios are off one by at most {sums:.0e} and sums of relevance differ between layers by at most {conserved:.0e}, for {len(table)} "
      f"network(s); with constants dropped, between {float(table['drop: least'].min()):.2f} and {float(table['drop: most'].max()):.2f} of the relevance would arrive.")
apart = float(table["forward against backward"].max())
claim("ierf-2", holds=apart < bound, because=f"The two differ by at most {apart:.0e} of the largest value, for {len(table)} network(s).")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - A sharing ratio is an inner product: how much of the whole points the way of the part ({numref}`fig-ierf-2`).
# - Chained forwards, ratios build iERFs; chained backwards, they carry relevance to all layers in one pass ({numref}`fig-ierf-13`). It is the same sum
#   in another order ({numref}`tab-ierf-x1`).
# - Only the place of an activation function matters, not which one it is.
# - "Ratios sum to one" is a convention about constants. State yours.
# :::
#
# ## Copy this
#
# SRD of a class, at several resolutions, for any timm ResNet. Use `pretrained=True` and your own images.

# %%
import timm
import torch

from sightglass import zoo
from sightglass.trace.srd import srd

my_model = timm.create_model("resnet18", pretrained=False).eval()
my_images = torch.rand(2, 3, 96, 96)  # in [0, 1]
my_x = zoo.normalise(my_model, my_images)
my_maps = srd(my_model, my_x, my_model(my_x).argmax(1), at="layer4", levels=["layer1", "layer2", "layer3"])
assert my_maps.input.shape == (2, 96, 96) and my_maps.maps["layer2"].shape == (2, 12, 12)
assert torch.allclose(my_maps.input.sum((1, 2)), my_maps.low.sum((1, 2)), rtol=1e-3)  # nothing got lost

# %% [markdown]
# :::{dropdown} Try next: another bottleneck
# Run `python -m sightglass run world ierf/4-1 -p inside=layer3.1`. Is the largest share still the middle one's? And with `-p inside=layer1.2`?
# :::
#
# :::{dropdown} Try next: by hand
# `sharing_ratios` takes any affine function. Give it a max pool followed by a convolution, and then the two apart and multiplied. Why do they differ?
# :::
