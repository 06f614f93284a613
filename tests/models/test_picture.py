"""The picture of a model shows its landmarks where they are and every region in its colour."""

import numpy as np
import pytest
from PIL import Image

from jaxface.models import picture, portrait
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.types import FaceError


@pytest.fixture(scope="module")
def sheet():
    return np.asarray(picture.compose(load_default()))


def test_every_landmark_in_front_has_its_dot(sheet):
    model = load_default()
    points_mm = np.asarray(landmark_positions(model.mean_mm, model=model))
    centre_mm = points_mm.mean(axis=0)
    for column, view in enumerate(picture._VIEWS):
        points_px = np.asarray(portrait.locate(points_mm, view, centre_mm=centre_mm))[:, :2].round().astype(int)
        columns = points_px[:, 0] + portrait.SIZE * column
        dots = np.all(sheet[points_px[:, 1], columns] == picture.POINT, axis=1)
        assert dots.mean() > (0.9 if column == 0 else 0.5)
        assert column == 0 or not dots.all()  # the far side is hidden


def test_regions_are_told_apart(sheet):
    size = portrait.SIZE
    lower = sheet[size : 2 * size, :size].astype(float)
    model = load_default()
    places = {"eye": 159, "mouth": 16, "nose": 4, "skin": 50}
    points_mm = np.asarray(landmark_positions(model.mean_mm, model=model))
    seen = (
        np.asarray(portrait.locate(points_mm, portrait.FRONTAL, centre_mm=points_mm.mean(axis=0))).round().astype(int)
    )
    hues = {name: lower[seen[place, 1], seen[place, 0]] for name, place in places.items()}
    assert np.argmax(hues["eye"]) == 2 and np.argmax(hues["nose"]) == 1 and np.argmax(hues["mouth"]) == 0
    assert hues["mouth"][0] > 2.0 * hues["mouth"][1] and hues["skin"].min() > 0.6 * hues["skin"].max()


def test_it_is_written_as_a_png(tmp_path, sheet):
    picture.plot_embedding(load_default(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), sheet)


def test_a_path_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(FaceError, match="cannot be written"):
        picture.plot_embedding(load_default(), tmp_path / "missing" / "a.png")
