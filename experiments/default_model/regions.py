"""What each landmark and each vertex belongs to: brows, lips, nose, lids, openings, ears, scalp, neck."""

import numpy as np
from scipy.spatial import Delaunay

from default_model import contours, paint, uvs
from default_model.head import Head
from default_model.rims import points
from jaxface.detection.indices import FACE_OVAL, MIRRORED, NUM_SURFACE
from jaxface.models.embedding import Embedding
from jaxface.types import Part, Region

LID_MM, BROW_MM = 2.5, 0.9  # widths of lids and brows beyond their contours
RIM_MM, OUTLINE_MM = 3.0, 5.0  # of the face's outline inside and outside of the oval
EAR_MM = 1.0  # a trait of the ears moves them farther
AXIS_MM, RADIUS_MM = -20.0, 80.0  # depth of the head's vertical axis, and a radius about it


def landmark_regions() -> np.ndarray:
    """Labels of the 478 landmarks; of the lids only the contours count as EYE."""
    mirror = np.array(MIRRORED)
    parts = {
        Region.NOSE: contours.RIGHT_NOSE,
        Region.EYEBROW: contours.RIGHT_BROW,
        Region.EYE: sum(contours.RIGHT_LIDS, ()),
        Region.MOUTH: sum(contours.OUTER_LIPS + contours.INNER_LIPS + contours.LIP_ROWS, ()),
    }
    labels = np.full(len(MIRRORED), Region.SKIN)
    for region, part in parts.items():
        labels[list(part)] = labels[mirror[list(part)]] = region
    labels[list(FACE_OVAL)] = Region.BORDER
    labels[NUM_SURFACE:] = Region.EYE_OPENING
    return labels.astype(np.int8)


def vertex_regions(head: Head, vertices_mm: np.ndarray, found: Embedding, ear_mm: np.ndarray) -> np.ndarray:
    """Labels of the vertices of the mean head. `ear_mm` is how far a trait of the ears alone moves each vertex; what
    lies inside mouth, nose and sockets is outside of the face."""
    skin, points_mm = head.parts == Part.SKIN, points(head, found, vertices_mm)
    labels = np.where(np.isin(head.parts, (Part.RIGHT_EYE, Part.LEFT_EYE)), Region.EYE_OPENING, Region.MOUTH_OPENING)
    labels[skin] = _skin_regions(vertices_mm[skin], points_mm, ear_mm[skin] > EAR_MM)
    kinds = uvs.kinds_of_triangles(head, vertices_mm)
    for kind, region in (("mouth", Region.OUTSIDE), ("socket", Region.EYE_OPENING)):
        inner = np.setdiff1d(head.triangles[kinds == kind], head.triangles[kinds != kind])
        labels[inner] = region
    return labels.astype(np.int8)


def _skin_regions(vertices: np.ndarray, marks: np.ndarray, is_ear: np.ndarray) -> np.ndarray:
    """Later lines win over earlier ones."""
    unrolled, oval = _unroll(vertices), _unroll(marks[list(FACE_OVAL)])
    beyond = contours.outside_mm(unrolled, oval)
    under_jaw = vertices[:, 1] < np.interp(np.abs(unrolled[:, 0]), *_lower_edge(oval))
    labels = np.where(under_jaw, Region.NECK, Region.SCALP)
    labels[is_ear] = Region.EAR
    labels[beyond < OUTLINE_MM] = Region.BORDER
    labels[beyond < -RIM_MM] = Region.SKIN
    nose = marks[list(contours.RIGHT_NOSE)]
    hull = Delaunay(np.concatenate([nose, nose * [-1.0, 1.0, 1.0]])[:, :2])
    labels[(hull.find_simplex(vertices[:, :2]) >= 0) & (beyond < -RIM_MM)] = Region.NOSE
    for brow, lids in ((contours.RIGHT_BROW, contours.RIGHT_LIDS), (contours.LEFT_BROW, contours.LEFT_LIDS)):
        ring = marks[list(brow[:5] + brow[:4:-1])]
        labels[contours.outside_mm(vertices, ring) < BROW_MM] = Region.EYEBROW
        ring = marks[list(lids[0] + lids[1][-2:0:-1])]
        labels[contours.outside_mm(vertices, ring) < LID_MM] = Region.EYE
    labels[paint.lips(vertices, marks) > 0.5] = Region.MOUTH
    return labels


def _unroll(points: np.ndarray) -> np.ndarray:
    """From a cylinder around the head's vertical axis: arc length (mm) and height; depth left at 0."""
    angle = np.arctan2(points[:, 0], points[:, 2] - AXIS_MM)
    return np.stack([RADIUS_MM * angle, points[:, 1], np.zeros(len(points))], axis=1)


def _lower_edge(oval: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The jaw line from the chin to the ear, as heights over arc length."""
    lower = oval[(oval[:, 0] >= 0.0) & (oval[:, 1] <= oval[oval[:, 0].argmax(), 1])]
    lower = lower[lower[:, 0].argsort()]
    return lower[:, 0], lower[:, 1]
