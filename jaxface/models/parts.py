"""What a head has beside its skin: which pieces are eyeballs, where their irises are, what colours they have."""

import numpy as np
from jaxtyping import Float, Int

from jaxface.geometry.topology import components
from jaxface.models.embedding import Embedding
from jaxface.models.source import SourceModel
from jaxface.types import Part, Region

# Where a face shows what is neither skin nor hidden.
REGIONS = {
    Part.RIGHT_EYE: Region.EYE_OPENING,
    Part.LEFT_EYE: Region.EYE_OPENING,
    Part.UPPER_TEETH: Region.MOUTH_OPENING,
    Part.LOWER_TEETH: Region.MOUTH_OPENING,
    Part.TONGUE: Region.MOUTH_OPENING,
    Part.INSIDE: Region.OUTSIDE,
}
# By eye; eyeballs are white, with an iris and its pupil.
_COLOURS = {
    Part.RIGHT_EYE: (0.78, 0.74, 0.71),
    Part.LEFT_EYE: (0.78, 0.74, 0.71),
    Part.UPPER_TEETH: (0.75, 0.69, 0.60),
    Part.LOWER_TEETH: (0.75, 0.69, 0.60),
    Part.TONGUE: (0.52, 0.28, 0.26),
}
_IRIS, _PUPIL = (0.22, 0.15, 0.10), (0.03, 0.03, 0.03)
_IRIS_MM, _PUPIL_MM = 5.9, 2.0  # radii
_EYEBALL_MM = 35.0  # a piece that stays within this of an eye's middle is an eyeball
_FRONT_MM = 0.7  # what is as near to the foremost point of an eye is the middle of its cornea
_TURNED_MM = 1.0  # difference of motion within an eyeball from which on an expression turns it
# MediaPipe's five points an iris: the middle, then towards the subject's left, up, the right, down.
_IRISES = {Part.RIGHT_EYE: range(468, 473), Part.LEFT_EYE: range(473, 478)}
_CROSS = _IRIS_MM * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])


def tell_parts(source: SourceModel, embedding: Embedding) -> Int[np.ndarray, "vertices"]:
    """The piece that landmarks lie on is the skin, a piece around an eye's middle an eyeball, any other the inside."""
    piece = components(source.triangles, num_vertices=len(source.mean_mm))
    used = piece[source.triangles]
    skin = used[embedding.triangles[embedding.barycentrics.sum(axis=1) > 0.0], 0][0]  # landmarks lie on one piece
    eyes = np.stack([embedding.points_mm[list(corners)].mean(axis=0) for corners in ((33, 133), (362, 263))])
    parts = np.full(len(piece), Part.SKIN, np.int32)
    for other in np.setdiff1d(used, skin):
        members = piece == other
        farthest = np.linalg.norm(source.mean_mm[members][:, None] - eyes[None], axis=-1).max(axis=0)
        eye = (Part.RIGHT_EYE, Part.LEFT_EYE)[np.argmin(farthest)]
        parts[members] = eye if farthest.min() < _EYEBALL_MM else Part.INSIDE
    return parts


def embed_irises(source: SourceModel, parts: Int[np.ndarray, "vertices"], embedding: Embedding) -> Embedding:
    """The embedding with the irises' points on the front of eyeballs that an expression turns; on others they would
    bend the face after every glance."""
    triangles, barycentrics, points_mm = (array.copy() for array in embedding)
    for eye, rows in _IRISES.items():
        if not _turns(source, parts == eye):
            continue
        faces = np.flatnonzero(parts[source.triangles[:, 0]] == eye)
        corners = source.mean_mm[source.triangles[faces]].astype(np.float64)
        for row, place in zip(rows, _front(source.mean_mm[parts == eye]) + _CROSS, strict=True):
            hit, weights = _foremost(corners, place)
            if hit >= 0:
                triangles[row], barycentrics[row], points_mm[row] = faces[hit], weights, weights @ corners[hit]
    return Embedding(triangles, barycentrics, points_mm)


def paint(
    colours: Float[np.ndarray, "vertices 3"],
    mean_mm: Float[np.ndarray, "vertices 3"],
    parts: Int[np.ndarray, "vertices"],
) -> Float[np.ndarray, "vertices 3"]:
    """The colours with those of eyes, teeth and tongue in their places."""
    colours = colours.copy()
    for part, colour in _COLOURS.items():
        colours[parts == part] = colour
    for eye in _IRISES:
        members = np.flatnonzero(parts == eye)
        if len(members):
            points = mean_mm[members]
            away = np.linalg.norm(points[:, :2] - _front(points), axis=1)
            ahead = points[:, 2] > 0.5 * (points[:, 2].min() + points[:, 2].max())
            colours[members[ahead & (away < _IRIS_MM)]] = _IRIS
            colours[members[ahead & (away < _PUPIL_MM)]] = _PUPIL
    return colours


def _front(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "2"]:
    """(x, y) of the middle of the cornea: mean faces look straight ahead."""
    return points[points[:, 2] > points[:, 2].max() - _FRONT_MM][:, :2].mean(axis=0)


def _turns(source: SourceModel, members: np.ndarray) -> bool:
    if not members.any() or not len(source.expression_mm):
        return False
    return bool(np.ptp(source.expression_mm[:, members], axis=1).max() > _TURNED_MM)


def _foremost(corners: Float[np.ndarray, "faces 3 3"], place: Float[np.ndarray, "2"]) -> tuple[int, np.ndarray]:
    """The triangle, and weights in it, that one sees at (x, y) from the front; -1 where there is none."""
    sides = np.roll(corners, -1, axis=1)[..., :2] - place, np.roll(corners, -2, axis=1)[..., :2] - place
    areas = sides[0][..., 0] * sides[1][..., 1] - sides[0][..., 1] * sides[1][..., 0]
    total = areas.sum(axis=1)
    inside = np.all(areas >= 0.0, axis=1) & (total > 1e-9)  # and turned to the front
    weights = areas / np.where(inside, total, 1.0)[:, None]
    depth = np.where(inside, np.sum(weights * corners[..., 2], axis=1), -np.inf)
    best = int(np.argmax(depth))
    return (best, weights[best]) if inside.any() else (-1, np.zeros(3))
