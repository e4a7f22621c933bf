"""Parts that decide: drawings that differ in one part only, and sums that a loop over pixels gives as well."""

import pytest
import torch

from sightglass import world
from sightglass.trace import deciding


@pytest.fixture(scope="module")
def gone():
    """Give scenes of the test split and their removals."""
    index = deciding.plain("test", 5)
    return world.draw(world.split_plan("test", index)), deciding.Removals(*deciding.drawn_without("test", index))


def test_scenes_differ_where_the_part_was(gone):
    whole, found = gone
    assert (whole.second < 0).all() and (whole.hard < 0).all() and len(found.scene.unique()) == 5
    change = (found.image.float() - whole.image[found.scene].float()).abs().amax(1)
    near = deciding.widened(found.mask, 1)
    assert ((change * near).sum((1, 2)) >= 0.8 * change.sum((1, 2))).all()
    for row in range(len(found)):
        own = whole.part[found.scene[row]] == found.part[row]
        assert own.sum() >= 12 and (found.mask[row] | ~own).all()
        assert (change[row][own] > deciding.CHANGED).float().mean() >= 0.5
        again = world.edit(world.split_plan("test", whole.index)[found.scene[row : row + 1]], without=found.name(row))
        assert torch.equal(world.draw(again).image[0], found.image[row])


def test_margin_and_strongest():
    scores = torch.tensor([[3.0, 1, 2], [0, 5, 4]])
    assert deciding.margin(scores, torch.tensor([0, 2])).tolist() == [1, -1]
    scene, fall = torch.tensor([0, 0, 2, 2, 2]), torch.tensor([1.0, 3, -1, -2, -3])
    assert deciding.strongest(scene, fall).tolist() == [1, 2]


def test_shares_equal_a_loop():
    torch.manual_seed(0)
    maps, masks, image = torch.randn(2, 3, 4, 4), torch.rand(5, 4, 4) > 0.5, torch.tensor([0, 2, 1, 2, 0])
    found = deciding.by_part(maps, image, masks)
    for k in range(2):
        for m in range(5):
            positive = maps[k, image[m]].clamp(min=0)
            assert found[k, m] == pytest.approx(float(positive[masks[m]].sum() / positive.sum()))
    assert deciding.by_part(torch.zeros(1, 3, 4, 4), image, masks).abs().sum() == 0


def test_a_grid_shows_the_mean_of_its_cells():
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, :4, :2] = True
    coarse = deciding.on_grid(mask, 2)
    assert coarse[0, 0, 0] == 0.5 and coarse[0, -1, -1] == 0 and torch.equal(deciding.on_grid(mask, 8)[0] > 0, mask[0])


def test_scenes_without_a_large_part_are_refused():
    with pytest.raises(ValueError, match="shows a part of 5000 pixels"):
        deciding.drawn_without("test", deciding.plain("test", 1), least=5000)
