"""Joints against a loop written from FLAME's paper, rigid motions whose answer is known, and the linearised shape."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from morphable.test_linear import tiny_model

from jaxface.morphable.linear import face_shape, tangent
from jaxface.morphable.skinning import joint_rotations, posed_shape, skin
from jaxface.types import Articulation, FaceError

PARENTS = (-1, 0, 1, 1)  # root, neck, jaw, eye
JAW = 2


def tiny_joints(*, vertices: int = 7, identity: int = 2, expression: int = 6) -> Articulation:
    """Four joints; the last vertex belongs to the jaw alone, the one before it to the root and neck only."""
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.1, 1.0, (vertices, 4))
    weights[-1] = [0.0, 0.0, 1.0, 0.0]
    weights[-2, 2:] = 0.0
    joint_expression = rng.normal(size=(expression, 4, 3))
    joint_expression[-3:] = 0.0
    return Articulation(
        joints_mm=jnp.asarray(10 * rng.normal(size=(4, 3)), jnp.float32),
        joint_identity_mm=jnp.asarray(rng.normal(size=(identity, 4, 3)), jnp.float32),
        joint_expression_mm=jnp.asarray(joint_expression, jnp.float32),
        weights=jnp.asarray(weights / weights.sum(axis=1, keepdims=True), jnp.float32),
        correctives_mm=jnp.asarray(rng.normal(size=(18, vertices, 3)), jnp.float32),
        corrected=(1, 2),
        parents=PARENTS,
        names=("root", "neck", "jaw", "eye"),
        free=(JAW,),
        spread=0.1,
    )


def articulated_model():
    """The tiny linear model with joints; its last three expression components turn the jaw."""
    model = tiny_model()
    basis = jnp.asarray(np.random.default_rng(2).normal(size=(6, 5, 3)), jnp.float32)
    return dataclasses.replace(
        model,
        expression_basis_mm=basis,
        expression_names=("a", "b", "c", "jaw_x", "jaw_y", "jaw_z"),
        articulation=tiny_joints(vertices=5),
    )


def slow_rotation(vector):
    """Rodrigues' formula in float64."""
    vector = np.asarray(vector, np.float64)
    angle = np.linalg.norm(vector)
    if angle == 0.0:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def slow_skin(shaped, joints, rotations, articulation):
    """FLAME's Eqs. 1-2 with homogeneous matrices, vertex by vertex, float64."""
    local = [slow_rotation(rotation) for rotation in rotations]
    motions = []
    for joint, parent in enumerate(articulation.parents):
        there, turn, back = np.eye(4), np.eye(4), np.eye(4)
        there[:3, 3], turn[:3, :3], back[:3, 3] = joints[joint], local[joint], -joints[joint]
        own = there @ turn @ back
        motions.append(own if parent < 0 else motions[parent] @ own)
    entries = [entry for j in articulation.corrected for row in local[j] - np.eye(3) for entry in row]
    posed = np.zeros_like(shaped)
    for v, point in enumerate(shaped):
        for entry, corrective in zip(entries, np.asarray(articulation.correctives_mm, np.float64), strict=True):
            point = point + entry * corrective[v]
        for weight, motion in zip(np.asarray(articulation.weights, np.float64)[v], motions, strict=True):
            posed[v] += weight * (motion @ np.append(point, 1.0))[:3]
    return posed


def a_pose(seed=0, *, batch=()):
    rng = np.random.default_rng(seed)
    return [
        jnp.asarray(scale * rng.normal(size=(*batch, rows, 3)), jnp.float32) for scale, rows in [(20, 7), (10, 4)]
    ] + [jnp.asarray(0.7 * rng.normal(size=(*batch, 4, 3)), jnp.float32)]


def test_matches_slow_twin_plain_jit_vmap():
    articulation = tiny_joints()
    batch = a_pose(batch=(3,))
    slow = np.stack(
        [slow_skin(*(np.asarray(x, np.float64) for x in one), articulation) for one in zip(*batch, strict=True)]
    )
    np.testing.assert_allclose(skin(*(x[0] for x in batch), articulation=articulation), slow[0], atol=2e-4)
    mapped = jax.jit(jax.vmap(lambda *one: skin(*one, articulation=articulation)))(*batch)
    np.testing.assert_allclose(mapped, slow, atol=2e-4)


def test_nothing_moves_at_rest():
    shaped, joints, rotations = a_pose()
    posed = skin(shaped, joints, 0 * rotations, articulation=tiny_joints())
    np.testing.assert_array_equal(posed, shaped)


def test_the_root_turns_everything_rigidly_about_itself():
    articulation = tiny_joints()
    shaped, joints, rotations = a_pose()
    posed = skin(shaped, joints, rotations.at[1:].set(0.0), articulation=articulation)
    turn, centre = slow_rotation(rotations[0]), np.asarray(joints[0])
    np.testing.assert_allclose(posed, (np.asarray(shaped) - centre) @ turn.T + centre, atol=1e-4)


def test_the_jaw_moves_only_what_it_weighs():
    articulation = dataclasses.replace(tiny_joints(), correctives_mm=jnp.zeros((18, 7, 3)))
    shaped, joints, rotations = a_pose()
    jaw = jnp.zeros_like(rotations).at[JAW].set(rotations[JAW])
    posed = skin(shaped, joints, jaw, articulation=articulation)
    np.testing.assert_array_equal(posed[-2], shaped[-2])
    about = np.asarray(joints[JAW])
    np.testing.assert_allclose(posed[-1], slow_rotation(jaw[JAW]) @ (shaped[-1] - about) + about, atol=1e-4)
    assert np.linalg.norm(posed[-1] - shaped[-1]) > 1.0


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_gradient_agrees_with_finite_differences(scale):
    articulation = tiny_joints()
    shaped, joints, rotations = a_pose()
    rotations = scale * rotations
    gradient = jax.jacobian(lambda r: skin(shaped, joints, r, articulation=articulation))(rotations)
    assert np.isfinite(gradient).all()
    arrays = [np.asarray(x, np.float64) for x in (shaped, joints, rotations)]
    for joint in range(4):
        for axis in range(3):
            step = np.zeros((4, 3))
            step[joint, axis] = 1e-5
            ahead, behind = (slow_skin(*arrays[:2], arrays[2] + sign * step, articulation) for sign in (1, -1))
            np.testing.assert_allclose(gradient[:, :, joint, axis], (ahead - behind) / 2e-5, atol=2e-3)


def test_the_last_coefficients_turn_the_free_joints():
    rotations = joint_rotations(jnp.array([9.0, 9.0, 9.0, 1.0, -2.0, 3.0]), articulation=tiny_joints())
    expected = np.zeros((4, 3))
    expected[JAW] = [0.1, -0.2, 0.3]
    np.testing.assert_allclose(rotations, expected, atol=1e-7)


def test_face_shape_is_linear_plus_skinning():
    model = articulated_model()
    articulation = model.articulation
    rng = np.random.default_rng(4)
    identity, expression = (jnp.asarray(rng.normal(size=n), jnp.float32) for n in (2, 6))
    shaped = np.asarray(model.mean_mm, np.float64) + np.tensordot(identity, model.identity_basis_mm, 1)
    shaped += np.tensordot(expression[:3], model.expression_basis_mm[:3], 1)
    joints = np.asarray(articulation.joints_mm, np.float64) + np.tensordot(identity, articulation.joint_identity_mm, 1)
    joints += np.tensordot(expression[:3], articulation.joint_expression_mm[:3], 1)
    jaw = np.zeros((4, 3))
    jaw[JAW] = 0.1 * np.asarray(expression[3:])
    expected = slow_skin(shaped, joints, jaw, articulation)
    np.testing.assert_allclose(face_shape(identity, expression, model=model), expected, atol=1e-4)
    turned = jnp.asarray(jaw, jnp.float32).at[1].set(0.4)
    np.testing.assert_allclose(
        posed_shape(identity, expression, turned, model=model),
        slow_skin(shaped, joints, np.asarray(turned, np.float64), articulation),
        atol=1e-4,
    )


def test_a_model_without_joints_says_so():
    with pytest.raises(FaceError, match="no joints"):
        posed_shape(jnp.zeros(2), jnp.zeros(3), jnp.zeros((4, 3)), model=tiny_model())


@pytest.mark.parametrize("seed", [None, 5])
def test_tangent_is_the_shape_to_first_order(seed):
    model, vertices = articulated_model(), jnp.array([4, 0, 2])
    rng = np.random.default_rng(seed)
    scale = 0.0 if seed is None else 1.0
    identity, expression = (jnp.asarray(scale * rng.normal(size=n), jnp.float32) for n in (2, 6))
    mean, basis = jax.jit(lambda a, b: tangent(a, b, model=model, vertices=vertices))(identity, expression)
    both = jnp.concatenate([identity, expression])
    value = face_shape(identity, expression, model=model)[vertices]
    np.testing.assert_allclose(mean + jnp.tensordot(both, basis, 1), value, atol=1e-4)
    jacobian = jax.jacobian(lambda c: face_shape(c[:2], c[2:], model=model))(both)[vertices]
    np.testing.assert_allclose(basis, jnp.moveaxis(jacobian, -1, 0), atol=1e-4)


def test_tangent_of_a_linear_model_is_the_model():
    model, vertices = tiny_model(), jnp.array([3, 1])
    mean, basis = tangent(jnp.ones(2), jnp.ones(3), model=model, vertices=vertices)
    np.testing.assert_array_equal(mean, model.mean_mm[vertices])
    np.testing.assert_array_equal(basis[:2], model.identity_basis_mm[:, vertices])
    np.testing.assert_array_equal(basis[2:], model.expression_basis_mm[:, vertices])


def test_a_model_with_joints_passes_through_jit():
    model = articulated_model()
    inside = jax.jit(lambda m, b: face_shape(jnp.ones(2), b, model=m))(model, jnp.ones(6))
    np.testing.assert_allclose(inside, face_shape(jnp.ones(2), jnp.ones(6), model=model), atol=1e-4)


def test_joints_that_are_not_free_leave_the_coefficients_linear():
    model = articulated_model()
    model = dataclasses.replace(model, articulation=dataclasses.replace(model.articulation, free=()))
    identity, expression = jnp.array([0.5, -1.0]), jnp.arange(6.0)
    linear = dataclasses.replace(model, articulation=None)
    expected = face_shape(identity, expression, model=linear)
    np.testing.assert_allclose(face_shape(identity, expression, model=model), expected, atol=1e-5)
    mean, basis = tangent(identity, expression, model=model, vertices=jnp.arange(5))
    np.testing.assert_allclose(mean, model.mean_mm, atol=1e-4)
    np.testing.assert_allclose(basis[2:], model.expression_basis_mm, atol=1e-4)


def test_a_model_without_expressions_has_a_shape():
    model = dataclasses.replace(tiny_model(), expression_basis_mm=jnp.zeros((0, 5, 3)), expression_names=())
    identity = jnp.array([0.5, -1.0])
    expected = model.mean_mm + 0.5 * model.identity_basis_mm[0] - model.identity_basis_mm[1]
    np.testing.assert_allclose(face_shape(identity, jnp.zeros(0), model=model), expected, atol=1e-5)
    assert tangent(identity, jnp.zeros(0), model=model, vertices=jnp.arange(2))[1].shape == (2, 2, 3)
