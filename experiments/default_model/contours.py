"""Contours of MediaPipe's 478 landmarks, and what lies inside of one."""

import matplotlib.path
import numpy as np
from scipy.spatial import KDTree

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
RIGHT_BROW = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
LEFT_BROW = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
RIGHT_NOSTRIL, LEFT_NOSTRIL = (2, 98, 97, 99), (2, 327, 326, 328)
RIGHT_LID_RING = (247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130)
RIGHT_NOSE = (
    168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 122, 196, 3, 51, 45, 44, 125, 141, 188, 174, 236, 134, 220, 237, 241, 242,
    217, 114, 126, 198, 131, 115, 218, 239, 238, 20, 99, 97, 209, 49, 48, 219, 79, 60, 75, 166, 59, 235, 240, 64, 102,
    129, 98,
)  # fmt: skip


def outside_mm(vertices_mm: np.ndarray, ring_mm: np.ndarray) -> np.ndarray:
    """Distance to a ring as seen from the front, negative inside of it; far from it in depth counts as outside."""
    dense = np.concatenate(np.linspace(ring_mm, np.roll(ring_mm, -1, axis=0), 12, endpoint=False, axis=1))
    distance, nearest = KDTree(dense[:, :2]).query(vertices_mm[:, :2])
    inside = matplotlib.path.Path(ring_mm[:, :2]).contains_points(vertices_mm[:, :2])
    behind = dense[nearest, 2] - vertices_mm[:, 2] > 15.0
    return np.where(inside & ~behind, -distance, np.where(behind, np.inf, distance))
