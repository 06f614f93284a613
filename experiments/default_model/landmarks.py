"""MediaPipe's 478 landmarks on the head, found on painted pictures of it; the irises by the eyeballs' shape."""

import numpy as np

from default_model import paint
from default_model.head import Head
from jaxface.detection.indices import MIRRORED
from jaxface.geometry.nearest import closest, make_search
from jaxface.models.embedding import Embedding, embed_landmarks
from jaxface.models.source import SourceModel
from jaxface.types import Detector, Part, Region

IRISES = {Part.RIGHT_EYE: 468, Part.LEFT_EYE: 473}
# From an iris' middle to its four other landmarks, as the detector orders them; x to the subject's left.
AROUND = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def find(head: Head, vertices_mm: np.ndarray, jaw_mm: np.ndarray, *, detect: Detector) -> Embedding:
    """Looks at the face plainly painted, paints it by what is found, and looks again."""
    colours = paint.plain(vertices_mm, head.parts)
    for _ in range(2):
        found = embed_landmarks(_source(head, vertices_mm, jaw_mm, colours), detect=detect, name="the default model")
        colours = paint.painted(vertices_mm, head.parts, found.points_mm, np.zeros(len(vertices_mm), bool))
    for eye, first in IRISES.items():
        _put_iris(found, first, eye, head, vertices_mm)
    _mirror(found, head, vertices_mm)
    return found


def _mirror(found: Embedding, head: Head, vertices_mm: np.ndarray) -> None:
    """The left half's landmarks on the mirror images of the right half's triangles, the middle's in the middle."""
    place = {tuple(sorted(corners)): number for number, corners in enumerate(head.triangles.tolist())}
    for mark, partner in enumerate(MIRRORED):
        if mark < partner:
            corners = head.mirror[head.triangles[found.triangles[mark]]]
            there = place[tuple(sorted(corners.tolist()))]
            order = [corners.tolist().index(corner) for corner in head.triangles[there]]
            found.triangles[partner] = there
            found.barycentrics[partner] = found.barycentrics[mark][order]
            found.points_mm[partner] = found.points_mm[mark] * [-1.0, 1.0, 1.0]
        elif mark == partner:
            corners = head.triangles[found.triangles[mark]]
            near = np.flatnonzero(np.isin(head.triangles, corners).any(axis=1))
            _put(found, [mark], near, found.points_mm[[mark]] * [[0.0, 1.0, 1.0]], head, vertices_mm)


def keep_on_face(found: Embedding, head: Head, regions: np.ndarray, vertices_mm: np.ndarray) -> None:
    """Landmarks of the outline that lie on triangles which reach beyond the face go to the nearest that does not."""
    on_face = (regions < Region.OUTSIDE)[head.triangles].all(axis=1)
    members = np.flatnonzero(on_face & (head.parts[head.triangles[:, 0]] == Part.SKIN))
    marks = np.flatnonzero(~on_face[found.triangles])
    points_mm = np.sum(found.barycentrics[marks, :, None] * vertices_mm[head.triangles[found.triangles[marks]]], axis=1)
    _put(found, marks, members, points_mm, head, vertices_mm)


def _put(found: Embedding, marks, members, points_mm: np.ndarray, head: Head, vertices_mm: np.ndarray) -> None:
    """Landmarks onto the nearest places of some triangles."""
    places = closest(points_mm, make_search(vertices_mm, head.triangles[members]))
    weights = np.clip(places.weights, 0.0, None)
    found.triangles[marks] = members[places.faces]
    found.barycentrics[marks] = weights / weights.sum(axis=1, keepdims=True)
    found.points_mm[marks] = places.points


def _source(head: Head, vertices_mm: np.ndarray, jaw_mm: np.ndarray, colours: np.ndarray) -> SourceModel:
    return SourceModel(
        mean_mm=vertices_mm.astype(np.float32),
        identity_mm=np.zeros((1, *vertices_mm.shape), np.float32),
        expression_mm=jaw_mm[None].astype(np.float32),
        expression_names=("jawOpen",),
        expression_bounds=(0.0, 1.0),
        triangles=head.triangles,
        uvs=None,
        uv_triangles=None,
        colours=colours.astype(np.float32),
        ibug_vertices=np.full(68, -1),
        note="",
    )


def _put_iris(found: Embedding, first: int, eye: Part, head: Head, vertices_mm: np.ndarray) -> None:
    """Middle and rim of an iris on an eyeball that looks ahead."""
    members = np.flatnonzero((head.parts[head.triangles] == eye).all(axis=1))
    ball = vertices_mm[head.parts == eye]
    middle = paint.front(ball)
    rim = middle + paint.IRIS_RADIUS_MM * np.pad(np.array(AROUND), ((0, 0), (0, 1)))
    radius = np.linalg.norm(middle - ball.mean(axis=0))
    rim[:, 2] = ball[:, 2].mean() + np.sqrt(radius**2 - paint.IRIS_RADIUS_MM**2)
    _put(found, np.arange(first, first + 5), members, np.vstack([middle, rim]), head, vertices_mm)
