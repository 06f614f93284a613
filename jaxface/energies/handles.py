"""What Eq. 3 of Jin et al. (2021) must know of a model, found once: handles, and how the surface answers to them (host,
float64). The letters are those of the head of `stages.medium`.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.spatial
from jaxtyping import Array, Float, Int

from jaxface.energies.laplacian import Deformable, DeformationWeights
from jaxface.energies.skin import SkinPatches, skin_patches
from jaxface.energies.trust import region_trust
from jaxface.geometry import topology as topologies
from jaxface.geometry.laplace_coordinates import handle_matrix, handle_response
from jaxface.morphable.linear import has_landmark
from jaxface.types import MorphableModel, Part, Region

_SKIN_SPACING_MM, _BEYOND_SPACING_MM = 8.0, 25.0  # of handles, on skin without landmarks and beyond the face


class MediumTemplate(NamedTuple):
    """What depends on topology and handles only. `basis` is K and `handle_basis` P of the module's head.

    `landmark_ids` are the landmarks that the model has on its skin, one per handle, the first ones. The others are
    vertices, which normals may move and which hold what lies beyond the face; `patches` are triangles of skin.
    """

    deformable: Deformable
    landmark_ids: Int[Array, "landmarks_on_skin"]
    reference_weights: Float[Array, "handles"]
    basis: Float[Array, "vertices handles"]
    handle_basis: Float[Array, "handles handles"]
    patches: SkinPatches


def prepare(model: MorphableModel, *, weights: DeformationWeights) -> MediumTemplate:
    """Factorises the template (host, float64; once per model: keep the result).

    `weights` are the reference only: `run` is exact for any others. Handles are landmarks on the skin; eyes, teeth and
    whatever else is a piece of its own keep their shape and shift with the handles nearest to them.
    """
    triangles, num_vertices = np.asarray(model.triangles), model.mean_mm.shape[0]
    ids, corners, barycentrics = _handles(model)
    handles = handle_matrix(corners, barycentrics, num_vertices=num_vertices)
    of_landmarks = (region_trust(model.landmark_regions, trust=weights.trust)[ids] + weights.anchor) / weights.stiffness
    reference = np.pad(np.asarray(of_landmarks, np.float64), (0, len(corners) - len(ids)))
    response = handle_response(
        triangles, np.asarray(model.mean_mm, np.float64), pieces=_pieces(triangles, np.asarray(model.vertex_parts)),
        handles=handles, weights=reference,
    )  # fmt: skip
    coupling = handles @ response
    whitening = _inverse_root(coupling)
    topology = topologies.mesh_topology(triangles, num_vertices=num_vertices)
    return MediumTemplate(
        deformable=Deformable(
            neighbours=jnp.asarray(topology.neighbours),
            valence=jnp.asarray(topology.valence),
            handle_vertices=jnp.asarray(corners, jnp.int32),
            handle_barycentrics=jnp.asarray(barycentrics, jnp.float32),
        ),
        landmark_ids=jnp.asarray(ids, jnp.int32),
        reference_weights=jnp.asarray(reference, jnp.float32),
        basis=jnp.asarray(response @ whitening, jnp.float32),
        handle_basis=jnp.asarray(coupling @ whitening, jnp.float32),
        patches=skin_patches(model),
    )


def _handles(model: MorphableModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of the landmarks on the skin; corners and barycentrics of these, then of vertices between and beyond them."""
    triangles, parts = np.asarray(model.triangles), np.asarray(model.vertex_parts)
    barycentrics, regions = np.asarray(model.landmark_barycentrics, np.float64), np.asarray(model.vertex_regions)
    corners = triangles[np.asarray(model.landmark_triangles)]
    ids = np.flatnonzero(has_landmark(model) & (parts[corners[:, 0]] == Part.SKIN))
    corners, barycentrics = corners[ids], barycentrics[ids]
    places_mm = np.asarray(model.mean_mm, np.float64)
    held_mm = np.einsum("hc,hcx->hx", barycentrics, places_mm[corners])
    on_skin = np.isin(regions, [Region.SKIN, Region.NOSE]) & (parts == Part.SKIN)
    skin = _spread_out(places_mm, np.flatnonzero(on_skin), held_mm, apart_mm=_SKIN_SPACING_MM)
    away = np.flatnonzero((regions >= Region.EAR) & (parts == Part.SKIN))
    away = _spread_out(places_mm, away, held_mm, apart_mm=_BEYOND_SPACING_MM)
    added = np.concatenate([skin, away]).astype(int)
    corners = np.concatenate([corners, np.tile(added[:, None], 3)])
    barycentrics = np.concatenate([barycentrics, np.tile([[1.0, 0.0, 0.0]], (len(added), 1))])
    return ids, corners, barycentrics


def _spread_out(places_mm: np.ndarray, chosen: np.ndarray, held_mm: np.ndarray, *, apart_mm: float) -> np.ndarray:
    """Of the chosen vertices those farthest from all handles so far, until none is `apart_mm` away."""
    found: list[int] = []
    if not len(chosen):
        return np.array(found, int)
    distance = scipy.spatial.KDTree(held_mm).query(places_mm[chosen])[0]
    while distance.max() > apart_mm:
        found.append(chosen[distance.argmax()])
        distance = np.minimum(distance, np.linalg.norm(places_mm[chosen] - places_mm[found[-1]], axis=1))
    return np.array(found, int)


def _pieces(triangles: Int[np.ndarray, "faces 3"], parts: Int[np.ndarray, "vertices"]) -> Int[np.ndarray, "vertices"]:
    """Labels of what moves together: connected pieces, but all teeth of a jaw, and a tongue or an eye, as one."""
    pieces = topologies.components(triangles, num_vertices=len(parts))
    return np.where((parts == Part.SKIN) | (parts == Part.INSIDE), pieces, len(parts) + parts)


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    """Q diag(c)^-1/2 of a symmetric matrix; directions without content (handles given twice) get 0."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    usable = values > 1e-9 * values[-1]
    return vectors * np.where(usable, 1.0 / np.sqrt(np.where(usable, values, 1.0)), 0.0)
