"""Tangents of a mesh with UVs, as glTF stores them beside a normal map (host side)."""

import numpy as np
from jaxtyping import Float, Int


def vertex_tangents(
    vertices: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
    *,
    uvs: Float[np.ndarray, "vertices 2"],
    normals: Float[np.ndarray, "vertices 3"],
) -> Float[np.ndarray, "vertices 4"]:
    """Unit tangents along +u, at right angles to `normals`, and the sign w for which cross(normal, tangent) * w runs
    along +v (v up). Vertices are not shared across UV seams here. Any right angle where the UVs have no direction."""
    along_u, along_v = _face_gradients(vertices, triangles, uvs)
    corners = triangles.ravel()
    along_u = _sum_at(corners, np.repeat(along_u, 3, axis=0), num_vertices=len(vertices))
    along_v = _sum_at(corners, np.repeat(along_v, 3, axis=0), num_vertices=len(vertices))
    across = along_u - normals * np.sum(along_u * normals, axis=1, keepdims=True)
    length = np.linalg.norm(across, axis=1, keepdims=True)
    clear = length > 1e-6 * np.maximum(np.linalg.norm(along_u, axis=1, keepdims=True), 1e-12)
    tangent = np.where(clear, across / np.where(clear, length, 1.0), _any_right_angle(normals))
    sign = np.where(np.sum(np.cross(normals, tangent) * along_v, axis=1, keepdims=True) < 0.0, -1.0, 1.0)
    return np.concatenate([tangent, sign], axis=1).astype(np.float32)


def _face_gradients(vertices: np.ndarray, triangles: np.ndarray, uvs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dP/du and dP/dv of each triangle, times twice its UV area, so that large triangles count for more."""
    edges = vertices[triangles[:, 1:]] - vertices[triangles[:, :1]]
    steps = uvs[triangles[:, 1:]] - uvs[triangles[:, :1]]
    orientation = np.sign(steps[:, 0, 0] * steps[:, 1, 1] - steps[:, 0, 1] * steps[:, 1, 0])[:, None]
    along_u = edges[:, 0] * steps[:, 1, 1:] - edges[:, 1] * steps[:, 0, 1:]
    along_v = edges[:, 1] * steps[:, 0, :1] - edges[:, 0] * steps[:, 1, :1]
    return orientation * along_u, orientation * along_v


def _sum_at(places: np.ndarray, values: np.ndarray, *, num_vertices: int) -> np.ndarray:
    return np.stack([np.bincount(places, column, minlength=num_vertices) for column in values.T], axis=1)


def _any_right_angle(normals: np.ndarray) -> np.ndarray:
    steep = np.abs(normals[:, :1]) > 0.9
    other = np.where(steep, np.array([[0.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]]))
    across = other - normals * np.sum(other * normals, axis=1, keepdims=True)
    return across / np.linalg.norm(across, axis=1, keepdims=True)
