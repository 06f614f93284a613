"""The three pictures of a coloured face: the right side is the right side, whatever way the file turns it."""

import numpy as np
import pytest
from face_mask import face_mask
from scipy.spatial.transform import Rotation

from jaxface.error_views import SIZE, face_axes, face_views

MARKS = np.asarray(face_mask().ibug_vertices)
RED, BLUE = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def two_coloured_face() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The subject's left half is red, the right one blue."""
    model = face_mask()
    vertices_mm = np.asarray(model.mean_mm, np.float64)
    return vertices_mm, np.asarray(model.triangles), np.where(vertices_mm[:, :1] > 0.0, RED, BLUE)


def shares(picture) -> tuple[float, float]:
    """Of red and blue among the pixels that are not white."""
    drawn = picture[np.abs(picture - 1.0).max(axis=-1) > 0.01]
    return float(np.mean(drawn[:, 0] > drawn[:, 2])), float(np.mean(drawn[:, 2] > drawn[:, 0]))


@pytest.mark.parametrize("kind", ["mesh", "inside out", "cloud"])
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.6, 2.5, -1.0)])
def test_sides_are_the_subjects(kind, angles):
    vertices_mm, triangles, colours = two_coloured_face()
    placed_mm = vertices_mm @ Rotation.from_euler("xyz", angles).as_matrix().T + [[300.0, 20.0, -90.0]]
    triangles = {"mesh": triangles, "inside out": triangles[:, ::-1], "cloud": triangles[:0]}[kind]
    views = face_views(placed_mm, triangles, colours, landmarks_mm=placed_mm[MARKS], shown=np.arange(len(placed_mm)))
    assert {picture.shape for picture in views.values()} == {(SIZE, SIZE, 3)}
    if kind != "cloud":  # through points one sees the far side
        assert shares(views["left side"])[0] > 0.8 and shares(views["right side"])[1] > 0.8
    front = views["front"]
    assert front[0].min() == front[-1].min() == 1.0  # all in the picture
    assert shares(front[:, : SIZE // 2])[1] > 0.95 and shares(front[:, SIZE // 2 :])[0] > 0.95
    rows, columns = np.nonzero(np.abs(front - 1.0).max(axis=-1) > 0.01)
    widths = [np.ptp(columns[np.abs(rows - row) <= 2]) for row in (SIZE // 4, 3 * SIZE // 4)]
    assert widths[0] > 1.2 * widths[1]  # the chin is down


def test_axes_need_eyes_and_mouth():
    points_mm = two_coloured_face()[0][MARKS]
    turn = Rotation.from_euler("xyz", (0.6, 2.5, -1.0)).as_matrix()
    np.testing.assert_allclose(face_axes(points_mm @ turn.T) @ turn, face_axes(points_mm), atol=1e-9)
    points_mm[48] = np.nan
    np.testing.assert_array_equal(face_axes(points_mm), np.eye(3))
