"""`overview.png`: every step of one reconstruction side by side (host side)."""

import os
import pathlib

import jax
import matplotlib
import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from jaxface.export.maps import normals_picture
from jaxface.export.pictures import save_picture, to_picture
from jaxface.export.reconstruction import Reconstruction
from jaxface.io.atomic import new_file
from jaxface.rendering.clay import clay_picture

SHAPES = {"coarse": "Coarse", "medium": "Medium", "phase1": "Fine, phase 1", "fine": "Fine, phase 2"}
COLUMNS = 5
PANEL, GAP, TEXT, MARGIN = 384, 10, 22, 20  # pixels: a panel's side, between panels, caption height, outer border
INK, PAPER, POINT = (40, 40, 40), (255, 255, 255), (0, 255, 170)


def write_overview(path: str | os.PathLike, rec: Reconstruction) -> None:
    """Ten captioned panels in two rows."""
    with new_file(path) as fresh:
        save_picture(fresh, np.asarray(compose(panels(rec))))


def panels(rec: Reconstruction) -> dict[str, Image.Image]:
    """Caption -> square picture, in reading order."""
    maps, shapes = rec.maps, render_shapes(rec)
    pictures = {
        "Input": to_picture(rec.crop_image),
        "Landmarks": landmarks_picture(rec),
        **{caption: to_picture(shapes[name]) for name, caption in SHAPES.items()},
        "Normals": Image.fromarray(_on_paper(normals_picture(np.asarray(maps.normals_image)), maps.mask)),
        "Albedo": to_picture(_on_paper(np.asarray(maps.albedo), maps.mask)),
        "Shading": to_picture(_on_paper(_dimmed(np.asarray(maps.shading), maps.mask), maps.mask)),
        "Relit": to_picture(rec.relit),
    }
    return {caption: _square(picture, PANEL) for caption, picture in pictures.items()}


def render_shapes(rec: Reconstruction) -> dict[str, Float[np.ndarray, "height width 3"]]:
    """Clay pictures of the meshes named in SHAPES, as the crop's camera sees them."""
    size, camera = rec.crop_image.shape[0], (rec.coarse_fit.pose, rec.camera, rec.crop)
    meshes = {name: getattr(rec, name) for name in SHAPES}
    arguments = {name: (mesh.vertices_mm, mesh.triangles, *camera) for name, mesh in meshes.items()}
    return {name: np.asarray(_clay_picture(*arguments[name], size=size)) for name in SHAPES}


_clay_picture = jax.jit(clay_picture, static_argnames="size")


def landmarks_picture(rec: Reconstruction) -> Image.Image:
    """The crop with its landmarks as dots; points with little confidence are left out."""
    finer = 3  # drawn larger, then shrunk: Pillow's dots have hard edges
    canvas = _square(to_picture(0.85 * rec.crop_image), PANEL * finer)
    zoom = PANEL * finer / rec.crop_image.shape[0]
    offset, crop_zoom = np.asarray(rec.crop.offset_px), np.asarray(rec.crop.zoom)
    points = (np.asarray(rec.landmarks.points_px) - offset[None]) * crop_zoom
    draw = ImageDraw.Draw(canvas)
    radius = 1.3 * finer
    for x, y in (points[np.asarray(rec.landmarks.confidence) > 0.05] + 0.5) * zoom:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=POINT)
    return canvas.resize((PANEL, PANEL), Image.Resampling.LANCZOS)


def compose(pictures: dict[str, Image.Image]) -> Image.Image:
    """Pictures of PANEL pixels in rows of COLUMNS, each with its caption centred below."""
    step_x, step_y = PANEL + GAP, PANEL + TEXT + 2 * GAP
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (2 * MARGIN + COLUMNS * step_x - GAP, 2 * MARGIN + rows * step_y - GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.truetype(_font_file(), 0.8 * TEXT)
    for place, (caption, picture) in enumerate(pictures.items()):
        x, y = MARGIN + (place % COLUMNS) * step_x, MARGIN + (place // COLUMNS) * step_y
        canvas.paste(picture, (x, y))
        draw.text((x + PANEL // 2, y + PANEL + GAP // 2), caption, fill=INK, font=font, anchor="ma")
    return canvas


def _square(picture: Image.Image, side: int) -> Image.Image:
    return picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def _on_paper(values: np.ndarray, mask) -> np.ndarray:
    """`values` inside the mask, white outside, in the dtype and range of `values`."""
    cover = np.clip(np.asarray(mask), 0.0, 1.0)[..., None]
    white = 255.0 if values.dtype == np.uint8 else 1.0
    return (cover * values + (1.0 - cover) * white).astype(values.dtype)


def _dimmed(shading: np.ndarray, mask) -> np.ndarray:
    """Shading below 1 nearly everywhere, so that its bright side keeps its shape."""
    seen = shading[np.asarray(mask) > 0.5]
    return shading / max(float(np.percentile(seen, 99.5)), 1.0) if seen.size else shading


def _font_file() -> pathlib.Path:
    """DejaVu Sans, which matplotlib carries: the same letters on every machine."""
    return pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
