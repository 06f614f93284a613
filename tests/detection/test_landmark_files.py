"""Landmarks from files: every shape that is taken, and one clear sentence for every one that is not."""

import io

import numpy as np
import pytest

from jaxface.detection.files import read_landmarks
from jaxface.detection.indices import FACE_OVAL
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.types import IBUG_68, NUM_LANDMARKS, FaceError

PLACES = {478: np.arange(478), 468: np.arange(468), 68: np.array(IBUG_68)}


@pytest.mark.parametrize("count, axes", [(478, 2), (478, 3), (468, 2), (468, 3), (68, 2)])
def test_arrays_are_taken(tmp_path, count, axes):
    points = np.random.default_rng(count).uniform(10.0, 500.0, (count, axes))
    np.save(tmp_path / "face.npy", points)
    landmarks = read_landmarks(tmp_path / "face.npy")
    assert landmarks.points_px.shape == (NUM_LANDMARKS, 2)
    np.testing.assert_allclose(landmarks.points_px[PLACES[count]], points[:, :2], rtol=1e-6)
    np.testing.assert_allclose(landmarks.height_px[PLACES[count]], points[:, 2] if axes == 3 else 0.0, rtol=1e-6)
    assert np.flatnonzero(landmarks.confidence).tolist() == sorted(PLACES[count].tolist())


def write_pts(path, points, head="version: 1\nn_points: 68\n{\n", tail="}\n"):
    path.write_text(head + "".join(f"{x} {y}\n" for x, y in points) + tail)


def test_pts_counts_from_one(tmp_path):
    points = np.random.default_rng(0).uniform(1.0, 500.0, (68, 2)).round(3)
    write_pts(tmp_path / "face.pts", points)
    landmarks = read_landmarks(tmp_path / "face.pts")
    np.testing.assert_allclose(np.asarray(landmarks.points_px)[list(IBUG_68)], points - 1.0, atol=1e-3)


def test_the_map_names_distinct_points_and_jaw_points_slide():
    assert len(set(IBUG_68)) == 68 and len(set(FACE_OVAL)) == 36
    assert set(IBUG_68[:17]) <= set(FACE_OVAL)
    assert not set(IBUG_68[17:]) & set(FACE_OVAL)


def test_ibug_points_stand_in_their_documented_order():
    """Each part runs as iBUG numbers it: the jaw from the subject's right ear to the left one, and so on."""
    model = load_default()
    x, y = np.asarray(landmark_positions(model.mean_mm, model=model))[list(IBUG_68), :2].T
    for first, last in [(1, 15), (17, 26), (31, 35), (36, 39), (42, 45), (48, 54), (60, 64)]:  # to the subject's left
        assert np.all(np.diff(x[first : last + 1]) > 0.0), first
    for first, last in [(39, 41), (45, 47), (54, 59), (64, 67)]:  # and back
        assert np.all(np.diff(x[first : last + 1]) < 0.0), first
    assert np.all(np.diff(y[27:31]) < 0.0) and np.argmin(y[:17]) == 8  # down the bridge; the chin
    for upper, lower in [
        ((37, 38), (41, 40)),
        ((43, 44), (47, 46)),
        ((50, 51, 52), (58, 57, 56)),
        ((61, 63), (67, 65)),
    ]:
        assert np.all(y[list(upper)] > y[list(lower)])
    assert y[51] > y[62] > y[66] > y[57] and y[30] > y[33] > y[51]


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FaceError, match="no landmark file"):
        read_landmarks(tmp_path / "none.npy")


def test_another_ending_says_so(tmp_path):
    (tmp_path / "face.txt").write_text("1 2")
    with pytest.raises(FaceError, match=r"end in \.npy .* \.pts .* \.json"):
        read_landmarks(tmp_path / "face.txt")


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((70, 2)), "shape"),
        (np.zeros((68, 3)), "shape"),
        (np.zeros(136), "shape"),
        (np.full((68, 2), np.nan), "finite"),
        (np.full((68, 2), -np.inf), "finite"),
        (np.full((478, 3), 1e300), "finite"),
        (np.array([{"a": 1}]), "plain numeric"),
        (np.array([["a", "b"]] * 68), "real numbers"),
        (np.zeros((68, 2), complex), "real numbers"),
    ],
)
def test_unusable_arrays_say_why(tmp_path, array, message):
    np.save(tmp_path / "face.npy", array, allow_pickle=True)
    with pytest.raises(FaceError, match=message):
        read_landmarks(tmp_path / "face.npy")


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00"])
def test_broken_arrays_say_why(tmp_path, content):
    (tmp_path / "face.npy").write_bytes(content)
    with pytest.raises(FaceError, match="plain numeric"):
        read_landmarks(tmp_path / "face.npy")


@pytest.mark.parametrize("text", ["", "1 2\n3 4\n", "{\n1 2\n3\n}", "{\na b\n}", "}\n1 2\n{"])
def test_broken_pts_say_why(tmp_path, text):
    (tmp_path / "face.pts").write_text(text)
    with pytest.raises(FaceError, match="iBUG|shape"):
        read_landmarks(tmp_path / "face.pts")


def test_pts_of_another_length_says_so(tmp_path):
    write_pts(tmp_path / "face.pts", np.ones((51, 2)))
    with pytest.raises(FaceError, match="shape"):
        read_landmarks(tmp_path / "face.pts")


def as_bytes(points):
    stream = io.BytesIO()
    np.save(stream, points)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".npy", ".pts"])
def test_damaged_files_end_in_landmarks_or_one_sentence(tmp_path, suffix):
    rng = np.random.default_rng(0)
    points = rng.uniform(10.0, 500.0, (68, 2))
    path, outcomes = tmp_path / f"face{suffix}", set()
    write_pts(tmp_path / "face.pts", points)
    whole = as_bytes(points) if suffix == ".npy" else path.read_bytes()
    for case in range(100):
        damaged = bytearray(whole[: rng.integers(len(whole))] if case % 10 == 0 else whole)
        if damaged:  # mostly in the head, where the meaning is
            damaged[rng.integers(min(len(damaged), 128 if case % 2 else len(damaged)))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert np.isfinite(read_landmarks(path).points_px).all()
            outcomes.add("read")
        except FaceError as error:
            assert str(path) in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
