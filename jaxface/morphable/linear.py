"""The face model: coefficients to shape, object frame, millimetres. Linear, but for joints that some models have."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxface.morphable.skinning import combine, joint_rotations, posed_shape, rest_shape, skin
from jaxface.types import MorphableModel


def face_shape(
    identity: Float[Array, "identity"], expression: Float[Array, "expression"], *, model: MorphableModel
) -> Float[Array, "vertices 3"]:
    """Face shape S, Jin et al. (2021) Eq. 1.

    Departs from print: coefficients are whitened, that is, the bases carry the standard deviations. With an
    articulation, the last expression coefficients turn the free joints, by skinning instead of the linear sum.
    """
    if model.articulation is not None:
        rotations = joint_rotations(expression, articulation=model.articulation)
        return posed_shape(identity, expression, rotations, model=model)
    identity_mm = combine(identity, model.identity_basis_mm)
    expression_mm = combine(expression, model.expression_basis_mm)
    return model.mean_mm + identity_mm + expression_mm


@jax.jit
def expression_offsets(
    identity: Float[Array, "identity"], *, model: MorphableModel
) -> Float[Array, "expression vertices 3"]:
    """What each expression at 1 adds to a person's neutral face; a linear model gives its own basis."""
    if model.articulation is None:
        return model.expression_basis_mm
    units = jnp.eye(model.expression_basis_mm.shape[0])
    neutral_mm = face_shape(identity, 0.0 * units[0], model=model)
    return jax.lax.map(lambda unit: face_shape(identity, unit, model=model) - neutral_mm, units)


def tangent(
    identity: Float[Array, "identity"],
    expression: Float[Array, "expression"],
    *,
    model: MorphableModel,
    vertices: Int[Array, "n"],
) -> tuple[Float[Array, "n 3"], Float[Array, "coefficients n 3"]]:
    """Eq. 1 at some vertices, linearised at these coefficients: `mean_mm` and `basis_mm` such that mean_mm + sum over
    the coefficients (identity, then expression) of coefficient * basis_mm equals `face_shape` there to first order.

    A linear model gives its own mean and bases, whatever the coefficients.
    """
    model = at_vertices(model, vertices)
    basis_mm = jnp.concatenate([model.identity_basis_mm, model.expression_basis_mm])
    if model.articulation is None:
        return model.mean_mm, basis_mm
    shaped_mm, joints_mm = rest_shape(identity, expression, model=model, articulation=model.articulation)
    points_mm, basis_mm = _posed_tangent(shaped_mm, joints_mm, expression, basis_mm, articulation=model.articulation)
    return points_mm - combine(jnp.concatenate([identity, expression]), basis_mm), basis_mm


def landmark_positions(
    vertices_mm: Float[Array, "vertices 3"], *, model: MorphableModel
) -> Float[Array, "landmarks 3"]:
    """Landmarks on a shape of this model; one that the model lacks (weights all zero) falls on the origin."""
    corners = vertices_mm[model.triangles[model.landmark_triangles]]
    return jnp.sum(model.landmark_barycentrics[..., None] * corners, axis=1)


def has_landmark(model: MorphableModel) -> Bool[Array, "landmarks"]:
    """Which landmarks have a place on the model."""
    return jnp.sum(model.landmark_barycentrics, axis=1) > 0.0


def at_vertices(model: MorphableModel, vertices: Int[Array, "some"] | Int[np.ndarray, "some"]) -> MorphableModel:
    """The model at some vertices only; its triangles no longer mean anything."""
    articulation = model.articulation
    if articulation is not None:
        articulation = dataclasses.replace(
            articulation,
            weights=articulation.weights[vertices],
            correctives_mm=articulation.correctives_mm[:, vertices],
        )
    return dataclasses.replace(
        model,
        mean_mm=model.mean_mm[vertices],
        identity_basis_mm=model.identity_basis_mm[:, vertices],
        expression_basis_mm=model.expression_basis_mm[:, vertices],
        vertex_regions=model.vertex_regions[vertices],
        vertex_parts=model.vertex_parts[vertices],
        albedo=model.albedo[vertices],
        articulation=articulation,
    )


def _posed_tangent(shaped_mm, joints_mm, expression, basis_mm, *, articulation):
    """The posed points and how each coefficient moves them: the linear ones through the blend, then the rotations."""
    num_angles = 3 * len(articulation.free)
    num_linear = basis_mm.shape[0] - num_angles
    angles = expression[expression.shape[0] - num_angles :]

    def posed(shaped_mm, joints_mm, angles):
        return skin(shaped_mm, joints_mm, joint_rotations(angles, articulation=articulation), articulation=articulation)

    points_mm, push = jax.linearize(lambda shaped, joints: posed(shaped, joints, angles), shaped_mm, joints_mm)
    joint_basis_mm = jnp.concatenate([articulation.joint_identity_mm, articulation.joint_expression_mm])
    linear_mm = jax.vmap(push)(basis_mm[:num_linear], joint_basis_mm[:num_linear])
    turns_mm = jax.jacfwd(lambda angles: posed(shaped_mm, joints_mm, angles))(angles)
    return points_mm, jnp.concatenate([linear_mm, jnp.moveaxis(turns_mm, 2, 0)])
