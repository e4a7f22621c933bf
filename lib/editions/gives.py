"""What an edition can give, and one sentence why not where it can't."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..names import unknown
from .record import Edition
from .surroundings import existing

TRUTHS = {
    "masks": "a mask per object",
    "parts": "a mask per named part",
    "textures": "a mask per texture",
    "concepts": "the list of concepts that are in each image",
    "captions": "sentences about each image",
    "edits": "the same scene with one thing changed",
    "taxonomy": "parents of each class",
    "places": "a background label per image",
    "kinds": "a fine class per image",
    "pairs": "images of two known objects",
    "shifts": "the same classes in other styles",
}
KINDS = {"image-text": "image-text network", "diffusion": "diffusion network"}


@cache
def roles() -> tuple[str, ...]:
    """List the network roles of all editions that ship with the book."""
    from .spec import available, read

    return tuple(dict.fromkeys(role for path in available().values() for role in read(path).networks))


def topics(edition: Edition) -> tuple[str, ...]:
    """List everything that can be asked of an edition."""
    return tuple(dict.fromkeys([*TRUTHS, *KINDS, "inverters", *edition.folders, *edition.networks, *roles()]))


def gives(edition: Edition, what: str) -> str:
    """Answer "" when the edition gives it, else one sentence why not."""
    if what not in topics(edition):
        raise ValueError(unknown("request", what, topics(edition)))
    if what in edition.networks:
        return ""
    if what in edition.folders:
        return missing(edition, what)
    if what == "inverters":
        return "" if edition.inverters else f"the {edition.name} edition lists no inverters"
    if what in TRUTHS:
        if edition.pictures.source == "world":
            return ""
        return f"the {edition.name} edition has no {what} ({TRUTHS[what]}); the world edition has"
    if what in KINDS:
        listed = any(network.kind == what for network in edition.networks.values())
        return "" if listed else f"the {edition.name} edition lists no {KINDS[what]}"
    return f"the {edition.name} edition lists no network {what}"


def missing(edition: Edition, name: str) -> str:
    """Say why an extra data folder isn't usable, "" when it is."""
    try:
        folder(edition, name)
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def folder(edition: Edition, name: str) -> Path:
    """Find an extra data folder of an edition."""
    if name not in edition.folders:
        raise ValueError(unknown(f"folder of the {edition.name} edition", name, edition.folders))
    return existing(edition.folders[name], edition.file, f"folders: {name}")
