"""All stages of reconstructions against their truth."""

import functools
import importlib.resources

import jax.numpy as jnp
import numpy as np
from common import program, truth
from common.faces import Truth

from jaxface.export.reconstruction import Reconstruction
from jaxface.types import Landmarks, MorphableModel

SIGMAS_MM = (2.0, 4.0)  # of the high-pass
NUM_SURFACE = 468  # MediaPipe points with a triangulation


def evaluate(
    face: Truth,
    runs: dict[tuple[str, str], Reconstruction],
    *,
    models: dict[str, MorphableModel],
    detected: Landmarks | None,
) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Metrics of each run (model, preset), all on the same pixels: "landmarks" (the coarse fit without shading),
    "coarse", "medium" and "fine"; and, under ("", ""), of the true surface without its relief, and of MediaPipe's own
    mesh where its landmarks are given."""
    size = face.image.shape[0]
    shapes = {run: _shapes(rec, models[run[0]], size=size) for run, rec in runs.items()}
    field = truth.judge_all(face, shapes, size=size)
    results = {run: {stage: _metrics(field, shape) for stage, shape in of.items()} for run, of in shapes.items()}
    for run, rec in runs.items():
        results[run]["fine"] |= _relief_metrics(field, shapes[run]["fine"], rec, model=models[run[0]])
    results["", ""] = {"smooth truth": _map_metrics(field, field.smooth)}
    if detected is not None:
        vertices_px = jnp.concatenate([detected.points_px, detected.height_px[:, None]], axis=1)[:NUM_SURFACE]
        view = truth.draw(vertices_px, _landmark_triangles(), size=size)
        results["", ""]["mediapipe"] = _metrics(field, truth.Shape(vertices_px, _landmark_triangles(), view))
    return results


def _shapes(rec: Reconstruction, model: MorphableModel, *, size: int) -> dict[str, truth.Shape]:
    first = program.fit_landmarks(rec.landmarks, rec.camera, model)
    triangles, pose = truth.face_triangles(model), rec.coarse_fit.pose
    meshes = {
        "landmarks": (first.vertices_mm, triangles, first.pose),
        "coarse": (rec.coarse.vertices_mm, triangles, pose),
        "medium": (rec.medium.vertices_mm, triangles, pose),
        "fine": (rec.fine.vertices_mm, truth.fine_face_triangles(model), pose),
    }
    return {stage: truth.place(*mesh, rec.camera, size=size) for stage, mesh in meshes.items()}


def _relief_metrics(
    field: truth.Field, fine: truth.Shape, rec: Reconstruction, *, model: MorphableModel
) -> dict[str, float]:
    # The medium mesh as subdivided as the fine one: their difference is relief alone.
    base_mm, pose = program.to_fine(rec.medium.vertices_mm, model), rec.coarse_fit.pose
    base_px = truth.place(base_mm, fine.triangles, pose, rec.camera, size=len(field.mask)).view.height_px
    along = field.smooth.normals_image[..., 2]  # turns height into distance along the normal
    relief_px, truth_px = along * (fine.view.height_px - base_px), field.view.height_px
    found = _correlations(field, relief_px, along * (truth_px - field.smooth.height_px), kind="relief")
    return found | _correlations(field, relief_px, along * (truth_px - base_px), kind="correction")


def _metrics(field: truth.Field, shape: truth.Shape) -> dict[str, float]:
    return _map_metrics(field, shape.view) | truth.shape_errors(field, shape)


def _map_metrics(field: truth.Field, view: truth.View) -> dict[str, float]:
    seen = field._replace(facing=field.facing & view.covered)
    heights = _correlations(seen, view.height_px, field.view.height_px, kind="height")
    return {"normal_degrees": truth.normal_degrees(field, view)} | heights


def _correlations(field: truth.Field, height_px: np.ndarray, truth_px: np.ndarray, *, kind: str) -> dict[str, float]:
    return {
        f"{kind}_hp{sigma:.0f}": truth.correlation(field, height_px, truth_px, mask=field.facing, sigma_mm=sigma)
        for sigma in SIGMAS_MM
    }


@functools.cache
def _landmark_triangles() -> np.ndarray:
    """The topology of MediaPipe's surface points, openings closed: the control mesh of the default model."""
    file = importlib.resources.files("jaxface.morphable") / "data" / "default_face.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return stored["triangles"].astype(np.int32)
