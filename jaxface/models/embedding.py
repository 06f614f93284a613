"""Landmarks on a model by index map, Jin et al. (2021) Sec. 3.3: what a detector finds on pictures of the mean face.

Each of the 478 points found in a picture is looked up in what the pixels see of the mesh; the median over several
views, made symmetric, is put back onto the surface.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxface.geometry.closest import closest_points, make_surface
from jaxface.geometry.subdivision import Subdivision, loop_subdivision, subdivide
from jaxface.models import portrait, transfer
from jaxface.models.source import SourceModel
from jaxface.rendering.index_map import embed
from jaxface.types import IBUG_68, NUM_LANDMARKS, FaceError, Landmarks, Region

Detector = Callable[[np.ndarray], list[Landmarks]]

# Plain and lit from several sides first, then painted.
_FIRST_LOOKS = [portrait.View(0.0, 0.0, light) for light in ("soft", "top", "side")]
_VIEWS = [
    portrait.View(yaw, pitch, light)
    for yaw, pitch, light in (
        (0.0, 0.0, "soft"), (0.12, 0.0, "soft"), (-0.12, 0.0, "soft"), (0.0, 0.08, "soft"), (0.0, -0.08, "soft"),
        (0.06, 0.04, "top"), (-0.06, 0.04, "top"),
    )
]  # fmt: skip
_FINE_FACES = 100_000  # a mesh is subdivided until it has as many, for round eyes and smooth shading
_SKIN = (0.62, 0.46, 0.38)
_MIRROR_MM = 4.0  # means less symmetric than this are not made symmetric
_INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324)
_MOUTH_OPEN = 0.4


class Embedding(NamedTuple):
    """Triangle and barycentric weights of each landmark (weights 0 where it has none), and where that is, mm."""

    triangles: Int[np.ndarray, "landmarks"]
    barycentrics: Float[np.ndarray, "landmarks 3"]
    points_mm: Float[np.ndarray, "landmarks 3"]


class _Stage(NamedTuple):
    """The mesh as it is photographed: subdivided, and around which point."""

    source: SourceModel
    is_membrane: np.ndarray
    subdivision: Subdivision | None
    centre_mm: np.ndarray


def embed_landmarks(source: SourceModel, is_membrane: np.ndarray, *, detect: Detector, name: str) -> Embedding:
    """Finds the landmarks on the mean face of `source`; FaceError if the detector sees no face in it."""
    stage = _Stage(source, is_membrane, _subdivision(source), _centre(source))
    points_mm = _first_look(stage, detect, name=name)
    stage = stage._replace(centre_mm=np.nanmean(points_mm, axis=0))
    colours = _painted(stage, points_mm)
    sightings = [_look(stage, source.mean_mm, colours, view, detect) for view in _VIEWS]
    points_mm = _agree([seen for seen in sightings if seen is not None], fallback=points_mm)
    opened = _open_mouth(source)
    if opened is not None:
        sightings = [_look(stage, opened, colours, view, detect) for view in _VIEWS]
        lips = _agree([seen for seen in sightings if seen is not None], fallback=points_mm)
        points_mm[list(_INNER_LIPS)] = lips[list(_INNER_LIPS)]
    points_mm[468:] = np.nan  # Irises look around: no place on a surface.
    return _onto_surface(source, _symmetric(points_mm))


def _subdivision(source: SourceModel) -> Subdivision | None:
    levels = 0
    while 4**levels * len(source.triangles) < _FINE_FACES:
        levels += 1
    return loop_subdivision(source.triangles, num_vertices=len(source.mean_mm), levels=levels) if levels else None


def _centre(source: SourceModel) -> np.ndarray:
    """The middle of the face before its landmarks are known: a little behind the tip of the nose, as it were."""
    known = source.ibug_vertices[source.ibug_vertices >= 0]
    if len(known) >= 20:
        return source.mean_mm[known].mean(axis=0)
    return source.mean_mm[np.argmax(source.mean_mm[:, 2])] + np.array([0.0, 10.0, -40.0], np.float32)


def _first_look(stage: _Stage, detect: Detector, *, name: str) -> Float[np.ndarray, "landmarks 3"]:
    """Landmarks by one picture: in the model's own colours, plain, or painted by the file's iBUG points."""
    mean_mm = stage.source.mean_mm
    plain = np.broadcast_to(np.array(_SKIN, np.float32), mean_mm.shape)
    coats = [plain] if stage.source.colours is None else [stage.source.colours, plain]
    if (stage.source.ibug_vertices >= 0).sum() >= 20:
        coats.insert(0, _painted_by_ibug(stage))
    for colours in coats:
        for view in _FIRST_LOOKS:
            points_mm = _look(stage, mean_mm, _fine(stage, colours), view, detect)
            if points_mm is not None:
                return points_mm
    raise FaceError(f"No face was found on the mean shape of {name}: is it a face, in the axes its format says?")


def _painted_by_ibug(stage: _Stage) -> np.ndarray:
    known = stage.source.ibug_vertices >= 0
    points = np.full((NUM_LANDMARKS, 3), np.nan)
    points[np.array(IBUG_68)[known]] = stage.source.mean_mm[stage.source.ibug_vertices[known]]
    return _painted(stage, points)


def _painted(stage: _Stage, points_mm: np.ndarray) -> np.ndarray:
    """Colours of the fine vertices: the model's own, or the synthetic world's paint carried over by landmarks."""
    if stage.source.colours is not None:
        return _fine(stage, stage.source.colours)
    match = transfer.correspond(stage.source.mean_mm, points_mm, transfer.default_landmarks())
    regions = transfer.label_openings(transfer.carried_regions(match), match, stage.is_membrane)
    shares = np.clip(_fine(stage, np.eye(len(Region), dtype=np.float32)[regions]), 0.0, 1.0)
    return transfer.paint(_fine(stage, match.reference_mm), shares, seed=0)


def _fine(stage: _Stage, values: np.ndarray) -> np.ndarray:
    if stage.subdivision is None or len(values) != len(stage.source.mean_mm):
        return values
    return np.asarray(subdivide(jnp.asarray(values, jnp.float32), subdivision=stage.subdivision))


def _look(
    stage: _Stage, vertices_mm: np.ndarray, colours: np.ndarray, view: portrait.View, detect: Detector
) -> np.ndarray | None:
    """Where one picture shows the landmarks, as points of the mean face (mm); NaN for those beside the mesh."""
    triangles = stage.source.triangles if stage.subdivision is None else np.asarray(stage.subdivision.triangles)
    taken = portrait.take(_fine(stage, vertices_mm), triangles, colours, view, centre_mm=stage.centre_mm)
    faces = detect(taken.image)
    if not faces:
        return None
    places = embed(faces[0].points_px, taken.raster, vertices_px=taken.vertices_px, triangles=jnp.asarray(triangles))
    triangle, weights = (np.asarray(part) for part in places)
    mean_mm = _fine(stage, stage.source.mean_mm)
    points_mm = np.sum(weights[..., None] * mean_mm[triangles[np.maximum(triangle, 0)]], axis=1)
    return np.where((triangle >= 0)[:, None], points_mm, np.nan)


def _agree(sightings: list[np.ndarray], *, fallback: np.ndarray) -> np.ndarray:
    """Median over pictures; landmarks that fewer than half of them show stay where they were."""
    if not sightings:
        return fallback.copy()
    stack = np.stack(sightings)
    often = 2 * np.isfinite(stack[..., 0]).sum(axis=0) >= len(stack)
    middle = np.nanmedian(np.where(often[None, :, None], stack, 0.0), axis=0)
    return np.where(often[:, None], middle, fallback)


def _open_mouth(source: SourceModel) -> np.ndarray | None:
    """The mean face with lips apart, so that a point on one lip is not taken for the other's; None if it cannot."""
    names = list(source.expression_names)
    if "jawOpen" in names:
        return source.mean_mm + _MOUTH_OPEN * source.expression_mm[names.index("jawOpen")]
    if "jaw_x" in names:
        return source.mean_mm + 2.0 * source.expression_mm[names.index("jaw_x")]
    return None


def _symmetric(points_mm: np.ndarray) -> np.ndarray:
    """Points averaged with the reflections of their partners, where that moves them little."""
    there = transfer.default_landmarks()[:468]
    partner = np.argmin(np.linalg.norm(there[:, None] * [[[-1.0, 1.0, 1.0]]] - there[None], axis=-1), axis=1)
    reflected = points_mm[partner] * np.array([[-1.0, 1.0, 1.0]])
    if np.nanmedian(np.linalg.norm(reflected - points_mm[:468], axis=1)) > _MIRROR_MM:
        return points_mm
    both = np.isfinite(reflected).all(axis=1) & np.isfinite(points_mm[:468]).all(axis=1)
    averaged = points_mm.copy()
    averaged[:468][both] = 0.5 * (reflected + points_mm[:468])[both]
    return averaged


def _onto_surface(source: SourceModel, points_mm: np.ndarray) -> Embedding:
    known = np.isfinite(points_mm).all(axis=1)
    surface = make_surface(source.mean_mm.astype(np.float64), source.triangles)
    places, faces = closest_points(points_mm[known], surface=surface)
    triangles, barycentrics = np.zeros(NUM_LANDMARKS, np.int32), np.zeros((NUM_LANDMARKS, 3), np.float32)
    triangles[known] = faces
    corners = source.mean_mm[source.triangles[faces]].astype(np.float64)
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=-1)
    weights = np.stack(
        [np.linalg.lstsq(e, p, rcond=None)[0] for e, p in zip(edges, places - corners[:, 0], strict=True)]
    )
    barycentrics[known] = np.concatenate([1.0 - weights.sum(axis=1, keepdims=True), weights], axis=1)
    full = np.full((NUM_LANDMARKS, 3), np.nan)
    full[known] = places
    return Embedding(triangles, np.clip(barycentrics, 0.0, 1.0), full)
