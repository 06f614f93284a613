"""How steady a moving mesh is. Frames come one by one, as an array [frames, vertices, 3] or any stream, so that a long
clip needs no more memory than a short one. NumPy float64, millimetres.
"""

from collections.abc import Iterable

import numpy as np


def jitter(vertices_mm: Iterable[np.ndarray]) -> float:
    """Mean over frames and vertices of |x_{t-1} - 2 x_t + x_{t+1}|, in mm/frame^2; NaN of fewer than 3 frames.

    `vertices_mm` yields each frame's [vertices, 3]. Frames with NaN (nothing known) count in no triple.
    """
    before, now, triples = None, None, []
    for frame in vertices_mm:
        after = np.asarray(frame, np.float64)
        if before is not None and now is not None:
            triples.append(np.mean(np.linalg.norm(before - 2.0 * now + after, axis=-1)))
        before, now = now, after
    finite = [value for value in triples if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def spread(vertices_mm: Iterable[np.ndarray]) -> float:
    """Mean over vertices of the standard deviation of their place over time, sqrt(mean_t |x_t - mean x|^2), in mm.

    `vertices_mm` yields each frame's [vertices, 3]; frames with NaN are left out; NaN of no frames. For clips where
    nothing moves: all of it is error.
    """
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for frame in vertices_mm:
        place = np.asarray(frame, np.float64)
        if not np.isfinite(place).all():
            continue
        count += 1
        step = place - mean
        mean = mean + step / count
        squares = squares + step * (place - mean)  # Welford (1962): exact far from the origin
    return float(np.mean(np.sqrt(np.sum(squares / count, axis=-1)))) if count else float("nan")
