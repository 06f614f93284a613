"""Values in [0, 1] to bytes and back."""

import numpy as np
from PIL import Image

from jaxface.export import pictures


def test_to_bytes_clips_and_rounds():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])
    np.testing.assert_array_equal(pictures.to_bytes(values), [0, 0, 128, 255, 255, 0])


def test_pictures_keep_their_axes_and_values(tmp_path):
    values = np.random.default_rng(0).uniform(size=(37, 29, 3))
    pictures.save_picture(tmp_path / "a", pictures.to_bytes(values))
    with Image.open(tmp_path / "a") as picture:
        assert picture.size == (29, 37) and picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pictures.to_bytes(values))


def test_one_channel_gives_a_grey_picture():
    assert pictures.to_picture(np.zeros((3, 4))).mode == "L"
