"""Class activation maps and FullGrad against grad-cam, on the world's networks.

Both run in this process, on one thread and the same images and classes, and give the same maps.
"""

import contextlib
import io
import time

import torch

from sightglass import world, zoo
from sightglass.trace.saliency import cams
from sightglass.trace.saliency.methods import FROM_SLOPES, SALIENCY, from_slopes

SLOPES = {"GradCAM++": "GradCAMPlusPlus", "LayerCAM-low": "LayerCAM", "LayerCAM-high": "LayerCAM"}


def library(name: str, model, layers: list, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return grad-cam's maps (n, h, w), without its progress bars."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    quiet, kind = io.StringIO(), getattr(pytorch_grad_cam, SLOPES.get(name, name))
    with contextlib.redirect_stderr(quiet), kind(model=model, target_layers=layers) as method:
        targets = [ClassifierOutputTarget(int(label)) for label in target]
        return torch.from_numpy(method(x.clone().requires_grad_(True), targets))


def seconds(call, times: int = 3):
    """Return the shortest time of a call, and what it gave."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        found = call()
        taken.append(time.perf_counter() - started)
    return min(taken), found


def apart(mine, theirs) -> float:
    """Return the largest difference of maps."""
    return float((mine - theirs).abs().max())


def ablation(model, name: str, x, target, few: int) -> None:
    """Print how AblationCAM compares, per image."""
    at = cams.layers(model, x.shape[-2:])[0]
    layer = model.get_submodule(zoo.taps(model).get(at, at))
    mine, found = seconds(lambda: SALIENCY["AblationCAM"](model, x, target))
    slow, expected = seconds(lambda: library("AblationCAM", model, [layer], x[:few], target[:few]), 1)
    mine, slow = mine / len(x), slow / few
    print(f"AblationCAM of {name}: {slow * 1e3:.0f} ms per image with grad-cam, {mine * 1e3:.1f} ms here, "
          f"{slow / mine:.0f} times faster, largest difference {apart(found[:few], expected):.0e}")  # fmt: skip


def others(model, name: str, x, target) -> None:
    """Print how the maps from slopes, all five at once, and FullGrad compare."""
    taps = zoo.taps(model)
    layer = {which: model.get_submodule(taps.get(at, at)) for which, at in enumerate(cams.layers(model, x.shape[-2:]))}
    mine, found = seconds(lambda: from_slopes(model, x, target, names=FROM_SLOPES))
    times, gaps = 0.0, []
    for one, (_, which) in FROM_SLOPES.items():
        slow, expected = seconds(lambda one=one, which=which: library(one, model, [layer[which]], x, target), 1)
        times, gaps = times + slow, [*gaps, apart(found[one], expected)]
    print(f"five maps from slopes of {name}: {times / mine:.0f} times faster, largest difference {max(gaps):.0e}")
    mine, found = seconds(lambda: SALIENCY["FullGrad"](model, x, target))
    slow, expected = seconds(lambda: library("FullGrad", model, [], x, target), 1)
    print(f"FullGrad of {name}: {slow / mine:.0f} times faster, largest difference {apart(found, expected):.0e}")


def main(images: int = 16, few: int = 2) -> None:
    """Print times and differences for a network with mean pooling and one without."""
    torch.set_num_threads(1)
    for name in ("resnet50", "vgg16"):
        model = zoo.model(f"world/{name}")
        x = zoo.normalise(model, world.split("test", images).pixels())
        target = model(x).argmax(1)
        ablation(model, name, x, target, few)
        others(model, name, x, target)


if __name__ == "__main__":
    main()
