"""The inverters of an edition, as its file lists them, ready to draw.

`ready.inverter(ed, "resnet50")` draws as the edition's file says; `ed.gives("inverters")` is "" where there are some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..names import name_in, name_of, unknown
from . import base as bases
from . import control
from .base import Base
from .control import Inverter
from .sample import how

if TYPE_CHECKING:
    from ..editions import Edition

TITLES = {"resnet50": "ResNet50", "convnext": "ConvNeXt", "swinv2": "SwinV2", "densenet121": "DenseNet121"}
TROUBLE = (OSError, RuntimeError, ValueError)  # no weights, no network at hand, another shape


def title(role: str) -> str:
    """Return how the paper writes a network's name."""
    return next((name for start, name in TITLES.items() if role.startswith(start)), role)


def base(edition: Edition, role: str = "") -> Base:
    """Return the base of an edition, the one under a network's inverter when told which, on the edition's device."""
    entry = edition.inverters.get(role)
    if entry is None and len({one.base for one in edition.inverters.values()}) == 1:
        entry = next(iter(edition.inverters.values()))
    if entry:
        how(entry.drawing)  # a wrong option is said now
    if entry and entry.base:
        from . import hub

        return hub.load(edition, entry.base, size=entry.size)
    made_by = bases.MADE_BY + (f" --edition {edition.asked}" if edition.name != "world" else "")
    return bases.load(name_in(edition.name, "base"), made_by).to(edition.device)


def inverter(edition: Edition, role: str, *, tap: str = "", pooled: bool = False, on: Base | None = None) -> Inverter:
    """Return the inverter of a network of an edition, by default of the layer that its file names.

    It draws as the edition's file says; `on` is a base read before.
    """
    if role not in edition.inverters:
        missing = edition.gives("inverters")
        raise ValueError(missing or unknown(f"inverter of the {edition.name} edition", role, edition.inverters))
    entry = edition.inverters[role]
    how(entry.drawing)
    made_by = f"python -m sightglass invert train --edition {edition.asked} --model {role}"
    made_by += f" --tap {tap}" * bool(tap) + " --pooled" * pooled
    weights = name_in(edition.name, name_of(role, tap or entry.tap, pooled=pooled))
    found = control.read(weights, base=on or base(edition, role), made_by=made_by)
    return Inverter(found.base, found.control, found.tap, found.shape, found.facts, entry.drawing).to(edition.device)


def found(
    edition: Edition, wanted: Mapping[str, Mapping]
) -> tuple[Base | None, dict[str, Inverter], dict[str, str]]:  # fmt: skip
    """Read the inverters that there are, on one base, each by a name and what `inverter` takes.

    Return the base, the inverters by name, and of the others why there is none.
    """
    missing, inverters = edition.gives("inverters"), {}
    try:
        drawer = None if missing else base(edition)
    except TROUBLE as reason:
        drawer, missing = None, str(reason)
    if drawer is None:
        return None, {}, {"inverters": missing}
    absent = {}
    for name, options in wanted.items():
        try:
            inverters[name] = inverter(edition, **options, on=drawer)
        except TROUBLE as reason:
            absent[name] = str(reason)
    return drawer, inverters, absent
