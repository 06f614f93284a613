"""A picture of a model: its mean face from two sides, with its landmarks and its regions."""

import os

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from jaxface.models import portrait
from jaxface.morphable.linear import has_landmark, landmark_positions
from jaxface.types import FaceError, MorphableModel, Region

PALETTE = {
    Region.SKIN: (222, 184, 160),
    Region.EYEBROW: (60, 40, 30),
    Region.MOUTH: (215, 60, 80),
    Region.NOSE: (90, 180, 90),
    Region.EYE: (70, 110, 220),
    Region.EYE_OPENING: (250, 250, 250),
    Region.MOUTH_OPENING: (120, 20, 120),
    Region.BORDER: (240, 210, 60),
    Region.OUTSIDE: (150, 150, 150),
    Region.EAR: (225, 130, 225),
    Region.SCALP: (120, 120, 130),
    Region.NECK: (130, 175, 230),
}
POINT, INK, PAPER = (0, 255, 170), (40, 40, 40), (255, 255, 255)
_VIEWS = (portrait.FRONTAL, portrait.FRONTAL._replace(yaw=0.7))
_HIDDEN_PX = 3.0  # how far behind what is seen a landmark may lie
_LEGEND_PX = 28


def plot_embedding(model: MorphableModel, path: str | os.PathLike) -> None:
    """Writes a PNG: above, the mean face in its own colours with the landmarks seen there; below, the regions.

    Raises FaceError if the file cannot be written.
    """
    picture = compose(model)
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise FaceError(f"{path}: it cannot be written ({error.strerror or error}); choose another place.") from None


def compose(model: MorphableModel) -> Image.Image:
    """The picture that `plot_embedding` writes, RGB."""
    exists = np.asarray(has_landmark(model))
    points_mm = np.asarray(landmark_positions(model.mean_mm, model=model))[exists]
    mean_mm, triangles = np.asarray(model.mean_mm), np.asarray(model.triangles)
    centre_mm = points_mm.mean(axis=0) if exists.any() else mean_mm.mean(axis=0)
    sitter = portrait.Sitter(triangles, centre_mm)
    labels = np.array([PALETTE[region] for region in Region], np.float32)[np.asarray(model.vertex_regions)] / 255.0
    size = portrait.SIZE
    sheet = Image.new("RGB", (size * len(_VIEWS), 2 * size + _LEGEND_PX), PAPER)
    for column, view in enumerate(_VIEWS):
        seen = portrait.take(mean_mm, np.asarray(model.albedo), view, sitter=sitter)
        sheet.paste(_dotted(seen, points_mm, view, centre_mm), (size * column, 0))
        sheet.paste(_to_picture(portrait.take(mean_mm, labels, view, sitter=sitter).image), (size * column, size))
    _write_legend(ImageDraw.Draw(sheet), top=2 * size, width=sheet.width)
    return sheet


def _dotted(seen: portrait.Portrait, points_mm: np.ndarray, view: portrait.View, centre_mm: np.ndarray) -> Image.Image:
    """The portrait with a dot at every landmark that nothing hides."""
    picture = _to_picture(seen.image)
    draw = ImageDraw.Draw(picture)
    heights = np.asarray(jnp.where(seen.raster.triangle >= 0, seen.raster.height_px, -jnp.inf))
    last = portrait.SIZE - 1
    for x, y, height in np.asarray(portrait.locate(points_mm, view, centre_mm=centre_mm)):
        row, column = (int(np.clip(np.round(place), 0, last)) for place in (y, x))
        if height > heights[row, column] - _HIDDEN_PX:
            draw.ellipse((column - 1, row - 1, column + 1, row + 1), fill=POINT)
    return picture


def _to_picture(image: Float[np.ndarray, "height width 3"]) -> Image.Image:
    return Image.fromarray(np.round(image * 255.0).astype(np.uint8))


def _write_legend(draw: ImageDraw.ImageDraw, *, top: int, width: int) -> None:
    step = width // len(PALETTE)
    for place, (region, colour) in enumerate(PALETTE.items()):
        left = place * step + 4
        draw.rectangle((left, top + 8, left + 12, top + 20), fill=colour, outline=INK)
        draw.text((left + 17, top + 8), region.name.lower().replace("_", " "), fill=INK)
