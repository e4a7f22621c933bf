"""Six small ResNets that differ in their activation function alone: `python -m sightglass.trace.activations [NAME...]`.

They tell kinds apart (a red car from a blue one), start from the same random weights and see the same images in the
same order. Weights and cards land in data/weights/world/ as act_relu, act_elu and so on.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from ..names import unknown
from ..zoo import shipped

MADE_BY = "python -m sightglass.trace.activations"
# name: (as the paper writes it, the module). timm's own GELU and Tanh take the `inplace` that its ResNets pass on.
ACTIVATIONS: dict[str, tuple[str, str]] = {
    "relu": ("ReLU", "torch.nn.ReLU"),
    "elu": ("ELU", "torch.nn.ELU"),
    "leaky_relu": ("LeakyReLU", "torch.nn.LeakyReLU"),
    "swish": ("Swish", "torch.nn.SiLU"),
    "gelu": ("GELU", "timm.layers.GELU"),
    "tanh": ("Tanh", "timm.layers.Tanh"),
}
TASK, SPLITS = "kinds", ("val", "test")
BUILDER = "timm.models.resnet.ResNet"
ARGUMENTS = {
    "block": "timm.models.resnet.BasicBlock", "layers": [1, 1, 1, 1], "channels": [16, 32, 48, 80],
    "output_stride": 16, "aa_layer": "torch.nn.AvgPool2d", "avg_down": True,
}  # fmt: skip
CHANGES = {"epochs": 2, "rate": 5e-3, "seed": 20}


def network(name: str) -> nn.Module:
    """Return the small ResNet of an activation, in eval mode with frozen parameters."""
    from ..zoo import model
    from ..zoo.weights import FOLDER

    facts, _ = shipped.read(card(name)["name"], MADE_BY)
    how = {key: facts[key] for key in ("architecture", "arguments", "mean", "std")}
    return out_of_place(model(str(FOLDER / f"{facts['name']}.safetensors"), **how))


def card(name: str) -> dict:
    """Return the card of the small ResNet of an activation: recipe, accuracy per split, size."""
    if name not in ACTIVATIONS:
        raise KeyError(unknown("activation", name, ACTIVATIONS))
    return shipped.card(f"act_{name}", MADE_BY)


def out_of_place(model: nn.Module) -> nn.Module:
    """Let activations keep what goes into them, as explanations need it; values stay the same."""
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return model


def train(name: str) -> dict:
    """Train the ResNet of one activation; write weights and card, return the card."""
    from ..zoo.families import MEAN, SIZE, STD, construct, describe
    from ..zoo.losses import classify
    from ..zoo.recipes import COMMON
    from ..zoo.train import fit, halve, training_scenes
    from ..zoo.weights import task_classes

    title, layer = ACTIVATIONS[name]
    recipe, classes = {**COMMON, **CHANGES}, task_classes(TASK)
    arguments = {**ARGUMENTS, "act_layer": layer, "num_classes": len(classes)}
    scenes = training_scenes(recipe)
    started = time.process_time()  # minutes of one core, whatever else the machine does
    with torch.random.fork_rng():
        torch.manual_seed(recipe["seed"])
        model = out_of_place(describe(construct(BUILDER, arguments)))
        model = fit(model, scenes.image, classify(scenes.target(TASK), recipe["smoothing"]), recipe, title=title)
    minutes = round((time.process_time() - started) / 60, 1)
    facts = {
        "family": f"ResNet, {title}", "task": TASK, "classes": classes, "architecture": BUILDER,
        "arguments": arguments, "mean": MEAN, "std": STD, "size": SIZE, "seed": recipe.pop("seed"),
        "minutes": minutes, "recipe": recipe, "accuracy": accuracies(halve(model)),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    return shipped.save(f"act_{name}", model.state_dict(), facts)


def accuracies(model: nn.Module) -> dict[str, float]:
    """Score a network on splits that it wasn't trained on."""
    from .. import world
    from ..zoo.score import class_accuracy, outputs

    scenes = {split: world.split(split, maps=False) for split in SPLITS}
    return {split: class_accuracy(outputs(model, s.image), s.target(TASK)) for split, s in scenes.items()}


def main(arguments: list[str] | None = None) -> None:
    """Train the named activations' ResNets, or all of them, one after the other."""
    shipped.command(MADE_BY, "activation", ACTIVATIONS, train, "accuracy", arguments)


if __name__ == "__main__":
    main()
