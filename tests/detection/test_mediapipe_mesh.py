"""MediaPipe as a detector, on a public-domain portrait that ships in matplotlib."""

import contextlib
import importlib
import importlib.util
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import imageio.v3 as iio
import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from jaxface.detection import mediapipe_mesh, views
from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.detection.select import select_face
from jaxface.detection.sources import find_faces
from jaxface.types import NUM_LANDMARKS, FaceError

LEFT_EYE, RIGHT_EYE, CHIN = 263, 33, 152


@pytest.fixture(scope="module")
def portrait():
    return iio.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="module")
def landmarks(portrait):
    pytest.importorskip("mediapipe")
    return MediaPipeDetector()(portrait)[0]


def miss(found, expected_px):
    """Root mean square distance, as a share of the face's size."""
    offsets = np.linalg.norm(np.asarray(found.points_px) - expected_px, axis=1)
    return float(np.sqrt(np.mean(offsets**2)) / np.ptp(expected_px, axis=0).max())


def test_one_face_with_all_points_the_right_way_round(landmarks):
    points = np.asarray(landmarks.points_px)
    assert points.shape == (NUM_LANDMARKS, 2)
    assert points[RIGHT_EYE, 0] < points[LEFT_EYE, 0] and points[CHIN, 1] > points[LEFT_EYE, 1]
    assert landmarks.height_px[1] > landmarks.height_px[234]  # the nose is nearer than the ear
    assert np.all(landmarks.confidence == 1.0)


def test_float_images_and_repeats_give_the_same(portrait, landmarks):
    """Also after another picture, after `close`, and in another thread."""
    detector = MediaPipeDetector()
    assert detector(np.full((301, 300, 3), 90, np.uint8)) == []
    again = [detector(portrait)[0], find_faces(portrait.astype(np.float32) / 255.0, detector=detector)[0]]
    detector.close()
    with ThreadPoolExecutor() as pool:
        again += [faces[0] for faces in pool.map(detector, [portrait, portrait])]
        pool.submit(detector.close).result()
    for found in again:
        np.testing.assert_array_equal(found.points_px, landmarks.points_px)


def test_networks_are_loaded_once_and_let_go(portrait, monkeypatch):
    events = []

    @contextlib.contextmanager
    def open_network(task_file):
        events.append(f"load {task_file}")
        yield lambda pixels: []
        events.append("close")

    monkeypatch.setattr(mediapipe_mesh, "_open_network", open_network)
    detector = MediaPipeDetector(task_file="nets/a.task")
    assert detector.name == "mediapipe (a.task)" and MediaPipeDetector().name == "mediapipe" and events == []
    assert detector(portrait) == detector(portrait) == [] and events == ["load nets/a.task"]
    detector.close()
    detector.close()
    assert events == ["load nets/a.task", "close"]
    detector(portrait)
    del detector
    assert events == 2 * ["load nets/a.task", "close"]


def test_nothing_is_printed_and_no_warning_escapes(portrait, capfd):
    pytest.importorskip("mediapipe")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = MediaPipeDetector()
        detector(portrait)
        detector.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("degrees", [45, 90, 180, 225])
def test_turned_portraits(portrait, landmarks, degrees):
    points = np.asarray(landmarks.points_px)
    view = views.View(tuple(points.mean(axis=0)), 420.0, np.deg2rad(degrees), 400)
    found = MediaPipeDetector()(views.cut_view(Image.fromarray(portrait), view=view))[0]
    back = views.uncut_points(np.concatenate([found.points_px, found.height_px[:, None]], axis=1), view=view)
    assert miss(landmarks._replace(points_px=back[:, :2]), points) < 0.015


def paste(portrait, *, zoom, canvas, corner):
    small = Image.fromarray(portrait).resize([round(length * zoom) for length in portrait.shape[1::-1]])
    picture = Image.new("RGB", (canvas, canvas), (90, 120, 130))
    picture.paste(small, corner)
    return np.asarray(picture)


@pytest.mark.parametrize("zoom, canvas", [(0.3, 900), (0.3, 1500), (2.3, 460)])
def test_small_and_overfull_faces(portrait, landmarks, zoom, canvas):
    points = np.asarray(landmarks.points_px) * zoom
    corner = (500, 100) if zoom < 1.0 else tuple((canvas / 2 - points.mean(axis=0)).astype(int))
    picture = paste(portrait, zoom=zoom, canvas=canvas, corner=corner)
    found = MediaPipeDetector()(picture)
    assert len(found) == 1 and miss(found[0], points + np.array(corner)) < 0.03
    confidence = np.asarray(found[0].confidence)
    outside = np.any((found[0].points_px < -0.5) | (found[0].points_px > canvas - 0.5), axis=1)
    np.testing.assert_array_equal(confidence < 1.0, outside)


def test_two_faces_come_largest_first(portrait, landmarks):
    picture = np.concatenate([paste(portrait, zoom=0.6, canvas=600, corner=(100, 100)), 
                              paste(portrait, zoom=1.0, canvas=600, corner=(40, 0))], axis=1)  # fmt: skip
    faces = MediaPipeDetector()(picture)
    assert len(faces) == 2
    assert miss(faces[0], np.asarray(landmarks.points_px) + np.array([640, 0])) < 0.02
    assert faces[1].points_px[1, 0] < 600


def test_no_face_and_tiny_face_end_in_one_sentence(portrait):
    pytest.importorskip("mediapipe")
    noise = np.random.default_rng(0).integers(0, 255, (300, 301, 3), dtype=np.uint8)
    with pytest.raises(FaceError, match="No face"):
        select_face(MediaPipeDetector()(noise), image_shape=noise.shape)
    tiny = paste(portrait, zoom=0.1, canvas=150, corner=(50, 50))
    with pytest.raises(FaceError, match="No face|only"):
        select_face(MediaPipeDetector()(tiny), image_shape=tiny.shape)


def test_without_mediapipe_the_error_names_the_extra(portrait, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FaceError, match=r'pip install "jaxface\[landmarks\]"'):
        MediaPipeDetector()(portrait)


@pytest.mark.parametrize("path, message", [(None, "not given"), ("none.task", "not a file")])
def test_newer_mediapipe_asks_for_its_file(portrait, monkeypatch, path, message):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", lambda name: types.SimpleNamespace())
    with pytest.raises(FaceError, match=f"{message}.*--landmarker_task"):
        MediaPipeDetector(task_file=path)(portrait)


def test_a_broken_task_file_says_so(portrait, tmp_path):
    pytest.importorskip("mediapipe")
    (tmp_path / "broken.task").write_bytes(b"not a model")
    with pytest.raises(FaceError, match="not a usable face_landmarker.task"):
        MediaPipeDetector(task_file=tmp_path / "broken.task")(portrait)
