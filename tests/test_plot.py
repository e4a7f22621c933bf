"""The house look and image grids: pixels land where they should, labels stay inside and apart."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from sightglass import plot
from sightglass.plot import cells, labels


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(fig) -> np.ndarray:
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3]


def boxes(fig) -> list:
    renderer = fig.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in fig.axes[0].texts]


def test_grid_draws_the_images_pixel_for_pixel():
    images = torch.randint(256, (2, 3, 95, 95)) / 255  # a cell of 190 pixels shows each pixel as 2 x 2
    picture = drawn(plot.grid(images, pad=4))
    want = (images * 255).round().byte().permute(0, 2, 3, 1).numpy().repeat(2, 1).repeat(2, 2)
    assert np.array_equal(picture[:, :190], want[0])
    assert np.array_equal(picture[:, 194:], want[1])
    assert (picture[:, 190:194] == 255).all()


def test_resize_keeps_hard_pixels_and_averages_large_images():
    diagonal = (np.eye(4) * 255).astype(np.uint8)[..., None].repeat(3, 2)
    assert set(np.unique(cells.resized(diagonal, 8))) == {0, 255}
    checks = (np.indices((60, 60)).sum(0) % 2 * 200).astype(np.uint8)[..., None].repeat(3, 2)
    assert (cells.resized(checks, 30) == 100).all()
    assert cells.resized(np.zeros((50, 100, 3), np.uint8), 40).shape == (20, 40, 3)


@pytest.mark.parametrize("columns", [3, 8, 24])
def test_labels_stay_inside_and_apart(columns):
    words = ["dalmatian", "a long name (down 2, multi-resolution)", "antidisestablishmentarianism"]
    names = [words[i % 3] for i in range(columns)]
    fig = plot.grid(torch.rand(2, columns, 3, 8, 8), rows=words[:2], columns=names, captions=names * 2)
    size = fig.get_size_inches() * fig.dpi
    found = boxes(fig)
    assert len(found) == 3 * columns + 2
    assert size[0] <= 8 * 110
    assert all(b.x0 >= -1 and b.y0 >= -1 and b.x1 <= size[0] + 1 and b.y1 <= size[1] + 1 for b in found)
    apart = [
        a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        for i, a in enumerate(found)
        for b in found[i + 1 :]
    ]
    assert all(apart)


def test_texts_stand_in_for_images_and_neighbours_share_one():
    reason = "not available: this network has no batch norm"
    fig = plot.grid([[torch.zeros(3, 8, 8), reason, reason], [None, torch.zeros(3, 8, 8), "no"]])
    assert [" ".join(text.get_text().split()) for text in fig.axes[0].texts] == [reason, "no"]
    assert (drawn(fig)[-20:, :100] == 255).all()  # the gap stays white


def test_a_text_too_long_for_its_cell_is_shortened():
    block = labels.boxed("reasons " * 60, 80, 80)
    assert block.height <= 80 and block.width <= 80 and block.text.endswith("…")


def test_arrange_counts_rows_and_columns():
    images = torch.rand(6, 3, 4, 4)
    assert [len(row) for row in cells.arrange(images, 0, 4)] == [4, 4]
    assert len(cells.arrange(images, 3, 0)) == 3
    assert cells.arrange(images, 0, 4)[1][2:] == [None, None]
    with pytest.raises(ValueError, match="the images make 2 rows of 3"):
        cells.arrange(images, 3, 3)
    with pytest.raises(ValueError, match="no images"):
        cells.arrange([], 0, 0)
    with pytest.raises(ValueError, match=r"got \(5, 4, 4\)"):
        cells.arrange([torch.rand(5, 4, 4)], 0, 0)


def test_images_of_any_layout_become_the_same_pixels():
    image = torch.rand(3, 7, 9)
    want = cells.as_pixels(image)
    assert want.shape == (7, 9, 3)
    assert np.array_equal(want, cells.as_pixels(image.permute(1, 2, 0).numpy()))
    assert np.array_equal(want, cells.as_pixels((image * 255).round().byte()))
    assert cells.as_pixels(torch.ones(5, 6)).shape == (5, 6, 3)


def test_every_method_has_one_colour_under_all_its_spellings():
    assert plot.colour("VITAL") == plot.colour("vital") == plot.METHOD_COLOURS["vital"]
    assert plot.colour("DeepInv") == plot.colour("Deep Inversion") == plot.METHOD_COLOURS["deepinversion"]
    assert plot.colour("Grad-CAM++") == plot.METHOD_COLOURS["gradcam++"] != plot.colour("GradCAM")
    visualizers = ["real", "vital", "maco", "fourier", "deepinversion", "pii"]
    assert len({plot.colour(name) for name in visualizers}) == 6
    assert len({plot.marker(name) for name in visualizers}) == 6
    with pytest.raises(ValueError, match="did you mean fourier"):
        plot.colour("furier")


def test_heat_keeps_zero_white_when_signed():
    maps = np.array([[[-2.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]])
    signed = plot.heat(maps, signed=True)
    assert signed.shape == (2, 1, 3, 3) and signed[0, 0, 1].min() > 0.95
    assert signed[0, 0, 0, 2] > signed[0, 0, 0, 0]  # the negative side is blue
    assert np.isfinite(signed).all() and not np.allclose(plot.heat(maps)[0, 0, 0], plot.heat(maps)[0, 0, 2])


def test_style_sets_the_house_look():
    with matplotlib.rc_context():
        plot.style()
        assert matplotlib.rcParams["savefig.facecolor"] == "white"
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(plot.PALETTE)
