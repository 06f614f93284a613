"""Our own coarse, medium and fine meshes with each preset, of photos and of rendered faces. Parts of compare.py."""

import numpy as np
from common import faces

from figure_study import lineup
from jaxface.detection.sources import find_landmarks
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.geometry.subdivision import loop_subdivision
from jaxface.morphable.cut import face_of
from jaxface.morphable.default import load_default
from jaxface.pipeline import reconstruct
from jaxface.presets import PRESETS
from jaxface.types import MorphableModel

STAGES = ("coarse", "medium", "fine")


def make_row(image: np.ndarray, model: MorphableModel, *, size: int, scan: FaceSurface | None = None) -> lineup.Row:
    """A photo's face by each preset and stage. Raises FaceError without a face."""
    landmarks, surfaces = find_landmarks(image)[0], {}
    for preset in PRESETS:
        rec = reconstruct(image, model=model, landmarks=landmarks, preset=preset, size=size)
        for stage in STAGES:
            mesh = getattr(rec, stage)
            points_mm = lineup.model_landmarks(mesh.vertices_mm, model)
            surfaces[f"{preset}, {stage}"] = FaceSurface(mesh.vertices_mm, mesh.triangles, points_mm)
    return lineup.Row(lineup.photo_stand(image, model, size=size, landmarks=landmarks), image, surfaces, scan)


def rendered_rows(model: MorphableModel, *, count: int, size: int, seed: int, levels: int) -> dict[str, lineup.Row]:
    """Faces of accuracy.py's world "default", each with its true surface as the scan: points on it at as many `levels`
    of subdivision, as ICP takes minutes with all of them. Raises FaceError without a face."""
    rows = {}
    for case in faces.make_cases("default", count=count):
        truth = faces.default_truth(case, size=size, seed=seed)
        rows[f"rendered, {case.identity} {case.light} {case.yaw:+d}"] = make_row(
            truth.image, model, size=size, scan=_true_surface(truth, levels=levels)
        )
    return rows


def _true_surface(truth: faces.Truth, *, levels: int) -> FaceSurface:
    """As the camera sees it, in mm."""
    model = face_of(load_default())
    num_vertices, triangles = len(model.mean_mm), np.asarray(model.triangles)
    if levels:
        triangles = np.asarray(loop_subdivision(triangles, num_vertices=num_vertices, levels=levels).triangles)
    vertices_px = np.asarray(truth.vertices_px, np.float64)[: triangles.max() + 1]  # coarser levels come first
    vertices_mm = vertices_px * [1.0, -1.0, 1.0] / truth.px_per_mm
    return FaceSurface(vertices_mm, triangles, lineup.model_landmarks(vertices_mm, model))
