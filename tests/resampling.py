"""A witness for `io.arrays.crop_window`: the window by cubic resampling, with dense matrices."""

import numpy as np


def crop_image(image, crop, *, size):
    """The window as a square picture (Keys 1981), widened when shrinking against aliasing; the border is repeated."""
    offset, zoom = np.asarray(crop.offset_px, np.float64), float(crop.zoom)
    rows, columns = (_resampling(offset[1 - k], zoom, length=image.shape[k], size=size) for k in (0, 1))
    return np.clip(np.einsum("oy,px,yxc->opc", rows, columns, image, optimize=True), 0.0, 1.0)


def _resampling(offset, zoom, *, length, size):
    centres = np.clip(np.arange(size) / zoom + offset, 0.0, length - 1.0)
    weights = _cubic(np.abs(centres[:, None] - np.arange(length)) * min(zoom, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


def _cubic(distance):
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))
