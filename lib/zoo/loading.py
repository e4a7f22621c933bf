"""How a name, hub id, folder or checkpoint becomes a network."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from torch import nn

from ..names import unknown
from .families import FAMILIES, construct
from .weights import PICKLES, fill, load_world, read_tensors

FILES = (".safetensors", *PICKLES)


def load(name: str, *, architecture: str = "", arguments: dict | None = None, builder: str = "") -> nn.Module:
    """Make the network that a name stands for; see `zoo.model`."""
    arguments = dict(arguments or {})
    if builder:
        return from_builder(builder, name, arguments)
    if name.startswith("world/"):
        refuse(f"{name} is built from its card", architecture=architecture, arguments=arguments)
        return load_world(name.removeprefix("world/"))
    if architecture:
        path = existing(name)
        return fill(from_timm(architecture, arguments, pretrained=False), read_tensors(path), path)
    if is_path(name) or Path(name).is_dir():
        return from_path(existing(name), arguments)
    return from_timm(name, arguments, pretrained=True)


def is_path(name: str) -> bool:
    """Tell a path from a timm name or hub id."""
    return name.startswith((".", "/", "~")) or name.endswith(FILES)


def existing(name: str) -> Path:
    """Return a path that is there."""
    path = Path(name).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    return path


def refuse(why: str, **given) -> None:
    """Refuse arguments that would be ignored."""
    extra = [key for key, value in given.items() if value]
    if extra:
        raise ValueError(f"{why}, so it takes no {' or '.join(extra)}")


def from_path(path: Path, arguments: dict) -> nn.Module:
    """Open a hub-shaped folder: config.json beside its weights."""
    if path.is_file():
        raise ValueError(f'{path} holds weights only; say what to build, e.g. architecture="resnet18"')
    config, files = path / "config.json", [p for p in sorted(path.iterdir()) if p.suffix in FILES]
    if not config.exists() or not files:
        lacks = "config.json" if not config.exists() else f"weights ({', '.join(FILES)})"
        raise FileNotFoundError(f"{path} is no network folder: it has no {lacks}")
    facts = json.loads(config.read_text())
    if "architecture" not in facts:
        raise ValueError(f"{config} names no architecture; timm's push_to_hf_hub and save_for_hf write one")
    known = {"num_classes": facts["num_classes"]} if "num_classes" in facts else {}
    model = from_timm(facts["architecture"], known | facts.get("model_args", {}) | arguments, pretrained=False)
    own = facts.get("pretrained_cfg", {})
    model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, **own}
    source = next((p for p in files if p.suffix == ".safetensors"), files[0])
    return fill(model, read_tensors(source), source)


def from_timm(name: str, arguments: dict, *, pretrained: bool) -> nn.Module:
    """Build a timm architecture, with its published weights or random ones."""
    import timm

    if not name.startswith(("hf-hub:", "hf_hub:", "timm.")):
        check_name(name)
    try:
        if pretrained:
            return timm.create_model(name, pretrained=True, **arguments)
        return construct(name, arguments)
    except TypeError as error:
        raise ValueError(f"{name} takes other arguments: {error}") from None
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:160] or type(error).__name__
        raise RuntimeError(
            f"{name} can't be fetched ({type(error).__name__}: {reason}); offline, give a local folder or a "
            "checkpoint with architecture=..."
        ) from None


def check_name(name: str) -> None:
    """Refuse a name that neither timm nor the world knows."""
    import timm

    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        every = [*(f"world/{known}" for known in FAMILIES), *timm.list_models()]
        raise KeyError(unknown("network", name, every))
    tags = timm.list_pretrained(f"{base}.*")
    if tag and name not in tags:
        raise KeyError(unknown("pretrained network", name, tags))


def from_builder(builder: str, path: str, arguments: dict) -> nn.Module:
    """Call a function of the user's own file, "path/to/models.py:load", with the checkpoint's path."""
    file, colon, function = builder.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise ValueError(f"builder is {builder!r}, expected path/to/file.py:function")
    source = existing(file)
    spec = importlib.util.spec_from_file_location(f"sightglass_builder_{source.stem}", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        found = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise KeyError(unknown(f"function of {source}", function, found))
    model = getattr(module, function)(*([str(existing(path))] if path else []), **arguments)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{builder} returned {type(model).__name__}, expected a torch.nn.Module")
    return model
