"""Sparse autoencoders: formulas written out, planted atoms found again, files that come back as they went."""

import pytest
import torch

from sightglass import zoo
from sightglass.trace import activations
from sightglass.trace.cafe import sae, sae_fit, sae_train
from sightglass.zoo import shipped, weights


def planted(n=4000, channels=16, atoms=24, each=2, seed=0):
    """Draw vectors that are sums of few atoms, with positive codes, off the origin."""
    draw = torch.Generator().manual_seed(seed)
    truth = torch.nn.functional.normalize(torch.randn(atoms, channels, generator=draw), dim=1)
    which = torch.rand(n, atoms, generator=draw).topk(each, 1).indices
    codes = torch.zeros(n, atoms).scatter(1, which, 1 + torch.rand(n, each, generator=draw))
    return codes @ truth + 0.2, truth


@pytest.fixture(scope="module", params=["matryoshka", "plain"])
def learnt(request):
    """Both kinds, from planted atoms."""
    vectors, truth = planted()
    how = {"steps": 500, "batch": 256, "active": 2, "penalty": 0.4, "revive": 10, "rate": 3e-4}
    return request.param, sae_fit.train(vectors, width=48, kind=request.param, **how), vectors, truth


def hand_made(**changes):
    """Two latents of three channels."""
    values = {
        "encoder": torch.tensor([[1.0, 0, 0], [0, 2.0, 0]]), "atoms": torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
        "before": torch.tensor([1.0, 1.0, 1.0]), "bias": torch.zeros(2), "after": torch.tensor([0.0, 0.0, 5.0]),
        "threshold": torch.zeros(1), "prefixes": torch.tensor([2]),
    }  # fmt: skip
    return sae.Sae(**{**values, **changes})


def test_codes_and_sums_are_the_formula():
    plain, h = hand_made(), torch.tensor([[4.0, 2.0, 9.0], [0.0, 1.5, 9.0]])
    assert plain.encode(h).tolist() == [[3, 2], [0, 1]]
    assert plain.decode(plain.encode(h)).tolist() == [[3, 2, 5], [0, 1, 5]]
    assert hand_made(threshold=torch.tensor([1.5])).encode(h).tolist() == [[3, 2], [0, 0]]
    assert plain.kind == "plain" and hand_made(prefixes=torch.tensor([1, 2])).kind == "matryoshka"
    with pytest.raises(ValueError, match=r"takes 3 channels, found \(2, 4\)"):
        plain.encode(torch.zeros(2, 4))


def test_quality_is_measured_as_said():
    found = sae.quality(hand_made(), torch.tensor([[4.0, 2.0, 5.0], [0.0, 0.5, 5.0]]))
    miss = [1 / 45**0.5, 0.5 / 25.25**0.5]  # (1, 0, 0) of (4, 2, 5), then (0, .5, 0)
    assert found["relative error"] == pytest.approx(sum(miss) / 2)
    assert found["codes"] == 1 and found["dead"] == 0


def test_planted_atoms_are_found_again(learnt):
    kind, found, vectors, truth = learnt
    facts = sae.quality(found, vectors)
    nearest = (torch.nn.functional.normalize(found.atoms, dim=1) @ truth.T).amax(0)
    assert facts["relative error"] < 0.3
    assert (nearest > 0.9).float().mean() > 0.7
    assert facts["codes"] < (2.6 if kind == "matryoshka" else 12)
    assert (found.bias == 0).all() == (kind == "plain")


def test_atoms_have_length_one_and_draws_are_their_own(learnt):
    kind, found, vectors, _ = learnt
    torch.testing.assert_close(found.atoms.norm(dim=1), torch.ones(48))
    state = torch.random.get_rng_state()
    how = {"width": 24, "kind": kind, "steps": 12, "batch": 64, "active": 2}
    first, second, other = (sae_fit.train(vectors[:500], **how, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.encoder, second.encoder) and not torch.equal(first.encoder, other.encoder)


@pytest.mark.parametrize("kind", sae.KINDS)
def test_ten_times_the_activations_give_ten_times_the_codes(kind):
    vectors = planted(600)[0].double()
    how = {"width": 24, "kind": kind, "steps": 30, "batch": 128, "active": 2}
    one, ten = sae_fit.train(vectors, **how), sae_fit.train(10 * vectors, **how)
    torch.testing.assert_close(10 * one.encode(vectors), ten.encode(10 * vectors), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(10 * one.decode(one.encode(vectors)), ten.decode(ten.encode(10 * vectors)))


def test_the_loss_of_a_matryoshka_is_the_mean_over_its_prefixes():
    h = planted(64)[0].double()
    learner = sae_fit.begin(h, 32, "matryoshka", torch.Generator().manual_seed(0))
    recipe = {**sae_fit.RECIPE, "active": 3}
    value = sae_fit.loss(learner, h, "matryoshka", recipe).item()
    codes = ((h - learner.before) @ learner.encoder.T + learner.bias).relu()
    kept = torch.where(codes >= codes.flatten().topk(3 * 64).values[-1], codes, 0)
    errors = [
        (h - kept[:, :m] @ learner.atoms[:m] - learner.after).square().sum(1).mean() for m in (2, 4, 8, 16, 32)
    ]
    assert learner.prefixes == [2, 4, 8, 16, 32]
    assert value == pytest.approx(sum(errors).item() / 5)
    assert learner.threshold == pytest.approx(kept[kept > 0].min().item())


def test_the_loss_of_a_plain_one_is_equation_nine():
    h = planted(64)[0].double()
    learner = sae_fit.begin(h, 32, "plain", torch.Generator().manual_seed(0))
    value = sae_fit.loss(learner, h, "plain", {**sae_fit.RECIPE, "penalty": 0.7}).item()
    codes = ((h - learner.before) @ learner.encoder.T).relu()
    rebuilt = codes @ learner.atoms + learner.after
    expected = (h - rebuilt).square().sum(1).mean() + 0.7 * codes.sum(1).mean()
    assert value == pytest.approx(expected.item())


def test_dead_latents_are_asked_to_help():
    h = planted(64)[0].double()
    learner = sae_fit.begin(h, 32, "matryoshka", torch.Generator().manual_seed(0))
    codes, rest = torch.rand(64, 32).double(), torch.randn(64, 16).double()
    assert sae_fit.revival(learner, codes, rest, 5) == 0
    learner.idle[7] = 6
    only = (rest - codes[:, 7:8] * learner.atoms[7]).square().sum(1).mean()
    torch.testing.assert_close(sae_fit.revival(learner, codes, rest, 5), only)


def test_files_come_back_as_they_went(tmp_path):
    found = hand_made(threshold=torch.tensor([0.3]), prefixes=torch.tensor([1, 2]))
    sae.save(found, tmp_path / "one.safetensors")
    back = sae.load(tmp_path / "one.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(sae.tensors(found).values(), sae.tensors(back).values(), strict=True))
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors is no sparse autoencoder: it has no encoder, atoms"):
        sae.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        sae.load(tmp_path / "none.safetensors")


def test_bad_input_is_said_in_a_sentence():
    h = planted(50)[0]
    with pytest.raises(KeyError, match="matryoshka"):
        sae_fit.train(h, width=32, kind="matrioshka")
    with pytest.raises(KeyError, match="penalty"):
        sae_fit.train(h, width=32, penalti=1)
    with pytest.raises(ValueError, match="16 active codes need more latents than the width of 8"):
        sae_fit.train(h, width=8)
    for bad in (h[:0], h[None], h / 0):
        with pytest.raises(ValueError, match=r"activations are \(n, c\) finite numbers"):
            sae_fit.train(bad, width=32)


@pytest.mark.parametrize("network", sae_train.LAYERS)
def test_shipped_autoencoders_serve_their_networks(network):
    facts, found = sae.card(network), sae.world(f"world/{network}")
    assert list(found) == facts["layers"] == sae_train.LAYERS[network]
    for layer, one in found.items():
        assert one.kind == "matryoshka" and len(one.encoder) == facts["latents"][layer] == 8 * one.encoder.shape[1]
        assert facts["quality"][layer]["relative error"] < 0.5
    layer = facts["layers"][0]
    model, draws = zoo.model(f"world/{network}"), torch.Generator().manual_seed(0)
    h = sae_train.vectors(model, [layer], torch.rand(2, 3, 64, 64, generator=draws))[layer]
    assert found[layer].encode(h).shape == (130, len(found[layer].encoder))


def test_shipped_files_are_small_and_checked(tmp_path, monkeypatch):
    assert sum(sae.card(name)["bytes"] for name in sae_train.LAYERS) < 3_000_000
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="'sae_vit_b_16' isn't trained yet.*sightglass.trace.cafe.sae_train"):
        sae.world("vit_b_16")
    facts = shipped.save("some", {"a": torch.ones(3)}, {"family": "none"})
    again, state = shipped.read("some", "nobody")
    assert again == facts and facts["parameters"] == 3 and state["a"].tolist() == [1, 1, 1]
    (tmp_path / "some.safetensors").write_bytes(b"else")
    with pytest.raises(ValueError, match="is not the file of its card"):
        shipped.read("some", "nobody")
    with pytest.raises(ValueError, match="NaN or infinity"):
        shipped.save("large", {"a": torch.full((2,), 1e6)}, {})


def test_six_resnets_differ_in_their_activation_alone():
    x, shapes = torch.zeros(1, 3, 64, 64), set()
    for name, (title, layer) in activations.ACTIVATIONS.items():
        facts, model = activations.card(name), activations.network(name)
        assert facts["bytes"] < 400_000 and facts["accuracy"]["test"] > 0.8 and title in facts["family"]
        kinds = {type(m).__name__ for m in model.modules()} & {"ReLU", "ELU", "LeakyReLU", "SiLU", "GELU", "Tanh"}
        assert kinds == {layer.rpartition(".")[2]}
        assert not any(getattr(m, "inplace", False) or m.training for m in model.modules())
        assert model(x).shape == (1, len(facts["classes"])) and zoo.taps(model)["block5"] == "layer4"
        shapes.add(tuple((key, value.shape) for key, value in model.state_dict().items()))
    assert len(shapes) == 1
    assert len({str(activations.card(name)["recipe"]) for name in activations.ACTIVATIONS}) == 1
    with pytest.raises(KeyError, match="unknown activation 'sigmoid'"):
        activations.network("sigmoid")
