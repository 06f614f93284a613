"""Face parsing on the host side, with networks made to order: which class lands in which map, at which size."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.detection.parsing import OCCLUDERS, REGIONS, FacePart, parse_face

# Straight from the published class list, by number.
EXPECTED = {1: "skin", 10: "skin", 2: "eyebrow", 3: "eyebrow", 12: "mouth", 13: "mouth"}
HIDDEN = {0, 6, 9, 14, 15, 16, 17, 18}


def stripes(params, image):
    """One class after the other from top to bottom, with certainty."""
    rows = jnp.arange(image.shape[0]) * 19 // image.shape[0]
    labels = jnp.broadcast_to(rows[:, None], image.shape[:2])
    return 50.0 * jnp.where(labels[..., None] == jnp.arange(19).reshape(1, 1, 19), 1.0, 0.0)


def from_image(params, image):
    """Skin where the picture is red, hair where it is green, the lower lip where it is blue."""
    classes = np.zeros((3, 19), np.float32)
    classes[[0, 1, 2], [1, 17, 13]] = 50.0
    return image @ classes


def noisy(params, image):
    waves = jnp.sin(jnp.arange(1.0, 20.0)).reshape(1, 1, 19)
    return 8.0 * jnp.sin(40.0 * waves * image.mean(axis=-1, keepdims=True)) * waves


def picture(size):
    return np.random.default_rng(size).uniform(size=(size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [512, 190, 761])
def test_every_class_lands_in_its_map(size):
    parsing = parse_face(picture(size), {}, parse=stripes)
    assert parsing.indicators.shape == (size, size, 3) and parsing.visible.shape == (size, size)
    for number in range(19):
        row = int((number + 0.5) * size / 19)
        wanted = [float(EXPECTED.get(number) == name) for name in ("skin", "eyebrow", "mouth")]
        np.testing.assert_allclose(parsing.indicators[row, size // 3], wanted, atol=1e-5)
        np.testing.assert_allclose(parsing.visible[row, size // 3], float(number not in HIDDEN), atol=1e-5)


def test_the_table_is_this_networks():
    """The official CelebAMask-HQ order has the nose at 2 and hair at 13."""
    assert [FacePart.NOSE, FacePart.HAIR, FacePart.GLASSES, FacePart.HAT, FacePart.NECK] == [10, 17, 6, 18, 14]
    assert sorted(FacePart) == list(range(19))
    assert not {part for region in REGIONS for part in region} & set(OCCLUDERS)


@pytest.mark.parametrize("size", [64, 512, 600])
def test_maps_are_soft_and_sum_to_at_most_one(size):
    parsing = parse_face(picture(size), {}, parse=noisy)
    total = parsing.indicators.sum(axis=-1)
    for part in parsing:
        assert part.dtype == np.float32 and part.min() >= 0.0 and part.max() <= 1.0
    assert total.max() <= 1.0 + 1e-6
    assert np.all(total <= parsing.visible + 1e-6)  # no indicated pixel is hidden
    assert 0.05 < total.mean() < 0.95


@pytest.mark.parametrize("size", [256, 512, 900])
def test_the_picture_comes_through_upright_and_in_place(size):
    image = np.zeros((size, size, 3), np.float32)
    image[: size // 2] = [1, 0, 0]  # skin above
    image[size // 2 :, : size // 2] = [0, 1, 0]  # hair below left
    image[size // 2 :, size // 2 :] = [0, 0, 1]  # lip below right
    parsing = parse_face(image, {}, parse=from_image)
    margin = size // 40
    upper, lower = slice(margin, size // 2 - margin), slice(size // 2 + margin, size - margin)
    for where, wanted, visible in (
        ((upper, upper), [1, 0, 0], 1),
        ((upper, lower), [1, 0, 0], 1),
        ((lower, upper), [0, 0, 0], 0),
        ((lower, lower), [0, 0, 1], 1),
    ):
        assert np.abs(parsing.indicators[where] - np.array([[wanted]])).max() < 1e-4
        assert np.abs(parsing.visible[where] - visible).max() < 1e-4
    skin_rows = np.sum(parsing.indicators[:, size // 4, 0] > 0.5)
    assert abs(skin_rows - size / 2) <= 1.0 + size / 512


def test_the_network_sees_512_pixels_and_compiles_once():
    seen = []

    def counted(params, image):
        seen.append(image.shape)
        return stripes(params, image)

    for size in (512, 96, 700):
        parse_face(picture(size), {}, parse=counted)
    assert seen == [(512, 512, 3)]


def test_parameters_reach_the_network():
    def biased(params, image):
        return stripes(params, image) + 200.0 * params["head"]["b"].reshape(1, 1, 19)

    hat = {"head": {"b": jnp.zeros(19).at[FacePart.HAT].set(1.0)}}
    assert parse_face(picture(80), hat, parse=biased).visible.max() < 1e-6
