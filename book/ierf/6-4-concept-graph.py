# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From stripes to zebra: the concept graph (iERF, sections 6.4 and 6.5)
#
# **Question.** A network says "zebra". By which concepts did it get there, layer by layer, and which of them does a horse use too?
#
# Earlier pages found the {term}`concepts <concept>` of a layer and measured what one concept does for another one further up
# ({doc}`/ierf/6-2-icat`). Put together they make a map of the whole network: a column for each layer, a picture for each concept, a line
# wherever one concept makes another. Follow the lines from the left and you see a decision come about.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | images of a few classes; the world's truth names the concepts | a minute and a half on one core | minutes on a GPU | {doc}`/ierf/6-2-icat` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
transformer = "vit_b_16"  # the role of a vision transformer
classes = ["zebra", "horse"]  # two or more; where one is missing, the edition's first two
layers = ["layer1.2", "layer2.3", "layer3.0", "layer3.2", "layer3.5", "layer4.2"]  # the paper's
photos = 480  # images that concepts are found in
dark = 0.3  # mean brightness below which a scene is left out: some of the world's are nearly dark
atoms = 128  # concepts of each layer; the paper has eight for each channel
each = 4  # relevant positions of each image
explained = 8  # images of each class over which importances and influences are added up
compared = 4  # images of each class where all classes are compared
steps = 5  # of integrated gradients
top = 5  # concepts of each class in a layer
shared = 3  # and of all classes
least = 0.02  # share of a class's importance below which a concept isn't shown
searched = 1400  # images among which a misclassified one is looked for
mistaken = ["penguin", "zebra"]  # what it shows and what it's taken for; where there is none, the surest mistake
attacked = ["horse", "zebra"]  # what is attacked, and what it shall be taken for

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

import sightglass as sg
from sightglass import world, zoo
from sightglass.concepts.sampling import token_relevance
from sightglass.show import claim, show, unavailable
from sightglass.trace import diagnose, graph
from sightglass.trace.graph import making
from sightglass.trace.srd import relevance_of_layers

sg.plot.style()
ed = sg.load(edition, device=device)


def lit(images):
    """Leave out images that are too dark for their pictures to tell anyone anything."""
    rows = (images.pixels.mean((1, 2, 3)) > dark).nonzero()[:, 0]
    scenes = None if images.scenes is None else images.scenes[rows]
    return replace(images, pixels=images.pixels[rows], labels=images.labels[rows], scenes=scenes)


names = classes if set(classes) <= set(ed.classes) else list(ed.classes[:2])
images = lit(ed.images("test", photos))
outputs = torch.tensor(ed.outputs)
goals = [ed.outputs[ed.classes.index(name)] for name in names]
labels = outputs[images.labels]  # as the network counts
model = ed.model(network)
x = zoo.normalise(model, images.pixels)
if images.scenes is None:
    display(Markdown("Concepts are named by the class that most of their exemplars show, as this edition's images come without "
                     "masks of parts and textures."))

# %% [markdown]
# ## The picture to keep in mind

# %%
def by_sharing_ratios(model, x, taps):
    """Weigh positions by their relevance to the class that the network predicts, in all layers in one pass."""
    with torch.no_grad():
        target = model(x).argmax(1)
    return relevance_of_layers(model, x, target, taps)


every = [name for name, module in model.named_modules() if type(module).__name__ == "Bottleneck"] or layers
taps = [tap for tap in every if tap in layers]
found = making.layers_of(model, x, every, by_sharing_ratios, atoms=atoms, each=each, seed=seed)
own = torch.cat([(labels == goal).nonzero()[:explained, 0] for goal in goals])
importance = making.importances(model, x[own], found, goals, labels=labels[own], steps=steps)
importance = making.telling(importance, least)
chosen = graph.choose(importance, top=top, shared=shared)

# %% [markdown]
# `chosen` holds the concepts of every layer that matter most to a class, and those that matter to all. Now their influences on each other,
# their exemplars, and their names.

# %% tags=["hide-input"]
def named(found):
    """Name concepts by what lies under the iERFs of their exemplars, and put a telling exemplar first."""
    texts, pictures = {}, {}
    for (tap, k), (rows, maps) in found.items():
        kinds, count = images.labels[rows].unique(return_counts=True)
        text, fit = ed.classes[int(kinds[count.argmax()])] if count.max() >= 0.6 * len(rows) else "", None
        if images.scenes is not None:
            text = graph.name_of(images.scenes[rows], maps)
            fit = graph.fits(images.scenes[rows], maps, text)
        order = making.face_first(images.pixels[rows], maps, fit)
        texts.setdefault(tap, {})[k] = text
        pictures[tap, k] = images.pixels[rows][order], maps[order]
    return texts, pictures


def portraits(names):
    """Choose bright images of each class."""
    light = images.pixels.mean((1, 2, 3)).clamp(max=0.5)
    rows = [(images.labels == ed.classes.index(name)).nonzero()[:, 0] for name in names]
    rows = [some[light[some].argsort(descending=True, stable=True)][:10] for some in rows]
    return torch.stack([images.pixels[some[: min(map(len, rows))]] for some in rows])


def drawn(model, x, found, importance, texts, pictures):
    """Measure influences between the chosen concepts on some images, and make the graph."""
    chosen = graph.choose(importance, top=top, shared=shared)
    influence = making.strengths(model, x, found, chosen, steps=steps)
    return graph.concept_graph(importance, influence, names, top=top, shared=shared, labels=texts, exemplars=pictures,
                               portraits=portraits(names))  # fmt: skip


def some(of, taps):
    """Keep some layers of what is known of all."""
    return {tap: of[tap] for tap in taps}


fields = making.srd_fields(model)
near = making.exemplars(x, found, some(chosen, taps), fields)
rest = making.exemplars(x, found, some(chosen, [tap for tap in every if tap not in taps]), fields, count=5)
texts, pictures = named(near | rest)
main = drawn(model, x[own], some(found, taps), some(importance, taps), texts, pictures)
show(main, "fig-ierf-9",
     f"How {network} gets from light and dark to {' and '.join(names)}: the concepts of {len(taps)} layers that matter most to each class, "
     f"up to {top} each and {shared} for all of them. A picture shows what the concept responds to, one of its exemplars with the rest of the "
     "image turned grey; its name says what lies there by the pixel truth. A line shows how much a concept does for one of the next "
     "layer: the wider and bluer, the more. Point at a picture to see where it comes from and where it leads, or click on it to see its "
     "exemplars (iERF, figure 9).",
     alt=f"Columns of small framed pictures joined by blue curves of different widths: stripes, then striped bodies, "
         f"lead to {names[0]}; other pictures lead to {names[-1]}.")

# %% [markdown]
# Read it from the right. What leads to a class? Which picture leads to that? The strongest way to each class, as words:

# %%
for name in names:
    way = graph.routes(main, name, 1)[0]
    print(" → ".join(main.nodes[i].label or f"concept {main.nodes[i].concept}" for i in way.nodes))

# %% [markdown]
# A name says what most of the ten exemplars have under their iERFs. Where they have no object, part, texture or place in
# common, it's the mean colour, or *edge* where light meets dark. Names repeat, as a zebra's body has
# many views, and each of them is a concept of its own.
#
# ## How it is made
#
# 1. **Find concepts.** In every image some positions are drawn by their {term}`relevance` to the predicted class. Their {term}`PFVs <PFV>` are
#    clustered, layer by layer; the centres are the concepts ({doc}`/ierf/6-1-concepts`).
# 2. **Choose nodes.** A layer's activations are written as sparse sums of concepts. {term}`Integrated gradients <integrated gradients>` share a class's logit out
#    among them. In each layer, the top five of each class stay, with the top three of those that matter to all classes. We leave out what
#    has less than a fiftieth of a class's importance, so late layers, where few concepts hold nearly everything, have fewer nodes.
# 3. **Measure edges.** {term}`ICAT` asks what a concept of one layer does for a concept of the next: how much the next layer's
#    vectors turn towards it, for all pairs in one pass ({doc}`/ierf/6-2-icat`). Within a pair of layers, strengths are divided by the largest.
# 4. **Label.** The ten nearest feature vectors of each concept are looked up, and their {term}`iERFs <iERF>` say what they stand for.
#
# Two things to keep in mind. Edges are scaled pair by pair, so widths can be compared within a gap between two columns only. And lines show
# what adds up: a concept that holds another one back has a negative strength, and isn't drawn. How many of the true edges such a graph finds
# is tested on planted networks in {doc}`/ierf/x-planted`.
#
# ## Do classes that look alike share concepts?
#
# A node with a ring of several colours matters to all classes of the graph. The paper reads such nodes as the reason why classes look alike to the network.
# If so, sibling classes should share more of them than classes of different families. The world has a taxonomy, so that can be counted:
# the most important concepts of every class, in each layer of the graph, and what share of them two classes have in common.

# %% tags=["hide-input"]
COUNTED = top + shared  # as many as the graph may show for a class
FAMILY = {noun: world.vocabulary.TABLE[noun].family for noun in world.NOUNS}
why_not = "" if images.scenes is not None and set(ed.classes) <= set(FAMILY) else "The classes of this edition have no taxonomy"


def in_common(values, count):
    """Return the share of top concepts that classes have in common (classes, classes), from importances (classes, K)."""
    best = torch.zeros_like(values).scatter_(1, values.topk(count).indices, 1.0) * (values > 0)
    return best @ best.T / count


def by_family(common, family):
    """Return the mean over pairs of sibling classes, and over pairs from different families."""
    same = torch.tensor([[a == b for b in family] for a in family])
    other = ~torch.eye(len(family), dtype=torch.bool)
    return float(common[same & other].mean()), float(common[~same].mean())


if not why_not:
    order = sorted(range(len(ed.classes)), key=lambda c: list(world.FAMILIES).index(FAMILY[ed.classes[c]]))
    rows = torch.cat([(images.labels == c).nonzero()[:compared, 0] for c in order])
    ours = [ed.outputs[c] for c in order]
    all_classes = making.telling(
        making.importances(model, x[rows], some(found, taps), ours, labels=labels[rows], steps=4), least)
    family = [FAMILY[ed.classes[c]] for c in order]
    common = {tap: in_common(values, COUNTED) for tap, values in all_classes.items()}
    mean = torch.stack(list(common.values())).mean(0)
    fig = plt.figure(figsize=(7.6, 4.3))
    left, right = fig.subplots(1, 2, width_ratios=(1.45, 1))
    pictured = mean.clone().fill_diagonal_(float("nan"))
    drawing = left.imshow(pictured, cmap="Blues", vmin=0)
    left.set_xticks([])
    left.set_yticks(range(len(order)), [ed.classes[c] for c in order], fontsize=7)
    left.tick_params(length=0)
    ends = [i for i in range(1, len(family)) if family[i] != family[i - 1]]
    for a, b in zip([0, *ends], [*ends, len(family)], strict=True):
        left.add_patch(plt.Rectangle((a - 0.5, a - 0.5), b - a, b - a, fill=False, edgecolor="#D55E00", lw=1.4))
    fig.colorbar(drawing, ax=left, shrink=0.6, label="top concepts in common")
    pairs = [by_family(values, family) for values in common.values()]
    for k, (text, colour) in enumerate((("sibling classes", "#D55E00"), ("different families", "#777777"))):
        right.plot(range(len(taps)), [pair[k] for pair in pairs], marker="o", color=colour, label=text)
    right.set_xticks(range(len(taps)), taps, rotation=40, ha="right")
    right.set_ylim(0)
    right.set_ylabel("top concepts in common")
    right.legend()
    plt.show()

# %% [markdown]
# On the left, the share of top concepts that two classes have in common, averaged over layers; frames hold the families. On the right the
# same, layer by layer. Whether the difference could be luck is asked by dealing the family names out to classes at random.

# %%
verdict, said = None, f"{why_not}."
if not why_not:
    draw = np.random.default_rng(seed)

    def chance(count):
        """Siblings' and others' shares of common concepts, and how often dealt-out families do as well."""
        values = torch.stack([in_common(v, count) for v in all_classes.values()]).mean(0)
        siblings, others = by_family(values, family)
        dealt = [by_family(values, draw.permutation(family)) for _ in range(2000)]
        return siblings, others, float(np.mean([a - b >= siblings - others for a, b in dealt]))

    counts = sorted({top, COUNTED, 2 * top})
    lines = pd.DataFrame([chance(count) for count in counts], columns=["sibling classes", "different families", "by chance"])
    lines.insert(0, "top concepts", counts)
    display(lines.round(3))
    siblings, others, p = lines.set_index("top concepts").loc[COUNTED]
    five = lines.set_index("top concepts").loc[top]
    verdict = siblings > others and p < 0.05
    said = (f"Of their {COUNTED} top concepts in each of {len(taps)} layers, sibling classes have {siblings:.1%} in common and classes of different "
            f"families {others:.1%}; families dealt out at random differ as much in {p:.1%} of cases. With the top {top} alone it is "
            f"{five['sibling classes']:.1%} against {five['different families']:.1%}, and chance does it in {five['by chance']:.1%} of cases.")
claim("ierf-16", holds=verdict, because=said)

# %% [markdown]
# Mind the size, too. Even siblings have only few of their top concepts in common, and the last layer keeps all classes apart: that is what
# a classifier is trained for. And families are a word for us: what a car shares with a lighthouse may be that both stand before the sky.
#
# ## Diagnosis: two wrong answers
#
# For a single image, the same graph can be drawn of that image alone. Only the last three layers are shown, and only the three strongest
# routes to each of two classes: the right one, and the one the network chose. The picture of a node is now the place *in this image* where the
# concept is strongest; its name still comes from its exemplars, so that the two may disagree, and this is what to look out for.
#
# One image is a true mistake of the network. The other is {term}`attacked <adversarial attack>`: every pixel was moved a little in the direction
# that makes the network say the other class (fast gradient sign method, in one step or ten, by as little as suffices).

# %% tags=["hide-input"]
def of_one(image, pair):
    """Draw the routes to two classes in one image (1, 3, h, w), with its own places as the nodes' faces."""
    late = some(found, taps[-3:])
    goals = [ed.outputs[ed.classes.index(name)] for name in pair]
    matter = making.telling(making.importances(model, image, late, goals, steps=4 * steps), least)
    nodes = graph.choose(matter, top=top, shared=shared)
    influence = making.strengths(model, image, late, nodes, steps=4 * steps)
    new = {tap: [k for k in own if (tap, k) not in pictures] for tap, own in nodes.items()}
    says, shows = named(making.exemplars(x, late, {tap: own for tap, own in new.items() if own}, fields))
    says = {tap: texts.get(tap, {}) | says.get(tap, {}) for tap in nodes}
    shows, pixels = pictures | shows, zoo.denormalise(model, image).clamp(0, 1).cpu()
    for tap, k in [(tap, k) for tap, own in nodes.items() for k in own]:
        here = making.here(model, image, tap, late[tap], k, fields)
        if here is not None:
            others, maps = shows[tap, k]
            shows[tap, k] = torch.cat([pixels, others[:9]]), torch.cat([here, maps[:9]])
    whole = graph.concept_graph(matter, influence, pair, top=top, shared=shared, labels=says, exemplars=shows,
                                portraits=portraits(pair), picture=pixels[0])  # fmt: skip
    return graph.routed(whole, [route for name in pair for route in graph.routes(whole, name, 3)])


def a_mistake(given, truth):
    """Find the first mistake between the two classes asked for, or the surest of all."""
    if set(mistaken) <= set(ed.classes):
        true, taken = (ed.outputs[ed.classes.index(name)] for name in mistaken)
        rows = (truth == true).nonzero()[:, 0]
        wrong = diagnose.mistakes(model, given[rows], truth[rows]).between(true, taken) if len(rows) else ()
        if len(wrong):
            return replace(wrong, rows=rows[wrong.rows])
    return diagnose.mistakes(model, given, truth)


more = lit(ed.images("test", searched))
given, truth = zoo.normalise(model, more.pixels), outputs[more.labels]
wrong, stacked = a_mistake(given, truth), {}
name_of_output = dict(zip(ed.outputs, ed.classes, strict=True))
if len(wrong) and int(wrong.taken[0]) in name_of_output:
    true, taken = name_of_output[int(wrong.true[0])], name_of_output[int(wrong.taken[0])]
    line = f"A {true} taken for a {taken} (probabilities {wrong.p_true[0]:.2f} and {wrong.p_taken[0]:.2f})"
    stacked[line] = of_one(given[wrong.rows[:1]], [true, taken])
source, target = attacked if set(attacked) <= set(ed.classes) else names[:2]
victims = (truth == ed.outputs[ed.classes.index(source)]).nonzero()[:16, 0]
try:
    attack = diagnose.find_attack(model, given[victims], truth[victims], ed.outputs[ed.classes.index(target)], tries=10)
    (before, other), (after, now) = attack.before[0].tolist(), attack.after[0].tolist()
    line = (f"A {source} taken for a {target} after an attack of {int(attack.size[0])}/255 "
            f"({source} {before:.2f} → {after:.2f}, {target} {other:.2f} → {now:.2f})")
    stacked[line] = of_one(attack.x[:1], [source, target])
except ValueError as error:
    display(Markdown(f"The attacked image is missing: {error}."))

# %% tags=["hide-input"]
if stacked:
    show(graph.Stack(stacked), "fig-ierf-12",
         f"Why was it taken for something else? Routes to two classes through the last three of the layers above, each class in its own colour, "
         f"what both use in blue. Above, an image that {network} gets wrong; below, one that it gets right until it's attacked. The face of a "
         "node is the place in this very image, its name that of the concept's exemplars elsewhere (iERF, figure 12).",
         alt="Two small graphs, each with the image at its left and routes of two colours through three columns of pictures to two classes.")

# %% [markdown]
# Compare faces with names. Where a node's face shows one thing and its name says another, the network saw the second in the first, unless
# the name is *edge* or a patch of a colour: that only says that its exemplars have nothing in common that has a name. If it's the
# background that carries a route, the network has learnt where a class lives rather than what it looks like; in the world most
# animals are at home somewhere, and some are drawn elsewhere to find this out.
#
# ## Every layer of the ResNet
#
# The same two classes through all residual blocks. The graph is read like text, band by band: each goes on with the last layer of
# the one before.

# %% tags=["hide-input"]
deep = drawn(model, x[own[::2]], found, importance, texts, pictures)
show(deep, "fig-ierf-24",
     f"Every block of {network}, for {' and '.join(names)}: up to {top} concepts of each class in a layer and {shared} of all. Strengths are scaled to "
     "[0, 1] between neighbouring layers (iERF, figure 24).",
     alt="A tall graph in bands of up to seven columns: pictures of edges and stripes at first, of bodies and heads later, and the two classes at the end.")

# %% [markdown]
# Neighbouring blocks hand most of their concepts on, because each of them adds to what came before instead of making it anew. Look for the
# places where two lines join: there something new is made of two old things.
#
# ## Every layer of a transformer
#
# A transformer's feature vectors are its tokens. They are drawn by their {term}`AttnLRP` relevance, and their iERF is the patches
# that AttnLRP leads back to. In the last block only the class token can still matter, so the last column is the class
# token as the classifier gets it.

# %% tags=["hide-input"]
lacking = ed.gives(transformer)
if lacking:
    display(Markdown(f"The two exhibits of the transformer are {unavailable(lacking)}."))
else:
    vit = ed.model(transformer)
    seen = zoo.normalise(vit, images.pixels)
    depth = len(vit.blocks)
    tokens = ["block1", *(f"blocks.{k}" for k in range(depth - 1)), "penultimate"]
    spoken = ("patches", *(f"block {k + 1}" for k in range(depth - 1)), "class token", "class")
    in_tokens = making.layers_of(vit, seen, tokens, token_relevance, atoms=atoms, each=each, seed=seed)
    matter = making.telling(making.importances(vit, seen[own], in_tokens, goals, labels=labels[own], steps=steps), least)
    nodes = graph.choose(matter, top=top, shared=shared)
    said, faces = named(making.exemplars(seen, in_tokens, nodes, making.token_fields(vit)))
    tower = replace(drawn(vit, seen[own], in_tokens, matter, said, faces), layers=spoken)
    show(tower, "fig-ierf-25",
         f"Every layer of {transformer}, for {' and '.join(names)}: up to {top} concepts of each class in a layer and {shared} of all, from the embedded "
         "patches to the class token (iERF, figure 25).",
         alt="A graph of seven columns of pictures: patches with stripes and colours at the left, whole animals at the right.")

# %% [markdown]
# Patches here are eight pixels wide, and attention mixes them from the first block on. So there are concepts early on whose
# iERFs reach over the whole animal, which no early layer of a convolutional network could have. Follow the widest lines to the left, too: do
# they begin at the animal, or at the place where it stands?
#
# ## One concept from all sides

# %% tags=["hide-input"]
def lines_of(g, i, side):
    """List the three strongest edges into or out of a node."""
    mine = [e for e in g.edges if (e.end if side == "in" else e.start) == i and e.share > 0.001]
    return sorted(mine, key=lambda e: -e.share)[:3]


def tile(ax, cell, at, wide, frame):
    """Put a picture into a square of the axes."""
    (a, b), h = at, wide / 2
    ax.imshow(cell, extent=(a - h, a + h, b - h, b + h), zorder=3)
    ax.add_patch(plt.Rectangle((a - h, b - h), wide, wide, fill=False, edgecolor=frame, lw=1.6, zorder=4))


def cells(uri, count):
    """Cut a sprite into its pictures."""
    from sightglass.trace.graph.pictures import ACROSS, CELL, decoded

    sheet = decoded(uri)
    return [sheet[k // ACROSS * CELL :, k % ACROSS * CELL :][:CELL, :CELL] for k in range(count)]


if not lacking:
    middle = tower.column(depth - 1)  # the last block with tokens of its own
    clear = [i for i in middle if names[0] in tower.nodes[i].label]  # what is its own is easier to follow than an edge
    centre = max(clear or middle, key=lambda i: tower.nodes[i].importance[0])
    node = tower.nodes[centre]
    fig = plt.figure(figsize=(8, 3.9), layout="none")
    ax = fig.add_axes((0, 0, 0.5, 1), xlim=(0, 4), ylim=(0, 3.9))
    ax.set_axis_off()
    tile(ax, cells(node.crops, 1)[0], (2, 2.05), 0.95, "#222222")
    ax.text(2, 1.42, f"{node.label}\nconcept {node.concept}", ha="center", va="top", fontsize=8.5)
    for side, across in (("in", 0.5), ("out", 3.5)):
        edges = lines_of(tower, centre, side)
        most = max((edge.share for edge in edges), default=1)
        for k, edge in enumerate(edges):
            other = tower.nodes[edge.start if side == "in" else edge.end]
            up = 2.05 + (len(edges) - 1 - 2 * k) * 0.575
            tile(ax, cells(other.crops, 1)[0], (across, up), 0.7, "#999999")
            ax.text(across, up - 0.4, other.label, ha="center", va="top", fontsize=7.5)
            ends = ((across + 0.38, up), (1.5, 2.05)) if side == "in" else ((2.5, 2.05), (across - 0.38, up))
            xs = np.linspace(ends[0][0], ends[1][0], 40)
            way = (1 - np.cos(np.linspace(0, np.pi, 40))) / 2
            ax.plot(xs, ends[0][1] + way * (ends[1][1] - ends[0][1]), color="#2269A6", lw=0.8 + 3.2 * edge.share / most, alpha=0.85)
            ax.text(xs[20], ends[0][1] + 0.5 * (ends[1][1] - ends[0][1]) + 0.07, f"{edge.share:.2f}", fontsize=7, ha="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=5)
        layer = spoken[node.layer + (-1 if side == "in" else 1)]
        ax.text(across, 3.75, layer, ha="center", va="top", fontsize=8.5, fontweight="bold")
    ax.text(2, 3.75, spoken[node.layer], ha="center", va="top", fontsize=8.5, fontweight="bold")
    for text, y, uri in (("what its ten nearest tokens respond to", 0.955, node.crops),
                         ("where that is in their images", 0.475, node.places)):
        fig.text(0.535, y, text, fontsize=8.5, fontweight="bold", va="top")
        for k, cell in enumerate(cells(uri, node.exemplars)):
            small = fig.add_axes((0.535 + 0.0925 * (k % 5), y - 0.235 - 0.19 * (k // 5), 0.087, 0.087 * 8 / 3.9))
            small.imshow(cell)
            small.set_axis_off()
    show(fig, "fig-ierf-26",
         f"Concept {node.concept} of {spoken[node.layer]} of {transformer}, the one there that matters most to {names[0]} of those named after it. "
         "Left: the concepts of the layer before that make it, and those of the next one that it makes. Numbers are strengths as shares of the "
         "strongest between the two layers; widths compare the three. Right: its ten nearest tokens, each as what its iERF holds and as its place in the image (iERF, figure 26).",
         alt="At the left a framed picture with lines from three pictures before it and to three after it; at the right two blocks of ten small pictures.")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - A concept graph shows which concepts make which, from edges to the class, with pictures cut to the pixels
#   that their iERFs name ({numref}`fig-ierf-9`).
# - Nodes with rings of two colours are where classes meet. How far siblings share more of them than strangers is counted under claim 16.
# - For one image, compare what a node shows with what it's called: look for a mistake where they part ({numref}`fig-ierf-12`).
# - A line is a share of a cosine or a logit, by integrated gradients. It tells what adds up, not what would happen if a concept
#   were gone; and what holds back isn't seen ({doc}`/ierf/x-planted`).
# :::
#
# ## Copy this
#
# Any network with residual blocks, any images, here with random weights: concepts of two layers, their edges, and a graph.

# %%
import timm
import torch

from sightglass.trace import graph
from sightglass.trace.graph import making
from sightglass.trace.srd import relevance_of_layers

torch.manual_seed(0)
my_model = timm.create_model("resnet18", pretrained=False, num_classes=5).eval().requires_grad_(False)
my_x = torch.randn(24, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def my_relevance(model, x, taps):
    return relevance_of_layers(model, x, model(x).argmax(1), taps)


my_layers = making.layers_of(my_model, my_x, ["layer1", "layer2", "layer3"], my_relevance, atoms=16, nonzeros=3)
my_classes = my_model(my_x[:4]).mean(0).topk(2).indices.tolist()
my_importance = making.importances(my_model, my_x[:4], my_layers, my_classes)
my_chosen = graph.choose(my_importance, top=2, shared=1)
my_edges = making.strengths(my_model, my_x[:4], my_layers, my_chosen)
my_graph = graph.concept_graph(my_importance, my_edges, ["this", "that"], top=2, shared=1)
assert my_edges["layer1", "layer2"].shape == (16, len(my_chosen["layer2"]))
assert len(my_graph.layers) == 4 and my_graph.to_svg().startswith("<svg")

# %% [markdown]
# :::{dropdown} Try next: other classes
# Run `python -m sightglass run world ierf/6-4 -p 'classes=["car","bus"]'`, or three classes. In which layer do the two part?
# :::
#
# :::{dropdown} Try next: finer concepts
# The paper has eight concepts for each channel. `-p atoms=512 -p photos=1200` goes part of the way. What does one concept of the graph fall apart into?
# :::
#
# :::{dropdown} Try next: another mistake
# `-p 'mistaken=["owl","cat"]' -p searched=2400`. Is it the owl that looks like a cat, or the room?
# :::
