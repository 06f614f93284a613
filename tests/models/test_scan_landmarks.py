"""Landmarks on scans: a detector that knows the truth is put in place of MediaPipe, and then MediaPipe itself."""

import numpy as np
import pytest
from models import known_face
from scipy.spatial.transform import Rotation

from jaxface.models.scan_landmarks import find_landmarks, padded
from jaxface.morphable.cut import cut_model
from jaxface.types import IBUG_68, FaceError, Part

INNER = list(IBUG_68[17:])


def default_face() -> tuple[np.ndarray, np.ndarray]:
    """The skin alone; vertex i < 468 is landmark i."""
    model = known_face.the_model()
    skin = cut_model(model, np.asarray(model.vertex_parts)[np.asarray(model.triangles)[:, 0]] == Part.SKIN)
    return np.asarray(skin.mean_mm, np.float64), np.asarray(skin.triangles)


class FrontalOnly:
    """A witness that misses faces which look elsewhere than at the viewer, or are drawn inside out."""

    def __init__(self, witness):
        self.witness, self.num_missed = witness, 0

    def __call__(self, image):
        vertices_mm, _, sitter = self.witness.shots[-1]
        a, b, c = np.moveaxis(vertices_mm[sitter.triangles[: 2 * len(default_face()[1])]], 1, 0)
        facing = np.cross(b - a, c - a).sum(axis=0)
        up = vertices_mm[10] - vertices_mm[152]  # forehead over chin
        if facing[2] > 0.8 * np.linalg.norm(facing) and up[1] > 0.8 * np.linalg.norm(up):
            return self.witness(image)
        self.num_missed += 1
        return []


@pytest.fixture
def witness(monkeypatch):
    return known_face.Witness(monkeypatch)


@pytest.mark.parametrize(
    ("angles", "scale", "inside_out"),
    [
        ((0.0, 0.0), 1.0, False),
        ((0.63, 0.0), 1.0, False),  # looks down, as MICC's scans do
        ((np.pi / 2, 0.0), 0.001, False),  # z is up, metres
        ((0.1, np.pi), 10.0, True),
    ],
)
def test_known_points_are_found_wherever_the_scan_looks(witness, angles, scale, inside_out):
    vertices_mm, triangles = default_face()
    turn = Rotation.from_euler("yx", angles[::-1]).as_matrix()
    placed = scale * (vertices_mm @ turn.T + [[30.0, -500.0, 90.0]])
    detect = FrontalOnly(witness)
    found = find_landmarks(placed, triangles[:, ::-1] if inside_out else triangles, detect=detect)
    assert (detect.num_missed > 0) == (angles != (0.0, 0.0))
    assert np.isnan(found[:17]).all()
    misses_mm = np.linalg.norm(found[17:] - placed[INNER], axis=1) / scale
    assert np.nanmedian(misses_mm) < 0.1 and np.nanmax(misses_mm) < 6.0  # lips hide their inner side


def test_strays_do_not_hide_the_face(witness):
    vertices_mm, triangles = default_face()
    with_strays = np.concatenate([vertices_mm, [[4000.0, 0.0, 0.0], [0.0, -9000.0, 0.0]]])
    np.testing.assert_allclose(
        find_landmarks(with_strays, triangles, detect=witness)[17:],
        find_landmarks(vertices_mm, triangles, detect=witness)[17:],
        atol=0.05,
    )


def test_points_beside_the_mesh_are_unknown(witness):
    witness.moved_px[[33, 263]] = 9000.0
    found = find_landmarks(*default_face(), detect=witness)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found[17:]).any(axis=1)) + 17, [36, 45])


def test_what_is_no_face_is_refused(witness):
    with pytest.raises(FaceError, match="No face was found on the mesh"):
        find_landmarks(*default_face(), detect=lambda image: [])
    witness.moved_px[:468] = np.random.default_rng(0).normal(scale=60.0, size=(468, 2))
    with pytest.raises(FaceError, match="No face was found on the mesh"):
        find_landmarks(*default_face(), detect=witness)
    with pytest.raises(FaceError, match="point cloud"):
        find_landmarks(default_face()[0], np.zeros((0, 3), int), detect=witness)


def test_padding_adds_nothing_that_is_drawn():
    vertices, faces = padded(np.ones((5, 3)), np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4]]))
    assert vertices.shape == (8, 3) and faces.shape == (4, 3)
    np.testing.assert_array_equal(faces[3], [0, 0, 0])
    assert padded(vertices, faces)[0].shape == (8, 3)


def test_mediapipe_finds_a_face_in_clay():
    pytest.importorskip("mediapipe")
    from jaxface.detection.mediapipe_mesh import MediaPipeDetector

    vertices_mm, triangles = default_face()
    turn = Rotation.from_euler("x", 0.63).as_matrix()
    found = find_landmarks(vertices_mm @ turn.T, triangles, detect=MediaPipeDetector()) @ turn
    misses_mm = np.linalg.norm(found[17:] - vertices_mm[INNER], axis=1)
    assert np.median(misses_mm) < 5.0 and misses_mm[30 - 17] < 4.0
