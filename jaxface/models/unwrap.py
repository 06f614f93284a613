"""Texture coordinates for models that come without: a cylinder about the head's axis, cut at the back."""

import numpy as np
from jaxtyping import Float, Int

_MARGIN = 0.02  # of the texture's side, kept free around


def cylindrical_uvs(
    mean_mm: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"]
) -> tuple[Float[np.ndarray, "uv_vertices 2"], Int[np.ndarray, "faces 3"]]:
    """UVs in [0, 1], v up, and the triangles that index them; vertices on the cut are doubled."""
    low, high = mean_mm.min(axis=0), mean_mm.max(axis=0)
    # The axis runs well behind the face, so that a mask spreads out and its nose does not fold.
    axis_z = low[2] if low[2] > -40.0 else 0.5 * (low[2] + high[2])
    angle = np.arctan2(mean_mm[:, 0], mean_mm[:, 2] - axis_z)
    angles = angle[triangles]
    crosses = np.ptp(angles, axis=1) > np.pi
    doubled = np.unique(triangles[crosses][angles[crosses] < 0.0])
    twin = np.arange(len(mean_mm))
    twin[doubled] = len(mean_mm) + np.arange(len(doubled))
    uv_triangles = np.where(crosses[:, None] & (angles < 0.0), twin[triangles], triangles)
    across = np.concatenate([angle, angle[doubled] + 2.0 * np.pi])
    up = np.concatenate([mean_mm[:, 1], mean_mm[doubled, 1]])
    reach = max(np.abs(across).max(), 1e-6)
    u = 0.5 + (0.5 - _MARGIN) * across / reach
    v = _MARGIN + (1.0 - 2.0 * _MARGIN) * (up - low[1]) / max(high[1] - low[1], 1e-6)
    return np.stack([u, v], axis=1).astype(np.float32), uv_triangles.astype(np.int32)
