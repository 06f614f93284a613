"""Laplace coordinates of a mesh (Eq. 2) on the device; their matrix and what it answers to handles on the host."""

import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import scipy.spatial
from jaxtyping import Array, Float, Int

from jaxface.geometry import topology as topologies

FOLLOWED_HANDLES = 8  # a component without handles shifts by the mean of so many


def laplace_coordinates(
    vertices: Float[Array, "vertices 3"],
    *,
    neighbours: Int[Array, "vertices most"],
    valence: Float[Array, "vertices"],
) -> Float[Array, "vertices 3"]:
    """Jin et al. (2021) Eq. 2 with uniform weights 1 / N_i: each vertex minus the mean of its neighbours.

    In the unit of `vertices`. The printed sum runs over j. A vertex without neighbours has coordinate 0.
    """
    valid = jnp.arange(neighbours.shape[1])[None, :] < valence[:, None]
    omega = valid / jnp.maximum(valence, 1.0)[:, None]
    mean = jnp.sum(omega[..., None] * vertices[neighbours], axis=1)
    return jnp.where(valence[:, None] > 0, vertices - mean, 0.0)


def laplace_matrix(triangles: Int[np.ndarray, "faces 3"], *, num_vertices: int) -> scipy.sparse.csr_array:
    """Jin et al. (2021) Eq. 2 as a float64 matrix: `laplace_matrix(...) @ vertices` are the coordinates."""
    graph = topologies.adjacency(triangles, num_vertices=num_vertices)
    valence = graph.sum(axis=1)
    inverse = scipy.sparse.diags_array(1.0 / valence.clip(min=1.0))
    return (scipy.sparse.diags_array((valence > 0).astype(float)) - inverse @ graph).tocsr()


def handle_matrix(
    corners: Int[np.ndarray, "handles 3"], barycentrics: Float[np.ndarray, "handles 3"], *, num_vertices: int
) -> scipy.sparse.csr_array:
    """S: one row of three weights a handle, so that `S @ vertices` are the handles' places."""
    rows = np.repeat(np.arange(len(corners)), 3)
    entries = (barycentrics.ravel(), (rows, corners.ravel()))
    return scipy.sparse.coo_array(entries, shape=(len(corners), num_vertices)).tocsr()


def handle_response(
    triangles: Int[np.ndarray, "faces 3"],
    vertices_mm: Float[np.ndarray, "vertices 3"],
    *,
    pieces: Int[np.ndarray, "vertices"],
    handles: scipy.sparse.csr_array,
    weights: Float[np.ndarray, "handles"],
) -> Float[np.ndarray, "vertices handles"]:
    """(L^T L + S^T W S)^-1 S^T in float64: how vertices answer a unit force on each handle.

    `pieces` labels what is connected. A piece without a handle, which this leaves undetermined, shifts by the mean of
    the handles nearest to it; `vertices_mm` serves that search only.
    """
    num_vertices = len(vertices_mm)
    held_pieces = np.unique(pieces[np.unique(handles.indices)])
    held = np.flatnonzero(np.isin(pieces, held_pieces))
    bending = laplace_matrix(triangles, num_vertices=num_vertices)[held][:, held]
    picks = handles[:, held]
    normal = bending.T @ bending + picks.T @ scipy.sparse.diags_array(weights) @ picks
    response = np.zeros((num_vertices, len(weights)))
    solver = scipy.sparse.linalg.splu(normal.tocsc())
    response[held] = solver.solve(picks.T.toarray())
    at_handles = handles @ response
    places = scipy.spatial.KDTree(handles @ vertices_mm)
    for piece in np.setdiff1d(pieces, held_pieces):
        members = pieces == piece
        _, near = places.query(vertices_mm[members].mean(axis=0), k=min(FOLLOWED_HANDLES, len(weights)))
        response[members] = at_handles[np.atleast_1d(near)].mean(axis=0)
    return response
