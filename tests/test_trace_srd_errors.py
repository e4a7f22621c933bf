"""SRD: what it doesn't cover is named in one sentence, and wrong input is answered with what is valid."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.trace.srd.backward import ierf, relevance_of_layers, srd


class Body(nn.Module):
    """Two convolutions with a function between them, and a linear head."""

    def __init__(self, between):
        super().__init__()
        self.one, self.two, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 3)
        self.between = between

    def forward(self, x):
        return self.head(F.relu(self.two(self.between(self.one(x)))).mean((2, 3)))


class Own(torch.autograd.Function):
    """A function that torch's modes don't see."""

    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, slope):
        return slope


def overwritten(t):
    u = t + 1
    u.mul_(2)
    return u


X = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (lambda t: t * t.mean((2, 3), keepdim=True).sigmoid(), "Body of Body multiplies .*gate, such as squeeze"),
        (lambda t: F.glu(torch.cat([t, t], 1), 1), "glu"),
        (lambda t: t / (1 + t.abs()), "abs"),
        (lambda t: t.softmax(1), "softmax"),
        (lambda t: 1 / t, "reciprocal|rtruediv|rdiv"),
        (lambda t: t * (t > 0), "gt"),
        (Own.apply, "an autograd function of its own"),
        (lambda t: t + Own.apply(t), "an autograd function of its own"),
        (overwritten, "overwritten"),
    ],
)
def test_what_is_not_covered_is_named(between, said):
    with pytest.raises(ValueError, match=said) as error:
        srd(Body(between).eval(), X, [0, 1], at="two", levels=[])
    assert "\n" not in str(error.value)


def test_the_gate_of_a_squeeze_and_excitation_network_is_named_by_its_module():
    net = timm.create_model("seresnet18", num_classes=3).eval()
    with pytest.raises(ValueError, match="SEModule of ResNet multiplies"):
        srd(net, torch.randn(1, 3, 64, 64), [0])


def test_transformers_are_refused():
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=3).eval()
    with pytest.raises(ValueError, match="Attention of VisionTransformer uses scaled_dot_product_attention, which SRD"):
        srd(net, torch.randn(1, 3, 32, 32), [0], at="blocks.1", levels=[], bias="drop")


@pytest.mark.parametrize("act", [nn.Mish, nn.Softplus, nn.Hardswish, nn.ReLU6, nn.ELU, nn.GELU, nn.PReLU, nn.Identity])
def test_other_activations_conserve(act):
    net = Body(act()).double().eval()
    found = srd(net, X.double(), [0, 1], at="two", levels="one", weights="raw")
    torch.testing.assert_close(found.input.sum((1, 2)), found.low.sum((1, 2)))
    torch.testing.assert_close(found.high.sum((1, 2)), found.low.sum((1, 2)))


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("unknown weights 'clamp'.*clamped", dict(weights="clamp")),
        ("unknown bias convention 'spred'.*spread", dict(bias="spred")),
        ("unknown tap of Body 'twoo'.*two", dict(at="twoo")),
        ("one class of 3", dict(target=[0, 3])),
        ("one class of 3", dict(target=[0])),
        (r"two has PFVs \(2, 64\), found weights for \(2, 5\)", dict(weights=torch.ones(2, 5))),
        ("isn't reached before one", dict(at="one", levels=["two"])),
        ("no convolutional stages|levels", dict(at=None, levels=["head"])),
        (r"images \(n, c, h, w\)", dict(x=X[0])),
        ("NaN", dict(x=X * float("nan"))),
    ],
)
def test_wrong_input_is_answered_in_one_sentence(said, options):
    how = dict(x=X, target=[0, 1], at="two", levels=[]) | options
    with pytest.raises((ValueError, KeyError), match=said) as error:
        srd(Body(nn.ReLU()).eval(), **how)
    assert "\n" not in str(error.value)


def test_training_networks_are_refused():
    with pytest.raises(ValueError, match="eval mode"):
        relevance_of_layers(Body(nn.ReLU()), X, [0, 1], ["one"], at="two")


@pytest.mark.parametrize(
    ("said", "positions", "images"),
    [("positions 0 to 63", [64, 0], None), ("say with images", [1, 2, 3], None), ("images are 0 to 1", [1], [2]),
     (r"\(m,\) each", [1, 2], [0])],
)  # fmt: skip
def test_positions_that_do_not_exist_are_refused(said, positions, images):
    with pytest.raises(ValueError, match=said):
        ierf(Body(nn.ReLU()).eval(), X, "two", positions, images=images)
