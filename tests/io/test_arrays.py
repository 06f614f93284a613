"""Pictures as arrays: every kind to RGB in [0, 1], and the window of the fine stage."""

import jax.numpy as jnp
import numpy as np
import pytest
from resampling import crop_image

from jaxface.io.arrays import as_rgb, crop_window
from jaxface.types import Crop, FaceError

RNG = np.random.default_rng(0)


def make_crop(left, top, zoom) -> Crop:
    return Crop(jnp.array([left, top], jnp.float32), jnp.float32(zoom))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_shares_of_their_largest(dtype):
    top = np.iinfo(dtype).max
    image = RNG.integers(0, top, (5, 7, 3), endpoint=True).astype(dtype)
    image[0, 0], image[0, 1] = 0, top
    rgb = as_rgb(image)
    assert rgb.dtype == np.float32 and rgb.min() == 0.0 and rgb.max() == 1.0
    np.testing.assert_allclose(rgb, image / float(top), atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_stay_as_they_are(dtype):
    image = RNG.uniform(size=(5, 7, 3)).astype(dtype)
    rgb = as_rgb(image)
    assert rgb.dtype == np.float32
    np.testing.assert_array_equal(rgb, image.astype(np.float32))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_becomes_three_equal_channels(shape):
    image = RNG.uniform(size=shape)
    rgb = as_rgb(image)
    assert rgb.shape == (5, 7, 3)
    for channel in range(3):
        np.testing.assert_allclose(rgb[..., channel], image.reshape(5, 7), atol=1e-7)


def test_transparency_lies_over_white():
    image = np.zeros((2, 3, 4), np.uint8)
    image[..., 0] = 255
    image[0, :, 3] = 255
    image[1, 0, 3] = 51
    rgb = as_rgb(image)
    np.testing.assert_allclose(rgb[0], np.tile([1.0, 0.0, 0.0], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(rgb[1, 0], [1.0, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(rgb[1, 1], 1.0, atol=1e-6)


def test_rounding_errors_are_clipped_and_the_input_is_left_alone():
    image = np.full((3, 3, 3), 1.0005)
    image[0] = -0.0005
    kept = image.copy()
    rgb = as_rgb(image)
    assert rgb.min() == 0.0 and rgb.max() == 1.0
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.zeros(5), "shape"),
        (np.zeros((5, 7, 2)), "shape"),
        (np.zeros((5, 7, 5)), "shape"),
        (np.zeros((2, 5, 7, 3)), "shape"),
        (np.zeros((1, 7, 3)), "shape"),
        (np.zeros((0, 7, 3)), "shape"),
        (np.zeros((5, 7, 3), np.int32), "int32"),
        (np.zeros((5, 7, 3), bool), "bool"),
        (np.zeros((5, 7, 3), complex), "complex"),
        (np.full((5, 7, 3), np.nan), "finite"),
        (np.full((5, 7, 3), np.inf), "finite"),
        (np.full((5, 7, 3), 255.0), "[0, 1]"),
        (np.full((5, 7, 3), -0.5), "[0, 1]"),
    ],
)
def test_other_arrays_are_refused_in_one_sentence(image, word):
    with pytest.raises(FaceError) as caught:
        as_rgb(image)
    assert word in str(caught.value) and str(caught.value).endswith(".") and "\n" not in str(caught.value)


def smooth_image(height=61, width=83):
    y, x = np.mgrid[:height, :width]
    waves = [0.5 + 0.4 * np.sin(0.11 * x + 0.07 * k * y + k) for k in range(3)]
    return np.stack(waves, axis=-1).astype(np.float32)


def test_the_identity_crop_is_the_image():
    image = RNG.uniform(size=(33, 33, 3)).astype(np.float32)
    np.testing.assert_allclose(crop_window(image, make_crop(0.0, 0.0, 1.0), size=33), image, atol=1e-6)


def test_a_whole_number_of_pixels_is_a_slice():
    image = RNG.uniform(size=(61, 83, 3)).astype(np.float32)
    window = crop_window(image, make_crop(11.0, 7.0, 1.0), size=40)
    np.testing.assert_allclose(window, image[7:47, 11:51], atol=1e-6)


@pytest.mark.parametrize(
    ("left", "top", "zoom", "size"),
    [
        (10.3, 5.7, 1.0, 37),
        (12.0, 8.0, 2.6, 64),
        (3.0, 2.0, 0.55, 29),
        (-25.2, -14.4, 0.8, 90),  # beyond the border on all sides
        (60.0, 30.0, 1.7, 65),
        (200.0, 150.0, 1.0, 24),  # nothing of the photo at all
    ],
)
def test_agrees_with_cubic_resampling(left, top, zoom, size):
    image, crop = smooth_image(), make_crop(left, top, zoom)
    window = crop_window(image, crop, size=size)
    expected = crop_image(image, crop, size=size)
    assert window.shape == (size, size, 3) and window.dtype == np.float32
    # The filters differ, and the border is continued before one and after the other.
    assert np.sqrt(np.mean((window - expected) ** 2)) < 4e-3
    assert np.abs(window - expected).max() < 0.04


def test_a_crop_pixel_lies_where_the_crop_says():
    y, x = np.mgrid[:61, :83].astype(np.float32)
    ramp = np.stack([x / 83.0, y / 61.0, 0.5 + 0.0 * x], axis=-1)
    crop = make_crop(20.25, 13.5, 2.0)
    window = crop_window(ramp, crop, size=33)
    steps = np.arange(33) / 2.0
    np.testing.assert_allclose(window[5, :, 0] * 83.0, 20.25 + steps, atol=0.02)
    np.testing.assert_allclose(window[:, 5, 1] * 61.0, 13.5 + steps, atol=0.02)
