"""3DDFA_V2's conventions, written again from its description: crop, window, and what the 62 numbers mean."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.detection import face_regressor
from jaxface.io.checkpoints import load_checkpoint
from jaxface.io.pickles import load_pickle
from jaxface.networks.mobilenet import params_from_checkpoint
from jaxface.types import FaceError

ROI = np.array([31.4, -12.7, 331.4, 287.3])


def random_rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_params(rng):
    """A pose that is exactly a scaled rotation, and coefficients of upstream's sizes."""
    scale = rng.uniform(3.5e-4, 5.8e-4)
    pose = np.concatenate([scale * random_rotation(rng), rng.normal((60.0, 74.0, -67.0), 5.0)[:, None]], axis=1)
    shape, expression = 5.8e5 * rng.normal(size=40), rng.normal(size=10)
    return np.concatenate([pose.ravel(), shape, expression])


def upstream_vertices(params, roi, *, mean, shape_basis, expression_basis):
    """Vertices in the photo (x right, y down, z toward the viewer), by upstream's formula, vertex by vertex."""
    pose, shape, expression = params[:12].reshape(3, 4), params[12:52], params[52:62]
    flat = mean + shape_basis @ shape + expression_basis @ expression
    zoom_x, zoom_y = (roi[2] - roi[0]) / 120.0, (roi[3] - roi[1]) / 120.0
    vertices = []
    for vertex in flat.reshape(-1, 3):
        x, y, z = pose[:, :3] @ vertex + pose[:, 3]
        x, y, z = x - 1.0, 120.0 - y, z - 1.0
        vertices.append((x * zoom_x + roi[0], y * zoom_y + roi[1], z * (zoom_x + zoom_y) / 2.0))
    return np.array(vertices)


@pytest.mark.parametrize("seed", range(5))
def test_the_decoded_pose_puts_vertices_where_upstream_does(seed):
    rng = np.random.default_rng(seed)
    model = {
        "mean": 5e4 * rng.normal(size=30),  # micrometres
        "shape_basis": 2e-3 * rng.normal(size=(30, 40)),
        "expression_basis": 1e3 * rng.normal(size=(30, 10)),
    }
    params = random_params(rng)
    expected = upstream_vertices(params, ROI, **model)
    face = face_regressor.decode(params, ROI)
    flat = model["mean"] + model["shape_basis"] @ face.shape + model["expression_basis"] @ face.expression
    turned = flat.reshape(-1, 3) / 1000.0 @ face.rotation.T  # millimetres
    projected = face.translation_px + face.px_per_mm * turned[:, :2] * (1.0, -1.0)
    np.testing.assert_allclose(projected, expected[:, :2], atol=1e-3)
    height = face.px_per_mm * turned[:, 2] - expected[:, 2]
    np.testing.assert_allclose(height, height[0], atol=1e-3)


def test_a_frontal_face_keeps_its_axes():
    """Numbers by hand: half a pixel of the crop a millimetre, enlarged by 2.5, origin at (61, 60)."""
    pose = np.array([[5e-4, 0.0, 0.0, 61.0], [0.0, 5e-4, 0.0, 60.0], [0.0, 0.0, 5e-4, -67.0]])
    face = face_regressor.decode(np.concatenate([pose.ravel(), np.arange(50.0)]), np.array([10.0, 20.0, 310.0, 320.0]))
    np.testing.assert_allclose(face.rotation, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(face.translation_px, [160.0, 170.0])
    assert face.px_per_mm == pytest.approx(1.25)
    np.testing.assert_array_equal(face.shape, np.arange(40.0))
    np.testing.assert_array_equal(face.expression, np.arange(40.0, 50.0))


def test_the_rotation_is_the_nearest_proper_one():
    rng = np.random.default_rng(8)
    rotation = random_rotation(rng)
    params = random_params(rng)
    params[:12] = np.concatenate([5e-4 * rotation + 1e-5 * rng.normal(size=(3, 3)), np.zeros((3, 1))], axis=1).ravel()
    face = face_regressor.decode(params, ROI)
    np.testing.assert_allclose(face.rotation @ face.rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(face.rotation) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(face.rotation, rotation, atol=0.08)


def test_the_scale_is_the_mean_of_two_unequal_ones():
    params = random_params(np.random.default_rng(0))
    params[:12] = np.array([[5e-4, 0.0, 0.0, 60.0], [0.0, 4e-4, 0.0, 60.0], [0.0, 0.0, 9e-4, 0.0]]).ravel()
    assert face_regressor.decode(params, ROI).px_per_mm == pytest.approx(0.45 * 2.5)


def test_unusable_numbers_are_refused():
    params = random_params(np.random.default_rng(0))
    with pytest.raises(FaceError, match="not finite"):
        face_regressor.decode(np.where(np.arange(62) == 30, np.nan, params), ROI)
    with pytest.raises(FaceError, match="no face"):
        face_regressor.decode(np.where(np.arange(62) < 12, 0.0, params), ROI)
    params[4:8] = params[:4]  # up is across
    with pytest.raises(FaceError, match="no face"):
        face_regressor.decode(params, ROI)


def test_the_window_is_the_enlarged_square_around_the_landmarks():
    points = np.array([[100.0, 50.0], [180.0, 90.0], [140.0, 70.0]])
    half = 80.0 / np.sqrt(2.0)
    roi = face_regressor.roi_from_landmarks(jnp.asarray(points))
    np.testing.assert_allclose(roi, [140.0 - half, 70.0 - half, 140.0 + half, 70.0 + half], rtol=1e-6)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.full((68, 2), 7.0),
        np.array([[1.0, np.nan], [2.0, 3.0]]),
        np.array([[0.0, 0.0], [1e300, 9]]),
    ],
)
def test_unusable_landmarks_are_refused(points):
    with pytest.raises(FaceError, match=r"landmarks for the face regressor"):
        face_regressor.roi_from_landmarks(points)


def slow_crop(image, roi):
    """Pixel by pixel: the window with rounded corners, black outside, then bilinear with half-pixel centres."""
    left, top, right, bottom = (round(corner) for corner in roi)
    window = np.zeros((bottom - top, right - left, 3))
    for y in range(max(top, 0), min(bottom, image.shape[0])):
        for x in range(max(left, 0), min(right, image.shape[1])):
            window[y - top, x - left] = 255.0 * image[y, x, ::-1]

    def neighbours(place, length):
        source = min(max((place + 0.5) * length / 120.0 - 0.5, 0.0), length - 1.0)
        low = int(source)
        return low, min(low + 1, length - 1), source - low

    crop = np.zeros((120, 120, 3))
    for row in range(120):
        y0, y1, v = neighbours(row, len(window))
        for column in range(120):
            x0, x1, u = neighbours(column, window.shape[1])
            upper = (1.0 - u) * window[y0, x0] + u * window[y0, x1]
            lower = (1.0 - u) * window[y1, x0] + u * window[y1, x1]
            crop[row, column] = (1.0 - v) * upper + v * lower
    return crop


@pytest.mark.parametrize(
    "roi",
    [[30.2, 20.7, 190.4, 180.9], [-20.6, -11.2, 99.3, 108.8], [40.0, 60.0, 75.0, 95.0], [-60.0, -50.0, 260.0, 270.0]],
)
def test_the_crop_is_opencvs(roi):
    image = np.random.default_rng(4).uniform(size=(149, 203, 3)).astype(np.float32)
    crop = face_regressor.crop_face(image, np.array(roi))
    assert crop.dtype == np.float32
    np.testing.assert_allclose(crop, slow_crop(image.astype(np.float64), roi), atol=1e-3)


@pytest.mark.parametrize("roi", [[-90.0, 0.0, -1.0, 89.0], [0.0, 37.0, 40.0, 77.0], [29.4, 0.0, 90.0, 60.6]])
def test_windows_beside_the_picture_are_refused(roi):
    with pytest.raises(FaceError, match="outside the picture"):
        face_regressor.crop_face(np.zeros((37, 29, 3), np.float32), np.array(roi))


@pytest.fixture(scope="module")
def weights(reference_data):
    folder = reference_data / "3ddfa_v2"
    statistics = load_pickle(folder / "param_mean_std_62d_120x120.pkl")
    params = params_from_checkpoint(load_checkpoint(folder / "mb05_120x120.pth"), source="mb05_120x120.pth")
    return face_regressor.TddfaWeights(params, statistics["mean"], statistics["std"])


@pytest.fixture(scope="module")
def golden(reference_data):
    with np.load(reference_data / "3ddfa_v2" / "mb05_golden.npz") as stored:
        return stored["crops_bgr"], stored["params"]


def corners(side):
    """Two points whose window is a photo of that side."""
    half = side / np.sqrt(8.0)
    return np.array([[side / 2.0 - half, side / 2.0 - half], [side / 2.0 + half, side / 2.0 + half]])


@pytest.mark.parametrize("place", [0, 1])
def test_portraits_give_plausible_faces(golden, weights, place):
    """The first two crops are portraits. A face's middle and width are known well enough to tell any mix-up of axes."""
    crops, params = golden
    face = face_regressor.regress_face(crops[place, ..., ::-1].astype(np.float32) / 255.0, corners(120), weights)
    decoded = face_regressor.decode(params[place], np.array([0.0, 0.0, 120.0, 120.0]))
    for found, expected in zip(face, decoded, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.max(np.abs(expected)))
    assert 0.4 < face.px_per_mm < 0.65
    assert np.trace(face.rotation) > 1.0 + 2.0 * np.cos(np.radians(20.0))  # both look into the camera
    sides_mm = np.array([[70.0, 0.0, 0.0], [-70.0, 0.0, 0.0], [0.0, -75.0, 20.0]])  # ears and chin
    seen = face.translation_px + face.px_per_mm * (sides_mm @ face.rotation.T)[:, :2] * (1.0, -1.0)
    assert np.all((seen > 0.0) & (seen < 120.0))
    assert seen[0, 0] > 80.0 and seen[1, 0] < 40.0 and seen[2, 1] > 80.0


def test_noise_is_no_face(golden, weights):
    crops, _ = golden
    with pytest.raises(FaceError, match="no face"):
        face_regressor.regress_face(crops[2, ..., ::-1].astype(np.float32) / 255.0, corners(120), weights)


def test_a_larger_photo_gives_the_same_pose_without_another_compile(golden, weights, caplog):
    image = golden[0][0, ..., ::-1].astype(np.float32) / 255.0
    small = face_regressor.regress_face(image, corners(120), weights)
    large = np.pad(np.repeat(np.repeat(image, 3, axis=0), 3, axis=1), ((30, 0), (50, 0), (0, 0)))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        face = face_regressor.regress_face(large, corners(360) + np.array([50.0, 30.0]), weights)
    assert not [record for record in caplog.records if "ompiling" in record.getMessage()]
    np.testing.assert_allclose(face.rotation, small.rotation, atol=1e-3)
    np.testing.assert_allclose(face.px_per_mm, 3.0 * small.px_per_mm, rtol=1e-3)
    np.testing.assert_allclose(face.translation_px, 3.0 * small.translation_px + np.array([50.0, 30.0]), atol=0.2)
