"""Read an edition file strictly: every key known, every value of its type, each mistake one sentence."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml

from ..names import DATA, unknown
from .record import Edition, Inverter, Network, Pictures
from .surroundings import check_device, resolve

TOP = {
    "name": str, "title": str, "size": int, "device": str, "images": dict, "networks": dict, "folders": dict,
    "inverters": dict, "note": str,
}  # fmt: skip
IMAGES = {
    "source": str, "root": str, "splits": dict, "classes": (list, dict), "outputs": list, "resize": int,
    "download": str,
}  # fmt: skip
NETWORK = {
    "kind": str, "name": str, "architecture": str, "arguments": dict, "weights": str, "builder": str,
    "mean": list, "std": list, "task": str, "note": str,
}  # fmt: skip
INVERTER = {"tap": str, "base": str, "size": int, "drawing": dict}
KINDS = ("classifier", "image-text", "diffusion")
SOURCES = ("world", "folder", "npz")
WORDS = {str: "text", int: "a whole number", list: "a list", dict: "a block of keys"}
WORDS[(list, dict)] = "a list or a block of keys"


def available(data: Path = DATA) -> dict[str, Path]:
    """List the editions that ship with the book: name -> file."""
    return {path.stem: path for path in sorted((data / "editions").glob("*.yaml"))}


def load(edition: str | Path, *, device: str = "auto") -> Edition:
    """Load an edition by name or file, its pictures and device checked; ``device`` overrides the file's."""
    found = read(edition)
    chosen = dataclasses.replace(found, device=resolve(found.device if device == "auto" else device))
    if chosen.pictures.source != "world":
        _ = chosen.classes  # looks at the folder now: a missing one stops a run before it starts
    return chosen


def read(edition: str | Path) -> Edition:
    """Read and check an edition file alone: no folder, network or device is looked at."""
    path = locate(edition)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    check(str(path), data, TOP)
    if "images" not in data:
        raise ValueError(f"{path}: the block 'images' is missing, it says where pictures come from")
    size = positive(f"{path}: size", data.get("size", 64 if data["images"].get("source") == "world" else 224))
    pictures = read_pictures(f"{path}: images", data["images"])
    if 0 < pictures.resize < size:
        raise ValueError(f"{path}: images: resize is {pictures.resize}, expected at least the size, {size}")
    networks = read_networks(f"{path}: networks", data.get("networks") or {})
    name = data.get("name", path.stem)
    inverters = read_inverters(f"{path}: inverters", data.get("inverters") or {}, networks)
    folders = texts(data.get("folders"))
    device = check_device(f"{path}: ", data.get("device", "auto"))
    title, note = data.get("title", name), data.get("note", "")
    return Edition(name, title, size, device, pictures, networks, folders, note, path, inverters)


def locate(edition: str | Path) -> Path:
    """Find the file of an edition: a shipped name, or a path to a YAML file."""
    text = str(edition)
    if text in available():
        return available()[text]
    if not text.endswith((".yaml", ".yml")) and os.sep not in text:
        raise ValueError(unknown("edition", text, available()) + ", or the path of a .yaml file of your own")
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no edition file at {path}; shipped editions are {', '.join(available())}")
    return path


def check(where: str, block: Any, valid: dict[str, Any]) -> None:
    """Refuse a block that isn't a mapping, has an unknown key, or a value of the wrong type."""
    if not isinstance(block, dict):
        raise ValueError(f"{where}: expected a block of keys ({', '.join(valid)}), got {block!r}")
    for key, value in block.items():
        if key not in valid:
            raise ValueError(f"{where}: {unknown('key', key, valid)}")
        kind = valid[key]
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"{where}: {key} is {value!r}, expected {WORDS[kind]}")


def read_pictures(where: str, block: dict[str, Any]) -> Pictures:
    """Check the ``images`` block."""
    check(where, block, IMAGES)
    source = one_of(f"{where}: source", block.get("source", "folder"), SOURCES)
    if source != "world" and not block.get("root"):
        raise ValueError(f"{where}: root is missing, it names the folder or file of the images")
    classes = block.get("classes") or {}
    named = classes if isinstance(classes, dict) else {c: c for c in classes}
    outputs = tuple(block.get("outputs") or ())
    if outputs and named and len(outputs) != len(named):
        raise ValueError(f"{where}: outputs has {len(outputs)} entries for {len(named)} classes")
    resize = positive(f"{where}: resize", block["resize"]) if block.get("resize") else 0
    root, download = block.get("root") or "", block.get("download") or ""
    if download:
        one_of(f"{where}: download", download, ("imagenette",))  # what torchvision can fetch by itself
    return Pictures(source, root, texts(block.get("splits")), texts(named), outputs, resize, download)


def texts(block: dict[Any, Any] | None) -> dict[str, str]:
    """Turn keys and values into text, as YAML reads some class names as numbers."""
    return {str(key): str(value) for key, value in (block or {}).items()}


def read_networks(where: str, block: dict[Any, Any]) -> dict[str, Network]:
    """Check the ``networks`` block: role -> network."""
    return {str(role): read_network(f"{where}: {role}", str(role), entry) for role, entry in block.items()}


def read_network(where: str, role: str, block: Any) -> Network:
    """Check one entry of ``networks``; a bare text is short for ``{name: text}``."""
    block = {"name": block} if isinstance(block, str) else block
    check(where, block, NETWORK)
    ways = [key for key in ("name", "architecture", "builder") if block.get(key)]
    if len(ways) != 1:
        found = " and ".join(ways) or "none of them"
        raise ValueError(f"{where}: give exactly one of name, architecture or builder, found {found}")
    if block.get("architecture") and not block.get("weights"):
        raise ValueError(f"{where}: an architecture needs weights: a file")
    if ":" not in (block.get("builder") or ":"):
        raise ValueError(f"{where}: builder is {block['builder']!r}, expected file.py:function")
    one_of(f"{where}: kind", block.get("kind", "classifier"), KINDS)
    scale = {key: tuple(block.get(key) or ()) for key in ("mean", "std")}
    for key, values in scale.items():
        if values and (len(values) != 3 or not all(isinstance(v, int | float) for v in values)):
            raise ValueError(f"{where}: {key} is {list(values)}, expected 3 numbers (red, green, blue)")
    if bool(scale["mean"]) != bool(scale["std"]) or 0 in scale["std"]:
        raise ValueError(f"{where}: mean and std go together, three values each, no std of zero")
    return Network(role, **{key: value for key, value in (block | scale).items() if value is not None})


def read_inverters(where: str, block: dict[Any, Any], networks: dict[str, Network]) -> dict[str, Inverter]:
    """Check the ``inverters`` block: role -> how its features are drawn; a bare text is short for ``{tap: text}``."""
    found, bases = {}, [role for role, network in networks.items() if network.kind == "diffusion"]
    for role, entry in block.items():
        entry = {"tap": entry} if isinstance(entry, str) else entry
        check(f"{where}: {role}", entry, INVERTER)
        for kind, name, valid in (("network", role, networks), ("diffusion network", entry.get("base") or "", bases)):
            if name and name not in valid:
                raise ValueError(f"{where}: {role}: {unknown(kind, name, valid)}")
        found[str(role)] = Inverter(str(role), **{key: value for key, value in entry.items() if value is not None})
    return found


def one_of(where: str, value: str, valid: tuple[str, ...]) -> str:
    """Return a value that is among the valid ones."""
    if value not in valid:
        raise ValueError(f"{where}: {unknown('value', value, valid)}")
    return value


def positive(where: str, value: Any) -> int:
    """Return a whole number above zero."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{where} is {value!r}, expected a whole number above 0")
    return value
