"""A predicted face against a scan, under a protocol. Host side, float64, millimetres of the scan."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jaxface.evaluation.alignment import Alignment, Similarity, align, procrustes, transform
from jaxface.evaluation.crops import below_forehead_cut, nose_tip_crop, now_crop
from jaxface.evaluation.distances import line_angles_degrees, normals_at, on_border, plane_distances, vertex_normals
from jaxface.evaluation.metrics import summarise
from jaxface.evaluation.protocols import Protocol
from jaxface.evaluation.surfaces import FaceSurface, check_surface, known_landmarks
from jaxface.geometry.nearest import Search, closest, make_search
from jaxface.types import FaceError

_FEWEST_POINTS = 10  # left by the crop
_UNIT_RATIO = 2.0  # a face is never so much smaller or larger than another: the unit is wrong


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What came out, and under which protocol.

    `headline_mm` is the protocol's one figure. `figures`, of the judged scan points: rmse_mm, mean_mm, median_mm,
    std_mm; within_1mm and within_2mm, shares; normal_degrees, mean angle between the surfaces' normals as lines, at
    most 90 (NaN of a cloud of points); scale, by which the prediction was multiplied; free_scale, by which it would
    have been to lie nearest in least squares, where the protocol forbids that (else the same); overlap, the share of
    the cropped scan that is not nearest to the prediction's open border; num_points; num_landmarks, which aligned it
    first; and reverse_mean_mm, prediction to scan, where the protocol asks for both directions. `similarity` takes the
    prediction to the scan, where `aligned_mm` are its vertices; `kept_vertices` are the indices of the judged points.
    """

    protocol: str
    headline_mm: float
    figures: dict[str, float]
    similarity: Similarity
    points_mm: Float[np.ndarray, "points 3"]
    errors_mm: Float[np.ndarray, "points"]
    kept_vertices: Int[np.ndarray, "points"]
    aligned_mm: Float[np.ndarray, "vertices 3"]


def evaluate(prediction: FaceSurface, scan: FaceSurface, *, protocol: Protocol) -> Evaluation:
    """Aligns the prediction with the scan and measures it there, as the protocol says.

    The scan may be a cloud of points, unless the protocol measures distances to it. Raises FaceError where the two
    cannot be compared: no vertices or triangles, numbers that are not finite, too few landmarks in common, nothing left
    by the crop.
    """
    prediction = check_surface(prediction, name="prediction", needs_triangles=True)
    scan = check_surface(scan, name="scan", needs_triangles=protocol.both_directions)
    start, num_landmarks = landmark_start(prediction, scan, protocol=protocol)
    cropped = _cropped(scan, protocol)
    search = make_search(prediction.vertices_mm, prediction.triangles)
    found = _icp(scan.vertices_mm[cropped], search, start, protocol)
    aligned_mm = transform(prediction.vertices_mm, similarity=found.similarity)
    judged, errors_mm, angles, overlap = _measure(scan, cropped, aligned_mm, prediction.triangles, protocol)
    free = found if protocol.scale == "similarity" else _free(scan.vertices_mm[cropped], search, found, protocol)
    figures = summarise(errors_mm) | {
        "normal_degrees": float(np.mean(angles[np.isfinite(angles)])) if np.isfinite(angles).any() else float("nan"),
        "scale": found.similarity.scale,
        "free_scale": free.similarity.scale,
        "overlap": overlap,
        "num_points": float(len(errors_mm)),
        "num_landmarks": float(num_landmarks),
    }
    headline_mm = figures[protocol.headline]
    if protocol.both_directions:
        reverse_mm = _reverse(prediction, scan, start, protocol)
        figures["reverse_mean_mm"] = float(np.mean(reverse_mm))
        headline_mm = (headline_mm + summarise(reverse_mm)[protocol.headline]) / 2.0
    points_mm = scan.vertices_mm[judged]
    return Evaluation(protocol.text, headline_mm, figures, found.similarity, points_mm, errors_mm, judged, aligned_mm)


def landmark_start(prediction: FaceSurface, scan: FaceSurface, *, protocol: Protocol) -> tuple[Similarity, int]:
    """Procrustes over the protocol's landmarks that both have, and their number.

    Raises FaceError for too few, for such in one line, and, where scale is not fitted, where the units differ.
    """
    wanted = np.array(protocol.start_landmarks)
    rows = wanted[(known_landmarks(prediction) & known_landmarks(scan))[wanted]]
    if len(rows) < protocol.fewest_landmarks:
        raise FaceError(
            f"Prediction and scan have {len(rows)} of the landmarks {', '.join(map(str, wanted))} (iBUG, from 0) in "
            f"common, but {protocol.name} needs {protocol.fewest_landmarks}; add landmarks."
        )
    source, target = prediction.landmarks_mm[rows], scan.landmarks_mm[rows]
    for points, name in ((source, "prediction"), (target, "scan")):
        spread = np.linalg.svd(points - points.mean(axis=0)[None, :], compute_uv=False)
        if spread[1] <= 1e-6 * spread[0]:
            raise FaceError(f"The landmarks of the {name} lie in one line or coincide; give landmarks of a whole face.")
    free = procrustes(source, target)
    if protocol.scale == "similarity":
        return free, len(rows)
    if not 1.0 / _UNIT_RATIO < free.scale < _UNIT_RATIO:
        raise FaceError(
            f"The scan is {free.scale:.3g} times as large as the prediction, and {protocol.label} fits no scale; give "
            "both in millimetres."
        )
    return procrustes(source, target, scale=False), len(rows)


def _cropped(scan: FaceSurface, protocol: Protocol) -> np.ndarray:
    """Indices of the scan's vertices that the crop leaves."""
    kept = np.ones(len(scan.vertices_mm), bool)
    if len(scan.triangles):
        kept = np.isin(np.arange(len(kept)), scan.triangles)
    if protocol.crop == "nose_tip":
        kept &= nose_tip_crop(scan, radius_mm=protocol.crop_radius_mm)
    else:
        kept &= now_crop(scan)
    if protocol.forehead_cut_mm is not None:
        kept &= below_forehead_cut(scan, height_mm=protocol.forehead_cut_mm)
    return _enough(np.flatnonzero(kept), "scan", protocol)


def _enough(rows: np.ndarray, name: str, protocol: Protocol) -> np.ndarray:
    if len(rows) < _FEWEST_POINTS:
        raise FaceError(
            f"Only {len(rows)} vertices of the {name} are left by the crop of {protocol.name}; check that its "
            "landmarks lie on it and that both are in millimetres."
        )
    return rows


def _icp(points_mm: np.ndarray, search: Search, start: Similarity, protocol: Protocol, **changes) -> Alignment:
    settings = {
        "icp": protocol.icp,
        "scale": protocol.scale == "similarity",
        "kept": protocol.kept,
        "num_iterations": protocol.num_iterations,
        "tolerance": protocol.tolerance,
        "tolerance_mean": protocol.tolerance_mean_mm,
    }
    return align(points_mm, search, start=start, **settings | changes)


def _free(points_mm: np.ndarray, search: Search, rigid: Alignment, protocol: Protocol) -> Alignment:
    changes = {"scale": True, "icp": "point_to_surface", "tolerance_mean": None}
    return _icp(points_mm, search, rigid.similarity, protocol, **changes)


def _measure(
    scan: FaceSurface, cropped: np.ndarray, aligned_mm: np.ndarray, triangles: np.ndarray, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The judged vertices, their errors and angles (or none), and the share of the crop that overlaps."""
    search = make_search(aligned_mm, triangles)
    points_mm = scan.vertices_mm[cropped]
    places = closest(points_mm, search)
    inside = ~on_border(places, search)
    if protocol.distance == "point_to_surface":
        errors_mm = np.linalg.norm(places.points - points_mm, axis=1)
    else:
        errors_mm = plane_distances(points_mm, search)
    judged = inside if protocol.overlap_only else np.ones(len(cropped), bool)
    if not judged.any():
        raise FaceError("No scan point overlaps the prediction; check the landmarks of both.")
    angles = np.zeros(0)
    if len(scan.triangles):
        own = make_search(scan.vertices_mm, scan.triangles)
        normals = vertex_normals(own)[own.numbers[cropped[judged]]]
        angles = line_angles_degrees(normals, normals_at(places, search)[judged])
    return cropped[judged], errors_mm[judged], angles, float(np.mean(inside))


def _reverse(prediction: FaceSurface, scan: FaceSurface, start: Similarity, protocol: Protocol) -> np.ndarray:
    """Distances of the prediction's own crop to the scan's surface, after ICP of its own."""
    search = make_search(scan.vertices_mm, scan.triangles)
    kept = np.isin(np.arange(len(prediction.vertices_mm)), prediction.triangles)
    radius_mm, size = protocol.crop_radius_mm, start.scale
    kept &= nose_tip_crop(prediction, radius_mm=radius_mm, name="prediction", mm_per_unit=size)
    points = prediction.vertices_mm[_enough(np.flatnonzero(kept), "prediction", protocol)]
    found = _icp(points, search, start, protocol, moving="points")
    moved_mm = transform(points, similarity=found.similarity)
    places = closest(moved_mm, search)
    inside = ~on_border(places, search) if protocol.overlap_only else np.ones(len(points), bool)
    return np.linalg.norm(places.points - moved_mm, axis=1)[inside]
