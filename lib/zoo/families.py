"""The world networks as plain data: which timm class, which small arguments, which task, which taps.

Every entry can be written to JSON, so a card beside the weights is enough to build the network again.
"""

from __future__ import annotations

import importlib

from torch import nn

MEAN, STD, SIZE = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 64

# Pooling before every stride removes the dot lattice that strided 1x1 convolutions paint.
_SMOOTH = {"aa_layer": "torch.nn.AvgPool2d", "avg_down": True}
_VIT = {"img_size": SIZE, "patch_size": 8}

_RESNET = "timm.models.resnet.ResNet"
_TRANSFORMER = "timm.models.vision_transformer.VisionTransformer"

FAMILIES: dict[str, dict] = {
    "resnet50": {
        "family": "ResNet-50", "task": "nouns", "builder": _RESNET,
        "arguments": {"block": "timm.models.resnet.Bottleneck", "layers": [3, 4, 6, 3], "stem_width": 32,
                      "channels": [16, 32, 64, 128], "output_stride": 16, **_SMOOTH},
    },
    "resnet18": {
        "family": "ResNet-18", "task": "places", "builder": _RESNET,
        "arguments": {"block": "timm.models.resnet.BasicBlock", "layers": [2, 2, 2, 2],
                      "channels": [16, 32, 64, 128], **_SMOOTH},
    },
    "vgg16": {
        "family": "VGG-16", "task": "kinds", "builder": "timm.models.vgg.VGG",
        "arguments": {"cfg": [8, 8, "M", 16, 16, "M", 32, 32, 32, "M", 64, 64, 64, "M", 64, 64, 64, "M"],
                      "norm_layer": "torch.nn.BatchNorm2d", "mlp_ratio": 0.015625, "drop_rate": 0.0},
    },
    "densenet121": {
        "family": "DenseNet-121", "task": "nouns", "builder": "timm.models.densenet.DenseNet",
        "arguments": {"growth_rate": 12, "block_config": [6, 12, 8, 4],
                      "aa_layer": "timm.layers.BlurPool2d"},
    },
    "convnext_base": {
        "family": "ConvNeXt", "task": "nouns", "builder": "timm.models.convnext.ConvNeXt",
        "arguments": {"depths": [2, 2, 4, 2], "dims": [24, 48, 96, 192], "patch_size": 2,
                      "kernel_sizes": 5, "output_stride": 16, "ls_init_value": None},
    },
    "vit_l_16": {
        "family": "ViT-L/16", "task": "nouns", "builder": _TRANSFORMER,
        "arguments": {**_VIT, "embed_dim": 128, "depth": 5, "num_heads": 4, "mlp_ratio": 3.0},
    },
    "vit_l_32": {
        "family": "ViT-L/32", "task": "nouns", "builder": _TRANSFORMER,
        "arguments": {**_VIT, "patch_size": 16, "embed_dim": 96, "depth": 8, "num_heads": 4},
    },
    "vit_b_16": {
        "family": "ViT-B/16", "task": "nouns", "builder": _TRANSFORMER,
        "arguments": {**_VIT, "embed_dim": 96, "depth": 5, "num_heads": 3, "mlp_ratio": 3.0},
    },
    "swinv2_base": {
        "family": "Swin-V2", "task": "nouns", "builder": "timm.models.swin_transformer_v2.SwinTransformerV2",
        "arguments": {"img_size": SIZE, "patch_size": 4, "embed_dim": 20, "depths": [2, 2, 4, 2],
                      "num_heads": [1, 2, 4, 8], "window_size": 4, "drop_path_rate": 0.0},
    },
    "explainer": {
        "family": "SigLIP", "task": "phrases", "builder": "sightglass.zoo.imagetext.ImageText",
        "arguments": {"image": {"builder": "timm.models.convnext.ConvNeXt", "arguments": {
            "depths": [2, 2, 3, 2], "dims": [24, 48, 96, 160], "patch_size": 2, "kernel_sizes": 5,
            "ls_init_value": None}},
            "text": {"kind": "mean", "width": 128}, "width": 128},
    },
    "simulator": {
        "family": "SigLIP", "task": "phrases", "builder": "sightglass.zoo.imagetext.ImageText",
        "arguments": {"image": {"builder": _RESNET, "arguments": {
            "block": "timm.models.resnet.BasicBlock", "layers": [2, 2, 2, 2], "channels": [16, 32, 64, 128],
            "act_layer": "torch.nn.SiLU", "output_stride": 16, **_SMOOTH}},
            "text": {"kind": "transformer", "width": 96, "depth": 1}, "width": 96},
    },
    "clip": {
        "family": "CLIP", "task": "phrases", "builder": "sightglass.zoo.imagetext.ImageText",
        "arguments": {"image": {"builder": _TRANSFORMER, "arguments": {
            **_VIT, "embed_dim": 96, "depth": 5, "num_heads": 3, "mlp_ratio": 3.0}},
            "text": {"kind": "transformer", "width": 96, "depth": 2}, "width": 96},
    },
}  # fmt: skip

# Module paths of block1..block5: the stem, then the four stages, as the VITAL paper taps them.
TAPS: dict[str, list[str]] = {
    "ResNet": ["conv1", "layer1", "layer2", "layer3", "layer4"],
    "DenseNet": ["features.conv0", *(f"features.denseblock{i}" for i in (1, 2, 3, 4))],
    "ConvNeXt": ["stem", *(f"stages.{i}.downsample.1" for i in (1, 2, 3)), "stages.3"],
    "SwinTransformer": ["patch_embed.proj", "layers.0", "layers.1", "layers.2", "layers.3"],
    "SwinTransformerV2": ["patch_embed.proj", "layers.0", "layers.1", "layers.2", "layers.3"],
}
# The same places in torchvision's networks, where the VITAL paper took its weights from.
TORCHVISION_TAPS: dict[str, list[str]] = {
    "ConvNeXt": ["features.0", "features.2.1", "features.4.1", "features.6.1", "features.7"],
    "SwinTransformer": ["features.0.0", "features.1", "features.3", "features.5", "features.7"],
}


def named_object(path: str):
    """Return what a dotted path such as "timm.models.resnet.ResNet" names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def resolve(value):
    """Replace every "timm." or "torch.nn." string inside arguments by the object that it names."""
    if isinstance(value, dict):
        return {key: resolve(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item) for item in value]
    named = isinstance(value, str) and value.startswith(("timm.", "torch.nn."))
    return named_object(value) if named else value


def construct(builder: str, arguments: dict, *, classes: int | None = None) -> nn.Module:
    """Build a network of one of the families, or of any timm architecture, with random weights."""
    arguments = dict(arguments) if classes is None else {**arguments, "num_classes": classes}
    if builder.startswith("sightglass.zoo."):
        model = named_object(builder)(**arguments)
    elif builder.startswith("timm."):
        model = named_object(builder)(**resolve(arguments))
    else:
        import timm

        model = timm.create_model(builder, **resolve(arguments))
    return model


def describe(model: nn.Module, mean=MEAN, std=STD, size: int | None = SIZE) -> nn.Module:
    """Give a network the `pretrained_cfg` that timm networks carry, so that its pixel scale is known."""
    known = getattr(model, "pretrained_cfg", None)
    cfg = {**(known if isinstance(known, dict) else {}), "mean": tuple(mean), "std": tuple(std)}
    cfg |= {"input_size": (3, size, size)} if size else {}
    model.pretrained_cfg = model.default_cfg = cfg
    return model


def block_paths(model: nn.Module) -> list[str]:
    """Return the module paths of block1..block5, from the tables or else from timm's own `feature_info`."""
    kind = type(model).__name__
    if type(model).__module__.startswith("torchvision.") and kind in TORCHVISION_TAPS:
        return TORCHVISION_TAPS[kind]
    if kind == "ConvNeXt" and isinstance(model.stages[0].downsample, nn.Sequential):
        return ["stem", *(f"stages.{i}" for i in range(4))]  # a stem of stride 2: every stage halves the map
    if kind in TAPS:
        return TAPS[kind]
    if hasattr(model, "patch_embed") and hasattr(model, "blocks"):
        return ["patch_embed.proj", *(f"blocks.{i}" for i in _four_of(len(model.blocks)))]
    if hasattr(model, "conv_proj"):  # torchvision's vision transformer
        return ["conv_proj", *(f"encoder.layers.encoder_layer_{i}" for i in _four_of(len(model.encoder.layers)))]
    paths = list(dict.fromkeys(stage["module"] for stage in getattr(model, "feature_info", None) or []))
    if kind == "VGG":
        return paths[:5]  # a sixth is the last pooling
    return [paths[round(i * (len(paths) - 1) / 4)] for i in range(5)] if len(paths) > 5 else paths


def _four_of(depth: int) -> list[int]:
    """Return four blocks of a transformer: the paper taps 2, 9, 20 and 23 of 24, others in proportion."""
    return [round((depth - 1) * part / 23) for part in (2, 9, 20, 23)]
