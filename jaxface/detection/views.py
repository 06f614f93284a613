"""Square looks at a picture: where to look for faces, and how points found there map back (host side).

Points are (x, y) pixels with centres at integer coordinates; angles are radians, clockwise on the screen.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

_SMALLEST_TILE_PX = 256  # The detector sees a tile at 128 px: a face of 48 px is then still 24 px wide.
_LARGEST_VIEW_PX = 512  # The landmark network sees a face at 256 px at most.
_SMALLEST_VIEW_PX = 256


class View(NamedTuple):
    """A square of `side_px` around `centre_px`, turned by `angle`; seen upright, `size` pixels wide."""

    centre_px: tuple[float, float]
    side_px: float
    angle: float
    size: int


def make_view(centre_px: tuple[float, float], *, side_px: float, angle: float = 0.0) -> View:
    """A view at the picture's own resolution, within what the detector can use."""
    size = int(np.clip(round(side_px), _SMALLEST_VIEW_PX, _LARGEST_VIEW_PX))
    return View((float(centre_px[0]), float(centre_px[1])), float(side_px), float(angle), size)


def view_matrix(view: View) -> Float[np.ndarray, "2 3"]:
    """Affine map from a view's pixels to the picture's."""
    scale = view.side_px / view.size
    turn = scale * np.array(
        [[math.cos(view.angle), -math.sin(view.angle)], [math.sin(view.angle), math.cos(view.angle)]]
    )
    middle = (view.size - 1) / 2.0
    return np.concatenate([turn, np.asarray(view.centre_px)[:, None] - turn @ np.full((2, 1), middle)], axis=1)


def cut_view(image: Image.Image, *, view: View) -> np.ndarray:
    """The view's pixels, uint8 RGB; grey where it leaves the picture."""
    matrix = view_matrix(view)
    matrix[:, 2] += 0.5 - 0.5 * matrix[:, :2].sum(axis=1)  # Pillow counts from pixel corners, we from centres.
    factor = int(view.side_px // view.size)
    if factor > 1:  # Shrink first: sampling alone would alias.
        reach = 0.75 * view.side_px  # More than half of the square's diagonal.
        low = np.floor(np.maximum(np.asarray(view.centre_px) - reach, 0.0)).astype(int)
        high = np.ceil(np.minimum(np.asarray(view.centre_px) + reach + 1.0, image.size)).astype(int)
        image = image.crop((low[0], low[1], high[0], high[1])).reduce(factor)
        matrix[:, 2] -= low
        matrix = matrix / factor
    pixels = image.transform(
        (view.size, view.size), Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BICUBIC,
        fillcolor=(128, 128, 128),
    )  # fmt: skip
    return np.asarray(pixels)


def uncut_points(points: Float[np.ndarray, "points 3"], *, view: View) -> Float[np.ndarray, "points 3"]:
    """From (x, y, height) in a view's pixels to the picture's pixels."""
    matrix = view_matrix(view)
    points_px = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([points_px, points[:, 2:] * (view.side_px / view.size)], axis=1)


def searches(*, height: int, width: int) -> Iterator[list[View]]:
    """Rounds of views, from the whole picture to small tiles: a search may stop after the first round with a face.

    A short-range detector misses faces that fill the picture, stand on their side, or are small in it.
    """
    centre, side = ((width - 1) / 2.0, (height - 1) / 2.0), float(max(height, width))
    yield [make_view(centre, side_px=side)]
    yield [make_view(centre, side_px=1.6 * side)]
    yield [make_view(centre, side_px=1.3 * side, angle=quarter * math.pi / 2) for quarter in (1, 2, 3)]
    while side > _SMALLEST_TILE_PX:
        side = side / 2.0
        xs, ys = (_tile_centres(length, side=side) for length in (width, height))
        yield [make_view((x, y), side_px=side) for y in ys for x in xs]


def _tile_centres(length: int, *, side: float) -> list[float]:
    """Middles of half-overlapping tiles that cover 0 ... length - 1."""
    span = max(length - side, 0.0)
    count = math.ceil(2.0 * span / side) + 1
    offsets = np.linspace(0.0, span, count) if span > 0.0 else [(length - side) / 2.0]
    return [float(offset + (side - 1.0) / 2.0) for offset in offsets]
