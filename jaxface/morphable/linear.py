"""The linear face model: coefficients to shape, object frame, millimetres."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.types import MorphableModel


def face_shape(
    identity: Float[Array, "identity"], expression: Float[Array, "expression"], *, model: MorphableModel
) -> Float[Array, "vertices 3"]:
    """Face shape S, Jin et al. (2021) Eq. 1.

    Departs from print: coefficients are whitened, that is, the bases carry the standard deviations.
    """
    identity_mm = _combine(identity, model.identity_basis_mm)
    expression_mm = _combine(expression, model.expression_basis_mm)
    return model.mean_mm + identity_mm + expression_mm


def landmark_positions(
    vertices_mm: Float[Array, "vertices 3"], *, model: MorphableModel
) -> Float[Array, "landmarks 3"]:
    """Landmarks on a shape of this model; one that the model lacks (weights all zero) falls on the origin."""
    corners = vertices_mm[model.triangles[model.landmark_triangles]]
    return jnp.sum(model.landmark_barycentrics[..., None] * corners, axis=1)


def _combine(coefficients, basis):
    """Sum of basis shapes in full float32; accelerators may otherwise round the factors."""
    return jnp.tensordot(coefficients, basis, axes=1, precision="highest")
