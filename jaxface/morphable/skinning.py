"""Joints that turn parts of a face: linear blend skinning (object frame, millimetres; rotations in radians)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.types import Articulation, FaceError, MorphableModel


def skin(
    shaped_mm: Float[Array, "vertices 3"],
    joints_mm: Float[Array, "joints 3"],
    rotations: Float[Array, "joints 3"],
    *,
    articulation: Articulation,
) -> Float[Array, "vertices 3"]:
    """Turn a shape about its joints: pose correctives, then the blend of the joints' rigid motions, as in FLAME
    (Li et al. 2017, Eqs. 1-2). `rotations` (axis-angle) are relative to the parent joint; zeros give the shape itself.
    """
    local = jax.vmap(rotation_matrix)(rotations)
    turned = jnp.array(articulation.corrected, jnp.int32)
    entries = (local[turned] - jnp.eye(3)[None]).reshape(-1)
    corrected_mm = shaped_mm + combine(entries, articulation.correctives_mm)
    turns, shifts_mm = _chain(local, joints_mm, parents=articulation.parents)
    # Displacements, not positions: nothing moves at rest even if float32 weights miss 1 by a little.
    turn = combine(articulation.weights, turns - jnp.eye(3)[None])
    shift_mm = matmul(articulation.weights, shifts_mm)
    # Written out: CPUs are slow at many products of small matrices.
    turned_mm = sum(turn[:, :, axis] * corrected_mm[:, axis, None] for axis in range(3))
    return corrected_mm + turned_mm + shift_mm


def joint_rotations(
    expression: Float[Array, "expression"], *, articulation: Articulation
) -> Float[Array, "{len(articulation.parents)} 3"]:
    """Axis-angle rotation of every joint, as the last expression coefficients ask; those not free stay at rest."""
    free = articulation.free
    angles = articulation.spread * expression[expression.shape[0] - 3 * len(free) :].reshape(-1, 3)
    return jnp.zeros((len(articulation.parents), 3)).at[jnp.array(free, jnp.int32)].set(angles)


def posed_shape(
    identity: Float[Array, "identity"],
    expression: Float[Array, "expression"],
    rotations: Float[Array, "joints 3"],
    *,
    model: MorphableModel,
) -> Float[Array, "vertices 3"]:
    """Face shape with every joint turned as `rotations` say (axis-angle), free or not.

    The last 3 * len(free) coefficients of `expression`, themselves rotations, are not read. Raises FaceError for a
    model without joints.
    """
    if model.articulation is None:
        raise FaceError(f"The model {model.name} has no joints to turn: take face_shape, or a model such as FLAME.")
    shaped_mm, joints_mm = rest_shape(identity, expression, model=model, articulation=model.articulation)
    return skin(shaped_mm, joints_mm, rotations, articulation=model.articulation)


def rest_shape(
    identity: Float[Array, "identity"],
    expression: Float[Array, "expression"],
    *,
    model: MorphableModel,
    articulation: Articulation,
) -> tuple[Float[Array, "vertices 3"], Float[Array, "joints 3"]]:
    """Vertices and joints of an articulated model before any rotation."""
    linear = expression.at[expression.shape[0] - 3 * len(articulation.free) :].set(0.0)
    shaped_mm = combine(identity, model.identity_basis_mm) + combine(linear, model.expression_basis_mm)
    joints_mm = combine(identity, articulation.joint_identity_mm)
    joints_mm += combine(linear, articulation.joint_expression_mm)
    return model.mean_mm + shaped_mm, articulation.joints_mm + joints_mm


def combine(
    coefficients: Float[Array, "*batch components"], basis: Float[Array, "components rows 3"]
) -> Float[Array, "*batch rows 3"]:
    """Sum of basis shapes in full float32; accelerators may otherwise round the factors."""
    return jnp.tensordot(coefficients, basis, axes=1, precision="highest")


def _chain(local, joints_mm, *, parents):
    """Each joint's motion x -> turn x + shift: that of its parent after the turn about the joint itself."""
    turns, shifts = [], []
    for joint, parent in enumerate(parents):
        own = joints_mm[joint] - matmul(local[joint], joints_mm[joint])
        if parent < 0:
            turns.append(local[joint])
            shifts.append(own)
        else:
            turns.append(matmul(turns[parent], local[joint]))
            shifts.append(matmul(turns[parent], own) + shifts[parent])
    return jnp.stack(turns), jnp.stack(shifts)
