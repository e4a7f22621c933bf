"""How strongly synthetic images excite neurons, beside control images: AUC and MAD as CoSy defines them.

The paper's control set are the fifty real images that excite a neuron most, so that AUC = .5 and MAD = 0 mean "as
strongly as the best real images". See `tab-vital-3`.
"""

import torch
from torch import Tensor


def auc(control: Tensor, synthetic: Tensor) -> Tensor:
    """Return the chance that a synthetic activation (..., m) is above a control one (..., n), ties counting half."""
    control, synthetic = paired(control, synthetic)
    gaps = synthetic[..., :, None] - control[..., None, :]
    return ((gaps > 0).double() + 0.5 * (gaps == 0)).mean((-2, -1)).to(synthetic.dtype)


def mad(control: Tensor, synthetic: Tensor) -> Tensor:
    """Return how many standard deviations of the control (..., n) the synthetic mean (..., m) lies above its mean."""
    control, synthetic = paired(control, synthetic)
    spread = control.std(-1)  # unbiased
    gap = synthetic.mean(-1) - control.mean(-1)
    return torch.where(spread > 0, gap / spread, torch.zeros_like(gap))


def paired(control: Tensor, synthetic: Tensor) -> tuple[Tensor, Tensor]:
    """Check that both sets are of the same neurons and large enough."""
    control, synthetic = torch.as_tensor(control).float(), torch.as_tensor(synthetic).float()
    if control.shape[:-1] != synthetic.shape[:-1] or control.shape[-1] < 2 or synthetic.shape[-1] < 1:
        raise ValueError(
            "expected activations (neurons, n) of two control images or more and (neurons, m) of a synthetic one or "
            f"more, got {tuple(control.shape)} and {tuple(synthetic.shape)}"
        )
    return control, synthetic
