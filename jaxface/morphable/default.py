"""The embedded face model, built by experiments/build_default_model.py; needs no download and no licence form."""

import functools
import pathlib

import jax.numpy as jnp
import numpy as np

from jaxface.geometry.subdivision import loop_matrix
from jaxface.types import IBUG_68, NUM_LANDMARKS, MorphableModel, Part

LICENCE = (
    "Apache-2.0 (built by experiments/build_default_model.py from public-domain portraits and MediaPipe's detector)"
)
LEVELS = 2  # rounds of Loop subdivision: 468 control points become about 7 200 vertices
NUM_CONTROL = 468  # MediaPipe's surface points; the irises have no vertex
_PATH = pathlib.Path(__file__).parent / "data" / "default_face.npz"


@functools.lru_cache(maxsize=1)
def load_default() -> MorphableModel:
    """The default model: 80 identity components ~ N(0, 1) and named expressions in [0, 1].

    The file holds a control mesh on MediaPipe's topology; vertices are its Loop subdivision plus a small relief
    (eyeballs, mouth cavity). Vertex i is landmark i.
    """
    with np.load(_PATH, allow_pickle=False) as stored:
        data = {name: stored[name] for name in stored.files}
    matrix, triangles = loop_matrix(data["triangles"].astype(np.int32), num_vertices=NUM_CONTROL, levels=LEVELS)
    relief = data["relief"].astype(np.float32)
    mean = matrix @ data["mean_mm"] + np.tensordot(data["relief_of_mean_mm"], relief, axes=1)
    expression = _refine(matrix, data["expression_mm"])
    expression += np.tensordot(data["relief_of_expression_mm"], relief, axes=1)
    landmark_triangles, barycentrics = _embed_landmarks(triangles)
    return MorphableModel(
        mean_mm=jnp.asarray(mean, jnp.float32),
        identity_basis_mm=jnp.asarray(_refine(matrix, data["identity_mm"])),
        expression_basis_mm=jnp.asarray(expression),
        triangles=jnp.asarray(triangles),
        uvs=jnp.asarray(matrix @ data["uvs"], jnp.float32),
        uv_triangles=jnp.asarray(triangles),
        landmark_triangles=jnp.asarray(landmark_triangles),
        landmark_barycentrics=jnp.asarray(barycentrics),
        landmark_regions=jnp.asarray(data["landmark_regions"], jnp.int32),
        vertex_regions=jnp.asarray(data["vertex_regions"], jnp.int32),
        vertex_parts=jnp.full(len(mean), Part.SKIN, jnp.int32),
        ibug_vertices=jnp.asarray(IBUG_68, jnp.int32),  # vertex i is landmark i
        albedo=jnp.asarray(data["albedo"], jnp.float32) / 255,
        name="default",
        licence=LICENCE,
        expression_names=tuple(str(name) for name in data["expression_names"]),
        expression_bounds=(0.0, 1.0),
    )


def _refine(matrix, basis):
    """A stack of control displacements on the fine vertices, float32."""
    components, _, axes = basis.shape
    columns = np.moveaxis(basis.astype(np.float32), 1, 0).reshape(NUM_CONTROL, -1)
    fine = (matrix.astype(np.float32) @ columns).reshape(-1, components, axes)
    return np.ascontiguousarray(np.moveaxis(fine, 0, 1))


def _embed_landmarks(triangles):
    """Landmark i sits on vertex i: one corner of a triangle there; the irises get zero weights."""
    rows, corners = np.where(triangles < NUM_CONTROL)
    vertices = triangles[rows, corners]
    _, first = np.unique(vertices, return_index=True)
    landmark_triangles = np.zeros(NUM_LANDMARKS, np.int32)
    landmark_triangles[:NUM_CONTROL] = rows[first]
    barycentrics = np.zeros((NUM_LANDMARKS, 3), np.float32)
    barycentrics[np.arange(NUM_CONTROL), corners[first]] = 1
    return landmark_triangles, barycentrics
