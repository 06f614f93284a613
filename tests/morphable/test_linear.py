"""Eq. 1 against a loop written from the paper, and landmark interpolation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.types import MorphableModel


def tiny_model() -> MorphableModel:
    """Five vertices, two identity and three expression components, three landmarks (the last absent)."""
    rng = np.random.default_rng(3)
    triangles = jnp.array([[0, 1, 2], [2, 3, 4]])
    return MorphableModel(
        mean_mm=jnp.asarray(rng.normal(size=(5, 3)), jnp.float32),
        identity_basis_mm=jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32),
        expression_basis_mm=jnp.asarray(rng.normal(size=(3, 5, 3)), jnp.float32),
        triangles=triangles,
        uvs=jnp.asarray(rng.uniform(size=(5, 2)), jnp.float32),
        uv_triangles=triangles,
        landmark_triangles=jnp.array([1, 0, 0]),
        landmark_barycentrics=jnp.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        landmark_regions=jnp.zeros(3, jnp.int32),
        vertex_regions=jnp.zeros(5, jnp.int32),
        vertex_parts=jnp.zeros(5, jnp.int32),
        ibug_vertices=jnp.full(68, -1, jnp.int32),
        albedo=jnp.full((5, 3), 0.5),
        name="tiny",
        licence="none",
        expression_names=("a", "b", "c"),
        expression_bounds=(0.0, 1.0),
    )


def slow_face_shape(identity, expression, model):
    """S = mean + sum_k alpha_id,k A_id,k + sum_k alpha_exp,k A_exp,k, vertex by vertex, float64."""
    shape = np.array(model.mean_mm, np.float64)
    for v in range(shape.shape[0]):
        for axis in range(3):
            for k, alpha in enumerate(identity):
                shape[v, axis] += float(alpha) * float(model.identity_basis_mm[k, v, axis])
            for k, alpha in enumerate(expression):
                shape[v, axis] += float(alpha) * float(model.expression_basis_mm[k, v, axis])
    return shape


def test_matches_slow_twin_plain_jit_vmap():
    model = tiny_model()
    rng = np.random.default_rng(0)
    identity = jnp.asarray(rng.normal(size=(4, 2)), jnp.float32)
    expression = jnp.asarray(rng.uniform(size=(4, 3)), jnp.float32)
    slow = np.stack([slow_face_shape(a, b, model) for a, b in zip(identity, expression, strict=True)])
    np.testing.assert_allclose(face_shape(identity[0], expression[0], model=model), slow[0], atol=1e-5)
    mapped = jax.jit(jax.vmap(lambda a, b: face_shape(a, b, model=model)))(identity, expression)
    np.testing.assert_allclose(mapped, slow, atol=1e-5)


def test_zero_coefficients_give_the_mean():
    model = tiny_model()
    np.testing.assert_array_equal(face_shape(jnp.zeros(2), jnp.zeros(3), model=model), model.mean_mm)


def test_gradient_is_the_basis():
    model = tiny_model()
    jacobian = jax.jacobian(lambda a: face_shape(a, jnp.zeros(3), model=model))(jnp.zeros(2))
    np.testing.assert_allclose(jnp.moveaxis(jacobian, -1, 0), model.identity_basis_mm, atol=1e-6)


def test_landmarks_interpolate_their_triangle():
    model = tiny_model()
    v = np.asarray(model.mean_mm)
    points = landmark_positions(model.mean_mm, model=model)
    expected = [0.2 * v[2] + 0.3 * v[3] + 0.5 * v[4], v[0], np.zeros(3)]
    np.testing.assert_allclose(points, expected, atol=1e-6)
    batch = jnp.stack([model.mean_mm, 2 * model.mean_mm])
    mapped = jax.vmap(lambda vertices: landmark_positions(vertices, model=model))(batch)
    np.testing.assert_allclose(mapped[1], 2 * mapped[0], atol=1e-5)
