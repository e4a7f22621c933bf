# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inside the world
#
# **Question.** What do we look at when we look inside a network, and how can we know what is really there?
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | nothing: every picture is drawn by code | half a minute on one core | draws the world there, too | nothing |

# %% tags=["parameters"]
edition = "world"  # this page draws the world in every edition
seed = 0
device = "auto"

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown

import sightglass as sg
from sightglass import plot, world
from sightglass.show import show

plot.style()
ed = sg.load(edition, device=device)

# %% [markdown]
# Every picture in this wall was drawn a moment ago, from two numbers each: a seed and an index. Some are
# easy, some are dark, far away, too close or half hidden. All of them come with the truth about every pixel.

# %%
wall = world.draw(world.plan(range(8 * len(world.NOUNS)), seed + 12), maps=False)
by_noun = wall.pixels().unflatten(0, (8, len(world.NOUNS))).transpose(0, 1).flatten(0, 1)
show(
    plot.sheet(by_noun, columns=16),
    "fig-world-x1",
    "The world: eight scenes of each of its twenty-four nouns, as a network gets to see them, at 64 "
    "pixels.",
    alt="A wall of 192 small cartoon pictures in rows: zebras and horses, cats and dogs, birds, fish, "
    "flowers, cars.",
)

# %% [markdown]
# ## Twenty-four nouns
#
# A noun is a class. Each one is a short function that paints shapes with a pen, so it can be drawn at any size. Look
# for the siblings: zebra and horse share an outline, so do clownfish and goldfish, and car and bus share wheels,
# windows and the street. A network that tells siblings apart must use what little they differ in.

# %%
clean = world.draw(world.plan(range(24), seed, home=1.0, clean=True), size=128)
show(
    plot.grid(clean.pixels(), columns=8, captions=world.NOUNS),
    "fig-world-x2",
    "The twenty-four nouns, alone, in good light and at home.",
    alt="Twenty-four labelled cartoons, from a zebra on sand to a lighthouse under the sky.",
)

# %% [markdown]
# Most nouns come in several **kinds**: the same drawing with another main colour. The first kind of a noun is the
# commonest, two images in three. Kinds are the fine classes of the task `kinds`, as breeds are in ImageNet.

# %%
owner = [next(i for i, noun in enumerate(world.NOUNS) if noun in {kind} | world.parents(kind))
         for kind in world.KINDS]  # fmt: skip
planned = world.plan(torch.tensor(owner), seed, home=1.0, clean=True)
drawn = [world.draw(world.edit(planned[[i]], kind=kind), 96).pixels()[0]
         for i, kind in enumerate(world.KINDS)]  # fmt: skip
show(
    plot.grid(drawn, columns=10, captions=world.KINDS),
    "fig-world-x3",
    f"All {len(world.KINDS)} kinds. Within a noun nothing changes but the main colour.",
    alt="A labelled grid of cartoons in which each noun appears in one to four colours.",
)

# %% [markdown]
# ## A tree of words
#
# Nouns have parents: a zebra is a mammal, an animal and a living thing. `world.parents` knows them all, so that an
# explanation such as "animal" can be counted as right for a zebra, and "bird" as wrong.


# %%
def tree_places():
    """Return x of every word, its level from the leaves up, and its children."""
    x, level = {noun: float(i) for i, noun in enumerate(world.NOUNS)}, dict.fromkeys(world.NOUNS, 0)
    children = {}
    for group in (*world.FAMILIES, *world.GROUPS["order"]):
        under = [w for w in x if group in world.parents(w)]
        children[group] = [w for w in under if not world.parents(w) & set(under)]
        x[group] = sum(x[w] for w in children[group]) / len(children[group])
        level[group] = 1 + max(level[w] for w in children[group])
    return x, level, children


x, level, children = tree_places()

# %% tags=["hide-input"]
fig, ax = plt.subplots(figsize=(8, 3.3))
for group, words in children.items():
    for word in words:
        ax.plot([x[group], x[group], x[word], x[word]], [level[group], level[group] - 0.45, level[group] - 0.45, level[word]],
                color="#8a8a8a", lw=1, zorder=0)  # fmt: skip
    box = dict(boxstyle="round,pad=0.25", fc="white", ec="#8a8a8a", lw=0.8)
    ax.text(x[group], level[group], group, ha="center", va="center", bbox=box)
for i, noun in enumerate(world.NOUNS):
    ax.imshow(clean.pixels()[i].permute(1, 2, 0), extent=(i - 0.47, i + 0.47, -0.55, 0), aspect="auto")
    ax.text(i, -0.65, noun, ha="center", va="top", rotation=90, fontsize=8)
ax.set(xlim=(-0.6, 23.6), ylim=(-2.0, 3.4))
ax.set_axis_off()
show(
    fig, "fig-world-x4", "The taxonomy: twenty-four nouns, seven families, and three orders above them.",
    alt="A tree whose leaves are small pictures of the nouns and whose branches are mammal, bird, animal and so on.",
)  # fmt: skip

# %% [markdown]
# ## Ten places
#
# Behind the noun lies one of ten backgrounds. Each noun is at home in one of them. Here one rabbit visits all ten;
# nothing but the background changes.

# %%
rabbit = world.plan(torch.tensor([world.NOUNS.index("rabbit")]), seed + 1, clean=True)
visits = [world.draw(world.edit(rabbit, background=b), 96).pixels()[0] for b in world.BACKGROUNDS]
show(
    plot.grid(visits, columns=5, captions=[world.place(b) for b in world.BACKGROUNDS]),
    "fig-world-x5",
    "One rabbit in the ten places of the world.",
    alt="Ten pictures of the same rabbit on grass, in a forest, at sea, at a reef, in the sky, on sand, "
    "and so on.",
)

# %% [markdown]
# Four images out of five show a noun at home, and the fifth shows it anywhere. A network may learn that what stands
# on sand is a zebra and be right four times out of five. {numref}`fig-world-x6` shows this bait.

# %% tags=["hide-input"]
test = world.split("test")
met = torch.zeros(len(world.NOUNS), len(world.BACKGROUNDS)).index_put_(
    (test.label, test.background), torch.ones(len(test)), accumulate=True
)
share = 100 * met / met.sum(1, keepdim=True)
home = share.max(1).values.mean().item()
fig, ax = plt.subplots(figsize=(8, 2.9))
shown = ax.imshow(share.T, cmap="Blues", vmin=0, vmax=100, aspect="auto")
ax.set_xticks(range(24), world.NOUNS, rotation=90)
ax.set_yticks(range(10), world.BACKGROUNDS)
ax.spines[:].set_visible(False)
fig.colorbar(shown, label="images of the noun, %", shrink=0.9)
show(
    fig, "fig-world-x6",
    f"Where the nouns are met, in {len(test):,} images of the `test` split. A noun is at home in {home:.0f}% of its images.",
    alt="A table of shades: each noun has one dark cell, its home, and is pale everywhere else.",
)  # fmt: skip

# %% [markdown]
# ## The truth about a scene
#
# A scene knows its noun, its kind, what else is in it, where it is, and for every pixel the object, the part and the
# texture that is visible there. What is hidden doesn't count. From the pixels follow the **concepts**: a truth table
# with one column per word.

# %%
busy = world.plan(torch.arange(world.NOUNS.index("cat"), 9600, 24), seed, pairs=1.0, hard=0.0)
scene = world.draw(busy[(busy.occluders > 0).nonzero()[10]], size=256)
maps = {
    "object": (scene.instance[0], ("main object", "second object", "occluder")),
    "part": (scene.part[0], world.PARTS),
    "texture": (scene.texture[0], world.TEXTURES),
}

# %% tags=["hide-input"]
fig, axes = plt.subplots(1, 4, figsize=(8, 3.75))
axes[0].imshow(scene.image[0].permute(1, 2, 0))
axes[0].set_title("picture")
for ax, (what, (ids, names)) in zip(axes[1:], maps.items(), strict=True):
    present = [i for i in ids.unique().tolist() if i]
    colours = torch.full((256, 3), 0.93)
    colours[present] = torch.tensor(plt.get_cmap("tab20")(range(len(present))))[:, :3].float()
    ax.imshow(colours[ids.long()])
    ax.set_title(what)
    patches = [plt.Rectangle((0, 0), 1, 1, color=colours[i].tolist()) for i in present]
    ax.legend(patches, [names[i - 1] for i in present], loc="upper center", bbox_to_anchor=(0.5, -0.02),
              ncols=2 if len(present) > 3 else 1, fontsize=7.5, handlelength=1, columnspacing=1)  # fmt: skip
for ax in axes:
    ax.set(xticks=[], yticks=[], anchor="N")
    ax.spines[:].set_visible(False)
show(
    fig, "fig-world-x7", "One scene and what is known about its pixels; grey is none of these.",
    alt="A cartoon scene, then three maps of it in flat colours: objects, named parts, and textures.",
)  # fmt: skip

# %% [markdown]
# The same scene in words. A {term}`concept` is present when enough of its pixels are visible, and a colour when at
# least a fifth of an object has it. Captions are true sentences that say more or less.

# %%
there = scene.concept[0].tolist()
present = [name for name, seen in zip(world.CONCEPTS, there, strict=True) if seen]
truth = {group: ", ".join(w for w in words if w in present) or "none"
         for group, words in world.GROUPS.items()}  # fmt: skip
truth["caption"] = "; ".join(dict.fromkeys(world.captions(scene, s)[0] for s in range(4)))
show(
    pd.DataFrame(truth.items(), columns=["concept group", "what the scene shows"]),
    "tab-world-x1",
    f"The scene in words: {len(present)} of {len(world.CONCEPTS)} concepts are present.",
)

# %% [markdown]
# ## The same scene with one thing changed
#
# To ask whether a network uses the stripes, one would like to see the same animal without them. Here that picture
# exists. A scene is planned before it is drawn: `world.plan` decides what is in it, `world.draw` paints it, and
# `world.edit` changes one thing in a plan and leaves every other decision alone.

# %%
nouns, parts = ("zebra", "owl", "clownfish", "balloon"), ("leg", "big eye", "tail fin", "basket")
changes = {"as planned": {}, "background: room": dict(background="room"),
           "colour: purple": dict(colour="purple"), "texture: spots": dict(texture="spots"),
           "texture: none": dict(texture="plain"), "second: car": dict(second="car"),
           "without a part": {}}  # fmt: skip
rounds = torch.tensor([7 * len(world.NOUNS) + world.NOUNS.index(noun) for noun in nouns])
planned = world.plan(rounds, seed, pairs=0.0, hard=0.0, home=1.0)
columns = [world.edit(planned, **change) for change in changes.values()]
bare = [world.edit(planned[[i]], without=part) for i, part in enumerate(parts)]
columns[-1] = world.Plan.cat(bare)
edited = torch.stack([world.draw(column, 96).pixels() for column in columns], 1)
show(
    plot.grid(edited, columns=list(changes)),
    "fig-world-x8",
    "Four scenes and six edits of each. The last column leaves out one part, from top to bottom: "
    + ", ".join(parts) + ".",
    alt="A grid of cartoons; along each row one thing changes: background, colour, texture, company, "
    "or a missing part.",
)

# %% [markdown]
# An edit of the object touches no pixel outside of it. Counted in two hundred scenes, with the object as it was before
# and after, and a rim of one pixel for its outline:

# %% tags=["nbval-check-output"]
many = world.plan(range(216), seed, pairs=0.0)
other = world.edit(many, colour="purple", texture="checks")
before, after = (world.draw(plan) for plan in (many, other))
changed = (before.image != after.image).any(1)
object_ = ((before.instance == 1) | (after.instance == 1)).float()
object_ = torch.nn.functional.max_pool2d(object_, 3, 1, 1) > 0  # and a rim of one pixel
print(f"pixels changed inside the object:  {changed[object_].float().mean():.1%}")
print(f"pixels changed outside the object: {changed[~object_].float().mean():.1%}")

# %% [markdown]
# Edits add up. In a few steps a zebra becomes a horse, and one can watch at which step a network changes its mind.

# %%
ways = (
    {"zebra": dict(kind="zebra"), "no stripes": dict(texture="plain"),
     "cream horse": dict(kind="cream horse"), "brown horse": dict(kind="brown horse"),
     "on grass": dict(background="grass")},
    {"clownfish": dict(kind="orange clownfish"), "no bands": dict(texture="plain"),
     "goldfish, no scales": dict(kind="orange goldfish"), "scales": dict(texture="scales"),
     "yellow": dict(colour="yellow")},
    {"red car": dict(kind="red car"), "yellow": dict(colour="yellow"),
     "no lamps": dict(without="lamp"), "yellow bus": dict(kind="yellow bus"),
     "red bus": dict(colour="red")},
)  # fmt: skip


def walk(changes, index):
    """Draw a scene after each of the changes, one on top of the other."""
    scene = world.plan(torch.tensor([index]), seed, pairs=0.0, hard=0.0, home=1.0)
    for change in changes:
        scene = world.edit(scene, **change)
        yield world.draw(scene, 96).pixels()[0]


walks = [list(walk(way.values(), 24 * 7 + i)) for way, i in zip(ways, (0, 9, 17), strict=True)]

# %%
show(
    plot.grid(walks, captions=[name for way in ways for name in way]),
    "fig-world-x9",
    "From zebra to horse, from clownfish to goldfish, from car to bus, one edit after the other.",
    alt="Three rows of five pictures in which a zebra, a clownfish and a car turn into their "
    "siblings.",
)

# %% [markdown]
# ## What makes it hard
#
# Some images are hard in one of four ways, and some show a second, smaller thing. Without them a small network is
# right on nearly every image, and nobody learns from explaining a network that makes no mistakes.

# %%
hard = world.plan(range(24 * 20), seed, hard=1.0, pairs=0.0)
rows = [world.draw(hard[(hard.hard == k).nonzero()[5:14, 0]], maps=False).pixels()
        for k in range(len(world.HARD))]  # fmt: skip
rows.append(world.draw(world.plan(range(50, 59), seed, hard=0.0, pairs=1.0), maps=False).pixels())
show(
    plot.grid(torch.stack(rows), rows=[*world.HARD, "two things"]),
    "fig-world-x10",
    "The four ways to be hard, and scenes with two things: the label is the larger one.",
    alt="Five rows of pictures: too close, too far, behind posts and leaves, in the dark, and with a "
    "second small thing.",
)

# %% [markdown]
# ## Splits
#
# A split is a range of indices and a seed, so none is ever stored in the repository: they are drawn on first use and
# kept in a cache file. Some show the world in another style, to test networks outside of what they were trained on.

# %%
differs = {
    "train": "what networks learn from", "val": "to choose settings",
    "probe": "to explain neurons (7,000 to fit, 1,000 to tune, 2,000 to test)",
    "test": "to score networks", "pairs": "always two things", "inverted": "colours turned over",
    "sketch": "pencil lines on paper", "elsewhere": "never at home", "noise": "strong grain",
    "corrupt": "noise, blur, large pixels, low contrast, grey",
}  # fmt: skip
ten = {name: range(24, 34) for name in world.SPLITS}
ten["corrupt"] = torch.arange(0, 240, 24) + torch.arange(10)
looks = [world.draw(world.split_plan(*which), maps=False).pixels() for which in ten.items()]
show(
    plot.grid(torch.stack(looks), rows=[f"{name}\n{world.SPLITS[name].size:,}" for name in ten]),
    "fig-world-x11",
    "Ten images of each split, and how many there are. "
    + "; ".join(f"`{name}`: {text}" for name, text in differs.items()) + ".",
    alt="Ten rows of pictures: four ordinary ones, then pairs, inverted colours, pencil sketches, odd "
    "places, noise, blur.",
)

# %% [markdown]
# ## How often each concept is there
#
# {term}`Linear explanations <linear explanation>` and concept scores need concepts that are neither everywhere nor
# nowhere. Each dot is one concept.

# %% tags=["hide-input"]
often = pd.Series(100 * test.concept.float().mean(0), index=list(world.CONCEPTS))
colour_of = dict(zip(world.GROUPS, plot.PALETTE, strict=True))
group_of = {word: group for group, words in world.GROUPS.items() for word in words}
fig, axes = plt.subplots(1, 4, figsize=(8, 6.2), sharex=True)
ranked = often.sort_values(ascending=False)
for ax, part in zip(axes, torch.arange(len(ranked)).tensor_split(4), strict=True):
    piece = ranked.iloc[part.tolist()]
    colours = [colour_of[group_of[word]] for word in piece.index]
    ax.hlines(range(len(piece)), 0.1, piece, color=colours, lw=0.8)
    ax.scatter(piece, range(len(piece)), s=12, color=colours)
    ax.set_yticks(range(len(piece)), piece.index, fontsize=7.5)
    ax.set(xscale="log", xlim=(0.5, 100), ylim=(len(piece) - 0.3, -0.7), xticks=[1, 10, 100], xticklabels=["1", "10", "100"])
    ax.tick_params(axis="y", length=0)
fig.supxlabel("images that show it, % (logarithmic)", fontsize=9)
handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=g) for g, c in colour_of.items()]
fig.legend(handles=handles, ncols=8, loc="outside upper center", handletextpad=0.1, columnspacing=1)
show(
    fig, "fig-world-x12", f"All {len(often)} concepts by how often they are seen, in {len(test):,} images of the `test` split.",
    alt="Four columns of dots on logarithmic axes, from living thing in most images down to whisker or teeth in few.",
)  # fmt: skip

# %% [markdown]
# ## The same pixels, whoever draws them
#
# Each scene has its own random numbers, hashed from its seed, its index and the name of what is decided. So it doesn't
# matter in which batch it is drawn, beside which others, or in which order.

# %% tags=["nbval-check-output"]
whole = world.plan(range(48), seed)
at_once = world.draw(whole)
one_by_one = world.Scenes.cat([world.draw(whole[[i]]) for i in range(48)])
mixed = torch.randperm(48, generator=torch.Generator().manual_seed(seed))
shuffled = world.Scenes.cat([world.draw(whole[rows]) for rows in mixed.split(7)])[mixed.argsort()]
for name, other in {"one by one": one_by_one, "shuffled, in sevens": shuffled}.items():
    same = all(torch.equal(getattr(at_once, field), getattr(other, field))
               for field in ("image", "part", "texture", "concept"))  # fmt: skip
    print(f"{name}: {'every bit the same' if same else 'DIFFERENT'}")

# %% tags=["nbval-check-output"]
numbers = {
    "nouns": len(world.NOUNS), "kinds": len(world.KINDS), "places": len(world.BACKGROUNDS),
    "concepts": len(world.CONCEPTS),
    "concepts per image": float(test.concept.sum(1).float().mean()),
    "rarest concept, %": often.min(), "commonest concept, %": often.max(), "at home, %": home,
    "hard, %": 100 * float((test.hard >= 0).float().mean()),
    "two things, %": 100 * float((test.count == 2).float().mean()),
    "pixels of the main object, %": 100 * float((test.instance == 1).float().mean()),
}  # fmt: skip
print("\n".join(f"{name:30s}{value:.3g}" for name, value in numbers.items()))

# %% tags=["hide-input"]
Markdown(f""":::{{admonition}} What to take away
:class: tip
- The world has {numbers["nouns"]} nouns, {numbers["kinds"]} kinds, {numbers["places"]} places and {numbers["concepts"]}
  concepts. An image shows {numbers["concepts per image"]:.0f} of them on average, and each of its pixels knows its
  object, part and texture.
- A noun is at home in {home:.0f}% of its images. That tempts a network to look at the background, and the split
  `elsewhere` tells which network gave in.
- {numbers["hard, %"]:.0f}% of the images are hard and {numbers["two things, %"]:.0f}% show two things, so networks
  make mistakes that are worth explaining.
- It is a cartoon, without the texture, light and clutter of photographs. A method that fails here, where the
  truth is known, has something to explain; one that works here still has to work on photographs, for which the same
  notebooks run in another edition.
:::
""")

# %% [markdown]
# ## Copy this
#
# Scenes for an experiment of your own, with labels, masks, words, and the same scenes on snow:

# %%
from sightglass import world

plan = world.plan(range(8), seed=7, pairs=0.5)
scenes = world.draw(plan, size=96)
images, labels = scenes.pixels(), scenes.label  # (8, 3, 96, 96) in [0, 1] and (8,)
masks = scenes.instance == 1  # (8, 96, 96): the main object
parts = scenes.part  # (8, 96, 96): 1 + index into world.PARTS, 0 where there is none
striped = scenes.concept[:, world.CONCEPTS.index("striped")]
on_snow = world.draw(world.edit(plan, background="snow"), size=96).pixels()
print(world.captions(scenes)[:3])

# %% [markdown]
# :::{dropdown} Try next: does a network see the zebra, or its stripes?
# Draw zebras with `world.edit(plan, texture="plain")` and count how often a network of [](networks.ipynb) still says
# zebra. Then try `texture="stripes"` on a dalmatian, whose coat is spotted.
# :::
#
# :::{dropdown} Try next: which part matters most?
# Leave out one part after the other with `without=` and look at the score of the noun. Small parts can matter more
# than large ones: think of the beak of a finch.
# :::
#
# :::{dropdown} Try next: how would you add a noun?
# A noun is one function that paints with a pen, such as `rabbit` in `lib/world/mammals.py`. Shapes, parts and textures
# are painted back to front, and the truth follows from the painting.
# :::
