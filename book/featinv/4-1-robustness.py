# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do other networks agree? (FeatInv, section 4.1)
#
# **Question.** A picture that was drawn from a network's features convinces that network. Does it convince others, and does drawing still work for
# images unlike any that the {term}`inverter` learnt from?
#
# It's easy to convince one network. Change pixels along its gradient, and it will find its zebra in what looks to us like
# coloured sand. Such a picture tells of the network's blind spots, not of what its features hold. The paper {cite:p}`neukirch2025` lets every network judge
# the pictures of the others. This page repeats that test, asks what it can and can't show, and then feeds the networks pencil drawings,
# noisy images and images that were made to fool them.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with inverters of two networks or more; edited scenes for one of the unusual styles | a minute and a half on one core | half an hour on a GPU | {doc}`/featinv/4-1-reconstruction` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the noise: one noise for all pictures, so that only features make a difference
device = "auto"  # auto | cpu | cuda
networks = []  # roles that have an inverter; empty takes all of the edition's
bystander = "densenet121"  # a network that nothing was drawn from
n = 200  # test images whose pictures all networks judge; the paper has 10,000
shown = 8  # of them in the first figure
few = 16  # of them, how many are also made by following the gradient
climb = 60  # steps of that
styled = 32  # images that are shown in unusual styles
fooled = 16  # images that an attack tries to fool a network with, those nearest to a mistake
pushes = [16, 24]  # how far it may move a pixel, of 255 steps; the smallest is tried first

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import world, zoo
from sightglass.invert import judge, ready
from sightglass.invert.encoder import as_map, sized
from sightglass.invert.sample import reconstruct
from sightglass.invert.survive import along
from sightglass.metrics import bootstrap, wilson
from sightglass.show import beside, claim, show, unavailable
from sightglass.trace.diagnose import fgsm
from sightglass.world.dice import Dice
from sightglass.world.planning import HOME
from sightglass.world.styles import STYLES, restyle
from sightglass.zoo.taps import record

sg.plot.style()
ed = sg.load(edition, device=device)
roles = {ready.title(role): role for role in networks or ed.inverters}
base, inverters, missing = ready.found(ed, {name: {"role": role} for name, role in roles.items()})
names = list(inverters)
for row, reason in missing.items():
    display(Markdown(f"{row[0].upper()}{row[1:]}: {unavailable(reason)}"))
if not names:
    display(Markdown("Without an inverter this page has nothing to show, and it ends here."))

# %%
if names:
    images = ed.images("test", n)
    models = {name: ed.model(roles[name]) for name in names}
    own = {name: judge.of(inverters[name], models[name], images.pixels) for name in names}  # what each network sees in them
    drawn = {name: sg.kept(reconstruct, inverters[name], own[name].maps, seeds=seed) for name in names}
    met = judge.matrix(own, drawn)  # (drawn from, judged by)
    low = {name: judge.floor(own[name], seed=seed) for name in names}
    packed = judge.through_codec(base, images.pixels)
    high = {name: judge.judged(own[name], packed) for name in names}
    classes = min(own[name].outputs.shape[1] for name in names)
    print(f"{len(images)} test images, {classes} classes; " + ", ".join(f"{name} at {inverters[name].tap}" for name in names))

# %% [markdown]
# ## The pictures
#
# Each column is a test image, and each row below it the picture that one network's features gave. The marks under a picture are for the answers of
# all networks, in the order of the rows: ✓ where a network's first answer is the one that it gave for the original, ✗ where it isn't. One of them is the network
# that the picture was drawn from.

# %% tags=["hide-input"]
def marks(judges, row):
    """What networks say of one picture, as marks; `judges` are their judgements of the set that holds it."""
    return " ".join("✓" if found.match(1)[row] else "✗" for found in judges)


def first_of_each(count):
    """The first images that show different classes."""
    first = {}
    for i, label in enumerate(images.labels.tolist()):
        first.setdefault(label, i)
    return list(first.values())[:count]


def shrunk(pictures):
    """Bring drawn pictures to the size of the images."""
    return sized(pictures, ed.size)


if names:
    top = first_of_each(shown)
    cells, under = [list(images.pixels[top])], [""] * len(top)
    for name in names:
        cells.append(list(shrunk(drawn[name][top])))
        under += [marks([met[name, other] for other in names], i) for i in top]
    labels = [ed.classes[int(images.labels[i])] for i in top]
    sg.plot.grid(cells, rows=["test image", *[f"from {name}" for name in names]], columns=labels, captions=under)
    plt.show()

# %% [markdown]
# ## Every network judges all pictures
#
# A network's own answer for the original counts as right, whatever the image shows. The diagonal is what each network says of pictures drawn from
# its own features, the first table of {doc}`/featinv/4-1-reconstruction` again. Two more rows say where the scale begins and ends: another test image in place of the
# picture, and the original after it went through the {term}`codec`, which is the best that any picture of this {term}`diffusion model` can be.

# %%
def shares(judges):
    """The matches of a row of judges in percent."""
    return {f"{name} {word}": 100 * found.match(k).double().mean().item()
            for name, found in judges.items() for word, k in (("top-5", 5), ("top-1", 1))}


if names:
    lines = {name: shares({other: met[name, other] for other in names}) for name in names}
    lines |= {"another image": shares(low), "codec alone": shares(high)}
    crossed = pd.DataFrame(lines).T
    known = [name for name in names if name in ("ResNet50", "ConvNeXt", "SwinV2")]
    worst = 100 * max((p * (1 - p) / len(images)) ** 0.5 for p in (crossed.loc[names] / 100).to_numpy().ravel())
    easier = f" There are {classes} classes here and 1000 in the paper, so top-5 is easier." if classes < 1000 else ""
    show(beside(crossed[[f"{name} {word}" for name in known for word in ("top-5", "top-1")]], "tab-featinv-2",
                missing="no inverter of this network here"),
         "tab-featinv-2",
         f"Pictures drawn from the features of one network (rows), judged by each network (columns): the share of {len(images)} test images for which the judge's "
         "answer to the original is among its first five answers to the picture, or is its first. In the last rows, another test image or the original after packing "
         f"and unpacking stands in place of the picture.{easier} Standard errors are at most {worst:.1f} points (FeatInv, table 2).")

# %%
if len(names) > 1:
    apart = {(a, b): crossed.loc[a, f"{b} top-5"] - crossed.loc[a, f"{a} top-5"] for a in names for b in names if a != b}
    far = max(apart, key=lambda pair: abs(apart[pair]))
    step = {(a, b): crossed.loc[a, f"{b} top-1"] - crossed.loc[a, f"{a} top-1"] for a in names for b in names if a != b}
    deep = min(step, key=step.get)
    agree = bool(abs(apart[far]) <= 5)
    reason = (f"Of {len(apart)} entries off the diagonal, the farthest from the diagonal of its row is {far[1]} on pictures from {far[0]}: "
              f"{abs(apart[far]):.1f} points {'below' if apart[far] < 0 else 'above'} it in top-5. In top-1, the lowest against the diagonal of its row is "
              f"{deep[1]} on pictures from {deep[0]}, by {step[deep]:+.1f} points.")
    lowest = f"at worst {-step[deep]:.1f} points below it" if step[deep] < 0 else "nowhere below it"
    closest = (f"- In top-5, no other judge is farther than {abs(apart[far]):.1f} points from what the picture's own network keeps; in top-1, other judges are {lowest} "
               "({numref}`tab-featinv-2`).")
else:
    agree, reason = None, "It takes the inverters of two networks or more."
claim("featinv-8", holds=agree, because=reason)

# %% [markdown]
# ## What the test can show
#
# Would pictures that look like nothing fail this test? Here are some. They start as grey noise, and their pixels follow the gradient that brings one network's features
# nearer to those of the original. No drawing model is involved, so nothing makes them look like an image. If they convince the other networks as well, passing the test
# takes less than a natural picture. One more network joins the judges, from which nothing was drawn.

# %%
def climbed(model, tap, maps, steps, size, seed, rate=0.05):
    """Follow the gradient from noise to pixels (n, 3, size, size) whose features at a tap are like maps (n, c, h, w)."""
    draws = torch.Generator().manual_seed(seed)
    x = (0.5 + 0.1 * torch.randn(len(maps), 3, size, size, generator=draws)).to(maps.device).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        with record(model, tap) as kept:
            model(zoo.normalise(model, x.clamp(0, 1)))
        found = as_map(kept[tap], x.shape[2:], tap, getattr(model, "num_prefix_tokens", 1))
        loss = -F.cosine_similarity(found, maps, dim=1).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return x.detach().clamp(0, 1).cpu()


if names:
    count = min(few, len(images))
    judges = {name: judge.of(inverters[name], models[name], images.pixels[:count]) for name in names}
    stranger = "" if ed.gives(bystander) else bystander
    if stranger:
        judges[stranger] = judge.appoint(ed.model(stranger), images.pixels[:count])
    else:
        display(Markdown(f"The column of {bystander} is {unavailable(ed.gives(bystander))}."))
    ways = {"drawn": {name: drawn[name][:count] for name in names},
            "by gradient": {name: sg.kept(climbed, models[name], inverters[name].tap, own[name].maps[:count].to(ed.device), climb,
                                          own[name].size, seed) for name in names}}  # fmt: skip
    verdicts = {way: judge.matrix(judges, pictures) for way, pictures in ways.items()}

# %% tags=["hide-input"]
INKS = {"drawn": ("#D55E00", "o", "drawn from its features"), "by gradient": ("#0072B2", "s", "pixels by gradient")}


def image(fig, place, picture):
    """Put a picture (3, s, s) at a place in inches from the top left: x, y, side."""
    x, y, side = place
    wide, tall = fig.get_size_inches()
    ax = fig.add_axes([x / wide, 1 - (y + side) / tall, side / wide, side / tall])
    ax.imshow(picture.cpu().permute(1, 2, 0).clamp(0, 1))
    ax.set_axis_off()
    return ax


def write(fig, x, y, text, **look):
    """Write at a place in inches from the top left."""
    wide, tall = fig.get_size_inches()
    fig.text(x / wide, 1 - y / tall, text, **({"ha": "center", "va": "center", "fontsize": 8} | look))


def agreement(ax, name):
    """Draw how many pictures from one network keep the answers of each judge, in two ways of making them."""
    for i, other in enumerate(judges):
        for k, (way, (ink, mark, _)) in enumerate(INKS.items()):
            share = verdicts[way][name, other].match(1).double().mean().item()
            ends = wilson(share, count)
            x = i + 0.24 * (k - 0.5)
            ax.plot([x, x], ends, color=ink, lw=1.6, alpha=0.55)
            ax.plot(x, share, mark, color=ink, ms=5.5)
        if other == name:
            ax.axvspan(i - 0.5, i + 0.5, color="#F1F1F1", lw=0, zorder=0)
    ax.set(ylim=(-0.05, 1.07), xlim=(-0.5, len(judges) - 0.5), title=f"made from {name}")
    ax.set_xticks(range(len(judges)), [ready.title(other) for other in judges], rotation=35, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", length=0)


if names:
    name = names[0]
    columns = min(7, count)
    side = 0.94
    fig = plt.figure(figsize=(8, 3 * side + 2.95), layout="none")
    rows = {"test image": images.pixels[:count], f"drawn from\n{name}": shrunk(ways["drawn"][name]), f"by gradient\nfrom {name}": ways["by gradient"][name]}
    for j, (label, pictures) in enumerate(rows.items()):
        y = j * (side + 0.2) - (0.14 if j else 0)
        write(fig, 0.95, y + side / 2, label, ha="right")
        for i in range(columns):
            image(fig, (1.02 + i * (side + 0.05), y, side), pictures[i])
            if j:
                way = list(ways)[j - 1]
                write(fig, 1.02 + i * (side + 0.05) + side / 2, y + side + 0.095, marks([verdicts[way][name, other] for other in judges], i), fontsize=7.5)
    tall = fig.get_figheight()
    wide = 7.0 / len(names)
    for k, name in enumerate(names):
        ax = fig.add_axes([(0.9 + wide * k) / 8, 0.85 / tall, (wide - 0.25) / 8, 1.35 / tall])
        agreement(ax, name)
        if k == 0:
            ax.set_ylabel("answers kept")
        else:
            ax.set_yticklabels([])
    for ink, mark, label in INKS.values():
        fig.axes[-1].plot([], [], mark, color=ink, ms=5.5, label=label)
    fig.legend(*fig.axes[-1].get_legend_handles_labels(), loc="lower center", ncols=2, bbox_to_anchor=(0.55, 0.0), borderaxespad=0.1)
    plt.show()

# %% [markdown]
# Above, the two ways of making a picture, with the marks of all judges in the order in which they stand below each panel. Below, for pictures made from each network,
# the share of pictures for which each judge keeps its first answer, with its 95% interval; the network's own opinion is shaded. What convinces only the network that it
# was made from falls from the shaded column to the others. What is in the picture for all of them doesn't.

# %% tags=["hide-input"]
if names:
    def transfer(way):
        """Mean share of answers kept by a picture's own network, and by all others."""
        one = [verdicts[way][name, name].match(1).double().mean().item() for name in names]
        rest = [verdicts[way][name, other].match(1).double().mean().item() for name in names for other in judges if other != name]
        return sum(one) / len(one), sum(rest) / max(1, len(rest))

    passed = pd.DataFrame({INKS[way][2]: [*transfer(way), np.mean([verdicts[way][name, name].cosine.mean().item() for name in names])] for way in ways},
                          index=["own network keeps its answer", "others keep theirs", "cosine, own network"]).T
    display(passed.round(2))
    drawing, climbing = (100 * (passed.iloc[k, 1] - passed.iloc[k, 0]) for k in range(len(ways)))
    display(Markdown(f"From their own network to the others, the share changes by {drawing:+.0f} points for drawn pictures and by {climbing:+.0f} for pixels by gradient. " + (
        "Pixels that look like nothing convince other networks nearly as often as drawn pictures do, or more often. Agreement between networks says that the content is "
        "there, not that the picture is natural."
        if passed.iloc[1, 1] > passed.iloc[0, 1] - 0.1 else
        "Other networks believe the drawn pictures more often, so the test does ask for more than features that fit.")))

# %% [markdown]
# Two cautions. Networks that learnt from the same images share some of their blind spots, so agreement between them says less than as many
# independent opinions would. And a judge's answer is only a word: a picture may be called "car" like the original and have another colour, other wheels and another street.
# {doc}`/featinv/x-what-survives` asks about those.
#
# ## Images unlike any before
#
# The inverter and the diffusion model below it have seen ordinary images only. Now the network looks at something else: the same scenes in another place than usual,
# with inverted colours, as a pencil drawing, through noise and so on. It has features for these, too, but perhaps such as no ordinary image gives. The inverter can only
# answer with what it knows how to draw. The paper has a test of this kind in its supplement; the styles here are the book's own.

# %%
WORDS = {"drawn": "ordinary", "elsewhere": "elsewhere", "inverted": "inverted", "sketch": "pencil", "noise": "noise", "blur": "blurred",
         "pixels": "coarse", "contrast": "pale", "grey": "no colour"}


def elsewhere(count):
    """The first test scenes of the world, each with another background than its noun's own."""
    scenes = world.split_plan("test", range(count))
    step = 1 + Dice(scenes.keys).choice("away", len(world.BACKGROUNDS) - 1)
    moved = replace(scenes, background=(HOME[scenes.label] + step) % len(world.BACKGROUNDS))
    return world.draw(moved, ed.size, maps=False).pixels()


def in_style(style, pixels):
    """Show images (n, 3, s, s) in a style of the world's splits; photographs can be restyled as well."""
    dice = Dice(world.split_plan("test", range(len(pixels))).keys)
    return restyle(pixels.clone(), torch.full((len(pixels),), list(STYLES).index(style)), dice).clamp(0, 1)


if names:
    ordinary = images if styled <= n else ed.images("test", styled)
    plain = ordinary.pixels[:styled]
    inputs = {style: in_style(style, plain) for style in STYLES}
    if ed.gives("edits"):
        display(Markdown(f"Scenes in another place are {unavailable(ed.gives('edits'))}."))
    else:
        inputs = {"drawn": inputs.pop("drawn"), "elsewhere": elsewhere(len(plain)), **inputs}
    seen, redrawn, faithful, bottom, ceiling = {}, {}, {}, {}, {}
    for name in names:
        for style, pixels in inputs.items():
            key = name, style
            seen[key] = judge.of(inverters[name], models[name], pixels)
        maps = torch.cat([seen[name, style].maps for style in inputs])
        found = sg.kept(reconstruct, inverters[name], maps, seeds=seed).split(len(plain))
        redrawn |= {(name, style): part for style, part in zip(inputs, found, strict=True)}
    through = {style: judge.through_codec(base, pixels) for style, pixels in inputs.items()}
    for key, looked in seen.items():
        faithful[key] = judge.judged(looked, redrawn[key])
        bottom[key] = judge.floor(looked, seed=seed)
        ceiling[key] = judge.judged(looked, through[key[1]])

# %% tags=["hide-input"]
LOOKS = dict(zip(names, (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D")), strict=False))
ENOUGH = 0.8  # of the cosine on ordinary images, for the claim to hold


def cosine(table, key):
    """Mean cosine of a network on a style."""
    return table[key].cosine.mean().item()


def cosines(ax):
    """Draw mean cosines by style and network between their anchors."""
    for i, style in enumerate(inputs):
        for k, name in enumerate(names):
            ink, mark = LOOKS.get(name, ("#666666", "o"))
            x, key = i + 0.25 * (k - (len(names) - 1) / 2), (name, style)
            ax.plot([x - 0.09, x + 0.09], [cosine(bottom, key)] * 2, color=ink, lw=1.2, alpha=0.6)
            ax.plot([x - 0.09, x + 0.09], [cosine(ceiling, key)] * 2, color=ink, lw=1.2, alpha=0.6)
            ax.plot([x, x], [cosine(bottom, key), cosine(ceiling, key)], color=ink, lw=0.6, alpha=0.35)
            ax.plot([x, x], bootstrap(faithful[key].cosine.numpy()), color=ink, lw=2.2, alpha=0.55)
            ax.plot(x, cosine(faithful, key), mark, color=ink, ms=5.5, label=name if i == 0 else None)
            ax.plot(x, ENOUGH * cosine(faithful, (name, "drawn")), "_", color="#222222", ms=7, mew=1.1)
        if i:
            ax.axvline(i - 0.5, color="#EDEDED", lw=0.8, zorder=0)
    lowest = min(0.0, *(cosine(table, key) for table in (bottom, faithful) for key in faithful))
    ax.set(xlim=(-0.5, len(inputs) - 0.5), ylim=(lowest - 0.04, 1.03), ylabel="mean cosine")
    ax.set_xticks([])
    ax.plot([], [], "_", color="#222222", ms=7, mew=1.1, label=f"{ENOUGH:.0%} of the ordinary one")
    ax.plot([], [], color="#888888", lw=1.2, label="another image; codec alone")


if names:
    usual = torch.stack([faithful[key].cosine for key in faithful]).mean(0)
    pick = int(usual.argsort()[len(usual) // 2])  # the image with the median cosine
    left, side = 0.92, (8 - 0.92) / len(inputs) - 0.05
    step, tall = side + 0.05, (len(names) + 1) * (side + 0.19) + 2.35
    fig = plt.figure(figsize=(8, tall), layout="none")
    for i, style in enumerate(inputs):
        write(fig, left + i * step + side / 2, 0.1, WORDS.get(style, style))
        image(fig, (left + i * step, 0.22, side), inputs[style][pick])
        for j, name in enumerate(names, 1):
            y = 0.22 + j * (side + 0.19) - 0.1
            image(fig, (left + i * step, y, side), shrunk(redrawn[name, style])[pick])
            write(fig, left + i * step + side / 2, y + side + 0.09, f"{faithful[name, style].cosine[pick]:.2f}", fontsize=7.5)
    write(fig, left - 0.07, 0.22 + side / 2, "the network\nsees", ha="right")
    for j, name in enumerate(names, 1):
        write(fig, left - 0.07, 0.12 + j * (side + 0.19) + side / 2, f"drawn from\n{name}", ha="right")
    ax = fig.add_axes([(left - 0.025) / 8, 0.32 / tall, step * len(inputs) / 8, 1.8 / tall])
    cosines(ax)
    fig.legend(*ax.get_legend_handles_labels(), loc="lower center", ncols=len(names) + 2, bbox_to_anchor=(0.53, 0.0), borderaxespad=0.1,
               handletextpad=0.4, columnspacing=1.4)
    show(fig, "fig-featinv-b",
         "One image in unusual styles, and the pictures drawn from each network's features of it. The number is the cosine between the features of picture and image. Of "
         f"{len(plain)} images, it's the one with the median cosine, averaged over styles and networks. Below: the mean cosine over all of them with its 95% interval. "
         "The thin lines begin at the cosine of another image of the same style and end at that of the image itself after packing and unpacking. The black ticks are at "
         f"{ENOUGH:.0%} of a network's cosine on ordinary images, which the claim asks for (FeatInv, supplement B).",
         alt="A row of one picture in several styles, rows of pictures drawn from its features, and below them a chart of cosines by style and network.")

# %%
if names:
    part = {key: cosine(faithful, key) / cosine(faithful, (key[0], "drawn")) for key in faithful if key[1] != "drawn"}
    blank = {key: cosine(bottom, key) / cosine(faithful, (key[0], "drawn")) for key in part}
    worst, best = min(part, key=part.get), max(part, key=part.get)
    fell = [f"{name} on {WORDS.get(style, style)} ({part[name, style]:.0%})" for name, style in part if part[name, style] < ENOUGH]
    free = sum(share >= ENOUGH for share in blank.values())
    reliable = not fell
    reason = (f"Cosines of {len(part)} pairs of network and style lie between {part[worst]:.0%} ({worst[0]} on {WORDS.get(worst[1], worst[1])}) and {part[best]:.0%} "
              f"({best[0]} on {WORDS.get(best[1], best[1])}) of those on ordinary images. " + (f"Below {ENOUGH:.0%}: {', '.join(fell)}. " if fell else "") +
              f"Another image of the same style, which owes nothing to the features, reaches {ENOUGH:.0%} in {free} of the pairs.")
else:
    reliable, reason = None, "It takes an inverter."
claim("featinv-9", holds=reliable, because=reason)

# %% [markdown]
# A share of a cosine is a lenient measure, since cosines don't begin at zero. So here is more, averaged over networks. *Between anchors* says where the cosine lies
# between another image of the same style (0) and the codec (1); networks for which all images of a style look nearly the same have no room between the two, and are left
# out. *Answer kept* is the share of images for which the network's first answer stays; it counts whatever the network said of the unusual image, right or wrong. *Right*
# is the share of the images, and of the pictures drawn from them, in which the network names what the image shows. And *style drawn* asks whether the picture took on the
# style: how far pictures of ordinary and of unusual images differ in the direction in which the images themselves do, 1 for all the way.

# %% tags=["hide-input"]
def drawn_style(name, style):
    """How much of the difference between ordinary and unusual images is in their pictures."""
    both = [torch.cat([sized(each["drawn"], ed.size), sized(each[style], ed.size)]).flatten(1) for each in
            (inputs, {kind: redrawn[name, kind] for kind in ("drawn", style)})]
    rows = torch.arange(len(plain))
    where = along(*both, rows, rows + len(plain))
    return (where[:, 0] - where[:, 1]).nanmean().item()  # 0 / 0 where an image is in that style already


def mean(table):
    """Average a function of network and style over the networks where it isn't NaN, for each style."""
    values = [[value for name in names if not np.isnan(value := table(name, style))] for style in inputs]
    return [float(np.mean(some)) if some else np.nan for some in values]


def between(name, style, least=0.2):
    """Where the cosine lies between the anchors, NaN where they are close together."""
    key = name, style
    if cosine(ceiling, key) - cosine(bottom, key) < least:
        return np.nan
    return judge.between(faithful[key], bottom[key], ceiling[key])


def right(outputs):
    """Share of answers (n, k) that name what the image shows."""
    truth = torch.tensor(ed.outputs)[ordinary.labels[: len(plain)]]
    return (outputs.argmax(1) == truth).double().mean().item()


def answers(name, pictures):
    """What a network says of pictures."""
    looked = seen[name, "drawn"]
    return judge.see(looked.model, pictures, looked.tap, size=looked.size)[1]


if names:
    styles = pd.DataFrame({
        "cosine": mean(lambda name, style: cosine(faithful, (name, style))),
        "between anchors": mean(between),
        "answer kept": mean(lambda name, style: faithful[name, style].match(1).double().mean().item()),
        "right, image": mean(lambda name, style: right(seen[name, style].outputs)),
        "right, picture": mean(lambda name, style: right(answers(name, redrawn[name, style]))),
        "style drawn": [np.nan, *mean(lambda name, style: drawn_style(name, style) if style != "drawn" else 0.0)[1:]],
    }, index=pd.Index([WORDS.get(style, style) for style in inputs], name="style"))  # fmt: skip
    display(styles.round(2).astype(object).fillna(""))

# %% [markdown]
# Read *answer kept* and *style drawn* together. Where a style is hardly drawn and the answer is kept, the features hold the thing, and either they don't hold the style or
# the inverter can't draw it: it gives back an ordinary image of the thing. Where the answer is lost, look at the pictures. The drawing model puts something there that it
# knows, and draws it no less sharply.
#
# ## An image made to fool a network
#
# A last kind of unusual image looks nearly ordinary. It is made by an {term}`adversarial attack`: every pixel moves by some of its 255 steps, to make the first network
# take the image for something else. To us it only gets grainy. What do its features show? Attacked are those images that the network gets right with the least lead over
# the class in second place, and they are pushed towards that class.

# %%
if names:
    name = names[0]
    model, looked = models[name], own[name]
    two = looked.outputs.topk(2, 1)
    good = two.indices[:, 0] == torch.tensor(ed.outputs)[images.labels]
    if images.scenes is not None:
        good &= images.scenes.hard < 0  # in good light and full view
    lead = torch.where(good, two.values[:, 0] - two.values[:, 1], torch.inf)
    certain = lead.argsort(stable=True)[: min(fooled, int(good.sum()))]
    ahead = two.indices[certain, 1]  # the class that comes second
    small = sized(images.pixels[certain], looked.size)
    attack = fgsm(model, zoo.normalise(model, small.to(ed.device)), ahead.to(ed.device), sizes=pushes)
    won = attack.flipped.cpu().nonzero()[:, 0]
    pushed = zoo.denormalise(model, attack.x).cpu().clamp(0, 1)[won]
    was, now = two.indices[certain, 0][won], ahead[won]
    readers = names[:2]  # the network that was attacked, and one that wasn't
    fakes = {reader: reconstruct(inverters[reader], inverters[reader].features(models[reader], pushed).cpu(), seeds=seed)
             for reader in readers if len(won)}
    print(f"{len(won)} of {len(certain)} images fool {name} after pixels moved by {max(pushes)} of 255 steps or less")

# %% tags=["hide-input"]
def said(model, pictures):
    """The first answers of a network to pictures."""
    size = model.pretrained_cfg["input_size"][-1] if getattr(model, "pretrained_cfg", {}).get("fixed_input_size") else ed.size
    with torch.no_grad():
        return model(zoo.normalise(model, sized(pictures, size).to(ed.device))).argmax(1).cpu()


def word(output):
    """The class name of an output."""
    known = {int(o): i for i, o in enumerate(ed.outputs)}
    return ed.classes[known[int(output)]] if int(output) in known else f"class {int(output)}"


if names and not len(won):
    display(Markdown("No push was large enough, so there is no picture to show. Give larger `pushes`."))
if names and len(won):
    third, third_name = (ed.model(stranger), ready.title(stranger)) if stranger else (models[names[-1]], names[-1])
    width = min(shown, len(won))
    cells = [list(images.pixels[certain][won][:width]), list(pushed[:width])]
    under = [word(k) for k in was[:width]] + [word(k) for k in now[:width]]
    for reader in readers:
        cells.append(list(shrunk(fakes[reader])[:width]))
        under += [word(k) for k in said(third, fakes[reader][:width])]
    sg.plot.grid(cells, rows=["test image", f"pushed to\nfool {name}", *[f"drawn from\n{reader}" for reader in readers]], captions=under)
    plt.show()
    verdict = {reader: said(third, fakes[reader]) for reader in readers}
    display(Markdown(" ".join(f"Of {len(won)} pictures that were drawn from what {reader} sees in pushed images, {third_name} takes "
                              f"{(verdict[reader] == now).double().mean():.0%} for what {name} was made to say and "
                              f"{(verdict[reader] == was).double().mean():.0%} for what {name} had said before." for reader in readers)))

# %% [markdown]
# Under the first row stands what the attacked network says of the image, under the second what it says of the pushed one. Under the drawn pictures stands what another
# network says of them, the one that is named above. Where pictures drawn from the attacked network's features show the second thing, the push has changed what the
# features hold, not just the last layer's verdict on them. The other inverted network, where there is one, serves for comparison: it looked at the very same pushed
# images, which weren't made for it.

# %% tags=["hide-input"]
if names:
    least = styles["between anchors"].drop(WORDS["drawn"]).dropna()
    said_of = [f"- Judged by networks that had no part in them, drawn pictures keep {passed.iloc[0, 1]:.0%} of first answers, pixels by gradient {passed.iloc[1, 1]:.0%}. "
               f"Judged by their own networks, they keep {passed.iloc[0, 0]:.0%} and {passed.iloc[1, 0]:.0%}."]
    if len(names) > 1:
        said_of.append(closest)
    if len(least):
        said_of.append(f"- Of the unusual styles, pictures come nearest to the features of *{least.idxmax()}* images and stay farthest from those of *{least.idxmin()}* images: "
                       f"{least.max():.2f} and {least.min():.2f} of the way from another image to the codec ({{numref}}`fig-featinv-b`).")
    display(Markdown("\n".join([
        ":::{admonition} What to take away", ":class: tip", *said_of,
        "- A share of a cosine means little without its two ends. Print what another image gets, and what the codec leaves.",
        "- An inverter answers every question with an image that it knows how to draw. Whether to believe the image is for the network's second look to say, not for the eye.",
        ":::"])))

# %% [markdown]
# ## Copy this
#
# Any number of networks judge what was drawn from each of them. Put in your networks, images and trained inverters; here everything is small and untrained, so that the
# cell needs no download. An untrained inverter draws what its base draws, whatever the features.

# %%
import timm
import torch

from sightglass.invert import base as bases
from sightglass.invert import codec, control, judge, prompts
from sightglass.invert.encoder import features
from sightglass.invert.sample import reconstruct

my_images = torch.rand(6, 3, 32, 32)  # yours: (n, 3, height, width) in [0, 1]
my_models = {name: timm.create_model(name, pretrained=False).eval().requires_grad_(False) for name in ("resnet18", "resnet26")}
my_base = bases.freeze(bases.build(codec.fit(my_images, channels=12), prompts.world_words(), size=32, widths=(8, 16)))
my_maps = {name: features(model, my_images, "block4") for name, model in my_models.items()}
my_inverters = {name: control.build(my_base, tuple(maps.shape[1:]), "block4", hidden=8) for name, maps in my_maps.items()}
my_judges = {name: judge.appoint(model, my_images, "block4") for name, model in my_models.items()}
my_pictures = {name: reconstruct(my_inverters[name], my_judges[name].maps, steps=2) for name in my_models}
my_matrix = judge.matrix(my_judges, my_pictures)  # (drawn from, judged by)
print({pair: round(judge.summary(found)["top-5"][0], 2) for pair, found in my_matrix.items()})
assert len(my_matrix) == 4 and all(found.cosine.shape == (6,) for found in my_matrix.values())
assert torch.equal(my_pictures["resnet18"], my_pictures["resnet26"])  # nothing was trained, so features can't matter yet

# %% [markdown]
# :::{dropdown} Try next: more of everything
# `python -m sightglass run world featinv/4-1-robustness -p n=1000 -p few=200 -p styled=200`. Intervals shrink by half or more. Does the order of the styles hold?
# :::
#
# :::{dropdown} Try next: judges that learnt from other images
# Networks of the same training set share blind spots. Let a network of your own be a judge: give it to `judge.appoint` with the original images, and what comes back to
# `judge.judged` with the pictures.
# :::
#
# :::{dropdown} Try next: a gradient that likes pictures
# Nothing asks the climbed pixels to look like an image. Start the climb from a drawn picture in place of noise, with a small rate. How far does the cosine rise? Which
# judges lose faith, and after how many steps?
# :::
