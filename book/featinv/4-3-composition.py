# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What lies between two images? (FeatInv, section 4.3)
#
# **Question.** Add the features of two images, or paste a piece of one {term}`feature map` into another. The network would go on computing with the result as if
# nothing had happened. But is there an image that has such features, and what does it show?
#
# Word vectors are known for such sums: king less man plus woman comes out near queen. {term}`FeatInv` {cite:p}`neukirch2025` makes the same question visible for
# images. It draws a picture of any feature map, also of one that no image ever gave. The network then looks at the picture, and the {term}`cosine similarity` between
# its features of the picture and the map that was asked for says whether the picture keeps its promise.
#
# Two ways of combining are tried: everywhere a little of both, and here the one, there the other. In the drawn world we can also ask other networks whose object and
# whose place the picture of a mixture shows.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with inverters | under a minute on one core | minutes on a GPU | {doc}`/featinv/2-method`, {doc}`/featinv/4-1-reconstruction` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # which images meet, and the noise that their pictures start from
device = "auto"  # auto | cpu | cuda
network = "convnext_base"  # a role of the edition that has an inverter; the paper has ConvNeXt
also = ["resnet50", "swinv2_base"]  # networks for the table
pairs = 20  # pairs of images
few = 8  # of them, for single cells and for the other networks
shown = 4  # of them, in the first figure; the second one has one pair fewer
steps = 8  # from one end to the other, a multiple of 4
witness = "densenet121"  # names the object in a picture; it had no part in drawing it
guide = "resnet18"  # names the place, where an edition has a network for places

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown, display
from matplotlib.collections import LineCollection

import sightglass as sg
from sightglass import world, zoo
from sightglass.invert import judge, mix, ready
from sightglass.invert.encoder import sized
from sightglass.metrics import eight_bits
from sightglass.show import claim, show, unavailable

sg.plot.style()
ed = sg.load(edition, device=device)
try:
    inverter, missing = ready.inverter(ed, network), ""
except (OSError, RuntimeError, ValueError) as reason:  # the edition lists none, or it was never trained
    inverter, missing = None, ed.gives("inverters") or str(reason)
    display(Markdown(f"Mixtures: {unavailable(missing)}. Without them this page has only its last cell to run."))


def meeting(n):
    """Draw n pairs of images with two nouns and two places: rows (n,) of A and of B."""
    usable = torch.ones(len(seen), dtype=torch.bool)
    if scenes is not None:  # one object, nothing before it, and large enough to fill some cells
        area = (scenes.instance == 1).float().mean((1, 2))
        usable = (scenes.second < 0) & (scenes.instance != 3).flatten(1).all(1) & (area > 0.2) & (area < 0.5)
    mixed = torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))
    queue, found = [row for row in mixed.tolist() if usable[row]], []
    kinds = [seen.labels] + ([] if scenes is None else [scenes.background])
    while queue and len(found) < n:
        a = queue.pop(0)
        b = next((row for row in queue if all(kind[row] != kind[a] for kind in kinds)), None)
        if b is not None:
            queue.remove(b)
            found.append((a, b))
    if not found:
        raise ValueError(f"no two of {len(seen)} images show different things in different places; raise `pairs`")
    return [torch.tensor(rows) for rows in zip(*found, strict=True)]


def varied(firsts, seconds):
    """Put pairs whose nouns didn't come before first, so that the figures aren't all of one kind; else keep the order."""
    known, early, late = set(), [], []
    for pair in zip(firsts.tolist(), seconds.tolist(), strict=True):
        nouns = {int(seen.labels[row]) for row in pair}
        (late if nouns & known else early).append(pair)
        known |= nouns
    return torch.tensor(early + late).T


if inverter:
    model, (c, h, w) = ed.model(network), inverter.shape
    seen = ed.images("test", 24 * pairs)  # many more than are used: most scenes don't qualify
    scenes = seen.scenes
    first, second = varied(*meeting(pairs))
    pairs, shown = len(first), min(shown, len(first))
    A, B = seen.pixels[first], seen.pixels[second]
    a, b = (inverter.features(model, images).cpu() for images in (A, B))
    seeds = [1000 * seed + k for k in range(pairs)]  # a pair's pictures all start from the same noise
    print(f"{pairs} pairs of test images; features of {network} at {inverter.tap}: {c} channels on {h} x {w} positions")

# %% [markdown]
# ## A little of both
#
# Take the features {math}`c_A` and {math}`c_B` of two images, and go from one to the other in equal steps,
#
# $$ c_\alpha = \alpha\, c_A + (1 - \alpha)\, c_B . $$ (eq-featinv-mixture)
#
# At both ends stands what an image gave. In between, each position has a vector that is the weighted mean of two. Each mixture is drawn once, and all pictures of a pair
# start from the same noise, so that nothing but the features changes from picture to picture.

# %%
def alike(found, asked):
    """Cosine of two sets of maps (..., c, h, w), the mean over positions."""
    return F.cosine_similarity(found, asked, dim=-3).mean((-1, -2))


def features(pictures):
    """What the network sees in pictures (..., 3, s, s)."""
    return inverter.features(model, pictures.flatten(0, -4)).cpu().unflatten(0, pictures.shape[:-3])


shares, middle = [1 - k / steps for k in range(steps + 1)], steps // 2  # of A
if inverter:
    mixtures = mix.weighted(a, b, shares)  # (shares, pairs, c, h, w)
    between = mix.draw(inverter, model, mixtures, seeds=seeds)  # pictures (shares, pairs, 3, s, s), cosines (shares, pairs)
    redrawn = features(between.pictures[[0, -1]])  # of A and of B
    either = torch.stack([alike(one, mixtures) for one in redrawn]).amax(0)  # what drawing just one of the two would get
    share = torch.tensor(shares).view(-1, 1, 1, 1, 1)
    faded = alike(features(share * A + (1 - share) * B), mixtures)  # pixels mixed instead of features
    ceiling = float(judge.judged(judge.of(inverter, model, A), judge.through_codec(inverter.base, A)).cosine.mean())

# %% [markdown]
# How good is a cosine? Three comparisons say. The *ceiling* is what an original gets after the {term}`codec` alone, without any features in between. The *nearer end* is
# what the picture of A or that of B gets, whichever is nearer, when it is held against the mixture. A picture of a mixture should beat that, or the mixture was drawn in
# vain. And the *cross-fade* mixes the pixels of the two originals instead of their features.
#
# Then the witnesses. Another network names the object in each picture, and a third the place, where the edition has such networks (else the network itself must name the object). Neither had a part in drawing it.

# %%
@torch.no_grad()
def named(role, pictures, columns=None):
    """The first answer of a network to pictures (..., 3, s, s)."""
    net, flat = ed.model(role), sized(pictures.flatten(0, -4), ed.size)
    answers = torch.cat([net(zoo.normalise(net, part.to(ed.device))).cpu() for part in flat.split(120)])
    return (answers if columns is None else answers[:, columns]).argmax(1).unflatten(0, pictures.shape[:-3])


def whose(pictures):
    """Whether pictures (..., pairs, 3, s, s) show A's object, B's object, A's place, B's place: bool (4, ..., pairs)."""
    noun = named(witness, pictures, outputs)
    told = [noun == seen.labels[first], noun == seen.labels[second]]
    if not places:  # then neither place is ever recognised
        return torch.stack([*told, *torch.zeros_like(torch.stack(told))])
    place = named(places, pictures)
    return torch.stack([*told, place == scenes.background[first], place == scenes.background[second]])


if inverter:
    witness = witness if witness in ed.networks and not ed.gives(witness) else network
    places = "" if scenes is None or guide not in ed.networks else guide
    outputs = torch.tensor(ed.outputs)
    told = whose(between.pictures)

# %% tags=["hide-input"]
YELLOW, LINE = "#FFE600", ("#222222", sg.plot.PALETTE[0], sg.plot.PALETTE[2])
FRACTIONS = {1: "A", 0.75: "¾ A + ¼ B", 0.5: "½ A + ½ B", 0.25: "¼ A + ¾ B", 0: "B"}
columns = [shares.index(one) for one in FRACTIONS]


def tell(row):
    """Name an image: its noun, and its place where that is known."""
    noun = ed.classes[int(seen.labels[row])]
    return noun if scenes is None else f"{noun}, {world.BACKGROUNDS[int(scenes.background[row])]}"


def picture(fig, box, image, above="", below="", cells=None):
    """Put an image (3, s, s) at a box in inches from the top left, with the outline of its cells."""
    wide, high = fig.get_size_inches()
    x, y, side = box
    ax = fig.add_axes([x / wide, 1 - (y + side) / high, side / wide, side / high])
    ax.imshow(eight_bits(image).permute(1, 2, 0).numpy(), interpolation="nearest")
    ax.set_axis_off()
    if cells is not None:
        for colour, thick in (("black", 2.6), (YELLOW, 1.4)):
            ax.add_collection(LineCollection(mix.edges(cells, image.shape[-1]).numpy(), colors=colour, lw=thick, capstyle="projecting", clip_on=False))
    fig.text((x + side / 2) / wide, 1 - (y - 0.04) / high, above, ha="center", va="bottom", fontsize=8.5)
    fig.text((x + side / 2) / wide, 1 - (y + side + 0.03) / high, below, ha="center", va="top", fontsize=8)


def words(fig, x, y, text, **style):
    """Write at a place in inches from the top left."""
    wide, high = fig.get_size_inches()
    fig.text(x / wide, 1 - y / high, text, **{"fontsize": 8.5, "va": "center"} | style)


def panel(fig, x, y, wide, high, **settings):
    """Axes at a place in inches from the top left."""
    a, b = fig.get_size_inches()
    return fig.add_axes([x / a, 1 - (y + high) / b, wide / a, high / b], **settings)


if inverter:
    SIDE, GAP, STEP = 1.05, 0.07, 1.27
    low = 0.55 + shown * STEP
    fig = plt.figure(figsize=(8, low + 2.55), layout="none")
    words(fig, 0.02 + SIDE / 2, 0.1, "original", ha="center", fontweight="bold")
    words(fig, 4, 0.1, f"drawn from mixed features of {network}", ha="center", fontweight="bold")
    words(fig, 7.98 - SIDE / 2, 0.1, "original", ha="center", fontweight="bold")
    inner = 0.02 + SIDE + 0.17
    for row in range(shown):
        y = 0.42 + row * STEP
        picture(fig, (0.02, y, SIDE), A[row], "A" if row == 0 else "", tell(int(first[row])))
        picture(fig, (7.98 - SIDE, y, SIDE), B[row], "B" if row == 0 else "", tell(int(second[row])))
        for k, (column, text) in enumerate(zip(columns, FRACTIONS.values(), strict=True)):
            picture(fig, (inner + k * (SIDE + GAP), y, SIDE), between.pictures[column, row], text if row == 0 else "", f"{float(between.cosine[column, row]):.2f}")

    ax = panel(fig, 0.55, low + 0.3, 3.35, 1.75)
    ax.plot(shares, between.cosine.numpy(), color="#BBBBBB", lw=0.5)
    mean, error = between.cosine.mean(1).numpy(), (between.cosine.std(1) / pairs**0.5).numpy()
    ax.axhline(ceiling, color="#222222", lw=0.9, ls=":")
    ax.plot(shares, faded.mean(1), color=LINE[1], ls="--", lw=1.3)
    ax.plot(shares, either.mean(1), color=LINE[2], ls="-.", lw=1.3)
    ax.fill_between(shares, mean - error, mean + error, color="#222222", alpha=0.2, lw=0)
    ax.plot(shares, mean, "o-", color=LINE[0], ms=4, lw=2)
    bottom = min(float(between.cosine.min()), float(either.mean(1).min()), float(faded.mean(1).min()))
    ax.set(xlim=(1.02, -0.02), xticks=list(FRACTIONS), xticklabels=["A", "¾ A", "½", "¾ B", "B"],
           ylim=(max(0, bottom - 0.03), 1.01), ylabel="cosine with the mixture")  # fmt: skip
    keys = [plt.Line2D([], [], color=LINE[0], marker="o", ms=4, lw=2), plt.Line2D([], [], color=LINE[2], ls="-.", lw=1.3),
            plt.Line2D([], [], color=LINE[1], ls="--", lw=1.3), plt.Line2D([], [], color="#222222", lw=0.9, ls=":")]  # fmt: skip
    ax.legend(keys, ["drawn", "nearer end", "cross-fade", "ceiling"], loc="lower center", bbox_to_anchor=(0.48, 0.99),
              ncol=4, borderpad=0, handlelength=1.7, columnspacing=1.0)  # fmt: skip
    for k, (title, pair) in enumerate((("object", told[:2]), ("place", told[2:]))):
        ax = panel(fig, 4.6 + 1.82 * k, low + 0.3, 1.5, 1.75)
        if k and not places:
            ax.text(0.5, 0.5, "the edition knows\nno places", ha="center", va="center", transform=ax.transAxes, color="#777777", fontsize=8)
            ax.set_axis_off()
            continue
        own, other = (100 * one.float().mean(1) for one in pair)
        ax.stackplot(shares, own, 100 - own - other, other, colors=[sg.plot.PALETTE[5], "#DDDDDD", sg.plot.PALETTE[4]], edgecolor="white", lw=0.8)
        ax.set(xlim=(1, 0), ylim=(0, 100), xticks=[1, 0.5, 0], xticklabels=["A", "½", "B"],
               yticks=[0, 50, 100], yticklabels=["0", "50", "100 %"] if k == 0 else [], title=f"whose {title}?")  # fmt: skip
        for x, y, text in ((0.86, 22, "A's"), (0.14, 78, "B's")):
            ax.text(x, y, text, ha="center", va="center", fontsize=9)
    words(fig, 4.6 + 1.66, low + 2.4, "grey: neither", ha="center", fontsize=8)
    show(fig, "fig-featinv-5",
         f"From one feature map to another in equal steps ({network}, {inverter.tap}). Above: {shown} of {pairs} pairs of images; "
         "under each picture, the cosine between its features and the mixture that it was drawn from. Below left: that cosine for each pair (grey) "
         "and on average (black, with its standard error). Nearer end: the picture of one original, the better one, in place of the mixture's. Cross-fade: the "
         "originals' pixels mixed instead of their features. Ceiling: an original after packing and unpacking. Below right: "
         + f"whose object {witness}{' itself' if witness == network else ''} names" + (f" and whose place {guide} does" if places else "")
         + ", in percent of the pictures (FeatInv, figure 5).",
         alt="Rows of pictures that change from one original to another, with cosines; below, a curve of the cosine along the way and two charts of which original is recognised.")

# %%
if inverter:
    average = between.cosine.mean(1)
    folded = (average + average.flip(0)) / 2  # which image of a pair is called A is chance, so each pair counts both ways
    lowest = int(folded.argmin())
    dips = float((between.cosine[middle] < between.cosine[[0, -1]].amin(0)).float().mean())
    held = int(folded.argmax()) == 0 and abs(lowest - middle) <= 1
    reason = (f"Over {pairs} pairs of {network}, each counted both ways, the mean cosine is {float(folded[0]):.3f} at the ends, {float(folded[1]):.3f} one step of "
              f"{1 / steps:.3g} from them and {float(folded[middle]):.3f} at equal weights. It's lowest, {float(folded[lowest]):.3f}, where one image weighs "
              f"{shares[lowest]:.3g}; {dips:.0%} of the pairs have a lower cosine at equal weights than at either end.")
claim("featinv-11", holds=held if inverter else None, because=f"It takes an inverter: {missing}." if missing else reason)

# %% [markdown]
# The paper reads the dip at equal weights as a sign that the average of two feature maps isn't well defined. Two simpler reasons should be ruled out. First, the mean of
# two vectors that point in different directions is shorter than they are on average. A cosine doesn't mind, but the drawing model might: short features may look like
# faint ones. So we give each mixed vector the mean length of its two parts, and draw again.
#
# Second, is the dip the fault of drawing? The curve of the nearer end needs no mixture to be drawn. Where the drawn mixture lies above it, something of the mixture was
# drawn that neither end has. Where it doesn't, drawing one of the two originals would have done as well.

# %%
def lengthened(share):
    """The mixture with A's share, every vector as long as its parts are on average."""
    wanted = share * a.norm(dim=1, keepdim=True) + (1 - share) * b.norm(dim=1, keepdim=True)
    return F.normalize(share * a + (1 - share) * b, dim=1) * wanted


if inverter:
    longer = mix.draw(inverter, model, lengthened(0.5)[None], seeds=seeds)
    half, gain = between.cosine[middle], between.cosine[middle] - either[middle]
    shrunk = float((mixtures[middle].norm(dim=1) / lengthened(0.5).norm(dim=1)).mean())
    display(pd.DataFrame({"cosine at equal weights": {
        "drawn": float(half.mean()), "drawn, lengthened": float(longer.cosine[0].mean()), "nearer end": float(either[middle].mean()),
        "cross-fade of pixels": float(faded[middle].mean()), "for comparison, drawn at the ends": float(average[[0, -1]].mean()),
    }}).round(3))  # fmt: skip

# %%
if inverter:
    lift = longer.cosine[0] - half
    print(f"at equal weights, mixed vectors have {shrunk:.0%} of the length of their parts; lengthening changes the cosine by {float(lift.mean()):+.3f} "
          f"(standard error {float(lift.std()) / pairs**0.5:.3f})")
    print(f"drawing the mixture gains {float(gain.mean()):+.3f} over drawing only the nearer end (standard error {float(gain.std()) / pairs**0.5:.3f})")

# %% [markdown]
# ## Here the one, there the other
#
# Now nothing is averaged. With a mask {math}`M` of cells (positions of the feature map), {math}`c = M \odot c_A + (1 - M) \odot c_B`: every vector is one that a real
# image gave, and only its neighbours are strange. The masks are the left half, a block in the middle, a single cell and, where it's known, the cells that A's object
# covers.
#
# What should come out? If a cell stands for its own patch of the image and for nothing else, the picture is simply A's patch in B. That can also be had by cutting and
# pasting pixels. In {numref}`fig-featinv-6`, compare both.

# %%
if inverter:
    covers = mix.covered(scenes.instance[first] == 1, (h, w), least=0.35) if scenes is not None else None
    layouts = {"left half": mix.box((h, w), (0, h), (0, w // 2)), "middle": mix.box((h, w), (h // 4, h - h // 4), (w // 4, w - w // 4))}
    if covers is not None and covers.flatten(1).any(1).all():  # an empty mask has no inside
        layouts["A's object"] = covers
    layouts["one cell"] = mix.box((h, w), (h // 2, h // 2 + 1), (w // 2, w // 2 + 1))
    cells = {name: mask.expand(pairs, h, w) for name, mask in layouts.items()}
    asked = torch.stack([mix.composed(a, b, mask) for mask in cells.values()])  # (layouts, pairs, c, h, w)
    composed = mix.draw(inverter, model, asked, seeds=seeds)
    pasted = torch.stack([torch.where(mix.enlarged(mask, ed.size)[:, None], A, B) for mask in cells.values()])  # pixels
    before = between.pictures[-1]  # B as it is drawn without A's cells
    change = {name: mix.change_by_place(before, composed.pictures[k], mask) for k, (name, mask) in enumerate(cells.items())}

# %% tags=["hide-input"]
if inverter:
    SIDE, GAP, LEFT = 1.13, 0.07, 0.55
    TALL = 2 * SIDE + 0.52
    rows = max(1, shown - 1)
    fig = plt.figure(figsize=(8, 0.3 + rows * TALL - 0.1), layout="none")
    across = [LEFT + k * (SIDE + GAP) + 0.1 * (k > 1) for k in range(2 + len(cells))]
    heads = ["A", "B", *cells]
    for row in range(rows):
        y = 0.26 + row * TALL
        top = [A[row], B[row], *pasted[:, row]]
        under = [between.pictures[0, row], before[row], *composed.pictures[:, row]]
        scores = [between.cosine[0, row], between.cosine[-1, row], *composed.cosine[:, row]]
        for k, x in enumerate(across):
            mask = None if k < 2 else list(cells.values())[k - 2][row]
            below = tell(int((first, second)[k][row])) if k < 2 else ""
            picture(fig, (x, y, SIDE), top[k], heads[k] if row == 0 else "", below, mask)
            picture(fig, (x, y + SIDE + 0.2, SIDE), under[k], "", f"{float(scores[k]):.2f}", mask)
        words(fig, 0.27, y + SIDE / 2, "pasted\npixels", ha="center", rotation=90)
        words(fig, 0.27, y + SIDE + 0.2 + SIDE / 2, "drawn from\npasted features", ha="center", rotation=90)
    show(fig, "fig-featinv-6",
         f"A's cells in B's feature map ({network}, {inverter.tap}, {h} × {w} cells), {rows} of {pairs} pairs of images. The yellow outline marks the cells, enlarged to "
         "the image. Upper rows: the two originals, and the pixels of A pasted into B. Lower rows: what is drawn from their feature maps, "
         "and from B's map with A's cells pasted in. The number is the cosine between the picture's features and the map that it was drawn from (FeatInv, figure 6).",
         alt="Pairs of picture rows: above, pieces of one image pasted into another within yellow outlines; below, pictures drawn from feature maps that were composed "
             "in the same way.")

# %%
if inverter:
    inside, outside = (torch.stack([each[k] for each in change.values()]) for k in (0, 1))  # (layouts, pairs)
    ratio = float(inside.mean() / outside.mean())
    each = {name: float(i.mean() / o.mean()) for name, (i, o) in change.items()}
    reason = (f"Over {pairs} pairs and {len(cells)} masks, colours change by {float(inside.mean()):.3f} inside the outline and by {float(outside.mean()):.3f} outside: "
              f"{ratio:.1f} times as much inside (" + ", ".join(f"{name} {one:.1f}" for name, one in each.items()) + ").")
claim("featinv-12", holds=ratio >= 3 if inverter else None, because=f"It takes an inverter: {missing}." if missing else reason)

# %% [markdown]
# The pasted pixels also tell whether such a map is to be had. They *are* an image with A's patch in B. If the network's features of that image are far from the composed
# map, then what the network puts into a cell depends on the cell's surroundings, and a drawing can hardly satisfy all cells at once. The last column is the picture of B
# alone, held against the composed map.

# %%
if inverter:
    collage, without = alike(features(pasted), asked), alike(redrawn[1], asked)  # (layouts, pairs)
    table = {"drawn": composed.cosine.mean(1), "pasted pixels": collage.mean(1), "B, redrawn": without.mean(1)}
    display(pd.DataFrame(table, index=list(cells)).rename_axis("cosine with the composed map").astype(float).round(3))

# %% [markdown]
# ## How far does one cell reach?
#
# A cell of the last layers has seen nearly the whole image: its {term}`receptive field` reaches that far. So it isn't obvious that it should be drawn where it stands.
# To see its own reach, replace a single cell of B by A's, once for each of up to 4 × 4 cells, and average the picture's change over pairs (brighter is more, on one
# scale). Then ask the same of the network itself: replace only the pixels beneath a cell, and see how much the vectors of that cell and of the others change.

# %%
if inverter:
    down, right = (torch.linspace(0, side - 1, min(side, 4)).round().long().tolist() for side in (h, w))
    singles = [mix.box((h, w), (i, i + 1), (j, j + 1)) for i in down for j in right]
    some = slice(0, min(few, pairs))
    one_by_one = mix.draw(inverter, model, torch.stack([mix.composed(a[some], b[some], mask) for mask in singles]), seeds=seeds[some])
    spread = (one_by_one.pictures - before[some]).square().sum(2).sqrt().mean(1)  # (cells, s, s)
    by_cell = F.adaptive_avg_pool2d(spread, (h, w))
    swapped = torch.stack([torch.where(mix.enlarged(mask, ed.size), A[some], B[some]) for mask in singles])
    moved = (features(swapped) - b[some]).norm(dim=2) / (a[some] - b[some]).norm(dim=1)  # as a share of the way to A
    moved = moved.mean(1)  # (cells, h, w)
    near = torch.stack([torch.maximum((torch.arange(h)[:, None] - i).abs(), (torch.arange(w) - j).abs()) for i in down for j in right])
    reach = {d: [float(values[near == d].mean()) for values in (by_cell, moved)] for d in range(int(near.max()) + 1)}

# %% tags=["hide-input"]
if inverter:
    across, side = len(right), 0.97 * 4 / len(right)
    fig = plt.figure(figsize=(8, len(down) * (side + 0.05) + 0.32), layout="none")
    words(fig, 0.02, 0.12, "a  where the picture changes when one cell is replaced", fontweight="bold")
    words(fig, 4.62, 0.12, "b  how fast that falls off", fontweight="bold")
    bright = (spread / spread.max()).unsqueeze(1).expand(-1, 3, -1, -1)  # one scale for all: black is no change
    for k, mask in enumerate(singles):
        x, y = 0.02 + (k % across) * (side + 0.05), 0.28 + (k // across) * (side + 0.05)
        picture(fig, (x, y, side), bright[k], cells=mask)
    ax = panel(fig, 5.2, 1.1, 2.65, fig.get_figheight() - 1.6)
    forms = (("a cell's features replaced:\nchange of the picture", sg.plot.PALETTE[1], "o-"),
             ("a cell's pixels replaced:\nchange of the features", sg.plot.PALETTE[0], "s--"))
    for k, (text, colour, form) in enumerate(forms):
        values = [each[k] / reach[0][k] for each in reach.values()]
        ax.plot(list(reach), values, form, color=colour, label=text)
    ax.set(xticks=list(reach), ylim=(0, 1.08 * ax.dataLim.ymax), xlabel="distance from the replaced cell, in cells", ylabel="change, as a share of that in the cell")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.05, 1.01), labelspacing=0.7, borderpad=0)
    plt.show()

# %% [markdown]
# Two different things could be local here, and panel b keeps them apart. If the orange line falls fast, the *drawing* takes a cell for the patch that it stands on.
# If the blue line falls fast, too, the *network* computes a cell from little more than that patch. If only the orange one does, a cell knows more about its surroundings
# than is drawn of them from that cell.
#
# ## Whose object, in whose place?
#
# A bird from one image in the landscape of another: this is what the paper sees in some of its mixtures. Here it can be counted. For every way of combining A and B,
# the table says how many pictures show A's object, B's object, A's place and B's place in the eyes of the witnesses, and how many show the object of one in the place of
# the other. The rows of pasted pixels are what perfect drawing of purely local cells would give.

# %%
if inverter:
    ways = {"A, redrawn": between.pictures[0], "B, redrawn": between.pictures[-1],
            "weighted, ½ each": between.pictures[middle], "weighted ½, lengthened": longer.pictures[0]}  # fmt: skip
    ways |= {f"features: {name}": composed.pictures[k] for k, name in enumerate(cells)}
    ways |= {f"pixels: {name}": pasted[k] for k, name in enumerate(cells)}
    answers = {name: whose(pictures) for name, pictures in ways.items()}
    rows = {}
    for name, (a_noun, b_noun, a_place, b_place) in answers.items():
        line = {"A's object": a_noun, "B's object": b_noun}
        if places:
            line |= {"A's place": a_place, "B's place": b_place,
                     "A's object in B's place": a_noun & b_place, "B's object in A's place": b_noun & a_place}  # fmt: skip
        rows[name] = {column: 100 * float(one.float().mean()) for column, one in line.items()}
    if not places:
        display(Markdown(f"Whose place: {unavailable('the edition has no network that names places.')}"))
    display(pd.DataFrame(rows).T.rename_axis(f"% of {pairs} pairs").round(0).astype(int))

# %% [markdown]
# ## Other networks
#
# The paper has both figures for ConvNeXt only. Here are other networks with inverters beside it, on fewer pairs. *Pairs that dip* are those whose equal mixture is drawn
# less faithfully than either end. *Composed* is the mean over two masks, the left half and the middle. The last column is for the same two, and a ratio of 3 or more would
# agree with the claim of locality.

# %%
def line(grid, pictures, cosine, masks):
    """One line of the table, from A, half and half, B and two compositions, all drawn: (5, n, 3, s, s), (5, n)."""
    sums = [mix.change_by_place(pictures[2], pictures[3 + k], mask) for k, mask in enumerate(masks)]
    inside, outside = (sum(float(one[k].mean()) for one in sums) for k in (0, 1))
    dip = (cosine[1] < cosine[[0, 2]].amin(0)).float().mean()
    return {"cells": f"{grid[0]} × {grid[1]}", "cosine, ends": float(cosine[[0, 2]].mean()), "cosine, ½ each": float(cosine[1].mean()),
            "cosine, composed": float(cosine[3:].mean()), "pairs that dip, %": 100 * float(dip), "change inside ÷ outside": inside / outside}  # fmt: skip


def halves(grid):
    """The left half and the middle block of a grid of cells."""
    h, w = grid
    return [mix.box(grid, (0, h), (0, w // 2)), mix.box(grid, (h // 4, h - h // 4), (w // 4, w - w // 4))]


def other(role):
    """The same for another network, drawn anew."""
    own, net = ready.inverter(ed, role, on=inverter.base), ed.model(role)
    x, y = (own.features(net, images[some]).cpu() for images in (A, B))
    masks = halves(own.shape[1:])
    asked = torch.cat([mix.weighted(x, y, [1, 0.5, 0]), torch.stack([mix.composed(x, y, mask) for mask in masks])])
    found = mix.draw(own, net, asked, seeds=seeds[some])
    return line(own.shape[1:], found.pictures, found.cosine, masks)


if inverter:
    kept = [0, middle, steps]  # A, half and half, B
    own_pictures = torch.cat([between.pictures[kept], composed.pictures[:2]])[:, some]  # the left half and the middle come first
    own_cosine = torch.cat([between.cosine[kept], composed.cosine[:2]])[:, some]
    lines = {network: line((h, w), own_pictures, own_cosine, halves((h, w)))}
    for role in also:
        try:
            lines[role] = other(role)
        except (OSError, RuntimeError, ValueError) as reason:  # no such inverter, or it was never trained
            display(Markdown(f"{role}: {unavailable(str(reason))}"))
    display(pd.DataFrame.from_dict(lines, orient="index").rename_axis(f"{min(few, pairs)} pairs").round(2))

# %% tags=["hide-input"]
said = []
if inverter:
    sure = 2 * float(gain.std()) / pairs**0.5  # two standard errors
    if abs(float(gain.mean())) <= sure:
        earned = "is about as near to the mixture as the picture of the nearer original alone"
    else:
        earned = f"is {'nearer to' if gain.mean() > 0 else 'farther from'} the mixture than the picture of the nearer original alone"
    dip = float(average[[0, -1]].mean() - half.mean())
    blame = "isn't mainly a matter of length" if float(lift.mean()) < dip / 2 else "is in large part a matter of length"
    falls = [values[1] / values[0] for values in zip(*[reach[d] for d in (0, 1)], strict=True)] if len(reach) > 1 else [0, 0]
    sharper = "Drawing is more local than computing" if falls[0] < falls[1] else "Computing is more local than drawing"
    said = [
        f"- The cosine is {float(average[[0, -1]].mean()):.2f} at the ends of the way and {float(half.mean()):.2f} in its middle ({{numref}}`fig-featinv-5`). "
        + (f"The dip {blame}, and what" if dip > 0 else "What") + f" is drawn there {earned}.",
        f"- Where cells are replaced, colours change {ratio:.1f} times as much inside the outline as outside ({{numref}}`fig-featinv-6`). "
        f"{sharper}: one cell away, {falls[0]:.0%} of the picture's change is left, and {falls[1]:.0%} of the features'.",
    ]
    if places:
        moved_in = {name: float((a_noun & b_place).float().mean()) for name, (a_noun, _, _, b_place) in answers.items() if "redrawn" not in name}
        plain = max(rate for name, rate in moved_in.items() if name.startswith("pixels"))
        best = max((name for name in moved_in if not name.startswith("pixels")), key=moved_in.get)
        most = f"most often in the row *{best}*, in {moved_in[best]:.0%} of the pairs" if moved_in[best] else "in none of the pairs, however features are combined"
        said.append(f"- A's object in B's place comes out {most}. Pasted pixels get up to {plain:.0%}: so often would the other networks see it if it were drawn well.")
display(Markdown("\n".join([":::{admonition} What to take away", ":class: tip", *said,
                            "- Hold every score against what drawing just one of the two would get. A mixture that isn't nearer than that was not drawn.", ":::"])))

# %% [markdown]
# ## Copy this
#
# Mixtures by weight and by place for any network of timm. Base and inverter are untrained here, so that the cell needs no download, and what they draw is noise. Read
# trained ones by `control.load`, or train your own with `python -m sightglass invert train --model MODEL --tap TAP`.

# %%
import timm
import torch

from sightglass.invert import base as bases
from sightglass.invert import codec, control, mix, prompts

my_images = torch.rand(12, 3, 64, 64)  # yours: (n, 3, height, width) in [0, 1]
my_model = timm.create_model("resnet18", pretrained=False).eval().requires_grad_(False)
my_base = bases.freeze(bases.build(codec.fit(my_images, channels=12), prompts.world_words(), size=64, widths=(8, 16)))
my_inverter = control.build(my_base, (256, 4, 4), "layer3", hidden=8)  # the shape of its maps at layer3

my_maps = my_inverter.features(my_model, my_images)
my_a, my_b = my_maps[:2], my_maps[2:4]
my_mixtures = mix.weighted(my_a, my_b, [1, 0.5, 0])  # (3, 2, 256, 4, 4)
my_cells = mix.box((4, 4), (0, 4), (0, 2))  # the left half
my_composed = mix.composed(my_a, my_b, my_cells)
my_drawn = mix.draw(my_inverter, my_model, torch.cat([my_mixtures, my_composed[None]]), seeds=[0, 1], steps=2)
my_change = mix.change_by_place(my_drawn.pictures[2], my_drawn.pictures[3], my_cells)  # inside, outside
assert my_drawn.pictures.shape == (4, 2, 3, 64, 64) and my_drawn.cosine.shape == (4, 2)
assert torch.equal(my_mixtures[0], my_a) and torch.equal(my_composed[..., 2:], my_b[..., 2:]) and len(my_change) == 2

# %% [markdown]
# :::{dropdown} Try next: beyond the ends
# `mix.weighted` takes shares above 1 and below 0. With 1.5 and -0.5, what A has and B lacks is exaggerated. Does the picture become a caricature of A?
# :::
#
# :::{dropdown} Try next: is the noise to blame?
# Draw the equal mixture with twenty seeds. Does one seed give A's object and another B's, or is each picture a mixture? That tells an undecided feature map from a
# clear map of something mixed.
# :::
#
# :::{dropdown} Try next: an earlier layer
# Train an inverter for an earlier block (`--tap block3`), list it in a YAML of your own, and run this page with that edition. There are more and smaller cells, and a cell
# sees less of the image. Does the blue line of the panel on reach fall faster?
# :::
