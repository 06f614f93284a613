"""Meshes of one face by many methods, in clay, in one pose and light; and how far each is from a scan. Parts of
compare.py."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import closeups, program

from jaxface.detection.sources import find_landmarks
from jaxface.evaluation.alignment import procrustes, transform
from jaxface.evaluation.evaluate import Evaluation
from jaxface.evaluation.surfaces import NOSE_TIP, FaceSurface
from jaxface.execution import run_timed
from jaxface.export.error_map import error_colours
from jaxface.io.arrays import crop_window
from jaxface.models.scan_landmarks import padded
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import has_landmark, landmark_positions
from jaxface.rendering.camera import cropped, orthographic, project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import IBUG_68, FaceError, Landmarks, MorphableModel, Pose

_INNER = 17  # iBUG's points before it are the face's outline in a picture, not places on it
_NEAR_NOSE_MM = 50.0  # what is nearer than this shows its outside to a viewer in front


class Stand(NamedTuple):
    """Where a row's meshes stand: iBUG's points in the object frame (mm), and from where they are seen."""

    landmarks_mm: np.ndarray
    seen: closeups.Seen
    size: int


class Row(NamedTuple):
    """One face: its photo or None, its meshes by method, each in its own frame, and its scan or None."""

    stand: Stand
    photo: np.ndarray | None
    surfaces: dict[str, FaceSurface]
    scan: FaceSurface | None


def photo_stand(image: np.ndarray, model: MorphableModel, *, size: int, landmarks: Landmarks | None = None) -> Stand:
    """As the photo shows the face, by the fit of a face model to its landmarks. Raises FaceError without a face."""
    landmarks = find_landmarks(image, source=landmarks)[0]
    face = program.locate(image, landmarks, model, size=size)
    if not face.fit.finite:
        raise FaceError("The face in the photo could not be fitted: take a photo with a larger face.")
    seen = closeups.Seen(face.fit.pose, face.camera, face.crop)
    return Stand(model_landmarks(face.fit.vertices_mm, model), seen, size)


def frontal_stand(*, size: int) -> Stand:
    """From the front, where there is no photo."""
    model, camera = load_default(), orthographic()
    pose = Pose(jnp.zeros(3), jnp.zeros(2), jnp.zeros(()))
    crop = program.crop_about(model.mean_mm, pose, camera, model, size=size)
    return Stand(model_landmarks(model.mean_mm, model), closeups.Seen(pose, camera, crop), size)


def model_landmarks(vertices_mm: np.ndarray, model: MorphableModel) -> np.ndarray:
    """iBUG's points on a shape of the model, or on one subdivided from it; NaN where the model has none."""
    control_mm = jnp.asarray(vertices_mm[: len(model.mean_mm)], jnp.float32)  # subdivision keeps them first
    points_mm = np.array(landmark_positions(control_mm, model=model), np.float64)
    points_mm[~np.asarray(has_landmark(model))] = np.nan
    return points_mm[list(IBUG_68)]


def pictures(row: Row) -> dict[str, np.ndarray]:
    """The photo, every method's mesh and the scan."""
    shown = {}
    if row.photo is not None:
        shown["photo"] = crop_window(row.photo, row.stand.seen.crop, size=row.stand.size)
    surfaces = row.surfaces | ({"scan": row.scan} if row.scan is not None else {})
    for name, surface in surfaces.items():
        vertices, triangles = padded(*_place(surface, row.stand))
        vertices, triangles = vertices.astype(np.float32), triangles.astype(np.int32)
        shown[name] = closeups.clay(vertices, triangles, row.stand.seen, size=row.stand.size)
    return shown


def error_picture(row: Row, found: Evaluation) -> np.ndarray:
    """The scan with each vertex's distance from a method's mesh as its colour; grey is not judged."""
    vertices_mm, triangles = _place(row.scan, row.stand)
    colours = error_colours(found.errors_mm, found.kept_vertices, num_vertices=len(vertices_mm))
    vertices, triangles = padded(np.concatenate([vertices_mm, colours], axis=1), triangles)
    arrays = (vertices[:, :3].astype(np.float32), vertices[:, 3:].astype(np.float32), triangles.astype(np.int32))
    arguments = jax.tree.map(jnp.asarray, (*arrays, *row.stand.seen))
    return np.asarray(run_timed(_coloured, *arguments, size=row.stand.size).value)


def _coloured(vertices_mm, colours, triangles, pose, camera, crop, *, size):
    """A mesh in its vertices' colours, unlit, on white."""
    crop_pose, crop_camera = cropped(pose, camera, crop)
    vertices_px = project(vertices_mm, crop_pose, camera=crop_camera)
    raster = rasterise(vertices_px, triangles, height=size, width=size)
    return jnp.where((raster.triangle >= 0)[..., None], interpolate(raster, colours, triangles), 1.0)


def _place(surface: FaceSurface, stand: Stand) -> tuple[np.ndarray, np.ndarray]:
    """The mesh moved, turned and scaled by its landmarks to the row's face, and wound outwards. Raises FaceError for
    too few of them."""
    both = np.isfinite(surface.landmarks_mm).all(axis=1) & np.isfinite(stand.landmarks_mm).all(axis=1)
    both[:_INNER] = False
    if both.sum() < 3:
        raise FaceError("Fewer than three landmarks of eyes, nose and mouth are known on a mesh: give more.")
    similarity = procrustes(surface.landmarks_mm[both], stand.landmarks_mm[both])
    vertices_mm = transform(np.asarray(surface.vertices_mm, np.float64), similarity=similarity)
    near = np.linalg.norm(vertices_mm - stand.landmarks_mm[NOSE_TIP], axis=1) < _NEAR_NOSE_MM
    triangles = np.asarray(surface.triangles)
    a, b, c = np.moveaxis(vertices_mm[triangles[near[triangles].all(axis=1)]], 1, 0)
    outwards = np.cross(b - a, c - a)[:, 2].sum() >= 0.0
    return vertices_mm, triangles if outwards else triangles[:, ::-1]
