"""Projection, its inverse, and crops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.rendering.camera import (
    crop_camera,
    crop_image,
    crop_points,
    crop_pose,
    orthographic,
    project,
    uncrop_points,
    unproject,
)
from jaxface.types import Camera, Crop, Pose

POSE = Pose(jnp.array([0.2, -0.4, 0.1]), jnp.array([130.0, 90.0]), jnp.log(1.7))
CAMERAS = [orthographic(), Camera(jnp.array(1 / 900.0), jnp.array([120.0, 80.0]))]
CROP = Crop(jnp.array([33.5, -7.25]), jnp.array(1.6))


def _points(seed=0):
    return jax.random.normal(jax.random.key(seed), (20, 3)) * 60.0


def _twin(vertices, pose, camera):
    """Row by row in float64 from the module's formula, with the rotation by SciPy."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec(np.array(pose.rotation_vector, np.float64))
    s, k = np.exp(float(pose.log_scale)), float(camera.inverse_focal)
    (cx, cy), (tx, ty) = np.array(camera.principal_point_px), np.array(pose.translation_px)
    rows = []
    for x, y, z in rotation.apply(np.array(vertices, np.float64)):
        p = 1 / (1 - s * k * z)
        rows.append([cx + (tx - cx + s * x) * p, cy + (ty - cy - s * y) * p, s * z])
    return np.array(rows)


@pytest.mark.parametrize("camera", CAMERAS)
def test_project_matches_the_formula_and_unproject_inverts_it(camera):
    vertices = _points()
    image = project(vertices, POSE, camera=camera)
    np.testing.assert_allclose(image, _twin(vertices, POSE, camera), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(unproject(image, POSE, camera=camera), vertices, atol=1e-3)


def test_perspective_equals_a_pinhole():
    camera, scale = CAMERAS[1], 1.7
    straight = Pose(jnp.zeros(3), camera.principal_point_px, jnp.log(scale))
    x, y, z = 30.0, -20.0, 40.0
    distance_mm = 900.0 / scale  # where one millimetre measures `scale` pixels
    expected = [120.0 + 900.0 * x / (distance_mm - z), 80.0 - 900.0 * y / (distance_mm - z)]
    np.testing.assert_allclose(project(jnp.array([[x, y, z]]), straight, camera=camera)[0, :2], expected, rtol=1e-5)


def test_up_is_up_and_nearer_is_higher():
    pose = Pose(jnp.zeros(3), jnp.zeros(2), jnp.zeros(()))
    image = project(jnp.array([[1.0, 2.0, 3.0]]), pose, camera=orthographic())
    np.testing.assert_allclose(image, [[1.0, -2.0, 3.0]])


@pytest.mark.parametrize("camera", CAMERAS)
def test_cropping_the_pose_equals_cropping_the_points(camera):
    vertices = _points(1)
    image = project(vertices, POSE, camera=camera)
    cropped = project(vertices, crop_pose(POSE, CROP), camera=crop_camera(camera, CROP))
    np.testing.assert_allclose(cropped[:, :2], crop_points(image[:, :2], CROP), atol=2e-3)
    np.testing.assert_allclose(cropped[:, 2], image[:, 2] * CROP.zoom, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(uncrop_points(crop_points(image[:, :2], CROP), CROP), image[:, :2], atol=1e-3)


def test_projection_has_exact_gradients():
    def total(vertices, pose, camera):
        return jnp.sum(jnp.sin(0.05 * project(vertices, pose, camera=camera)))

    arguments = (_points(2), POSE, CAMERAS[1])
    gradient = jax.grad(total, argnums=(0, 1))(*arguments)
    keys = jax.random.split(jax.random.key(5), 4)
    direction = (
        jax.random.normal(keys[0], (20, 3)),
        Pose(*(jax.random.normal(k, leaf.shape) * 0.01 for k, leaf in zip(keys[1:], POSE, strict=True))),
    )
    slope = sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))

    def moved(step):
        shifted = jax.tree.map(lambda value, d: value + step * d, arguments[:2], direction)
        return total(*shifted, CAMERAS[1])

    np.testing.assert_allclose((moved(1e-2) - moved(-1e-2)) / 2e-2, slope, rtol=5e-3, atol=1e-4)


def test_identity_crop_returns_the_image():
    image = jax.random.uniform(jax.random.key(0), (29, 37, 3))
    same = crop_image(image, Crop(jnp.array([3.0, 5.0]), jnp.array(1.0)), size=20)
    np.testing.assert_allclose(same, image[5:25, 3:23], atol=1e-6)


@pytest.mark.parametrize("zoom", [0.37, 1.0, 2.3])
def test_crop_puts_colours_where_crop_points_puts_points(zoom):
    y, x = np.mgrid[:90, :110].astype(np.float32)
    image = jnp.array(np.stack([x / 110, y / 90, 0.5 + 0.2 * np.sin(x / 9) * np.cos(y / 11)], -1))
    crop = Crop(jnp.array([20.25, 10.5]), jnp.array(zoom))
    size = 20
    picture = jax.jit(lambda c: crop_image(image, c, size=size))(crop)
    row, column = np.mgrid[:size, :size]
    back = uncrop_points(jnp.array(np.stack([column.ravel(), row.ravel()], 1), jnp.float32), crop)
    bx, by = np.array(back).reshape(size, size, 2).transpose(2, 0, 1)
    np.testing.assert_allclose(picture[..., 0], bx / 110, atol=2e-3)
    np.testing.assert_allclose(picture[..., 1], by / 90, atol=2e-3)
    # The prefilter damps the waves slightly when shrinking.
    np.testing.assert_allclose(picture[..., 2], 0.5 + 0.2 * np.sin(bx / 9) * np.cos(by / 11), atol=0.02)


def test_shrinking_does_not_alias_and_outside_repeats_the_border():
    checks = (np.indices((120, 120)).sum(0) % 2).astype(np.float32)
    image = jnp.array(np.repeat(checks[..., None], 3, -1))
    small = crop_image(image, Crop(jnp.array([0.3, 0.3]), jnp.array(0.21)), size=25)
    assert np.abs(np.array(small)[2:-2, 2:-2] - 0.5).max() < 0.03
    ramp = jnp.array(np.repeat(np.linspace(0.2, 0.8, 30)[:, None, None], 30, 1).repeat(3, -1), jnp.float32)
    wide = crop_image(ramp, Crop(jnp.array([-10.0, -10.0]), jnp.array(1.0)), size=50)
    np.testing.assert_allclose(wide[:10], 0.2, atol=1e-5)
    np.testing.assert_allclose(wide[-10:], 0.8, atol=1e-5)
