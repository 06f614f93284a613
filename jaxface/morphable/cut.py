"""A part of a model as a model of its own (host side)."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from jaxface.morphable.linear import at_vertices
from jaxface.types import MorphableModel, Region


@functools.lru_cache(maxsize=4)
def face_of(model: MorphableModel) -> MorphableModel:
    """The face with its eyes, without ears, scalp, neck and what is behind the lips."""
    beyond = np.asarray(model.vertex_regions) >= Region.OUTSIDE
    return cut_model(model, ~beyond[np.asarray(model.triangles)].any(axis=1))


def cut_model(model: MorphableModel, keep: Bool[np.ndarray, "faces"]) -> MorphableModel:
    """The triangles that are kept, and their vertices. Landmarks and iBUG points elsewhere are no longer there."""
    triangles = np.asarray(model.triangles)[keep]
    used = np.unique(triangles)
    new_vertex = np.full(len(model.mean_mm), -1)
    new_vertex[used] = np.arange(len(used))
    new_face = np.cumsum(keep) - 1
    places = np.asarray(model.landmark_triangles)
    return dataclasses.replace(
        at_vertices(model, used),
        triangles=jnp.asarray(new_vertex[triangles], jnp.int32),
        uv_triangles=model.uv_triangles[keep],
        landmark_triangles=jnp.asarray(np.where(keep[places], new_face[places], 0), jnp.int32),
        landmark_barycentrics=model.landmark_barycentrics * jnp.asarray(keep[places][:, None], jnp.float32),
        ibug_vertices=jnp.asarray(np.where(model.ibug_vertices < 0, -1, new_vertex[model.ibug_vertices]), jnp.int32),
    )
