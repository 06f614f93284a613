"""Errors of maps against the truth, under a mask (bool), and what sums up distances. NumPy float64.

Heights and lengths in any one unit; figures of distances in millimetres are named so.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter


def normal_error_degrees(
    normals: Float[np.ndarray, "height width 3"],
    truth: Float[np.ndarray, "height width 3"],
    *,
    mask: Bool[np.ndarray, "height width"],
) -> float:
    """Mean angle between two maps of unit normals; NaN under an empty mask."""
    a, b = normals[mask].astype(np.float64), truth[mask].astype(np.float64)
    sine = np.linalg.norm(np.cross(a, b), axis=-1)  # with the cosine: exact for small angles too
    return _mean(np.degrees(np.arctan2(sine, np.sum(a * b, axis=-1))))


def rmse(distances: Float[np.ndarray, "points"]) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(_mean(np.square(distances, dtype=np.float64))))


def share_within(distances: Float[np.ndarray, "points"], *, limit: float) -> float:
    """Share of the distances that are no larger than the limit, 0 to 1; NaN of nothing."""
    return _mean(distances <= limit)


def summarise(distances_mm: Float[np.ndarray, "points"]) -> dict[str, float]:
    """RMSE, mean, median and (population's) standard deviation of unsigned distances, and shares within 1 and 2 mm."""
    return {
        "rmse_mm": rmse(distances_mm),
        "mean_mm": _mean(distances_mm),
        "median_mm": float(np.median(distances_mm)) if distances_mm.size else float("nan"),
        "std_mm": float(np.std(distances_mm)) if distances_mm.size else float("nan"),
        "within_1mm": share_within(distances_mm, limit=1.0),
        "within_2mm": share_within(distances_mm, limit=2.0),
    }


def high_pass(
    values: Float[np.ndarray, "height width"], *, mask: Bool[np.ndarray, "height width"], sigma_px: float
) -> Float[np.ndarray, "height width"]:
    """Values less their Gaussian mean over the pixels of the mask; 0 outside it."""
    weight = mask.astype(np.float64)
    total = gaussian_filter(weight, sigma_px, mode="constant")
    mean = gaussian_filter(np.where(mask, values, 0.0).astype(np.float64), sigma_px, mode="constant")
    return np.where(mask, values - mean / np.maximum(total, 1e-12), 0.0)


def high_pass_correlation(
    values: Float[np.ndarray, "height width"],
    truth: Float[np.ndarray, "height width"],
    *,
    mask: Bool[np.ndarray, "height width"],
    sigma_px: float,
) -> float:
    """Pearson's correlation of the two high-passed maps inside the mask; NaN where one is constant.

    Left out is a rim of 1.3 `sigma_px`: the mean there is one-sided, and slopes would leak through.
    """
    kept = mask & (gaussian_filter(mask.astype(np.float64), sigma_px, mode="constant") > 0.9)
    a, b = (high_pass(x, mask=mask, sigma_px=sigma_px)[kept] for x in (values, truth))
    a, b = a - _mean(a), b - _mean(b)
    size = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / size) if size > 0 else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else float("nan")
