"""Results that are kept: computed once, computed again when anything that they depend on changes."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from sightglass.press.kept import kept, kept_each, key
from sightglass.zoo import normalise

CALLS = []


def twice(x, *, scale=2, callback=None):
    CALLS.append(scale)
    return x * scale


def pair(x):
    return x, x.sum()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(tmp_path))
    CALLS.clear()
    return tmp_path


def test_a_result_is_computed_once_and_comes_back_equal():
    x = torch.randn(3, 4)
    first = kept(twice, x, callback=print)
    assert torch.equal(kept(twice, x), first) and torch.equal(first, 2 * x) and CALLS == [2]
    assert torch.equal(kept(twice, x.clone(), scale=3), 3 * x) and CALLS == [2, 3]
    assert torch.equal(kept(twice, x + 1), 2 * (x + 1)) and len(CALLS) == 3
    both = [kept(pair, x) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True)) and isinstance(both[1], tuple)


def shade(model, target, references, *, seed=0):
    """Make an image from each target's references, and note the batch."""
    CALLS.append(target.tolist())
    return references.mean(1) + target[:, None, None, None] + seed


def test_of_a_batch_only_unknown_images_are_made():
    model, references = nn.Linear(1, 1), torch.rand(4, 2, 3, 5, 5)
    some = kept_each(shade, model, [1, 3], references[[1, 3]])
    every = kept_each(shade, model, range(4), references)
    assert CALLS == [[1, 3], [0, 2]] and torch.equal(every[[1, 3]], some)
    assert torch.equal(every, shade(model, torch.arange(4), references))
    CALLS.clear()
    kept_each(shade, model, [3, 3], references[[3, 0]])  # as known with its own references only
    kept_each(shade, model, [3], references[[3]], seed=1)
    with torch.no_grad():
        model.weight += 1
    kept_each(shade, model, [3], references[[3]])
    assert CALLS == [[3], [3], [3]]
    with pytest.raises(ValueError, match="argument 2"):
        kept_each(shade, model, [3], references)


def test_the_key_follows_code_weights_types_and_shapes():
    x, model = torch.randn(2, 3), nn.Linear(3, 3)
    names = {key(twice, (x,), {}), key(pair, (x,), {}), key(normalise, (model, x), {}), key(twice, (x.double(),), {}),
             key(twice, (x.view(3, 2),), {}), key(twice, ([1, 2],), {}), key(twice, ([1, 2.5],), {})}  # fmt: skip
    with torch.no_grad():
        model.weight[0, 0] += 1
    assert len(names | {key(normalise, (model, x), {})}) == 8


def test_a_broken_file_is_made_again_and_an_unwritable_cache_is_said(cache, monkeypatch):
    x = torch.ones(2)
    kept(twice, x)
    (file,) = (cache / "kept").iterdir()
    file.write_bytes(b"half of")
    assert torch.equal(kept(twice, x), 2 * x) and CALLS == [2, 2]
    (cache / "plain").write_text("a file where a folder should be")
    monkeypatch.setenv("SIGHTGLASS_CACHE", str(cache / "plain"))
    with pytest.warns(UserWarning, match="wasn't kept"):
        assert torch.equal(kept(twice, x), 2 * x)
    with pytest.raises(TypeError, match="can't tell object arguments"):
        kept(twice, object())


def test_the_key_reads_all_files_that_a_function_needs():
    from sightglass.press.imports import reached
    from sightglass.press.kept import LIB

    names = {file.relative_to(LIB).as_posix() for file in reached(LIB, {LIB / "visualize/vital.py"})}
    assert {"visualize/presets.py", "visualize/optimise.py", "zoo/taps.py", "relevance/__init__.py"} <= names
    assert not any(name.startswith("press/") for name in names)


@dataclass(frozen=True, eq=False)
class Pen:
    """A record with a network in it, and a function that it isn't known by."""

    net: nn.Module
    shape: tuple[int, ...]
    spread: object = field(default=abs, compare=False)


def test_records_are_told_apart_by_what_they_hold():
    net = nn.Linear(1, 1)
    first = key(twice, (Pen(net, (1, 2)),), {})
    assert first == key(twice, (Pen(net, (1, 2), spread=max),), {})
    assert first != key(twice, (Pen(net, (1, 3)),), {})
    with torch.no_grad():
        net.weight += 1
    assert first != key(twice, (Pen(net, (1, 2)),), {})
    with pytest.raises(TypeError, match="can't tell type"):
        key(twice, (Pen,), {})
