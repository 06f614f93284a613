"""Projection, its inverse, and crops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.morphable.default import load_default
from jaxface.rendering.camera import (
    MARGIN,
    crop_points,
    cropped,
    face_crop,
    face_extent,
    make_camera,
    orthographic,
    project,
    unproject,
    within,
)
from jaxface.types import Camera, Crop, Pose, Region

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
    pose, crop_camera = cropped(POSE, camera, CROP)
    in_crop = project(vertices, pose, camera=crop_camera)
    np.testing.assert_allclose(in_crop[:, :2], crop_points(image[:, :2], CROP), atol=2e-3)
    np.testing.assert_allclose(in_crop[:, 2], image[:, 2] * CROP.zoom, rtol=1e-4, atol=1e-3)


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

    step = 5e-2  # far enough that float32's sum of 60 terms does not matter
    np.testing.assert_allclose((moved(step) - moved(-step)) / (2.0 * step), slope, rtol=5e-3, atol=1e-4)


def test_a_camera_looks_at_the_middle_of_the_photo():
    for focal_px, inverse in ((None, 0.0), (500.0, 0.002)):
        camera = make_camera(height=31, width=41, focal_px=focal_px)
        np.testing.assert_allclose(camera.principal_point_px, [20.0, 15.0])
        np.testing.assert_allclose(camera.inverse_focal, inverse)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_crop_holds_the_face_and_a_margin(camera):
    model, size = load_default(), 50
    points_px = np.asarray(project(model.mean_mm, POSE, camera=camera))[:, :2]
    points_px = points_px[np.asarray(model.vertex_regions) < Region.OUTSIDE]
    centre_px, side_px = face_extent(model.mean_mm, POSE, camera, model=model)
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    np.testing.assert_allclose(centre_px, 0.5 * (low + high), atol=1e-3)
    np.testing.assert_allclose(side_px, (high - low).max(), rtol=1e-5)
    crop = face_crop(model.mean_mm, POSE, camera, model=model, size=size)
    np.testing.assert_allclose(crop.zoom, size / (MARGIN * side_px), rtol=1e-5)
    inside = np.asarray(crop_points(jnp.asarray(points_px), crop))
    np.testing.assert_allclose(0.5 * (inside.min(axis=0) + inside.max(axis=0)), 0.5 * size, atol=1e-2)
    assert inside.min() > 0.0 and inside.max() < size


def test_what_lies_beyond_the_photo_is_known():
    crop, image_size_px = Crop(jnp.array([-3.2, 20.4]), jnp.array(0.7)), jnp.array([31.0, 37.0])
    row, column = np.mgrid[:29, :29]
    x, y = column / 0.7 - 3.2, row / 0.7 + 20.4
    expected = (x > -0.5) & (x < 30.5) & (y > -0.5) & (y < 36.5)
    np.testing.assert_array_equal(within(crop, size=29, image_size_px=image_size_px), expected)
    assert 0.1 < expected.mean() < 0.9
