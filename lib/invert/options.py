"""The command line of training, read without loading what trains."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..names import unknown

PROGRAM = "python -m sightglass invert train"
ABOUT = {
    "inverter": "Train an inverter: it draws what a network's features at a tap show. The same command goes on where "
    "it was cut off; Ctrl-C writes a checkpoint first. The folder gets log, sheets of pictures and weights. Read it in "
    "a notebook by `sightglass.invert.control.load(FOLDER)`.",
    "base": "Train the base: the model that draws an edition's pictures, and that inverters steer.",
    "codec": "Train the autoencoder that the base draws with: it packs pictures into small grids of numbers.",
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the words after `invert train`: `codec` or `base` and options, or an inverter's options alone."""
    named = arguments[:1] in [[what] for what in ABOUT]
    what, more = (arguments[0], arguments[1:]) if named else ("inverter", arguments)
    top = parser(what)
    if more and not named and not more[0].startswith("-"):
        top.error(unknown("model to train", more[0], ABOUT))
    options = top.parse_args(more)
    for key in ("steps", "minutes", "every", "images", "batch", "rate", "threads", "channels"):
        value = getattr(options, key, None)
        if value is not None and not 0 < value < float("inf"):
            top.error(f"--{key} must be above 0, not {value}")
    wrong = [width for width in getattr(options, "widths", ()) if width < 1 or width % 8]
    if wrong:
        top.error(f"--widths must be multiples of 8, not {wrong[0]}")
    return argparse.Namespace(what=what, **vars(options))


def parser(what: str) -> argparse.ArgumentParser:
    """Return the parser of a codec's, a base's or an inverter's options."""
    also = " (`invert train codec -h` and `invert train base -h` tell of what it draws with)"
    word, more = ("", also) if what == "inverter" else (f" {what}", "")
    top = argparse.ArgumentParser(prog=PROGRAM + word, description=ABOUT[what] + more, allow_abbrev=False)
    top.add_argument("--edition", default="world", help="name or YAML file (default: world)")
    {"codec": of_codec, "base": of_base, "inverter": of_inverter}[what](top)
    of_training(top)
    return top


def of_codec(top: argparse.ArgumentParser) -> None:
    """Add what only a codec has."""
    top.add_argument("--widths", type=int, nargs="+", default=(32, 64, 96), help="of its levels (default: 32 64 96)")
    top.add_argument("--channels", type=int, default=24, help="numbers a position (default: 24)")
    top.add_argument("--eyes", default="vgg16", help="the network in whose eyes pictures are compared (default: vgg16)")


def of_base(top: argparse.ArgumentParser) -> None:
    """Add what only a base has."""
    top.add_argument("--widths", type=int, nargs="+", default=(64, 96), help="of the UNet's levels (default: 64 96)")
    top.add_argument("--codec", default="base", help="the codec, by name or folder of a codec or base, or `patches`, "
                     "which needs no training (default: that of the base that is shipped)")  # fmt: skip
    with_budget(top)


def of_inverter(top: argparse.ArgumentParser) -> None:
    """Add what only an inverter has."""
    top.add_argument("--model", required=True, help="a role of the edition, or any network that zoo.model takes")
    top.add_argument("--tap", help="block1..block5 or a module path (default: the edition's, or block5)")
    top.add_argument("--pooled", action="store_true", help="read the mean over positions only")
    top.add_argument("--base", help="the base to steer, by name or path (default: the edition's)")
    with_budget(top)


def with_budget(top: argparse.ArgumentParser) -> None:
    """Add how much is computed beforehand."""
    top.add_argument("--budget", type=float, default=2.0, metavar="GB",
                     help="keep all pictures' latents and features when they fit, 0: never (default: 2)")  # fmt: skip


def of_training(top: argparse.ArgumentParser) -> None:
    """Add what all trainings have."""
    top.add_argument("--folder", type=Path, help="of checkpoint, log, sheets, weights (default: training/NAME)")
    top.add_argument("--minutes", type=float, help="train for so long in all, earlier runs included")
    top.add_argument("--steps", type=int, help="train to this step")
    top.add_argument("--every", type=int, default=500, help="steps between checkpoints and sheets (default: 500)")
    top.add_argument("--images", type=int, help="train on so many pictures (default: all)")
    top.add_argument("--batch", type=int, help="pictures a step")
    top.add_argument("--rate", type=float, help="highest learning rate")
    top.add_argument("--seed", type=int, help="of weights and draws")
    top.add_argument("--threads", type=int, help="of the processor")
    top.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    top.add_argument("--precision", choices=("auto", "no", "bf16"), default="auto", help="auto: bf16 on a GPU")
    top.add_argument("--fuse", action="store_true", help="compile first: minutes to begin with, faster steps")
    top.add_argument("--ship", action="store_true", help="put the weights beside the networks' too")
    top.add_argument("--afresh", action="store_true", help="forget the folder's checkpoint")
