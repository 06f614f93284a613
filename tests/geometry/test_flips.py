"""Displacement without folds: mild ones pass unchanged, a pit between neighbours is filled up to what fits."""

import jax.numpy as jnp
import numpy as np
from dome import dome_model

from jaxface.geometry.flips import LEAST_COSINE, shrink_flips
from jaxface.geometry.normals import vertex_normals

MODEL = dome_model(rows=9, columns=7)
NORMALS = vertex_normals(MODEL.mean_mm, MODEL.triangles)


def cosines(displacement_mm):
    def normals(points):
        corners = np.asarray(points, np.float64)[np.asarray(MODEL.triangles)]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return across / np.linalg.norm(across, axis=1, keepdims=True)

    moved = MODEL.mean_mm + displacement_mm[:, None] * NORMALS
    return np.sum(normals(MODEL.mean_mm) * normals(moved), axis=1)


def test_mild_displacement_passes():
    mild = 0.5 * jnp.sin(jnp.arange(63.0))
    np.testing.assert_array_equal(shrink_flips(MODEL.mean_mm, NORMALS, mild, MODEL.triangles), mild)


def test_a_pit_is_filled_up_and_only_it():
    pit = jnp.zeros(63).at[31].set(-400.0).at[0].set(0.3)
    assert cosines(pit).min() < LEAST_COSINE
    shallow = shrink_flips(MODEL.mean_mm, NORMALS, pit, MODEL.triangles)
    assert -400.0 < float(shallow[31]) < -1.0 and float(shallow[0]) == np.float32(0.3)
    assert cosines(shallow).min() >= 0.99 * LEAST_COSINE
