"""Which strength and guidance to draw with: tried on images that no result is reported of. See `tab-featinv-a2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from .control import Inverter
from .judge import Judge, Judged, judged
from .sample import reconstruct

Setting = tuple[float, float]  # strength of the control, guidance
Sweep = Mapping[Setting, Judged]


def sweep(
    inverter: Inverter, judge: Judge, *, strengths: Sequence[float] = (0.7, 1.0, 1.3),
    guidances: Sequence[float] = (1.0, 1.75, 2.5), seeds: int | Sequence[int] = 0, progress: bool = False, **options,
) -> dict[Setting, Judged]:  # fmt: skip
    """Draw the judge's originals with every strength and guidance, from the same noise: {setting: judged}.

    The judge is the inverter's own (`judge.of`); options are those of `sample.How`.
    """
    from tqdm.auto import tqdm

    found = {}
    for strength, guidance in tqdm(list(product(strengths, guidances)), disable=not progress, leave=False):
        how = options | {"strength": strength, "guidance": guidance}
        found[strength, guidance] = judged(judge, reconstruct(inverter, judge.maps, seeds=seeds, **how))
    return found


def share(found: Judged, k: int) -> float:
    """Return the share of pictures whose first k answers hold the original's."""
    return found.match(k).double().mean().item()


def best(found: Sweep, k: int = 1) -> Setting:
    """Choose the setting that keeps most answers, as the paper does; of equal ones that of the highest cosine."""
    return max(found, key=lambda setting: (share(found[setting], k), found[setting].cosine.mean().item()))


def agreement(found: Sweep, k: int = 1) -> float:
    """Return Spearman's rank correlation of match and cosine over the settings; NaN where one never changes."""
    from scipy.stats import rankdata

    if len(found) < 3:
        raise ValueError(f"a rank correlation takes 3 settings or more, found {len(found)}")
    pairs = [(share(one, k), one.cosine.mean().item()) for one in found.values()]
    return pearson(*(rankdata(column) for column in zip(*pairs, strict=True)))


def pearson(a, b) -> float:
    """Return the correlation of two arrays (n,), NaN where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = ((a @ a) * (b @ b)) ** 0.5
    return float(a @ b / size) if size else float("nan")


def common(sweeps: Mapping[str, Sweep], k: int = 5) -> tuple[Setting, dict[str, float]]:
    """Choose the one setting with which the inverter that loses most loses least.

    Return it, and for each inverter the share of matches lost against its own best setting.
    """
    shared = set.intersection(*(set(found) for found in sweeps.values()))
    if not shared:
        raise ValueError(f"the sweeps of {', '.join(sweeps)} have no setting in common")
    top = {name: max(share(one, k) for one in found.values()) for name, found in sweeps.items()}

    def lost(setting: Setting) -> dict[str, float]:
        return {name: top[name] - share(found[setting], k) for name, found in sweeps.items()}

    def cost(setting: Setting) -> tuple[float, float]:
        return max(lost(setting).values()), -sum(found[setting].cosine.mean().item() for found in sweeps.values())

    chosen = min(sorted(shared), key=cost)
    return chosen, lost(chosen)
