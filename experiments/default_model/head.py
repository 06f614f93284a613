"""The head cut out of MakeHuman's mesh: skin down to the neck, eyeballs, teeth and tongue, as one linear map."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.spatial import KDTree

from default_model.makehuman import BaseMesh
from jaxface.geometry.subdivision import loop_matrix
from jaxface.types import Part

NECK_MM, SHOULDERS_MM = 590.0, 130.0  # the skin above this height and within this distance of the middle is the head's
HELPERS = {
    Part.RIGHT_EYE: "helper-r-eye", Part.LEFT_EYE: "helper-l-eye", Part.UPPER_TEETH: "helper-upper-teeth",
    Part.LOWER_TEETH: "helper-lower-teeth", Part.TONGUE: "helper-tongue",
}  # fmt: skip
EYES = (Part.RIGHT_EYE, Part.LEFT_EYE)


class Head(NamedTuple):
    """`matrix` takes MakeHuman's vertices, or what a target adds to them, to the head's; `uvs` are MakeHuman's own."""

    matrix: sparse.csr_matrix
    triangles: np.ndarray
    uvs: np.ndarray
    uv_triangles: np.ndarray
    parts: np.ndarray
    mirror: np.ndarray


def cut_head(mesh: BaseMesh) -> Head:
    """The head's topology; eyeballs are subdivided once."""
    above = (mesh.vertices_mm[:, 1] > NECK_MM) & (np.abs(mesh.vertices_mm[:, 0]) < SHOULDERS_MM)
    pieces = {Part.SKIN: (mesh.groups == "body") & above[mesh.quads].all(axis=1)}
    pieces |= {part: mesh.groups == group for part, group in HELPERS.items()}
    rows, triangles, uvs, uv_triangles, parts = [], [], [], [], []
    for part, chosen in pieces.items():
        matrix, faces = _compact(_cut_quads(mesh.quads[chosen], mesh), len(mesh.vertices_mm))
        uv_matrix, uv_faces = _compact(_cut_quads(mesh.uv_quads[chosen], mesh, mesh.quads[chosen]), len(mesh.uvs))
        if part in EYES:
            matrix, faces = _rounder(matrix, faces, mesh.vertices_mm)
            smoother, uv_faces = loop_matrix(uv_faces, num_vertices=uv_matrix.shape[0], levels=1)
            uv_matrix = smoother @ uv_matrix
        triangles.append(faces + sum(map(len, parts)))
        uv_triangles.append(uv_faces + sum(map(len, uvs)))
        rows.append(matrix)
        uvs.append(uv_matrix @ mesh.uvs)
        parts.append(np.full(matrix.shape[0], part))
    matrix = sparse.vstack(rows, format="csr")
    return Head(
        matrix, np.concatenate(triangles).astype(np.int32), np.concatenate(uvs),
        np.concatenate(uv_triangles).astype(np.int32), np.concatenate(parts), _mirror(matrix @ mesh.vertices_mm),
    )  # fmt: skip


def _compact(triangles: np.ndarray, count: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The vertices in use as rows of a selection, and the triangles of these."""
    used, local = np.unique(triangles, return_inverse=True)
    return sparse.identity(count, format="csr")[used], local.reshape(-1, 3)


def _cut_quads(corners: np.ndarray, mesh: BaseMesh, quads: np.ndarray | None = None) -> np.ndarray:
    """Each quad along its shorter diagonal, which keeps the mirror symmetry; `quads` are the corners in space."""
    a, b, c, d = np.moveaxis(mesh.vertices_mm[corners if quads is None else quads], 1, 0)
    along_bd = np.sum((b - d) ** 2, axis=1) < np.sum((a - c) ** 2, axis=1) - 1e-6
    halves = np.where(along_bd[:, None, None], [[1, 2, 3], [1, 3, 0]], [[0, 1, 2], [0, 2, 3]])
    return np.take_along_axis(corners[:, None], halves, axis=2).reshape(-1, 3)


def _rounder(matrix: sparse.csr_matrix, faces: np.ndarray, vertices_mm: np.ndarray):
    """An eyeball of four times the triangles, blown up to its old radius."""
    smoother, faces = loop_matrix(faces, num_vertices=matrix.shape[0], levels=1)
    centre = sparse.csr_matrix(np.full((1, matrix.shape[0]), 1.0 / matrix.shape[0]))
    radius = [
        np.linalg.norm(positions - positions.mean(axis=0), axis=1).mean()
        for positions in (matrix @ vertices_mm, smoother @ matrix @ vertices_mm)
    ]
    to_centre = sparse.csr_matrix(np.ones((smoother.shape[0], 1))) @ centre
    blown = (radius[0] / radius[1]) * (smoother - to_centre) + to_centre
    return (blown @ matrix).tocsr(), faces


def _mirror(vertices_mm: np.ndarray) -> np.ndarray:
    distances, mirror = KDTree(vertices_mm).query(vertices_mm * [-1.0, 1.0, 1.0])
    if distances.max() > 0.5 or (mirror[mirror] != np.arange(len(mirror))).any():
        raise RuntimeError(f"the head is not symmetric: {distances.max():.2f} mm")
    return mirror


def vertex_areas(vertices_mm: np.ndarray, head: Head) -> np.ndarray:
    """A third of the triangles around each vertex, mm^2."""
    a, b, c = (vertices_mm[head.triangles[:, k]] for k in range(3))
    double = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.bincount(head.triangles.ravel(), np.repeat(double / 6.0, 3), len(vertices_mm))


def without_motion(offsets_mm: np.ndarray, vertices_mm: np.ndarray, head: Head) -> np.ndarray:
    """Fields less the rigid motion that fits them best on the front of the skin, mm^2 by mm^2."""
    front = (head.parts == Part.SKIN) & (vertices_mm[:, 2] > 0.0)
    weight = vertex_areas(vertices_mm, head)[front]
    centre = np.average(vertices_mm[front], axis=0, weights=weight)
    turns = [np.cross(axis, vertices_mm - centre) for axis in np.eye(3)]
    shifts = [np.tile(axis, (len(vertices_mm), 1)) for axis in np.eye(3)]
    motions = np.array(turns + shifts)
    seen = motions[:, front].reshape(6, -1)
    weighted = seen * np.repeat(weight, 3)
    amounts = np.linalg.solve(weighted @ seen.T, weighted @ offsets_mm[:, front].reshape(len(offsets_mm), -1).T)
    return offsets_mm - np.einsum("kt,kvx->tvx", amounts, motions)
