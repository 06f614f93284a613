"""Looks at a picture: points map back to where they came from, and tiles cover everything."""

import numpy as np
import pytest
from PIL import Image

from jaxface.detection import views


def blob(height, width, centre, sigma):
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2.0 * sigma**2))
    return Image.fromarray(np.repeat((255.0 * spot).astype(np.uint8)[..., None], 3, axis=2))


def centroid(pixels):
    weights = pixels[..., 0].astype(float) ** 2
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return np.array([(x * weights).sum(), (y * weights).sum(), 0.0]) / weights.sum()


@pytest.mark.parametrize(
    "view",
    [
        views.View((150.0, 110.0), 180.0, 0.0, 180),
        views.View((150.0, 110.0), 200.0, 0.7, 311),
        views.View((170.0, 100.0), 260.0, -2.5, 128),
        views.View((160.0, 120.0), 600.0, 0.3, 131),  # shrunk first
    ],
)
def test_a_spot_seen_in_a_view_maps_back_to_its_place(view):
    picture = blob(261, 317, (161.3, 119.6), sigma=9.0)
    picture_of_spot = np.asarray(views.cut_view(picture, view=view)).copy()
    # Beyond the picture all is grey: leave only what came from the picture's spot.
    y, x = np.mgrid[: view.size, : view.size]
    places = views.uncut_points(np.stack([x.ravel(), y.ravel(), 0.0 * x.ravel()], axis=1), view=view)
    outside = np.linalg.norm(places[:, :2] - np.array([161.3, 119.6]), axis=1) > 40.0
    picture_of_spot[outside.reshape(x.shape)] = 0
    found = views.uncut_points(centroid(picture_of_spot)[None], view=view)[0]
    np.testing.assert_allclose(found[:2], [161.3, 119.6], atol=0.25)


def test_heights_scale_with_the_view():
    view = views.View((50.0, 50.0), 200.0, 0.4, 100)
    np.testing.assert_allclose(views.uncut_points(np.array([[0.0, 0.0, 3.0]]), view=view)[0, 2], 6.0)


@pytest.mark.parametrize("height, width", [(480, 640), (700, 301), (64, 64), (2000, 1501)])
def test_every_round_of_tiles_covers_the_picture(height, width):
    rounds = list(views.searches(height=height, width=width))
    assert len(rounds[0]) == 1 and rounds[0][0].side_px == max(height, width)
    for tiles in rounds[3:]:
        half = tiles[0].side_px / 2.0
        for x, y in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1), (width // 2, height // 3)]:
            assert any(max(abs(t.centre_px[0] - x), abs(t.centre_px[1] - y)) <= half for t in tiles)
    assert len(rounds) < 10
