# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Drawing what a network saw (FeatInv, section 2)
#
# **Question.** Near its end, a network has turned a picture into a small grid of long vectors. Which picture would give just these
# vectors, and look like a picture at the same time?
#
# Many images give nearly the same {term}`feature map`, and most of them look like noise. FeatInv {cite:p}`neukirch2025` asks for those
# among them that look natural. A {term}`diffusion model` draws natural pictures and nothing else. FeatInv leaves its weights as they are, and trains a
# second network that tells it the features while it draws. The two together are an {term}`inverter`. Each picture drawn in this way is a sample of what the
# network could have been looking at. What differs from one sample to the next is what the features leave open.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with inverters | half a minute on one core | a minute on a GPU | {doc}`/world/networks` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the noise that drawing starts from
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition that has an inverter
about = "balloon"  # the class of the example; the first one where an edition has no such class
photos = 6  # test images in the first figure
candidates = 96  # test images among which the example is looked for
shown = 8  # noise levels, at most, at which the example is shown

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from matplotlib.patches import Circle, FancyBboxPatch

import sightglass as sg
from sightglass.invert import base as bases
from sightglass.invert import codec, control, judge, pictures, prompts, ready, sample
from sightglass.invert.encoder import features, sized
from sightglass.invert.jobs import RECIPES
from sightglass.invert.looks import RATIOS
from sightglass.invert.loop import AVERAGED
from sightglass.show import show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
role = network if network in ed.inverters else next(iter(ed.inverters or ed.networks))
model, every = ed.model(role), list(ed.classes)
seen = ed.images("test", max(photos, candidates))
outlook = pictures.shown(edition, "val", 2 * photos)  # pictures with captions that base and inverters didn't learn from
tap = ed.inverters[role].tap if role in ed.inverters else "block5"
reasons = []


def blank_base():
    """A base whose weights nobody trained, so that the page can still show how it is built."""
    return bases.build(codec.fit(sized(seen.pixels[:64], 64)), prompts.world_words()).to(ed.device)


def blank(pooled):
    """An inverter that nobody trained."""
    shape = tuple(features(model, seen.pixels[:1], tap).shape[1:])
    return control.build(base, shape, tap, pooled=pooled).to(ed.device)


def trained(make, otherwise):
    """What the edition has, or something untrained in its place and the reason."""
    try:
        return make()
    except (OSError, RuntimeError, ValueError) as reason:
        reasons.append(ed.gives("inverters") or str(reason))
        return otherwise()


base = trained(lambda: ready.base(ed, role), blank_base)
spatial = trained(lambda: ready.inverter(ed, role, on=base), lambda: blank(False))
pooled = trained(lambda: ready.inverter(ed, role, pooled=True, on=base), lambda: blank(True))
if reasons:
    display(Markdown(f"Some pictures of this page are {unavailable(reasons[0])}. In their place stands what untrained weights draw."))
captions = list(outlook.captions) if base.text or set(base.words) == set(outlook.words) else None

# %% [markdown]
# ## The pictures
#
# First the result. Below each test image are three drawn pictures. All drawing starts from random noise, here from the same noise everywhere. The first picture was drawn
# from the image's features with their positions, the second from their average over positions. The third was told nothing, so it's the same in every column. Under each is the
# {term}`cosine similarity` between the features of the drawn picture and those of the image, averaged over positions.

# %% tags=["hide-input"]
images = seen.pixels[:photos]
own = judge.of(spatial, model, images)
drawn = {"from its features": sample.reconstruct(spatial, own.maps, seeds=seed),
         "from their average": sample.reconstruct(pooled, own.maps, seeds=seed),
         "from nothing": sample.sample(base, seeds=[seed] * len(images), **spatial.drawing)}
cells, under = [list(sized(images, base.size))], [""] * len(images)
for each in drawn.values():
    cells.append(list(each))
    under += [f"{c:.2f}" for c in judge.judged(own, each).cosine.tolist()]
plt.show(sg.plot.grid(cells, rows=["test image", *drawn], captions=under))

# %% [markdown]
# How low and how high this cosine can get is measured on the next page, {doc}`/featinv/4-1-reconstruction`, and what other networks see in such pictures on the one
# after it, {doc}`/featinv/4-1-robustness`. This page is about how the pictures come about.
#
# ## The whole method in one picture
#
# {numref}`fig-featinv-2` follows one image. Everything in it is read off the modules while they run: the shapes, the feature maps,
# the pictures.

# %%
way = sample.how(spatial.drawing)
target = torch.tensor([ed.outputs[label] for label in seen.labels.tolist()])
everything = judge.appoint(model, seen.pixels, spatial.tap, size=spatial.facts.get("pixels", 0))
mine = seen.labels == every.index(about if about in every else every[0])
row = int((mine & (everything.outputs.argmax(1) == target)).float().argmax())  # the first picture of it that is recognised
image, maps = seen.pixels[[row]], everything.maps[[row]].to(ed.device)
anything, nothing = (base.prompts(prompts.special(which, 1)) for which in (prompts.ANY, prompts.NOTHING))


@torch.no_grad()
def followed(drift):
    """Follow a drift from noise: what enters each step, its noise level, and the clean picture that the step points at."""
    path = []

    def watched(z, level):
        pace = drift(z, level)
        path.append((z, float(level[0]), base.noising.clean(z, pace, level)))
        return pace

    sample.solve(watched, sample.noise(base.shape, [seed]).to(ed.device), way, base.noising)
    return path


def shapes(modules, run):
    """Shapes (c, h, w) of what modules give while something runs, and how many skips leave each."""
    found, skips = {}, {}

    def keep(name):
        def hook(module, given, out):
            first, rest = (out[0], out[1]) if isinstance(out, tuple) else (out, ())
            found[name], skips[name] = tuple(first.shape[1:]), len(rest)
        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found, skips


paths = {"from its features": followed(sample.guided(way, *sample.steered(spatial, maps, way))),
         "from their average": followed(sample.guided(way, *sample.steered(pooled, maps, way))),
         "from nothing": followed(sample.guided(way, *[lambda z, level, prompt=prompt: bases.velocity(base, z, level, prompt) for prompt in (anything, nothing)]))}
unet, net, encoder = base.unet, spatial.control.net, spatial.control.encoder
parts = {"first convolution": unet.conv_in, **{f"down {i + 1}": part for i, part in enumerate(unet.down_blocks)}, "middle": unet.mid_block,
         **{f"up {i + 1}": part for i, part in enumerate(unet.up_blocks)}, "last convolution": unet.conv_out,
         "encode": encoder.conv, "hint": net.controlnet_cond_embedding.conv_in, "zero": net.controlnet_cond_embedding.conv_out}
noisy, level, _ = paths["from its features"][0]
with torch.no_grad():
    known, skips = shapes(parts, lambda: bases.velocity(base, noisy, torch.tensor([level], device=ed.device), anything, spatial.control(
        noisy, torch.tensor([level], device=ed.device), anything, maps)))

# %% tags=["hide-input"]
FROZEN, TRAINED, GREY = ("#E4EDF4", "#8FAFC6"), ("#FBE5D6", "#D55E00"), "#777777"
HIGH, BELOW = 8.1, 3.62  # inches: the figure, and its lower panel


def said(shape):
    """A shape as one writes it."""
    return " × ".join(map(str, shape))


def decoded(z):
    """Latents (1, c, h, w) as a picture (h, w, 3)."""
    with torch.no_grad():
        return (base.codec.decode(z).sample[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).cpu()


def picture(ax, pixels, x, y, side, title=""):
    ax.imshow(pixels, extent=(x, x + side, y, y + side), aspect="auto", zorder=3)
    ax.text(x + side / 2, y + side + 0.05, title, ha="center", va="bottom", fontsize=7.5)


def sheets(ax, values, most, x, y, side):
    """Maps (k, h, w) of some channels, one behind the other."""
    for k in reversed(range(len(values))):
        at = (x + 0.08 * k, y + 0.08 * k)
        ax.imshow(values[k] / most[k], cmap="viridis", vmin=0, vmax=1, extent=(at[0], at[0] + side, at[1], at[1] + side), aspect="auto", zorder=4 - 0.1 * k)
        ax.add_patch(plt.Rectangle(at, side, side, fill=False, ec="white", lw=1.2, zorder=4.01 - 0.1 * k))


def block(ax, x, top, wide, high, text, look, size=7):
    ax.add_patch(FancyBboxPatch((x, top - high), wide, high, boxstyle="round,pad=0,rounding_size=.05", fc=look[0], ec=look[1], lw=0.9, zorder=3))
    ax.text(x + wide / 2, top - high / 2, text, ha="center", va="center", fontsize=size, zorder=4, linespacing=1.15)


def arrow(ax, start, end, colour=GREY, wide=1.0, style="-|>", **more):
    ax.annotate("", end, start, arrowprops={"arrowstyle": style, "color": colour, "lw": wide, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8, **more}, zorder=2.5)


def heading(ax, x, y, letter, text):
    ax.text(x, y, f"{letter}  {text}", fontsize=9, fontweight="bold", va="top")


def goal(ax):
    """Panel a: an image, its features, a picture drawn from them, its features; and the pooled way."""
    heading(ax, 0, HIGH - 0.03, "a", "the aim")
    found = {name: path[-1][2] for name, path in paths.items()}
    drawings = {name: decoded(z).permute(2, 0, 1)[None] for name, z in found.items()}
    again = judge.see(model, drawings["from its features"], spatial.tap, size=spatial.facts.get("pixels", 0))[0][0]
    first, mean = maps[0].cpu(), maps[0].cpu().mean((1, 2), keepdim=True).expand_as(maps[0])
    some = first.flatten(1).var(1).topk(3).indices
    low = torch.stack([first[some], again[some]]).amin((0, 2, 3))[:, None, None]
    most = (torch.stack([first[some], again[some]]).amax((0, 2, 3))[:, None, None] - low).clamp_min(1e-6)
    near = [torch.nn.functional.cosine_similarity(first, other, dim=0).mean() for other in
            (again, judge.see(model, drawings["from their average"], spatial.tap, size=spatial.facts.get("pixels", 0))[0][0])]
    ys, side, small, right = (6.72, 5.28, 3.92), 0.86, 0.62, 1.5
    shown_here = (sized(image, base.size)[0], drawings["from its features"][0], drawings["from their average"][0])
    for y, pixels, title in zip(ys, shown_here, ("an image x", "a picture x′", "another one"), strict=True):
        picture(ax, pixels.permute(1, 2, 0), 0, y, side, title)
    for y, values, title in zip(ys, (first, again, mean), ("its features φ", "its features φ′", "their average"), strict=True):
        sheets(ax, (values[some] - low), most, right, y + 0.04, small)
        ax.text(right + 0.39, y + 0.91, title, ha="center", va="bottom", fontsize=7.5)
    ax.text(right + 0.39, ys[0] - 0.02, said(first.shape), ha="center", va="top", fontsize=7)
    ax.text(right + 0.39, ys[2] - 0.02, f"{first.shape[0]} × 1 × 1, copied", ha="center", va="top", fontsize=7)
    for y in ys[:2]:
        arrow(ax, (side + 0.05, y + 0.43), (right - 0.06, y + 0.43))
        ax.text((side + right) / 2, y + 0.47, role, ha="center", va="bottom", fontsize=6.5, color=GREY)
    arrow(ax, (right - 0.06, ys[0] + 0.1), (side - 0.02, ys[1] + side + 0.22), TRAINED[1], 1.8)
    ax.text(right - 0.3, ys[0] - 0.25, "FeatInv", ha="left", va="top", fontsize=7.5, color=TRAINED[1], fontweight="bold")
    arrow(ax, (right - 0.06, ys[2] + 0.43), (side + 0.05, ys[2] + 0.43), TRAINED[1], 1.8)
    ax.text((side + right) / 2, ys[2] + 0.49, "FeatInv", ha="center", va="bottom", fontsize=6.5, color=TRAINED[1])
    arrow(ax, (right + 0.95, ys[0] + 0.3), (right + 0.95, ys[1] + 0.5), GREY, 1.0, "<|-|>", connectionstyle="arc3,rad=-0.25")
    ax.text(right + 0.88, ys[1] + 1.15, f"cosine {near[0]:.2f}", ha="right", va="center", fontsize=7)
    ax.text(side / 2, ys[2] - 0.02, f"cosine {near[1]:.2f}", ha="center", va="top", fontsize=7)


def machine(ax):
    """Panel b: the frozen base, the trained copy of its first half, and the encoder, with the shapes of this run."""
    heading(ax, 2.83, HIGH - 0.03, "b", "one step of drawing")
    wide, side, top, floor = 0.95, 0.66, 6.7, 4.3
    down, up, copy, code = 2.85, 4.27, 5.7, 7.02
    names = [name for name in parts if name.startswith(("first", "down"))]
    counts = [max(1, skips[name]) for name in names]
    rows_of, total = np.cumsum([0, *counts]), sum(counts)
    middle = 0.4
    step = (top - floor - middle - 0.14) / total
    pad = min(0.08, 0.2 * step)
    z, level, guess = paths["from its features"][len(paths["from its features"]) // 2]
    for x, pixels, title in ((down, decoded(z), f"noisy, s = {level:.2f}"), (up, decoded(guess), "what it points at"),
                             (copy, decoded(z), "the same again")):  # fmt: skip
        picture(ax, pixels, x + (wide - side) / 2, 7.05, side, title)
    for x in (down, copy):
        arrow(ax, (x + wide / 2, 7.03), (x + wide / 2, top))
    block(ax, up, 6.97, wide, 0.19, "convolution", FROZEN, 6.5)
    arrow(ax, (up + wide / 2, 6.97), (up + wide / 2, 7.05))
    arrow(ax, (up + wide / 2, top), (up + wide / 2, 6.78))
    for i, name in enumerate(names):
        high = counts[i] * step - pad
        for x, look in ((down, FROZEN), (copy, TRAINED)):
            label = "convolution" if i == 0 else name
            block(ax, x, top - rows_of[i] * step, wide, high, f"{label}\n{said(known[name])}" if high > 0.28 else label, look)
            if i:
                arrow(ax, (x + wide / 2, top - rows_of[i] * step + pad), (x + wide / 2, top - rows_of[i] * step), mutation_scale=5)
    last = total
    for i, part in enumerate(unet.up_blocks):
        own = len(part.resnets)
        block(ax, up, top - (last - own) * step, wide, own * step - pad, f"up {i + 1}\n{said(known[f'up {i + 1}'])}", FROZEN)
        if last < total:
            arrow(ax, (up + wide / 2, top - last * step), (up + wide / 2, top - last * step + pad), mutation_scale=5)
        last -= own
    for k in range(total):
        y = top - (k + 0.5) * step + pad / 2
        arrow(ax, (down + wide, y), (up, y))
        added(ax, copy, up + wide, y)
    block(ax, down, floor + middle, up + wide - down, middle, f"middle  {said(known['middle'])}", FROZEN)
    block(ax, copy, floor + middle, wide, middle, f"middle\n{said(known['middle'])}", TRAINED)
    added(ax, copy, up + wide, floor + middle / 2)
    for x in (down, copy):
        arrow(ax, (x + wide / 2, top - total * step + pad), (x + wide / 2, floor + middle))
    arrow(ax, (up + wide / 2, floor + middle), (up + wide / 2, top - total * step + pad))
    ax.text((down + up + wide) / 2, floor - 0.06, "the base, frozen", ha="center", va="top", fontsize=8, color="#4F7A99", fontweight="bold")
    ax.text(copy + wide / 2, floor - 0.06, "the control, trained", ha="center", va="top", fontsize=8, color=TRAINED[1], fontweight="bold")
    first = maps[0].cpu()
    some = first.flatten(1).var(1).topk(3).indices
    low = first[some].amin((1, 2))[:, None, None]
    sheets(ax, first[some] - low, (first[some].amax((1, 2))[:, None, None] - low).clamp_min(1e-6), code + 0.13, 4.36, 0.54)
    ax.text(code + wide / 2, 4.335, said(first.shape), ha="center", va="top", fontsize=7)
    boxes = ((f"enlarge\n{said((first.shape[0], *known['encode'][1:]))}", FROZEN), (f"convolution\n{said(known['encode'])}", TRAINED),
             (f"convolution\n{said(known['hint'])}", TRAINED), (f"zero at first\n{said(known['zero'])}", TRAINED))
    head, gap = counts[0] * step - pad, 0.1
    high = (top - 5.2 - 3 * gap) / 4
    for k, (text, look) in enumerate(boxes):
        bottom = 5.2 + k * (high + gap)
        arrow(ax, (code + wide / 2, bottom - gap if k else 5.08), (code + wide / 2, bottom), mutation_scale=6)
        block(ax, code, bottom + high, wide, high, text, look)
    arrow(ax, (code, top - head / 2), (copy + wide, top - head / 2), TRAINED[1], 1.6)
    ax.text(code + wide / 2, 7.76, "frozen", ha="center", va="center", fontsize=7, bbox={"fc": FROZEN[0], "ec": FROZEN[1], "boxstyle": "round,pad=.25"})
    ax.text(code + wide / 2, 7.5, "trained", ha="center", va="center", fontsize=7, bbox={"fc": TRAINED[0], "ec": TRAINED[1], "boxstyle": "round,pad=.25"})
    ax.add_patch(Circle((code + 0.1, 7.2), 0.07, fc="white", ec=TRAINED[1], lw=0.9))
    ax.text(code + 0.1, 7.195, "0", ha="center", va="center", fontsize=6, color=TRAINED[1])
    ax.text(code + 0.21, 7.2, "convolution that\nstarts at zero", va="center", fontsize=6.3)


def added(ax, start, end, y):
    """An arrow of the control to the base, through a convolution that starts at zero."""
    arrow(ax, (start, y), (end, y), TRAINED[1], 1.1)
    ax.add_patch(Circle(((start + end) / 2 + 0.03, y), 0.07, fc="white", ec=TRAINED[1], lw=0.9, zorder=3))
    ax.text((start + end) / 2 + 0.03, y - 0.005, "0", ha="center", va="center", fontsize=6, color=TRAINED[1], zorder=4)


def steps(ax):
    """Panel c: the example at some noise levels, with features, with their average, with nothing."""
    heading(ax, 0, BELOW, "c", f"the same image on its way from noise, {way.steps} steps")
    path = paths["from its features"]
    some = np.unique(np.linspace(0, len(path) - 1, min(shown, len(path))).round().astype(int))
    left, side = 1.22, 0.78
    pitch = min((8 - left - side) / max(len(some) - 1, 1), 1.0)
    lines = [("what enters,\nnoisy", [step[0] for step in path])]
    lines += [(f"what it points at,\n{name}", [step[2] for step in taken]) for name, taken in paths.items()]
    for i, (name, latents) in enumerate(lines):
        y = BELOW - 0.4 - side - i * (side + 0.025) - 0.02 * (i > 0)
        ax.text(left - 0.08, y + side / 2, name, ha="right", va="center", fontsize=7.5)
        for j, k in enumerate(some):
            picture(ax, decoded(latents[k]), left + j * pitch, y, side, f"s = {path[k][1]:.2f}" if i == 0 else "")


fig = plt.figure(figsize=(8, HIGH), layout="none")
ax = fig.add_axes([0, 0, 1, 1])
goal(ax)
machine(ax)
steps(ax)
ax.set(xlim=(0, 8), ylim=(0, HIGH))
ax.set_axis_off()
show(fig, "fig-featinv-2",
     f"(a) A network turns an image x of the class *{every[int(seen.labels[row])]}* into features φ; three of their channels are shown. FeatInv draws a picture from "
     "the features with positions (x′), or from their average. The cosines say how near the features of each drawn picture are to φ. (b) One step of drawing with the "
     "shapes of this run, channels × height × width. The frozen base sees a noisy picture, of which s is the share of noise, and points at the clean one that it expects. "
     "The control is a trainable copy of its first half that sees the features, too, and adds to what the second half reads. Both are also told s and a prompt, the same "
     "for all images. (c) From the same noise, with three kinds of help: what enters each step, and the clean picture that it points at. Coarse things are settled "
     "first (FeatInv, figure 2).",
     alt="Left a loop from an image to its features, to a drawn picture and to its features. Right a diagram of two columns of blue blocks and one of orange ones whose "
         "arrows lead to the blue. Below four rows of small pictures that become clearer from left to right.")

# %% [markdown]
# ## Step 1: pictures become small grids
#
# Drawing pixel by pixel is slow, and most of the work would be spent on grain. So the drawing happens on small grids of numbers, the {term}`latents`,
# as in latent diffusion {cite:p}`rombach2022`. A {term}`codec` packs a picture into latents and unpacks it again. Both halves are trained before everything
# else. In the world, what is unpacked has to be right in pixels and in the features of a network that isn't inverted here, even with some noise on the latents, so that near
# latents mean near pictures. What the codec loses, no reconstruction can have. So the lower row is the best that can be hoped for, and so are the cosines under it.

# %%
def weights(*modules):
    """Numbers that training could change."""
    return sum(p.numel() for module in modules for p in module.parameters())


packed = judge.through_codec(base, images)
print(f"{images.shape[1]} × {base.size} × {base.size} pixels become {said(base.shape)} latents; the codec has {weights(base.codec):,} weights")

# %% tags=["hide-input"]
plt.show(sg.plot.grid([list(sized(images, base.size)), list(packed)], rows=["test image", "packed and\nunpacked"], captions=[""] * photos + [
    f"{c:.2f}" for c in judge.judged(own, packed).cosine.tolist()]))

# %% [markdown]
# ## Step 2: a model that draws, and nothing else
#
# Mix latents {math}`z` with noise {math}`\epsilon`, on the straight line from one to the other. The share of noise is {math}`s`:
#
# $$ z_s = (1 - s)\, z + s\, \epsilon . $$ (eq-featinv-path)
#
# A network {math}`v_\theta` is shown {math}`z_s` and {math}`s`, and learns in which direction the noise lies, {math}`\epsilon - z`. It can't know which picture is
# behind the noise, so it learns the average over all that fit. Go from pure noise a little way against this direction, ask again, and after a few such steps there
# is a picture. The paper's base mixes picture and noise with other weights, and was trained to name the noise {math}`\epsilon` instead of the direction
# ({eq}`eq-featinv-loss`). Given the mixture and its weights, either can be computed from the other.
#
# The base also reads a prompt {math}`p`. In the second row below, it draws the captions of images that it has never seen. In the last row it gets the prompt that stands for
# any picture. It gets this one whenever features are inverted, so that all that is known of the image comes from the features.

# %%
def as_drawn(given):
    """Pictures of captions, or of anything (None), each from noise of its own."""
    return sample.sample(base, given, seeds=range(seed, seed + photos), **spatial.drawing)


captioned, free = as_drawn(captions[:photos] if captions else None), as_drawn(None)
real = sized(outlook.images[:photos].float() / 255, base.size)
print(f"the base has {weights(base.unet):,} weights; {way.steps} steps per picture")

# %% tags=["hide-input"]
lines = [("image", real), ("its caption,\ndrawn", captioned), ("anything,\ndrawn", free)]
lines = lines if captions else lines[2:]
below = captions[:photos] if captions else []
plt.show(sg.plot.grid([list(line) for _, line in lines], rows=[name for name, _ in lines],
                      captions=[""] * photos * bool(captions) + below + [""] * photos))

# %% [markdown]
# ## Step 3: a control that begins with nothing
#
# Now the base is frozen. A {term}`ControlNet` {cite:p}`zhang2023` is a copy of the base's first half that starts from the same weights. The copy sees the same noisy
# picture and, added to what its first convolution gives, the features. What its blocks say is added to the skip connections of the base ({numref}`fig-featinv-2`b), each
# through a convolution of one by one pixel whose weights start at zero. At first, then, the control says nothing and the base draws as if it weren't there. Every step of
# training is a small change of something that works.
#
# Features come on another grid and in another number of channels than the latents. Each channel is brought to mean 0 and deviation 1, which the authors' code leaves out. Its
# map is enlarged to the latents' grid by bilinear interpolation, and convolutions do the rest. The *pooled* variant first takes the mean over positions and copies it to all
# places. Everything else stays the same, so the two differ only in whether they are told where things are.

# %%
fresh = control.build(base, spatial.shape, spatial.tap).to(ed.device)
plain = sample.sample(base, seeds=[seed] * 2, **spatial.drawing)
controlled = sample.reconstruct(fresh, own.maps[:2], seeds=seed, **spatial.drawing)
print(f"untrained control against the base alone: largest difference of a pixel {float((plain - controlled).abs().max()):g}")
print(f"{weights(spatial.control):,} weights are trained, {weights(base.unet):,} are frozen")
assert torch.equal(plain, controlled)

# %% [markdown]
# ## Step 4: training
#
# The aim is the same as the base's. Only now the direction may depend on the features {math}`\varphi` of the very image that the noise was put on,
# {math}`p` is the prompt for any picture, and {math}`\theta` are the weights of the control, which alone learn:
#
# $$ \mathcal{L}(\theta) = \mathbb{E}_{z, \epsilon, s}\, \bigl\| (\epsilon - z) - v_\theta(z_s, s, p, \varphi) \bigr\|^2 . $$ (eq-featinv-training)
#
# The paper reads the last map before pooling, and so does this book, except for the world's SwinV2: its last map has two by two positions only, so the one before
# it is read. No network looks at what is drawn, and no distance of features is in the loss. How near the features of a drawn picture come to those of the image is a
# consequence, and therefore a test.

# %% tags=["hide-input"]
cards, without = {}, []
for name in ed.inverters:
    for kind in (False, True):
        try:
            cards[name, kind] = ready.inverter(ed, name, pooled=kind, on=base).facts
        except (OSError, RuntimeError, ValueError):
            without.append(f"{name}{', pooled' * kind}")
if without:
    display(Markdown(f"Not among the curves, since there is no inverter on this base: {'; '.join(without)}."))
hues = {name: sg.plot.PALETTE[k % len(sg.plot.PALETTE)] for k, name in enumerate(ed.inverters)}


def along(card, key):
    """Steps and values of one number of a training's curve."""
    points = [(point["step"], point[key]) for point in card.get("curve", ()) if key in point]
    return zip(*points, strict=True) if points else ((), ())


def last(card, key):
    """The last value of a number of a training's curve, NaN where it was never measured."""
    return next((point[key] for point in reversed(card.get("curve", ())) if key in point), float("nan"))


def curves(axes):
    """Loss and cosine by step, and what is left of the base's error at some amounts of noise."""
    for (name, kind), card in cards.items():
        look = {"color": hues[name], "ls": (0, (3, 1.5)) if kind else "-", "lw": 1.3}
        axes[0].plot(*along(card, "loss"), **look)
        axes[1].plot(*along(card, "cosine"), marker="o", ms=3.5, mfc="white" if kind else hues[name], **look)
        ratio = [100 * last(card, f"error at {r}") / last(base.facts, f"error at {r}") for r in RATIOS]  # NaN on a base from the hub
        axes[2].plot(range(len(RATIOS)), ratio, marker="o", ms=3.5, mfc="white" if kind else hues[name], **look)
    axes[2].axhline(100, color="#999999", lw=0.8)
    axes[2].text(len(RATIOS) - 1, 100.8, "the base alone", ha="right", va="bottom", fontsize=7.5, color="#777777")
    end = 1.04 * max(card["steps"] for card in cards.values())
    axes[0].set(title="a  loss", xlabel="step", xlim=(0, end))
    axes[1].set(title="b  cosine of the features, unseen images", xlabel="step", xlim=(0, end))
    axes[2].set(title="c  error of the picture pointed at, %", xlabel="signal to noise", ylim=(None, max(108, axes[2].get_ylim()[1])))
    axes[2].set_xticks(range(len(RATIOS)), [f"{r:g}" for r in RATIOS])
    handles = [plt.Line2D([], [], color=hues[name], label=f"{name}, {ed.inverters[name].tap}") for name in ed.inverters]
    handles += [plt.Line2D([], [], color="#444444", marker="o", ms=3.5, label="features with positions"),
                plt.Line2D([], [], color="#444444", marker="o", ms=3.5, mfc="white", ls=(0, (3, 1.5)), label="their average")]
    axes[1].figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 3, figsize=(8, 3.1))
if cards:
    curves(axes)
else:
    for ax in axes:
        ax.set_axis_off()
    axes[1].text(0.5, 0.5, unavailable(reasons[0]), ha="center", va="center", wrap=True, fontsize=8)
show(fig, "fig-featinv-x1",
     f"How the inverters were trained, as their files record it. (a) Loss, averaged over {AVERAGED} steps. (b) Cosine between the features of validation images and "
     "those of pictures drawn from them, from one noise. (c) At the end of training: squared error of the clean picture that a step points at, in percent of the error that the "
     "base has without features, from hardly any noise at the left to hardly any picture at the right. Lower is better in (a) and (c), higher in (b).",
     alt="Three panels of lines, one for each inverter: loss and cosine by step of training, and error by signal to noise beside a line at one hundred percent.")

# %% [markdown]
# The last panel says where features matter: the lower a line, the more they add to what the base knows without them. With little noise, the picture can be seen through
# it, and features have little to add. With much noise, nearly all that can be known has to come from them. Training in the world therefore draws the share of noise mostly
# from the high end ("shift" in the table below).
#
# In training, prompt and features are left out together for some images, so that the control also learns what to say when it's told nothing.
# That allows for {term}`classifier-free guidance`: to go further in the direction in which a condition has changed the drawing. The authors' code goes away from the
# empty prompt and keeps the features on both sides. Here this is `against="prompt"`. With `against="all"` the features are left out, too, and so the drawn world's inverters draw.
# {doc}`/featinv/4-1-reconstruction` tries both on validation images, and how far to go.
#
# ## Paper against this run
#
# Section 2 of the paper has no results to compare with, so the table sets its settings beside those of this run. What the text doesn't say is taken from the authors' code.

# %% tags=["hide-input"]
card, recipe = spatial.facts, spatial.facts.get("recipe", RECIPES["inverter"])
given = {
    "the base": ("MiniSD, 860 M weights",
                 f"{base.facts['name'] if base.text else 'a small UNet of its own'}, {weights(base.unet) / 1e6:.1f} M weights"),
    "pictures": ("3 × 256 × 256", f"3 × {base.size} × {base.size}"),
    "latents": ("4 × 32 × 32", said(base.shape)),
    "prompt for all images": ("a high-quality, detailed, and professional image", "the same" if base.text else prompts.SPECIAL[prompts.ANY]),
    "the base is trained to name": ("the noise", "the noise" if base.text else "the direction from picture to noise"),
    "features, ResNet50": ("2048 × 7 × 7", said(spatial.shape) if role == "resnet50" else "another network"),
    "channels of the encoder": ("512", str(encoder.config.hidden)),
    "trained weights": ("373 M", f"{weights(spatial.control) / 1e6:.2f} M"),
    "training images": ("1.28 M, each three times",
                        f"{card['images']:,}, each {card['steps'] * recipe['batch'] / card['images']:.1f} times" if "images" in card else "none"),
    "steps, batch": ("480,000, 8", f"{card.get('steps', 0):,}, {recipe['batch']}"),
    "highest learning rate": ("1e-5", f"{recipe['rate']:.0e}".replace("e-0", "e-")),
    "prompt and features left out": ("15% of images", f"{recipe['drop']:.0%} of images"),
    "shift of noise while training": ("1 (none)", f"{recipe['shift']:g}"),
    "minutes of training": ("2,700 to 3,600 on two L40", f"{card.get('minutes', 0):g}"),
    "steps of drawing": ("50, DDIM", f"{way.steps}, {'DDIM' if way.solver == 'ddim' else 'DPM-Solver of second order'}"),
    "guidance": ("1.75 (ConvNeXt), away from the prompt", f"{way.guidance:g}, away from the prompt{' and the features' * (way.against == 'all')}"),
}
pd.DataFrame([(name, *pair) for name, pair in given.items()], columns=["setting", "paper and its code", f"this run, {role}"]).set_index("setting")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - Inverting features is drawing under a condition. The base knows what pictures look like, the control says which one, and each learns its own trade
#   ({numref}`fig-featinv-2`).
# - The control starts as nothing at all, to the last bit. Whatever it says later, it has learnt in order to make use of features.
# - Look for the features' say in the first steps, where there is mostly noise ({numref}`fig-featinv-2`c, {numref}`fig-featinv-x1`c). Where features leave a detail open, the
#   base makes it up. So a crisp line in a reconstruction is no evidence that the network saw it. It's better evidence when something stays the same from noise to noise, and
#   isn't there without features.
# :::
#
# ## Copy this
#
# All of it in two short trainings, on random data and a network with random weights: a base learns to draw pictures of one colour each, then a control learns to draw the
# colour whose features it's given. For your own network take your own images, larger `widths`, and the command
# `python -m sightglass invert train --model MODEL --tap TAP`, which runs the same loop with averaged weights, checkpoints and sheets of pictures.

# %%
import timm
import torch

from sightglass.invert import base as my_bases
from sightglass.invert import codec, control, flow, prompts, sample
from sightglass.invert.codec import pixels_in
from sightglass.invert.encoder import features, measure

draws = torch.Generator().manual_seed(0)
colours = torch.rand(256, 3, 1, 1, generator=draws)
my_images = (colours + 0.03 * torch.randn(256, 3, 32, 32, generator=draws)).clamp(0, 1)
my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_maps = features(my_model, my_images, "layer1")  # (n, c, h, w), from any tap with positions

my_base = my_bases.build(codec.fit(my_images, patch=8, channels=12), ["thing"], size=32, widths=(16, 24))
my_inverter = control.build(my_base, tuple(my_maps.shape[1:]), "layer1", hidden=16)
measure(my_inverter.control.encoder, my_maps)
latents, prompt = my_base.codec.pack(pixels_in(my_images)), my_base.prompts(prompts.special(prompts.ANY, 32))


def my_training(module, direction, steps):
    """Teach a module the direction from picture to noise; `direction(noisy, level, rows)` is what it says."""
    adam, losses = torch.optim.AdamW(module.parameters(), lr=4e-3, fused=True), []
    for _ in range(steps):
        rows = torch.randint(len(latents), (32,), generator=draws)
        z, level = latents[rows], flow.levels(32, draws, shift=2)
        noise = torch.randn(z.shape, generator=draws)
        loss = (direction(flow.mix(z, noise, level), level, rows) - (noise - z)).square().mean()
        loss.backward()
        adam.step()
        adam.zero_grad()
        losses.append(loss.item())
    return losses


my_training(my_base.unet, lambda noisy, level, rows: my_bases.velocity(my_base, noisy, level, prompt), 25)
my_bases.freeze(my_base)
losses = my_training(my_inverter.control, lambda noisy, level, rows: my_bases.velocity(
    my_base, noisy, level, prompt, my_inverter.control(noisy, level, prompt, my_maps[rows])), 55)

my_pictures = sample.reconstruct(my_inverter, my_maps[:64], seeds=range(64))
wanted, found = colours[:64].flatten(), my_pictures.mean((2, 3)).flatten()
agreement = torch.corrcoef(torch.stack([wanted, found]))[0, 1].item()
print(f"loss of the control {sum(losses[:5]) / 5:.2f}, later {sum(losses[-5:]) / 5:.2f}; colours of pictures and images correlate by {agreement:.2f}")
assert torch.equal(my_pictures, sample.reconstruct(my_inverter, my_maps[:64], seeds=range(64)))
assert agreement > 0.5

# %% [markdown]
# :::{dropdown} Try next: other networks
# Run `python -m sightglass run world featinv/2 -p network=convnext_base`, and `swinv2_base`. Do colours come back that are wrong in the pictures from ResNet50?
# :::
#
# :::{dropdown} Try next: another noise
# Run this page with `-p seed=1` and compare panel c of {numref}`fig-featinv-2`. What has changed between the two runs is what the features leave open.
# :::
#
# :::{dropdown} Try next: an inverter of your own
# `python -m sightglass invert train --model densenet121 --tap block4 --minutes 20` trains one for a network that has none yet, and writes a sheet of pictures every few
# hundred steps. Read it back by `control.load("densenet121", "block4")` or by the path of its folder.
# :::
