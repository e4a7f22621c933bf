"""MCD against planted subspaces, scikit-learn's lasso and PCA, and definitions of overlap."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sightglass.concepts import groups, lasso, mcd
from sightglass.concepts.heads import class_vector
from sightglass.metrics.overlap import beyond_chance, higher_inside, iou, overlap, share


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def planted(noise: float = 0.03) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Plant maps (30, 15, 3, 3) in three subspaces of three directions: maps, which (270,), directions (3, 3, 15)."""
    draws = torch.Generator().manual_seed(0)
    bases = torch.linalg.qr(torch.randn(15, 9, generator=draws))[0].T.view(3, 3, 15)
    which = torch.randint(3, (270,), generator=draws)
    amounts = F.normalize(torch.randn(270, 3, generator=draws), dim=1)
    flat = torch.einsum("nd,ndc->nc", amounts, bases[which]) + noise * torch.randn(270, 15, generator=draws)
    return flat.view(30, 3, 3, 15).permute(0, 3, 1, 2), which, bases


@pytest.fixture(scope="module")
def found():
    return mcd.mcd(planted()[0], 3, mean=False)


def test_codes_by_others_are_scikit_learns_lasso_without_oneself():
    from sklearn.linear_model import Lasso

    x = mcd.units(planted(0.1)[0], 40)
    near = groups.nearness(x)
    codes = groups.by_others(x, near, torch.arange(40))
    assert codes.diagonal().abs().max() == 0
    for row in (0, 17):
        others = torch.arange(40) != row
        price = float(near[row]) / groups.GAMMA
        fit = Lasso(price / 15, fit_intercept=False, tol=1e-10, max_iter=100_000)  # scikit-learn's cost is the mean
        fit.fit(x[others].T.numpy(), x[row].numpy())
        np.testing.assert_allclose(codes[row, others].numpy(), fit.coef_, atol=1e-5)


def test_a_barred_atom_is_never_used_and_others_are_optimal():
    x, atoms = torch.randn(20, 6), F.normalize(torch.randn(15, 6), dim=1)
    barred = (x @ atoms.T).abs().argmax(1)  # the one that each would use first
    barred[0] = -1
    found = lasso.codes(x, atoms, 0.1, barred=barred)
    assert (found.gather(1, barred.clamp_min(0)[:, None])[1:] == 0).all()
    torch.testing.assert_close(found[0], lasso.codes(x[:1], atoms, 0.1)[0])
    rest = torch.arange(15) != barred[1]
    torch.testing.assert_close(found[1, rest], lasso.codes(x[1:2], atoms[rest], 0.1)[0])


def test_only_what_outliers_served_is_written_again():
    x = mcd.units(planted(0.2)[0], 120)
    own, keep = groups.without_outliers(x)
    assert len(keep) == 90
    afresh = groups.by_others(x[keep], groups.nearness(x[keep]), torch.arange(90))
    torch.testing.assert_close(own, afresh, atol=1e-6, rtol=0)


def test_planted_subspaces_are_found(found):
    _, which, bases = planted()
    order = torch.randperm(270, generator=torch.Generator().manual_seed(0))
    kept = found.label >= 0
    assert found.sizes == [3, 3, 3, 6] and 0.7 < kept.double().mean() < 0.8
    assert mcd.agreement(found.label, which[order]) > 0.95
    for group in range(3):
        planted_as = which[order][found.label == group].mode().values
        assert torch.linalg.svdvals(found.bases[group] @ bases[planted_as].T).min() > 0.98


def test_k_means_finds_no_subspaces_that_cross_at_zero():
    _, which, _ = planted()
    order = torch.randperm(270, generator=torch.Generator().manual_seed(0))
    vectors = mcd.units(planted()[0])
    assert mcd.agreement(groups.grouping(vectors, method="k-means")(3), which[order]) < 0.3
    with pytest.raises(ValueError, match="too many: number 2 lies within"):
        mcd.mcd(planted()[0], 3, method="k-means", mean=False)


def test_parts_sum_to_the_maps_and_are_what_was_planted(found):
    maps = planted()[0]
    parts = mcd.split(maps, found)
    assert parts.shape == (4, *maps.shape)
    torch.testing.assert_close(parts.sum(0), maps, atol=1e-5, rtol=0)
    for basis, part in zip(found.bases, parts, strict=False):  # inside its own subspace, and nothing left of others
        inside = torch.einsum("dc,de,nehw->nchw", basis, basis, part)
        torch.testing.assert_close(inside, part, atol=1e-5, rtol=0)
    torch.testing.assert_close(mcd.split(parts[1], found)[1], parts[1], atol=1e-4, rtol=0)
    assert mcd.split(parts[1], found)[[0, 2, 3]].abs().max() < 1e-4
    assert parts[3].norm() < 0.15 * maps.norm()
    assert mcd.activation(parts).sum(0).amax((1, 2)).min() >= 1 - 1e-5


def test_main_directions_are_those_of_centred_pca_and_the_mean_can_join():
    from sklearn.decomposition import PCA

    x = torch.randn(50, 5).double() * torch.tensor([3.0, 2, 1, 0.1, 0.1]) + torch.tensor([0.0, 0, 0, 9, 0])
    pca = PCA().fit(x.numpy())
    count = int((pca.explained_variance_ > 0.05 * pca.explained_variance_[0]).sum())
    basis = mcd.main_directions(x, mean=False)
    assert count == 3 and basis.shape == (3, 5)
    expected = torch.from_numpy(pca.components_[:3])
    torch.testing.assert_close(basis.T @ basis, expected.T @ expected)
    wider = mcd.main_directions(x, mean=True)
    assert wider.shape == (4, 5)
    torch.testing.assert_close(wider @ wider.T, torch.eye(4).double())
    assert (wider @ F.normalize(x.mean(0), dim=0)).norm() == pytest.approx(1)


def test_a_direction_of_another_concept_is_left_out():
    axes = torch.eye(6).double()
    near = F.normalize(axes[1] + 0.05 * axes[3], dim=0)  # three degrees from the first concept
    left = mcd.apart(torch.stack([near, axes[4]]), [axes[:2]])
    assert left.shape == (1, 6) and left[0].abs().argmax() == 4
    assert len(mcd.apart(axes[:2], [axes[:3]])) == 0
    split = mcd.projectors([axes[:2], left])
    torch.testing.assert_close(split.sum(0), torch.eye(6))


def test_completeness_and_relevance_by_hand(found):
    bases = planted()[2]
    inside, outside = bases[0, 0], torch.linalg.qr(bases.flatten(0, 1).T, mode="complete")[0][:, -1]
    assert mcd.completeness(found, inside) > 0.99
    assert mcd.completeness(found, outside) < 0.1
    assert mcd.completeness(found, 0.6 * inside + 0.8 * outside) == pytest.approx(0.6, abs=0.05)
    assert mcd.importance(found, 3 * outside)[-1] == pytest.approx(1, abs=0.05)
    maps, weight = planted()[0], torch.randn(15)
    told = mcd.relevance(mcd.split(maps, found), weight)
    torch.testing.assert_close(told.sum(0), torch.einsum("nchw,c->nhw", maps, weight), atol=1e-4, rtol=1e-4)


def test_concepts_are_added_until_they_are_enough():
    maps, _, bases = planted()
    few = mcd.enough(maps, bases[0, 0] + bases[1, 0] + bases[2, 0], goal=0.95, most=4, mean=False)
    assert len(few.bases) <= 3 and mcd.completeness(few, bases.sum((0, 1))) > 0.9
    with pytest.raises(ValueError, match="2 concepts hold 0.* not 0.99"):
        mcd.enough(maps, torch.linalg.qr(bases.flatten(0, 1).T, mode="complete")[0][:, -1], goal=0.99, most=2)


def test_bad_input_is_one_sentence(found):
    with pytest.raises(ValueError, match="of 15 channels"):
        mcd.split(torch.rand(1, 5, 2, 2), found)
    with pytest.raises(ValueError, match="k-means"):
        mcd.mcd(planted()[0], 3, method="kmean")
    with pytest.raises(ValueError, match="can't be sorted"):
        mcd.mcd(torch.rand(1, 5, 2, 2), 4)
    with pytest.raises(ValueError, match="finite"):
        mcd.mcd(torch.full((2, 3, 2, 2), torch.nan), 2)


class Reader(nn.Module):
    """Maps, their mean over positions, a layer norm or none, a classifier; or a ReLU between mean and classifier."""

    def __init__(self, between: str):
        super().__init__()
        torch.manual_seed(0)
        self.maps, self.norm, self.head = nn.Conv2d(3, 6, 4, 4), nn.LayerNorm(6), nn.Linear(6, 4)
        nn.init.uniform_(self.norm.weight, 0.5, 2)
        self.between, self.pretrained_cfg = between, dict(mean=(0.5,) * 3, std=(0.25,) * 3)

    def forward(self, x):
        """Classify."""
        pooled = self.maps(x).mean((2, 3))
        return self.head({"norm": self.norm, "relu": torch.relu}.get(self.between, nn.Identity())(pooled))


def test_class_vector_is_the_weights_the_gain_or_a_fit():
    images = torch.rand(64, 3, 16, 16)
    for between, how in (("", "exact"), ("norm", "gain"), ("relu", "fitted")):
        model = Reader(between).eval()
        got = class_vector(model, images, 2, "maps")
        assert got.how == how and got.weight.shape == (6,)
        if how == "exact":
            torch.testing.assert_close(got.weight, model.head.weight[2].detach())
            assert got.r2 == pytest.approx(1)
        if how == "gain":
            torch.testing.assert_close(got.weight, (model.head.weight[2] * model.norm.weight).detach())
    assert got.r2 > 0.3
    with pytest.raises(IndexError, match="class 7 doesn't exist"):
        class_vector(model, images, 7, "maps")


def test_overlap_is_scikit_learns_auc_and_counts_by_hand():
    from sklearn.metrics import roc_auc_score

    maps = torch.randint(0, 9, (2, 3, 8, 8)).float()  # with ties
    masks = torch.rand(3, 8, 8) < 0.3
    auc = higher_inside(maps, masks)
    for k in range(2):
        for n in range(3):
            assert auc[k, n] == pytest.approx(roc_auc_score(masks[n].flatten(), maps[k, n].flatten()))
            inside = (maps[k, n] * masks[n]).sum() / maps[k, n].sum()
            assert share(maps, masks)[k, n] == pytest.approx(float(inside))
    perfect = overlap(masks.float(), masks)
    assert all((perfect[name] == 1).all() for name in ("AUC", "IoU", "share"))
    square = torch.zeros(1, 4, 4, dtype=torch.bool)
    square[0, :2, :2] = True
    moved = torch.zeros(1, 4, 4)
    moved[0, :2, 1:3] = 1
    assert float(iou(moved, square)) == pytest.approx(2 / 6)
    flat = float(iou(torch.ones(1, 4, 4), square))  # every pixel a quarter: 1 of 4 hit
    assert flat == pytest.approx(1 / 7)
    beyond = beyond_chance(torch.stack([torch.ones(1, 4, 4), square.float(), moved]), square)[:, 0].tolist()
    assert beyond == pytest.approx([0, 1, (2 / 6 - 1 / 7) / (6 / 7)], abs=1e-6)


def test_overlap_of_nothing_is_not_a_number():
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[1] = True
    assert all(value.isnan().all() for value in overlap(torch.rand(3, 2, 4, 4), masks).values())
    with pytest.raises(ValueError, match="of one size"):
        overlap(torch.rand(2, 5, 5), masks)
