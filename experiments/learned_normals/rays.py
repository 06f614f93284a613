"""Rays against triangles, by Embree; object frame, millimetres."""

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene


class Rays:
    """A mesh to cast rays at."""

    def __init__(self, vertices_mm: np.ndarray, triangles: np.ndarray):
        self.vertices_mm = np.ascontiguousarray(vertices_mm, np.float32)
        self.triangles = np.ascontiguousarray(triangles, np.int32)
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, self.vertices_mm, self.triangles)

    def first(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each ray (n, 3) meets first: triangle (-1: nothing), distance in lengths of the direction, and
        barycentrics (n, 3)."""
        found = self._scene.run(*_rows(origins, directions), output=True)
        triangle = _met(found, len(self.triangles))
        u, v = np.asarray(found["u"], float), np.asarray(found["v"], float)
        return triangle, np.asarray(found["tfar"], float), np.stack([1.0 - u - v, u, v], axis=1)

    def blocked(self, origins: np.ndarray, directions: np.ndarray, *, within_mm: float = np.inf) -> np.ndarray:
        """Which rays (n, 3), of unit directions, meet anything nearer than `within_mm`."""
        found = self._scene.run(*_rows(origins, directions), output=True)
        return (_met(found, len(self.triangles)) >= 0) & (np.asarray(found["tfar"]) < within_mm)


def _rows(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    directions = np.ascontiguousarray(directions, np.float32)
    return np.ascontiguousarray(np.broadcast_to(origins, directions.shape), np.float32), directions


def _met(found: dict, count: int) -> np.ndarray:
    """Embree marks a miss by a triangle that does not exist."""
    triangle = np.asarray(found["primID"]).astype(np.int64)
    return np.where((triangle >= 0) & (triangle < count), triangle, -1)


def vertex_normals(vertices_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (vertices, 3), weighted by the triangles' areas."""
    corners = vertices_mm[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices_mm), 3))
    for axis in range(3):
        for corner in range(3):
            normals[:, axis] += np.bincount(triangles[:, corner], across[:, axis], minlength=len(vertices_mm))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def interpolate(values: np.ndarray, triangles: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
    """Values of vertices (vertices, ...) at places on triangles (n, 3), with barycentrics (n, 3)."""
    return np.einsum("nk,nk...->n...", barycentrics, values[triangles])
