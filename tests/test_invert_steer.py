"""Steering, mixtures and their scores on tiny untrained inverters. Nothing here is trained."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("diffusers")

from sightglass import world
from sightglass.concepts import mcd
from sightglass.invert import base as bases
from sightglass.invert import codec, control, mix, prompts
from sightglass.invert.sample import reconstruct
from sightglass.invert.steer import (
    affected,
    distance,
    named,
    random_parts,
    steer,
    true_masks,
    veiled,
    visible,
    weakened,
)
from sightglass.metrics.overlap import higher_inside

FAST = dict(steps=2)


@pytest.fixture(scope="module")
def inverter() -> control.Inverter:
    """Make a tiny inverter whose control isn't zero."""
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    base = bases.freeze(bases.build(codec.fit(images, channels=12), prompts.world_words(), size=16, widths=(8, 16)))
    made = control.build(base, (6, 2, 2), "late", hidden=8)
    made.control.eval().requires_grad_(False)
    for i, value in enumerate(made.control.parameters()):
        value.add_(0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(i)))
    return made


@pytest.fixture(scope="module")
def maps() -> torch.Tensor:
    return torch.randn(4, 6, 2, 2, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def parts(maps) -> torch.Tensor:
    return maps[None] * torch.tensor([0.7, 0.3]).view(2, 1, 1, 1, 1)


class Net(nn.Module):
    """Maps of six channels on a grid of 2 x 2, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.late, self.head = nn.Conv2d(3, 6, 8, 8), nn.Linear(6, 4)
        self.pretrained_cfg = dict(mean=(0.5,) * 3, std=(0.25,) * 3)

    def forward(self, x):
        """Classify."""
        return self.head(self.late(x).mean((2, 3)))


# ------------------------------------------------------------------ FeatInv-Viz


def test_change_is_the_median_over_seeds_of_colour_distances(inverter, maps, parts):
    found = steer(inverter, maps, parts, seeds=(3, 1, 4), **FAST)
    assert found.change.shape == (2, 4, 16, 16) and found.change.amax((2, 3)).min() > 0
    one_by_one = torch.stack([
        (reconstruct(inverter, maps, seeds=s, **FAST)
         - reconstruct(inverter, maps - 0.75 * parts[1], seeds=s, **FAST)).square().sum(1).sqrt()
        for s in (3, 1, 4)
    ])  # fmt: skip
    torch.testing.assert_close(found.change[1], one_by_one.median(0).values, atol=1e-5, rtol=0)


def test_nothing_changes_when_all_is_kept(inverter, maps, parts):
    assert steer(inverter, maps, parts, kept=1, seeds=(0,), **FAST).change.abs().max() == 0
    nearly = steer(inverter, maps, parts, kept=0.99, seeds=(0,), **FAST).change
    assert 0 < nearly.max() < steer(inverter, maps, parts, seeds=(0,), **FAST).change.max()


def test_what_is_whole_is_drawn_once_and_what_is_the_same_not_again(inverter, maps, parts, monkeypatch):
    from sightglass.invert import steer as module

    counts = []
    monkeypatch.setattr(module, "reconstruct", lambda *a, **k: counts.append(len(a[1])) or reconstruct(*a, **k))
    absent = parts.clone()
    absent[1, 2] = 0
    found = steer(inverter, maps, absent, seeds=(0, 1, 2), **FAST)
    assert counts == [3 * (4 + 2 * 4 - 1)]
    assert found.change[1, 2].abs().max() == 0 and found.change[1, 3].max() > 0
    torch.testing.assert_close(found.before[2], reconstruct(inverter, maps, seeds=2, **FAST), atol=1e-5, rtol=0)


def test_steering_refuses_what_it_cannot_compare(inverter, maps, parts):
    with pytest.raises(ValueError, match="odd number"):
        steer(inverter, maps, parts, seeds=range(4))
    with pytest.raises(ValueError, match=r"parts of maps \(4, 6, 2, 2\)"):
        steer(inverter, maps, parts[0])
    with pytest.raises(ValueError, match="each of 2 parts has a size, found 1"):
        random_parts(maps, parts, [1])
    with pytest.raises(ValueError, match="no mask"):
        named(torch.rand(1, 4, 8, 8), {})


def test_random_parts_have_the_same_energy_and_dimension(maps, parts):
    other = random_parts(maps, parts, [2, 1])
    torch.testing.assert_close(other.flatten(2).norm(dim=2), parts.flatten(2).norm(dim=2))
    for part, size in zip(other, (2, 1), strict=True):
        assert torch.linalg.matrix_rank(part.transpose(0, 1).flatten(1), rtol=1e-4) == size
    assert not torch.allclose(other, random_parts(maps, parts, [2, 1], seed=1))
    torch.testing.assert_close(random_parts(maps, parts, [2, 1]), other)


def test_affected_is_a_third_of_the_largest_change():
    change = torch.tensor([[[0.0, 0.3], [0.34, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert affected(change).tolist() == [[[False, False], [True, True]], [[False] * 2] * 2]
    images = torch.rand(2, 3, 2, 2)
    pale = veiled(images, change)
    torch.testing.assert_close(pale[0, :, 1], images[0, :, 1])
    assert pale[1].min() >= 0.8


# ------------------------------------------------------------------ scores


def test_true_masks_name_what_maps_lie_on():
    instance, part = torch.zeros(2, 12, 16, 16, dtype=torch.uint8)
    for n in range(12):  # an object that moves, its lower half a wheel; in seven scenes another one in a corner
        instance[n, n % 4 : n % 4 + 8, 2:10] = 1
        part[n, n % 4 + 4 : n % 4 + 8, 2:10] = 1 + world.PARTS.index("wheel")
        instance[n, 12:, 12:] = 2 * (n < 7)
    masks = true_masks(SimpleNamespace(instance=instance, part=part))
    assert set(masks) == {"surroundings", "object", "wheel"} and all(visible(m).all() for m in masks.values())
    assert "another object" in true_masks(SimpleNamespace(instance=instance, part=part), least=7)
    maps = torch.stack([masks[name].float() for name in ("surroundings", "wheel", "object")])
    found = named(maps + 0.1 * torch.rand(maps.shape), masks)
    assert found == [(name, pytest.approx(1)) for name in ("surroundings", "wheel", "object")]


def test_what_covers_most_of_an_object_is_not_named_for_a_small_part_inside():
    masks = {name: torch.zeros(8, 16, 16, dtype=torch.bool) for name in ("object", "eye")}
    masks["object"][:, 2:12, 2:12], masks["eye"][:, 5:7, 5:7] = True, True
    maps = torch.zeros(1, 8, 16, 16)
    maps[:, :, 3:11, 3:11] = 1 + torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(0))
    auc = {name: higher_inside(maps, mask).mean() for name, mask in masks.items()}
    [(name, score)] = named(maps, masks)
    assert auc["eye"] > auc["object"] and name == "object" and 0.3 < score < 0.7


# ------------------------------------------------------------------ mixtures


def test_mixtures_are_their_parts_at_the_borders(maps):
    a, b = maps[:2], maps[2:]
    mixed = mix.weighted(a, b, [1, 0.25, 0])
    assert torch.equal(mixed[0], a) and torch.equal(mixed[2], b)
    torch.testing.assert_close(mixed[1], 0.25 * a + 0.75 * b)
    cells = mix.box((2, 2), (0, 1), (0, 2))
    both = mix.composed(a, b, cells)
    assert torch.equal(both[:, :, 0], a[:, :, 0]) and torch.equal(both[:, :, 1], b[:, :, 1])
    assert torch.equal(mix.composed(a, b, torch.ones(2, 2, 2, dtype=torch.bool)), a)
    each = torch.stack([cells, ~cells])
    assert torch.equal(mix.composed(a, b, each)[1, :, 1], a[1, :, 1])


def test_mixtures_share_noise_and_are_compared_with_their_maps(inverter, maps):
    model, a, b = Net().eval(), maps[:2], maps[2:]
    drawn = mix.draw(inverter, model, mix.weighted(a, b, [1, 0]), seeds=[7, 8], **FAST)
    assert drawn.pictures.shape == (2, 2, 3, 16, 16) and drawn.cosine.shape == (2, 2)
    alone = reconstruct(inverter, b, seeds=[7, 8], **FAST)
    torch.testing.assert_close(drawn.pictures[1], alone, atol=1e-5, rtol=0)
    own = model.late((alone - 0.5) / 0.25)
    expected = nn.functional.cosine_similarity(own, b, dim=1).mean((1, 2))
    torch.testing.assert_close(drawn.cosine[1], expected, atol=1e-4, rtol=0)


def test_outlines_go_around_the_enlarged_cells():
    cells = mix.box((4, 4), (1, 3), (0, 2))
    assert mix.enlarged(cells, 64).sum() == 32 * 32
    lines = mix.edges(cells, 64)
    length = (lines[:, 1] - lines[:, 0]).abs().sum()
    assert length == 4 * 32 and len(lines) == 4 * 32
    assert lines[..., 0].min() == -0.5 and lines[..., 0].max() == 31.5
    assert lines[..., 1].min() == 15.5 and lines[..., 1].max() == 47.5
    drawn = mix.outlined(torch.zeros(1, 3, 64, 64), cells)
    assert (drawn[0, 0] == 1).sum() == 4 * 31 and drawn[0, :, 20:40, 4:28].sum() == 0


def test_change_is_told_apart_by_place():
    cells = mix.box((2, 2), (0, 1), (0, 1))
    before, after = torch.zeros(3, 3, 16, 16), torch.zeros(3, 3, 16, 16)
    after[:, 0, :8, :8], after[:, 1, 12, 12] = 0.5, 0.96
    inside, outside = mix.change_by_place(before, after, cells)
    torch.testing.assert_close(inside, torch.full((3,), 0.5))
    torch.testing.assert_close(outside, torch.full((3,), 0.96 / 192))


def test_masks_cover_cells():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :4, :5] = True  # the upper left cell, and a quarter of the one beside it
    assert mix.covered(masks, (2, 2)).tolist() == [[[True, False], [False, False]]]
    assert mix.covered(masks, (2, 2), least=0.25).tolist() == [[[True, True], [False, False]]]


def test_bad_mixtures_are_one_sentence(maps):
    with pytest.raises(ValueError, match="of one shape"):
        mix.weighted(maps, maps[:2], [0.5])
    with pytest.raises(ValueError, match="true or false on a grid"):
        mix.composed(maps, maps, torch.ones(3, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="true or false on a grid"):
        mix.composed(maps, maps, torch.ones(3, 2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="pictures of one shape"):
        mix.change_by_place(maps[:, :3], maps[:, :3], torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="n, c, h, w.*found .6, 2, 2."):
        mix.draw(None, None, maps[0])
    with pytest.raises(ValueError, match="hold no cell"):
        mix.box((4, 4), (2, 2), (0, 4))


def test_steering_takes_the_parts_of_concepts(inverter, maps):
    near, draws = torch.zeros(30, 6, 2, 2), torch.Generator().manual_seed(0)
    near[:10, :2] = torch.tensor([1, 0]).view(2, 1, 1) + 0.1 * torch.randn(10, 2, 2, 2, generator=draws)
    near[10:, 4:] = torch.tensor([0, 1]).view(2, 1, 1) + 0.1 * torch.randn(20, 2, 2, 2, generator=draws)
    found = mcd.mcd(near, 2, method="k-means")
    parts = mcd.split(maps, found)
    change = steer(inverter, maps, parts, seeds=(0,), **FAST).change
    assert change.shape == (3, 4, 16, 16)
    torch.testing.assert_close(weakened(maps, parts, 0).sum(0), 2 * maps, atol=1e-4, rtol=0)
    assert distance(maps[:, :3], maps[:, :3]).max() == 0
