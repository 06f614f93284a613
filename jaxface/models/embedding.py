"""Landmarks on a model by index map, Jin et al. (2021) Sec. 3.3: what a detector finds on pictures of the mean face.

Each of the 468 surface points found in a picture is looked up in what the pixels see of the mesh; the median over
several views, made symmetric, is put back onto the surface.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxface.detection.indices import MIRRORED
from jaxface.detection.sources import find_faces
from jaxface.geometry.nearest import closest, make_search
from jaxface.geometry.topology import components
from jaxface.models import portrait, transfer
from jaxface.models.source import SourceModel
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import has_landmark, landmark_positions
from jaxface.rendering import index_map
from jaxface.types import IBUG_68, NUM_LANDMARKS, Detector, FaceError, MorphableModel, Region

_FIRST_LOOKS = [portrait.View(0.0, 0.0, light) for light in ("soft", "top", "side")]
_VIEWS = [
    portrait.View(yaw, pitch, "soft")
    for yaw, pitch in ((0.0, 0.0), (0.12, 0.0), (-0.12, 0.0), (0.06, 0.0), (-0.06, 0.0), (0.0, 0.08), (0.0, -0.08))
]
_ROUNDS = (_VIEWS[:1], _VIEWS[:1], _VIEWS)  # each finds the landmarks better, and so the next is painted better
_SKIN = (0.62, 0.46, 0.38)
_FEWEST_IBUG = 20  # points of a file that it takes to paint by them
_SURFACE = 468  # landmarks on the skin; those of the irises follow
_FEWEST = 300  # of the 468 surface points; a face mask has places for all but a few
_EYES_APART_MM = (70.0, 110.0)  # outer corners, with room for the detector's mistakes
_MIRROR_MM = 2.0  # means are not made symmetric if that moves points by more (median)
_INNER_LIPS = ((191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324))  # upper, lower
_LIP_MIDDLES = (0, 17)  # of the lips' outer contours
_MOUTH_OPEN = 0.4
_look_up = jax.jit(index_map.embed)


class Embedding(NamedTuple):
    """Triangle and barycentric weights of each landmark, and where that is, mm; without a place 0, 0 and NaN."""

    triangles: Int[np.ndarray, "landmarks"]
    barycentrics: Float[np.ndarray, "landmarks 3"]
    points_mm: Float[np.ndarray, "landmarks 3"]


def embed_landmarks(source: SourceModel, *, detect: Detector, name: str) -> Embedding:
    """Finds the landmarks on the mean face of `source`.

    Raises FaceError if the detector sees no face in it, or one on which most landmarks have no place.
    """
    sitter = portrait.Sitter(source.triangles, _centre(source))
    points_mm = _first_look(source, sitter, detect, name=name)
    sitter = sitter._replace(centre_mm=np.nanmean(points_mm, axis=0))
    for views in _ROUNDS:
        colours = _painted(source, anchors(points_mm, source=source))
        points_mm = _symmetric(
            _looks(source, source.mean_mm, colours, views, sitter, detect, fallback=points_mm), source=source
        )
    opened_mm = _open_mouth(source)
    _check(points_mm, name=name)
    found = _onto_surface(source, points_mm)
    if opened_mm is None:
        return found
    seen = np.unique(portrait.take(source.mean_mm, colours, portrait.FRONTAL, sitter=sitter).raster.triangle)
    return _on_their_lips(found, source, opened_mm - source.mean_mm, seen=seen[seen >= 0])


def anchors(points_mm: Float[np.ndarray, "landmarks 3"], *, source: SourceModel) -> Float[np.ndarray, "landmarks 3"]:
    """The landmarks that say where the embedded face's paint goes, the others NaN: on a face that we paint ourselves
    the brows are where we put them, and would confirm any place."""
    if source.colours is not None:
        return points_mm
    is_brow = np.asarray(load_default().landmark_regions) == Region.EYEBROW
    return np.where(is_brow[:, None], np.nan, points_mm)


def reprojection_errors(model: MorphableModel, *, detect: Detector) -> Float[np.ndarray, "landmarks"]:
    """Distances in pixels between the stored landmarks and those found on the mean face in its own colours, frontally,
    in a picture of 512 pixels; NaN for landmarks that the model lacks, and for irises, which look around.

    The picture's mirror image is searched too, and the mean taken: a detector leans to one side by a pixel. Raises
    FaceError if no face is found.
    """
    mean_mm, triangles = np.asarray(model.mean_mm), np.asarray(model.triangles)
    exists = np.asarray(has_landmark(model)) & (np.arange(NUM_LANDMARKS) < _SURFACE)
    points_mm = np.asarray(landmark_positions(model.mean_mm, model=model))
    sitter = portrait.Sitter(triangles, points_mm[exists].mean(axis=0))
    image = portrait.take(mean_mm, np.asarray(model.albedo), portrait.FRONTAL, sitter=sitter).image
    plain, mirrored = (find_faces(seen, detector=detect) for seen in (image, np.ascontiguousarray(image[:, ::-1])))
    if not plain or not mirrored:
        raise FaceError(f"No face was found on the mean shape of {model.name}: is it a face?")
    unmirrored_px = [[portrait.SIZE - 1.0, 0.0]] + np.asarray(mirrored[0].points_px)[list(MIRRORED)] * [[-1.0, 1.0]]
    found_px = 0.5 * (np.asarray(plain[0].points_px) + unmirrored_px)
    stored_px = np.asarray(portrait.locate(points_mm, portrait.FRONTAL, centre_mm=sitter.centre_mm))[:, :2]
    return np.where(exists, np.linalg.norm(stored_px - found_px, axis=1), np.nan)


def _centre(source: SourceModel) -> Float[np.ndarray, "3"]:
    """The middle of the face before its landmarks are known: somewhat behind the tip of the nose."""
    known = source.ibug_vertices[source.ibug_vertices >= 0]
    if len(known) >= _FEWEST_IBUG:
        return source.mean_mm[known].mean(axis=0)
    return source.mean_mm[np.argmax(source.mean_mm[:, 2])] + np.array([0.0, 10.0, -40.0], np.float32)


def _first_look(
    source: SourceModel, sitter: portrait.Sitter, detect: Detector, *, name: str
) -> Float[np.ndarray, "landmarks 3"]:
    """Landmarks by one picture: in the model's own colours or painted by the file's iBUG points, else plain."""
    coats = [np.tile(np.array(_SKIN, np.float32), (len(source.mean_mm), 1))]
    known = source.ibug_vertices >= 0
    if source.colours is not None:
        coats.insert(0, source.colours)
    elif known.sum() >= _FEWEST_IBUG:
        marks_mm = np.full((NUM_LANDMARKS, 3), np.nan)
        marks_mm[np.array(IBUG_68)[known]] = source.mean_mm[source.ibug_vertices[known]]
        coats.insert(0, _painted(source, marks_mm))
    for colours in coats:
        for view in _FIRST_LOOKS:
            points_mm = _look(source, source.mean_mm, colours, view, sitter, detect)
            if points_mm is not None and np.isfinite(points_mm).all(axis=1).sum() >= _FEWEST:
                return points_mm
    raise FaceError(f"No face was found on the mean shape of {name}: is it a face, in the axes its format says?")


def _painted(source: SourceModel, points_mm: np.ndarray) -> Float[np.ndarray, "vertices 3"]:
    """The model's own colours, or the embedded face's carried over by landmarks."""
    if source.colours is not None:
        return source.colours
    return transfer.carried_albedo(transfer.correspond(source.mean_mm, points_mm))


def _look(
    source: SourceModel,
    vertices_mm: np.ndarray,
    colours: np.ndarray,
    view: portrait.View,
    sitter: portrait.Sitter,
    detect: Detector,
) -> Float[np.ndarray, "landmarks 3"] | None:
    """Where one picture of a shape shows the landmarks, as points of the mean face (mm); NaN beside the mesh."""
    taken = portrait.take(vertices_mm, colours, view, sitter=sitter)
    faces = find_faces(taken.image, detector=detect)
    if not faces:
        return None
    triangles = jnp.asarray(source.triangles)
    places = _look_up(faces[0].points_px, taken.raster, vertices_px=taken.vertices_px, triangles=triangles)
    triangle, weights = (np.asarray(part) for part in places)
    corners_mm = source.mean_mm[source.triangles[np.maximum(triangle, 0)]]
    points_mm = np.sum(weights[..., None] * corners_mm, axis=1)
    points_mm[triangle < 0] = np.nan
    points_mm[_SURFACE:] = np.nan  # irises look around: no place on a surface
    return points_mm


def _looks(source, vertices_mm, colours, views, sitter, detect, *, fallback) -> Float[np.ndarray, "landmarks 3"]:
    """Median over pictures; landmarks that fewer than half of them show stay where they were."""
    seen = [_look(source, vertices_mm, colours, view, sitter, detect) for view in views]
    stack = np.stack([np.full_like(fallback, np.nan) if points is None else points for points in seen])
    often = 2 * np.isfinite(stack[..., 0]).sum(axis=0) >= len(stack)
    middle = np.nanmedian(np.where(often[None, :, None], stack, 0.0), axis=0)
    return np.where(often[:, None], middle, fallback)


def _on_their_lips(
    found: Embedding, source: SourceModel, opening_mm: np.ndarray, *, seen: Int[np.ndarray, "triangles"]
) -> Embedding:
    """Where closed lips meet, a picture does not tell which lip a point belongs to: the jaw's motion does. Of each lip
    the part that is `seen` from the front counts."""
    drop = -opening_mm[:, 1]
    at = [np.sum(found.barycentrics[mark] * drop[source.triangles[found.triangles[mark]]]) for mark in _LIP_MIDDLES]
    moves_more = drop > np.mean(at)
    piece = components(source.triangles, num_vertices=len(source.mean_mm))[source.triangles[:, 0]]
    seen = seen[piece[seen] == piece[found.triangles[_LIP_MIDDLES[0]]]]
    for marks, lower in zip(_INNER_LIPS, (False, True), strict=True):
        members = seen[(moves_more[source.triangles[seen]] == lower).all(axis=1)]
        known = np.array([mark for mark in marks if np.isfinite(found.points_mm[mark]).all()], int)
        _place(found, known, source, members, found.points_mm[known])
    return found


def _open_mouth(source: SourceModel) -> np.ndarray | None:
    """The mean face with lips apart, so that a point on one lip is not taken for the other's; None if it cannot."""
    names = list(source.expression_names)
    if "jawOpen" in names:
        return source.mean_mm + _MOUTH_OPEN * source.expression_mm[names.index("jawOpen")]
    if "jaw_x" in names:
        return source.mean_mm + 2.0 * source.expression_mm[names.index("jaw_x")]
    return None


def _symmetric(points_mm: np.ndarray, *, source: SourceModel) -> Float[np.ndarray, "landmarks 3"]:
    """Points averaged with the reflections of their partners, across the middle of the mesh, unless that moves them
    far: a detector leans to one side by half a millimetre."""
    sides = source.mean_mm[source.triangles.ravel(), 0]
    reflected = points_mm[list(MIRRORED)] * [[-1.0, 1.0, 1.0]] + [[float(sides.min() + sides.max()), 0.0, 0.0]]
    averaged = 0.5 * (reflected + points_mm)
    moved_mm = np.linalg.norm(averaged - points_mm, axis=1)
    return np.where(np.isfinite(moved_mm)[:, None] & (np.nanmedian(moved_mm) < _MIRROR_MM), averaged, points_mm)


def _check(points_mm: np.ndarray, *, name: str) -> None:
    placed = int(np.isfinite(points_mm).all(axis=1).sum())
    across = points_mm[263] - points_mm[33]
    low, high = _EYES_APART_MM
    if placed < _FEWEST or not (low < np.linalg.norm(across) < high and across[0] > 0.0):
        raise FaceError(
            f"Only {placed} of 468 landmarks have a place on the mean shape of {name}, or its eyes are not where a "
            "face has them: is it a face, in the axes its format says?"
        )


def _onto_surface(source: SourceModel, points_mm: np.ndarray) -> Embedding:
    """The nearest places on the piece of the mesh that most landmarks are on: the skin, not lashes before it."""
    known = np.isfinite(points_mm).all(axis=1)
    piece = components(source.triangles, num_vertices=len(source.mean_mm))[source.triangles[:, 0]]
    whole = make_search(source.mean_mm, source.triangles)
    skin = np.bincount(piece[closest(points_mm[known], whole).faces]).argmax()
    members = np.flatnonzero(piece == skin)
    found = Embedding(
        np.zeros(NUM_LANDMARKS, np.int32), np.zeros((NUM_LANDMARKS, 3)), np.full((NUM_LANDMARKS, 3), np.nan)
    )
    _place(found, np.flatnonzero(known), source, members, points_mm[known])
    return found


def _place(
    found: Embedding, marks: np.ndarray, source: SourceModel, members: np.ndarray, points_mm: np.ndarray
) -> None:
    """Puts landmarks onto the nearest of the triangles `members`."""
    places = closest(points_mm, make_search(source.mean_mm, source.triangles[members]))
    weights = np.clip(places.weights, 0.0, None)
    found.triangles[marks] = members[places.faces]
    found.barycentrics[marks] = weights / weights.sum(axis=1, keepdims=True)
    found.points_mm[marks] = places.points
