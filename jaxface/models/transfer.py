"""From any face to the embedded one: landmarks that both have carry its regions and its colours over."""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from jaxface.detection.indices import NUM_SURFACE
from jaxface.geometry.nearest import closest, make_search
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.types import Part, Region

_SMOOTHING = 0.5  # of the spline, against jitter of the landmarks
_BEYOND_MM = 6.0  # from the embedded face's surface: ears, scalp, neck


class Correspondence(NamedTuple):
    """Where each vertex lies on the embedded face (mm), the nearest place there as three of its vertices with weights,
    and whether it is off that face."""

    reference_mm: Float[np.ndarray, "vertices 3"]
    corners: Int[np.ndarray, "vertices 3"]
    weights: Float[np.ndarray, "vertices 3"]
    beyond: Bool[np.ndarray, "vertices"]


def default_landmarks() -> Float[np.ndarray, "landmarks 3"]:
    """The embedded mean face's landmarks, mm; the irises, which look around, are NaN."""
    model = load_default()
    points = np.array(landmark_positions(model.mean_mm, model=model), np.float64)
    points[NUM_SURFACE:] = np.nan
    return points


@functools.lru_cache(maxsize=1)
def _shown() -> Int[np.ndarray, "shown"]:
    """The embedded model's vertices that can be seen with the mouth shut: not sockets, and of eyeballs the front."""
    model = load_default()
    parts, regions, mean_mm = (np.asarray(x) for x in (model.vertex_parts, model.vertex_regions, model.mean_mm))
    skin = (parts == Part.SKIN) & (regions != Region.EYE_OPENING) & (regions != Region.OUTSIDE)
    eyes = np.zeros(len(parts), bool)
    for eye in (Part.RIGHT_EYE, Part.LEFT_EYE):
        eyes |= (parts == eye) & (mean_mm[:, 2] > mean_mm[parts == eye, 2].mean())
    return np.flatnonzero(skin | eyes)


def correspond(
    vertices_mm: Float[np.ndarray, "vertices 3"],
    landmarks_mm: Float[np.ndarray, "landmarks 3"],
) -> Correspondence:
    """Carries vertices to the embedded face by a spline through both faces' landmarks; rows with NaN are left out."""
    there_mm = default_landmarks()
    known = np.isfinite(landmarks_mm).all(axis=1) & np.isfinite(there_mm).all(axis=1)
    carry = RBFInterpolator(landmarks_mm[known], there_mm[known], kernel="linear", smoothing=_SMOOTHING, degree=1)
    reference = carry(np.asarray(vertices_mm, np.float64))
    mean, triangles = np.asarray(load_default().mean_mm, np.float64), np.asarray(load_default().triangles)
    shown = triangles[np.isin(triangles, _shown()).all(axis=1)]
    places = closest(reference, make_search(mean, shown))
    beyond = np.linalg.norm(places.points - reference, axis=1) > _BEYOND_MM
    weights = np.clip(places.weights, 0.0, 1.0).astype(np.float32)
    return Correspondence(reference.astype(np.float32), shown[places.faces].astype(np.int32), weights, beyond)


def carried_regions(match: Correspondence) -> Int[np.ndarray, "vertices"]:
    """Region labels of the embedded face; what lies beyond it is outside."""
    labels = np.asarray(load_default().vertex_regions)[match.corners]
    shares = [np.sum(match.weights * (labels == region), axis=1) for region in Region]
    labels = np.argmax(shares, axis=0)
    return np.where(match.beyond, int(Region.OUTSIDE), labels).astype(np.int32)


def carried_albedo(match: Correspondence) -> Float[np.ndarray, "vertices 3"]:
    """The embedded face's mean texture; beyond it, its mean skin."""
    model = load_default()
    albedo = np.asarray(model.albedo)
    skin = albedo[np.asarray(model.vertex_regions) == Region.SKIN].mean(axis=0)
    carried = np.einsum("vc,vcx->vx", match.weights, albedo[match.corners])
    return np.where(match.beyond[:, None], skin[None], carried).astype(np.float32)


def label_openings(
    regions: Int[np.ndarray, "vertices"], match: Correspondence, is_membrane: Bool[np.ndarray, "vertices"]
) -> Int[np.ndarray, "vertices"]:
    """Regions with the membranes of `openings.close_openings` labelled as eye or mouth, whichever is nearer."""
    labels, mean = np.asarray(load_default().vertex_regions), np.asarray(load_default().mean_mm)
    kinds = (Region.EYE_OPENING, Region.MOUTH_OPENING)
    distances = [cKDTree(mean[labels == kind]).query(match.reference_mm)[0] for kind in kinds]
    kind = np.where(distances[0] < distances[1], *map(int, kinds))
    return np.where(is_membrane, kind, regions).astype(np.int32)
