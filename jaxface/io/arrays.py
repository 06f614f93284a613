"""Pictures that are arrays already: to RGB in [0, 1], and the window that the fine stage sees (host side)."""

from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from jaxface.types import Crop, FaceError


def host_array(values: Any, *, dtype: Any = None) -> Any:
    """A NumPy array, typed so that the records of `types`, of JAX arrays by their annotations, hold it on the host."""
    return np.asarray(values, dtype)


def as_rgb(image: np.ndarray) -> Float[np.ndarray, "height width 3"]:
    """uint8, uint16 or float [0, 1] picture, grey, RGB or RGBA (laid over white), as float32 RGB in [0, 1].

    Raises FaceError for other shapes and types, for numbers that are not finite, and for floats outside [0, 1].
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or min(array.shape[:2]) < 2:
        raise FaceError(f"A picture must have shape (height, width, 1, 3 or 4), not {np.shape(image)}.")
    if array.dtype in (np.uint8, np.uint16):
        array = array.astype(np.float32) / np.iinfo(array.dtype).max
    elif array.dtype.kind != "f":
        raise FaceError(f"A picture must hold uint8, uint16 or floats, not {array.dtype}.")
    array = array.astype(np.float32)
    if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1.0 + 1e-3:
        raise FaceError("A picture of floats must lie in [0, 1] and be finite; divide by its white level.")
    if array.shape[2] == 4:
        array = array[..., :3] * array[..., 3:] + 1.0 - array[..., 3:]
    return np.clip(np.broadcast_to(array, (*array.shape[:2], 3)), 0.0, 1.0)


def crop_window(
    image: Float[np.ndarray, "height width 3"], crop: Crop, *, size: int
) -> Float[np.ndarray, "{size} {size} 3"]:
    """The crop as a picture of `size` pixels a side, resampled with Lanczos' filter; the photo's edge is continued.

    On the host, so that nothing compiles for each photo size.
    """
    zoom = float(crop.zoom)
    side = size / zoom
    left, top = (float(x) + 0.5 - 0.5 / zoom for x in crop.offset_px)  # pixel centres at integers to Pillow's edges
    x0, y0 = int(np.floor(left)) - 4, int(np.floor(top)) - 4
    x1, y1 = int(np.ceil(left + side)) + 4, int(np.ceil(top + side)) + 4
    rows = np.clip(np.arange(y0, y1), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x1), 0, image.shape[1] - 1)
    region = image[rows[:, None], columns[None, :]]
    box = (left - x0, top - y0, left - x0 + side, top - y0 + side)
    planes = [
        Image.fromarray(np.ascontiguousarray(region[..., c])).resize((size, size), Image.Resampling.LANCZOS, box=box)
        for c in range(3)
    ]
    return np.clip(np.stack([np.asarray(plane) for plane in planes], axis=-1), 0.0, 1.0)
