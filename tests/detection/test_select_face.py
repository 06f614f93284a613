"""The choice among the faces found."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.detection.select import select_face
from jaxface.types import FaceError, Landmarks


def face(size_px, *, left=100.0):
    points = np.random.default_rng(0).uniform(size=(478, 2))
    points = (points - points.min(axis=0)) / np.ptp(points, axis=0) * size_px + np.array([left, 100.0])
    return Landmarks(jnp.asarray(points, jnp.float32), jnp.zeros(478), jnp.ones(478))


SHAPE = (600, 600, 3)


def test_largest_by_default_and_any_by_index():
    faces = [face(300.0), face(200.0), face(90.0)]
    assert select_face(faces, image_shape=SHAPE) is faces[0]
    assert [select_face(faces, index=index, image_shape=SHAPE) for index in range(3)] == faces


def test_no_face_says_what_to_do():
    with pytest.raises(FaceError, match="No face was found: use"):
        select_face([], image_shape=SHAPE)


@pytest.mark.parametrize("index", [2, -1])
def test_index_out_of_range_names_the_range(index):
    with pytest.raises(FaceError, match="2 faces were found, so --face must be from 0 to 1"):
        select_face([face(300.0), face(200.0)], index=index, image_shape=SHAPE)


def test_small_face_names_its_size():
    with pytest.raises(FaceError, match="only 20 pixels"):
        select_face([face(20.0)], image_shape=SHAPE)
    assert select_face([face(20.0)], image_shape=SHAPE, minimum_px=10.0)


def test_face_outside_is_refused_and_absent_points_do_not_matter():
    with pytest.raises(FaceError, match="outside"):
        select_face([face(200.0, left=550.0)], image_shape=SHAPE)
    far = face(200.0)
    far = far._replace(points_px=far.points_px.at[:300].set(-1e4), confidence=far.confidence.at[:300].set(0.0))
    assert select_face([far], image_shape=SHAPE) is far
