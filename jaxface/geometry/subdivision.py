"""Loop subdivision (Loop 1987) as a linear map that is built once for a topology; old vertices come first."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Array, Float, Int


class Subdivision(NamedTuple):
    """Fine value i is sum_k weights[i, k] * values[indices[i, k]]; rows are padded with zero weights."""

    indices: Int[Array, "fine_vertices support"]
    weights: Float[Array, "fine_vertices support"]
    triangles: Int[Array, "fine_faces 3"]


def loop_subdivision(
    triangles: Int[Array, "faces 3"] | Int[np.ndarray, "faces 3"], *, num_vertices: int, levels: int
) -> Subdivision:
    """Weights and triangles of `levels` rounds of Loop subdivision, composed into one gather (host side).

    Vertex i < num_vertices of the fine mesh is the smoothed image of vertex i. Composing is quicker than going
    level by level: two levels touch about 14 vertices a row, and the middle mesh is never written.
    """
    return _gather(*loop_matrix(np.asarray(triangles), num_vertices=num_vertices, levels=levels))


def midpoint_subdivision(
    triangles: Int[Array, "faces 3"] | Int[np.ndarray, "faces 3"], *, num_vertices: int, levels: int
) -> Subdivision:
    """The same triangles with the new vertices on the middles of edges: values are those of the flat faces."""
    return _gather(*_matrix(np.asarray(triangles), num_vertices, levels, smooth=False))


def subdivide(
    values: Float[Array, "vertices channels"], *, subdivision: Subdivision
) -> Float[Array, "fine_vertices channels"]:
    """Applies the weights to positions, UVs, colours or any other vertex quantity; linear and differentiable."""
    return jnp.sum(subdivision.weights[..., None] * values[subdivision.indices], axis=1)


def loop_matrix(
    triangles: Int[np.ndarray, "faces 3"], *, num_vertices: int, levels: int
) -> tuple[sparse.csr_matrix, Int[np.ndarray, "fine_faces 3"]]:
    """The same map as a float64 SciPy matrix (fine_vertices, vertices), with the fine triangles."""
    return _matrix(triangles, num_vertices, levels, smooth=True)


def _gather(matrix, fine_triangles) -> Subdivision:
    indices, weights = _padded_rows(matrix)
    return Subdivision(
        indices=jnp.asarray(indices), weights=jnp.asarray(weights), triangles=jnp.asarray(fine_triangles)
    )


def _matrix(triangles, num_vertices, levels, *, smooth):
    matrix = sparse.identity(num_vertices, format="csr")
    for _ in range(levels):
        level, triangles = _one_level(triangles, num_vertices, smooth=smooth)
        matrix, num_vertices = (level @ matrix).tocsr(), level.shape[0]
    return matrix, triangles.astype(np.int32)


def _one_level(triangles, num_vertices, *, smooth):
    """One round: vertex rows, then one row an edge in lexicographic order of its end points."""
    corners = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    opposite = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    edges, edge_of_corner, uses = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True, return_counts=True)
    edge_of_corner = edge_of_corner.reshape(-1)
    boundary = uses == 1
    if smooth:
        vertex_rows = _vertex_rows(edges, boundary, num_vertices)
        edge_rows = _edge_rows(edges, boundary, edge_of_corner, opposite, num_vertices)
    else:
        vertex_rows = sparse.identity(num_vertices, format="csr")
        pairs = (np.full(edges.size, 0.5), (np.repeat(np.arange(len(edges)), 2), edges.ravel()))
        edge_rows = sparse.csr_matrix(pairs, (len(edges), num_vertices))
    middle = (num_vertices + edge_of_corner).reshape(3, -1)  # of sides 01, 12, 20
    a, b, c = triangles.T
    children = [(a, middle[0], middle[2]), (middle[0], b, middle[1]), (middle[2], middle[1], c), middle]
    fine = np.stack([np.stack(list(child), axis=1) for child in children], axis=1).reshape(-1, 3)
    return sparse.vstack([vertex_rows, edge_rows], format="csr"), fine


def _vertex_rows(edges, boundary, num_vertices):
    """Inside: 1 - n beta on the vertex and beta on its n neighbours; on the boundary 1/8, 3/4, 1/8."""
    valence = np.bincount(edges.ravel(), minlength=num_vertices)
    on_boundary = np.zeros(num_vertices, bool)
    on_boundary[edges[boundary].ravel()] = True
    counted = np.maximum(valence, 1)
    beta = (0.625 - (0.375 + 0.25 * np.cos(2 * np.pi / counted)) ** 2) / counted
    beta = np.where(valence > 0, beta, 0.0)
    both = np.concatenate([edges, edges[:, ::-1]])
    on_edge = np.concatenate([boundary, boundary])
    side = np.where(on_boundary[both[:, 0]], np.where(on_edge, 0.125, 0.0), beta[both[:, 0]])
    centre = np.where(on_boundary, 0.75, 1 - valence * beta)
    rows = np.concatenate([np.arange(num_vertices), both[:, 0]])
    columns = np.concatenate([np.arange(num_vertices), both[:, 1]])
    matrix = sparse.csr_matrix((np.concatenate([centre, side]), (rows, columns)), (num_vertices, num_vertices))
    matrix.eliminate_zeros()
    return matrix


def _edge_rows(edges, boundary, edge_of_corner, opposite, num_vertices):
    """Inside: 3/8 on the ends, 1/8 on the two opposite corners; on the boundary the plain midpoint."""
    ends = np.where(boundary, 0.5, 0.375)
    wings = ~boundary[edge_of_corner]
    rows = np.concatenate([np.repeat(np.arange(len(edges)), 2), edge_of_corner[wings]])
    columns = np.concatenate([edges.ravel(), opposite[wings]])
    values = np.concatenate([np.repeat(ends, 2), np.full(wings.sum(), 0.125)])
    return sparse.csr_matrix((values, (rows, columns)), (len(edges), num_vertices))


def _padded_rows(matrix):
    """CSR rows as rectangular arrays; padding repeats index 0 with weight 0."""
    lengths = np.diff(matrix.indptr)
    slot = np.arange(lengths.max())[None, :] < lengths[:, None]
    indices = np.zeros(slot.shape, np.int32)
    weights = np.zeros(slot.shape, np.float32)
    indices[slot], weights[slot] = matrix.indices, matrix.data
    return indices, weights
