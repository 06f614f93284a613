"""Landmarks of a mesh that `jaxface reconstruct` or `jaxface track` wrote: those of the face model it is made of."""

import json
import os
import pathlib

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxface.models import store
from jaxface.morphable.linear import has_landmark, landmark_positions
from jaxface.types import IBUG_68, FaceError, MorphableModel

_RESULT, _LARGEST_BYTES = "result.json", 2**24


def result_landmarks(
    path: str | os.PathLike,
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
) -> tuple[Float[np.ndarray, "68 3"], str] | None:
    """iBUG's points on the mesh in `path`, NaN where the model has none, and the model's name.

    None unless a result.json beside it, or one folder up, names an installed model whose mesh this is, as such or
    subdivided.
    """
    folder = pathlib.Path(path).resolve().parent
    name = _model_name(folder) or _model_name(folder.parent)
    try:
        model = store.resolve(name) if name else None
    except FaceError:  # not installed here, or damaged
        return None
    if model is None or not _is_made_of(model, vertices_mm, triangles):
        return None
    control_mm = jnp.asarray(vertices_mm[: len(model.mean_mm)], jnp.float32)  # subdivision keeps them first
    points_mm = np.array(landmark_positions(control_mm, model=model), np.float64)
    points_mm[~np.asarray(has_landmark(model))] = np.nan
    return points_mm[list(IBUG_68)], model.name


def _model_name(folder: pathlib.Path) -> str | None:
    report = folder / _RESULT
    try:
        if not report.is_file() or report.stat().st_size > _LARGEST_BYTES:
            return None
        name = json.loads(report.read_text(encoding="utf-8"))["model"]["name"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # somebody else's result.json
        return None
    return name if isinstance(name, str) else None


def _is_made_of(model: MorphableModel, vertices_mm: np.ndarray, triangles: np.ndarray) -> bool:
    """Are the triangles the model's after undoing rounds of subdivision? Of the four that each one was cut into, the
    first three hold its corners, in turn."""
    own = np.asarray(model.triangles)
    while len(triangles) > len(own) and len(triangles) % 4 == 0:
        triangles = np.stack([triangles[corner::4, corner] for corner in range(3)], axis=1)
    return len(vertices_mm) >= len(model.mean_mm) and bool(np.array_equal(triangles, own))
