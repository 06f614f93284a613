"""Who is next to whom on a triangle mesh; built once on the host, used on the device.

Neighbour lists are padded to the largest valence with the vertex's own index, so that a gather is always valid.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from jaxtyping import Float, Int


class Topology(NamedTuple):
    """Neighbours of every vertex. `valence[i]` is N_i of Eq. 2, the number of valid entries in row i."""

    neighbours: Int[np.ndarray, "vertices most"]
    valence: Float[np.ndarray, "vertices"]


def unique_edges(triangles: Int[np.ndarray, "faces 3"]) -> Int[np.ndarray, "edges 2"]:
    """Every edge once, smaller index first."""
    return np.unique(_sides(triangles), axis=0)


def mesh_topology(triangles: Int[np.ndarray, "faces 3"], *, num_vertices: int) -> Topology:
    """Padded neighbour lists; a vertex that no triangle uses has valence 0."""
    graph = adjacency(triangles, num_vertices=num_vertices)
    valence = np.diff(graph.indptr)
    most = max(1, int(valence.max(initial=0)))
    neighbours = np.tile(np.arange(num_vertices, dtype=np.int32)[:, None], (1, most))
    valid = np.arange(most)[None, :] < valence[:, None]
    neighbours[valid] = graph.indices
    return Topology(neighbours, valence.astype(np.float32))


def adjacency(triangles: Int[np.ndarray, "faces 3"], *, num_vertices: int) -> scipy.sparse.csr_array:
    """Symmetric 0/1 matrix: 1 where an edge joins two vertices."""
    edges = unique_edges(triangles)
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    ones = np.ones(len(rows))
    graph = scipy.sparse.coo_array((ones, (rows, columns)), shape=(num_vertices, num_vertices)).tocsr()
    graph.sort_indices()
    return graph


def components(triangles: Int[np.ndarray, "faces 3"], *, num_vertices: int) -> Int[np.ndarray, "vertices"]:
    """Label of each vertex's connected component, from 0."""
    graph = adjacency(triangles, num_vertices=num_vertices)
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _sides(triangles: Int[np.ndarray, "faces 3"]) -> Int[np.ndarray, "sides 2"]:
    corners = np.asarray(triangles)
    return np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
