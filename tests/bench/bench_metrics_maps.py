"""Five metrics of seventeen saliency maps against Quantus, on the world's VGG.

Both run in this process, on one thread, with the same maps, masks, numbers of pixel sets and of noisy copies, and the
same functions behind the maps. Quantus goes image by image, for its stability else depends on the batch.
"""

import time
import warnings

import numpy as np
import torch

from sightglass import world, zoo
from sightglass.metrics.fidelity import PIXELS, drops, fidelity, pixel_sets
from sightglass.metrics.maps import localisation, pointing, scaled, sparseness, widened
from sightglass.metrics.stability import noises, stability
from sightglass.trace.saliency.methods import SALIENCY, maps
from sightglass.trace.srd.backward import srd

# small on both sides, so that the bench stays short
OPTIONS = {"IntegratedGradients": {"steps": 4}, "SmoothGrad": {"samples": 2}, "ScoreCAM": {"most": 4}}
SETS, SAMPLES = 100, 10
SRD = {"SRD-low": lambda r: r.low, "SRD-high": lambda r: r.maps["block4"], "SRD-input": lambda r: r.input}


def explanation(name: str, model, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return one kind of map, scaled."""
    if name in SRD:
        return scaled(SRD[name](srd(model, x, target, levels=("block4",))), x.shape[-2:])
    return scaled(SALIENCY[name](model, x, target, **OPTIONS.get(name, {})))


def explanations(model, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return all seventeen kinds of map (17, n, h, w), scaled."""
    made = list(maps(model, x, target, options=OPTIONS).values())
    shared = srd(model, x, target, levels=("block4",))
    return torch.stack([scaled(m, x.shape[-2:]) for m in (*made, *(look(shared) for look in SRD.values()))])


def here(model, x, target, masks) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the time that all metrics of all maps take, and the scores (17, n)."""
    all_maps = explanations(model, x, target)
    started = time.perf_counter()
    sets = pixel_sets(tuple(x.shape[-2:]), count=SETS)
    scores = {
        "pointing": pointing(all_maps, masks, constant=0.0),
        "localisation": localisation(all_maps, masks, constant=0.0),
        "sparseness": sparseness(all_maps, constant=0.0),
        "fidelity": fidelity(all_maps, drops(model, x, target, sets), sets, constant=0.0),
        "stability": stability(lambda z: explanations(model, z, target), x, noises(x.shape[1:], samples=SAMPLES),
                               maps=all_maps),
    }  # fmt: skip
    return time.perf_counter() - started, scores


def metrics(size: int) -> dict:
    """Return Quantus' five metrics with the same settings."""
    import quantus

    how = dict(normalise=False, disable_warnings=True, display_progressbar=False, return_aggregate=False)
    lengths = dict(norm_numerator=quantus.distance_euclidean, norm_denominator=quantus.distance_euclidean)
    pixels = dict(subset_size=3 * round(PIXELS * size**2), nr_runs=SETS, perturb_baseline=0.0)
    return {
        "pointing": quantus.PointingGame(abs=False, **how),
        "localisation": quantus.AttributionLocalisation(abs=False, positive_attributions=True, **how),
        "sparseness": quantus.Sparseness(abs=True, **how),
        "fidelity": quantus.FaithfulnessCorrelation(abs=False, **pixels, **how),
        "stability": quantus.LocalLipschitzEstimate(nr_samples=SAMPLES, perturb_std=0.1, **lengths, **how),
    }


def library(model, x, target, masks) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Return Quantus' time for each metric of all maps, and its scores (17, n)."""
    taken, scores = {}, {}
    all_maps, names = explanations(model, x, target), [*SALIENCY, *SRD]
    for metric, call in metrics(x.shape[-1]).items():
        found, started = [], time.perf_counter()
        for name, made in zip(names, all_maps, strict=True):

            def explain(model, inputs, targets, name=name, **_):
                return explanation(name, model, torch.as_tensor(inputs), torch.as_tensor(targets))[:, None].numpy()

            area = widened(masks, 4) if metric == "pointing" else masks
            given = dict(x_batch=x.numpy(), y_batch=target.numpy(), a_batch=made[:, None].numpy().copy(),
                         s_batch=area[:, None].numpy())  # fmt: skip
            found.append(np.array(call(model=model, explain_func=explain, batch_size=1, device="cpu", **given), float))
        taken[metric], scores[metric] = time.perf_counter() - started, torch.tensor(np.array(found))
    return taken, scores


def main(images: int = 12, few: int = 1) -> None:
    """Print times per image, their ratio and how far scores are apart where nothing is drawn."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    scenes, model = world.split("test", images), zoo.model("world/vgg16")
    x, masks = zoo.normalise(model, scenes.pixels()), scenes.instance == 1
    target = model(x).argmax(1)
    here(model, x[:1], target[:1], masks[:1])  # what is loaded once isn't counted
    fast, mine = here(model, x, target, masks)
    slow, theirs = library(model, x[:few], target[:few], masks[:few])
    total, fast = sum(slow.values()) / few, fast / images
    parts = ", ".join(f"{name} {value / few:.2f} s" for name, value in slow.items())
    print(f"five metrics of 17 maps, per image: {total:.1f} s with Quantus ({parts}), {fast:.2f} s here, "
          f"{total / fast:.0f} times faster")  # fmt: skip
    for name in ("pointing", "localisation", "sparseness"):
        gap = (mine[name][:, :few].double() - theirs[name]).abs().max()
        print(f"{name} differs by {gap:.0e} at most")
    for name in ("fidelity", "stability"):
        ours, other = mine[name][:, :few].mean(), theirs[name].mean()
        print(f"{name}, each with draws of its own: {ours:.3f} here, {other:.3f} with Quantus")


if __name__ == "__main__":
    main()
