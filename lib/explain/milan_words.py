"""What a person who sees all would say of regions: true captions, counted on the world's masks.

Shares of the regions' pixels decide, averaged over a unit's exemplars; several people say more or less of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .masks import Category, world_categories

# share of a region from which something is said of it, by what it is
GROUND, NOUN, TWO, GROUP, PART, TEXTURE, COLOUR, PLACE = 0.6, 0.55, 0.75, 0.65, 0.4, 0.4, 0.5, 0.7


@dataclass(frozen=True)
class Account:
    """All that is true of the regions of one unit; an empty string where nothing is."""

    colour: str
    texture: str
    thing: str  # a noun, two, a family or an order
    part: str
    place: str
    ground: bool  # the regions are background

    def all(self) -> str:
        """Say all of it."""
        return " ".join(filter(None, (self.colour, self.texture, self.thing, self.part, self.place)))

    def more(self) -> set[str]:
        """Return the words of what its things also are, all of them: a zebra and a cat are mammals."""
        from .. import world

        above = [world.parents(thing) for thing in self.thing.split(" and ")]
        return {word for name in frozenset.intersection(*above) for word in name.split()}


def region_categories(scenes) -> tuple[Category, ...]:
    """Label the world's scenes by pixel, as for Network Dissection, but places only where they are seen."""
    *others, place = world_categories(scenes)
    seen = place.labels[:, None, None] * (scenes.instance == 0)
    return (*others, Category("place", place.words, seen.to(torch.uint8)))


def shares(categories: tuple[Category, ...], image: Tensor, lit: Tensor) -> dict[str, Tensor]:
    """Measure how much of each region (pairs, h, w) shows each word of each category: (pairs, words)."""
    pair, y, x = lit.nonzero(as_tuple=True)
    pixels = torch.bincount(pair, minlength=len(lit))[:, None]
    found = {}
    for c in categories:
        width = len(c.words) + 1
        place = pair * width + c.labels[image[pair], y, x]
        found[c.name] = torch.bincount(place, minlength=len(lit) * width).view(-1, width)[:, 1:] / pixels
    return found


def accounts(shown: dict[str, Tensor], places: Tensor) -> list[Account]:
    """Say what is true of units from their regions' shares (K, top, words) and their images' places (K, top)."""
    from .. import world

    above = [[order in world.parents(noun) for order in world.GROUPS["order"]] for noun in world.NOUNS]
    mean = {name: share.mean(1) for name, share in shown.items()}
    mean["order"] = mean["noun"] @ torch.tensor(above).to(mean["noun"])
    common = torch.nn.functional.one_hot(places, len(world.BACKGROUNDS)).float().mean(1)
    return [account({name: share[k] for name, share in mean.items()}, common[k]) for k in range(len(places))]


def account(mean: dict[str, Tensor], common: Tensor) -> Account:
    """Say what is true of one unit from the mean shares of its regions."""
    from .. import world

    groups = world.GROUPS
    ground = float(mean["place"].sum())
    if ground >= GROUND:
        places = mean["place"] / ground
        places = leading(places, groups["place"], NOUN) or two(places, groups["place"], 0.0)
        return Account("", "", "", "", places, True)
    solid = {name: share / max(1 - ground, 1e-6) for name, share in mean.items()}
    thing = leading(solid["noun"], groups["noun"], NOUN) or two(solid["noun"], groups["noun"], TWO)
    thing = thing or leading(solid["family"], groups["family"], GROUP)
    order = {name: float(share) for name, share in zip(groups["order"], solid["order"], strict=True)}
    thing = thing or next((name for name in ("animal", "living thing", "made thing") if order[name] >= GROUP), "")
    one = {name: leading(solid[name], groups[name], least)
           for name, least in (("part", PART), ("texture", TEXTURE), ("colour", COLOUR))}  # fmt: skip
    place = leading(common, groups["place"], PLACE) if ground >= 0.05 else ""
    return Account(one["colour"], one["texture"], thing, one["part"], place, False)


def leading(share: Tensor, words: tuple[str, ...], least: float) -> str:
    """Name the word of the largest share if it reaches `least`."""
    return words[int(share.argmax())] if share.max() >= least else ""


def two(share: Tensor, words: tuple[str, ...], least: float) -> str:
    """Name the two words of the largest shares if they reach `least` together, in the order of the words."""
    value, order = share.topk(2)
    return " and ".join(words[i] for i in sorted(order.tolist())) if value.sum() >= least else ""


def captions(account: Account, draws: torch.Generator, n: int = 3) -> list[str]:
    """Let n people describe a unit, each saying more or less of what is true."""
    if account.ground:
        return [account.place] * n
    return [phrase(account, (torch.rand(5, generator=draws) < KEPT).tolist()) for _ in range(n)]


KEPT = torch.tensor([0.6, 0.8, 0.7, 0.9, 0.4])  # chance that a colour, texture, thing, part and place is mentioned


def phrase(account: Account, said: list[bool]) -> str:
    """Put into words what one person mentions of an account, which is something at least."""
    parts = (account.colour, account.texture, account.thing, account.part, account.place)
    colour, texture, thing, part, place = (what if keep else "" for what, keep in zip(parts, said, strict=True))
    if not thing and not part:
        thing, part = (account.thing, account.part) if not account.thing or not account.part else (account.thing, "")
    head = f"{thing} {part}".strip() if " and " not in thing else part or thing
    if not head and not texture:
        colour, texture = account.colour, account.texture
    return " ".join(filter(None, (colour, texture, head or "thing", place)))
