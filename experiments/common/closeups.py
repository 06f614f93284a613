"""Close-ups of a face's crop: where to look, meshes in clay seen from near, boxes and dots on pictures."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from common import program
from jaxface.export.pictures import to_picture
from jaxface.types import Camera, Crop, Pose

RED, GREEN, ORANGE = (220, 30, 30), (0, 130, 90), (235, 120, 0)
_FINER = 3  # drawn larger, then shrunk: Pillow's dots have hard edges


class Window(NamedTuple):
    """A square of a crop, in its pixels."""

    left: float
    top: float
    side: float


class Seen(NamedTuple):
    """From where a face is looked at: the photo's pose and camera, and the crop."""

    pose: Pose
    camera: Camera
    crop: Crop


def around(points_px: np.ndarray, *, margin: float) -> Window:
    """The square about points (crop pixels), `margin` times as wide as they spread."""
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    side, middle = margin * float(np.max(high - low)), 0.5 * (low + high)
    return Window(float(middle[0]) - 0.5 * side, float(middle[1]) - 0.5 * side, side)


def zoom_in(crop: Crop, window: Window, *, size: int) -> Crop:
    """The crop that shows the window of `crop` with `size` pixels a side."""
    corner = jnp.array([window.left, window.top], jnp.float32)
    return Crop(crop.offset_px + corner / crop.zoom, crop.zoom * (size / window.side))


def clay(vertices_mm: np.ndarray, triangles: np.ndarray, seen: Seen, *, size: int) -> np.ndarray:
    """A mesh (object frame) in clay."""
    return program.clay(vertices_mm, triangles, *seen, size=size)


def boxed(picture: np.ndarray, window: Window) -> np.ndarray:
    """The picture with the window's outline in red, as uint8."""
    canvas = to_picture(picture)
    width = max(2, round(canvas.width / 80))
    corners = (window.left, window.top, window.left + window.side, window.top + window.side)
    ImageDraw.Draw(canvas).rectangle(corners, outline=RED, width=width)
    return np.asarray(canvas)


def dotted(picture: np.ndarray, layers: dict[tuple[int, int, int], np.ndarray]) -> np.ndarray:
    """The picture with dots of each colour at its points (picture pixels), as uint8."""
    size = picture.shape[0]
    canvas = to_picture(picture).resize((size * _FINER, size * _FINER), Image.Resampling.BILINEAR)
    draw, radius = ImageDraw.Draw(canvas), 0.009 * size * _FINER
    for colour, points in layers.items():
        for x, y in (np.asarray(points) + 0.5) * _FINER:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS))
