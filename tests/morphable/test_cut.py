"""Parts of a model: the same shapes, fewer vertices, and landmarks that are gone only where their triangle is."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.morphable.cut import cut_model, face_of
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, has_landmark, landmark_positions
from jaxface.types import Part, Region


def shapes(model):
    random = np.random.default_rng(0)
    identity = jnp.asarray(random.normal(size=model.identity_basis_mm.shape[0]), jnp.float32)
    expression = jnp.asarray(random.uniform(size=model.expression_basis_mm.shape[0]), jnp.float32)
    return face_shape(identity, expression, model=model)


def corners(model):
    return np.asarray(shapes(model))[np.asarray(model.triangles)]


def test_the_face_keeps_its_shape_its_eyes_and_all_landmarks():
    whole, face = load_default(), face_of(load_default())
    kept = (np.asarray(whole.vertex_regions) < Region.OUTSIDE)[np.asarray(whole.triangles)].all(axis=1)
    np.testing.assert_allclose(corners(face), corners(whole)[kept], atol=1e-4)
    assert 0.2 < len(face.triangles) / len(whole.triangles) < 0.8
    assert (np.asarray(face.vertex_regions) < Region.OUTSIDE).all()
    assert {Part.RIGHT_EYE, Part.LEFT_EYE} <= set(np.asarray(face.vertex_parts).tolist())
    assert np.asarray(has_landmark(face)).all()
    places = [landmark_positions(shapes(model), model=model) for model in (face, whole)]
    np.testing.assert_allclose(*places, atol=1e-4)
    ibug = [np.asarray(shapes(model))[np.asarray(model.ibug_vertices)] for model in (face, whole)]
    np.testing.assert_allclose(*ibug, atol=1e-4)
    assert face_of(face).triangles.shape == face.triangles.shape


def test_landmarks_go_with_their_triangles():
    whole = load_default()
    keep = np.asarray(whole.mean_mm)[np.asarray(whole.triangles), 1].mean(axis=1) > 0.0
    upper = cut_model(whole, keep)
    there = np.asarray(has_landmark(upper))
    np.testing.assert_array_equal(there, keep[np.asarray(whole.landmark_triangles)])
    assert there[33] and not there[152]
    points = [np.asarray(landmark_positions(model.mean_mm, model=model))[there] for model in (upper, whole)]
    np.testing.assert_allclose(*points, atol=1e-4)
    assert int(upper.ibug_vertices[8]) == -1  # the chin


@pytest.mark.parametrize("name", ["triangles", "uv_triangles", "landmark_triangles"])
def test_indices_stay_in_range(name):
    face = face_of(load_default())
    limits = {"triangles": len(face.mean_mm), "uv_triangles": len(face.uvs), "landmark_triangles": len(face.triangles)}
    assert 0 <= int(getattr(face, name).min()) and int(getattr(face, name).max()) < limits[name]
