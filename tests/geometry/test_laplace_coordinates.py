"""Eq. 2 against its slow twin, the sparse matrix, and what it should not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model
from oracles import slow_laplace

from jaxface.geometry.laplace_coordinates import handle_matrix, handle_response, laplace_coordinates, laplace_matrix
from jaxface.geometry.topology import mesh_topology

MODEL = dome_model(rows=11, columns=7)
TRIANGLES = np.asarray(MODEL.triangles)
TOPOLOGY = mesh_topology(TRIANGLES, num_vertices=77)


def laplace(vertices):
    neighbours, valence = jnp.asarray(TOPOLOGY.neighbours), jnp.asarray(TOPOLOGY.valence)
    return laplace_coordinates(vertices, neighbours=neighbours, valence=valence)


def test_matches_twin_plain_jit_vmap():
    slow = slow_laplace(MODEL.mean_mm, TRIANGLES)
    np.testing.assert_allclose(laplace(MODEL.mean_mm), slow, atol=2e-5)
    np.testing.assert_allclose(jax.jit(laplace)(MODEL.mean_mm), slow, atol=2e-5)
    batch = jnp.stack([MODEL.mean_mm, 2.0 * MODEL.mean_mm])
    np.testing.assert_allclose(jax.vmap(laplace)(batch)[1], 2.0 * slow, atol=4e-5)


def test_matrix_is_the_same_operator():
    matrix = laplace_matrix(TRIANGLES, num_vertices=77)
    slow = slow_laplace(MODEL.mean_mm, TRIANGLES)
    np.testing.assert_allclose(matrix @ np.asarray(MODEL.mean_mm, np.float64), slow, atol=1e-12)


def test_translation_is_invisible():
    moved = MODEL.mean_mm + jnp.array([[3.0, -2.0, 7.0]])
    np.testing.assert_allclose(laplace(moved), laplace(MODEL.mean_mm), atol=3e-5)


def test_unused_vertex_is_zero():
    topology = mesh_topology(np.array([[0, 1, 2]]), num_vertices=4)
    vertices = jnp.ones((4, 3)) * 5.0
    arguments = {"neighbours": jnp.asarray(topology.neighbours), "valence": jnp.asarray(topology.valence)}
    assert jnp.all(laplace_coordinates(vertices, **arguments) == 0.0)
    assert np.all(laplace_matrix(np.array([[0, 1, 2]]), num_vertices=4).toarray()[3] == 0.0)


def test_adjoint_is_the_transpose():
    rng = np.random.default_rng(0)
    cotangent = jnp.asarray(rng.normal(size=(77, 3)), jnp.float32)
    _, pull_back = jax.vjp(laplace, MODEL.mean_mm)
    matrix = laplace_matrix(TRIANGLES, num_vertices=77)
    np.testing.assert_allclose(pull_back(cotangent)[0], matrix.T @ np.asarray(cotangent, np.float64), atol=1e-5)


@pytest.mark.parametrize("weight", [0.1, 3.0])
def test_response_solves_the_normal_equations(weight):
    corners = TRIANGLES[[3, 40, 90]]
    handles = handle_matrix(corners, np.tile([[0.2, 0.3, 0.5]], (3, 1)), num_vertices=77)
    response = handle_response(
        TRIANGLES, np.asarray(MODEL.mean_mm, np.float64), pieces=np.zeros(77, int), handles=handles,
        weights=np.full(3, weight),
    )  # fmt: skip
    matrix = laplace_matrix(TRIANGLES, num_vertices=77).toarray()
    normal = matrix.T @ matrix + weight * (handles.T @ handles).toarray()
    np.testing.assert_allclose(normal @ response, handles.T.toarray(), atol=1e-8)
    # A rigid shift of all handles shifts everything: the Laplace term does not see it.
    np.testing.assert_allclose(response.sum(axis=1) * weight, 1.0, atol=1e-8)
