"""The control mesh: MediaPipe's 852 triangles made mirror-symmetric, with the eyes and the mouth closed."""

import numpy as np
import scipy.sparse as sparse
from scipy.sparse import csgraph

# Contours in matching order: upper[i] faces lower[i]; corners are the shared first and last entries.
RIGHT_LIDS = ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133))
LEFT_LIDS = ((263, 466, 388, 387, 386, 385, 384, 398, 362), (263, 249, 390, 373, 374, 380, 381, 382, 362))
INNER_LIPS = (
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
OUTER_LIPS = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
)
LIP_ROWS = (  # between outer and inner contour: two rows above, two below
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
OVAL += (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 326, 327, 294, 278, 344, 440, 275, 45, 220, 115, 48, 64, 98, 97)


def symmetric_surface(triangles: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Replaces the few diagonals of the subject's left half that do not mirror those of the right half."""
    known = {tuple(sorted(t)) for t in triangles.tolist()}
    image = mirror[triangles][:, [0, 2, 1]]
    lonely = np.array([tuple(sorted(t)) not in known for t in image.tolist()])
    anchors = {33, 61, 48, 20, 79, 59, 60, 30, 161}  # on the right half, next to every such diagonal
    right = np.array([len(anchors & set(t)) > 0 for t in triangles.tolist()])
    return np.concatenate([triangles[~lonely], triangles[lonely & right], image[lonely & right]])


def hole_triangles() -> dict[str, np.ndarray]:
    """Zig-zag strips that close the eyes and the mouth; they fold flat when the lids or lips meet."""
    return {
        "right_eye": _strip(*RIGHT_LIDS),
        "left_eye": _mirrored_strip(_strip(*RIGHT_LIDS), RIGHT_LIDS, LEFT_LIDS),
        "mouth": _mouth_strip(),
    }


def _strip(upper, lower):
    """Triangles between two chains that share their ends, running to the image right; outward (toward +z)."""
    faces = [(upper[0], lower[1], upper[1])]
    for i in range(1, len(upper) - 2):
        a, b, c, d = upper[i], lower[i], lower[i + 1], upper[i + 1]
        faces += [(a, b, c), (a, c, d)] if i % 2 else [(a, b, d), (b, c, d)]
    faces.append((upper[-2], lower[-2], lower[-1]))
    return np.array(faces)


def _mirrored_strip(faces, source, target):
    """The strip of one eye carried to the other, wound the other way."""
    lookup = dict(zip(source[0] + source[1], target[0] + target[1], strict=True))
    return np.array([[lookup[a], lookup[c], lookup[b]] for a, b, c in faces])


def _mouth_strip():
    """Right half, then its mirror image, so that the middle edge 13-14 is shared."""
    upper, lower = INNER_LIPS
    half = [(upper[0], lower[1], upper[1])]
    for i in range(1, 5):
        a, b, c, d = upper[i], lower[i], lower[i + 1], upper[i + 1]
        half += [(a, b, d), (b, c, d)]
    image = dict(zip(upper + lower, upper[::-1] + lower[::-1], strict=True))
    return np.array(half + [(image[a], image[c], image[b]) for a, b, c in half])


def adjacency(points: np.ndarray, triangles: np.ndarray, *, shortcuts: bool = True) -> sparse.csr_matrix:
    """Edge lengths; with a shortcut across every edge, shortest paths come close to geodesics."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    apex = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    order = np.lexsort(np.sort(sides, axis=1).T)
    sorted_sides = np.sort(sides, axis=1)[order]
    twin = (sorted_sides[1:] == sorted_sides[:-1]).all(1)
    across = np.stack([apex[order][:-1][twin], apex[order][1:][twin]], axis=1)
    edges = np.unique(np.sort(np.concatenate([sides, across] if shortcuts else [sides]), axis=1), axis=0)
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    count = len(points)
    matrix = sparse.csr_matrix((lengths, edges.T), (count, count))
    return matrix + matrix.T


def geodesics(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """All shortest-path distances (points, points) along the surface."""
    return csgraph.shortest_path(adjacency(points, triangles), directed=False)


def cotangent_laplacian(points: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Symmetric positive semi-definite stiffness matrix (weights clamped to be positive) and vertex areas."""
    count = len(points)
    stiffness = sparse.csr_matrix((count, count))
    area = np.zeros(count)
    for k in range(3):
        i, j, o = triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3], triangles[:, k]
        u, v = points[i] - points[o], points[j] - points[o]
        cross = np.linalg.norm(np.cross(u, v), axis=1)
        weight = np.clip(0.5 * (u * v).sum(1) / np.maximum(cross, 1e-9), 0.02, 10.0)
        stiffness = stiffness + sparse.csr_matrix((weight, (i, j)), (count, count))
        np.add.at(area, o, cross / 6)
    stiffness = stiffness + stiffness.T
    return sparse.diags(np.asarray(stiffness.sum(1)).ravel()) - stiffness, area
