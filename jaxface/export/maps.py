"""What the fine stage knows of every pixel, and the model's textures, as pictures and as one .npz (host side).

Pictures are 8-bit, those in `_16bit` 16-bit grey. `ranges.json` tells what black and white stand for: value = black +
(white - black) * pixel / (255 or 65535). Normals as pictures: RGB = 0.5 + 0.5 (x right, y up, z to the viewer).
In the .npz the arrays keep the names, frames and units of `jaxface.types`; heights are also given in millimetres.
"""

import json
import os
import pathlib

import numpy as np
from jaxtyping import Bool, Float

from jaxface.export.pictures import save_picture, to_bytes
from jaxface.export.reconstruction import Reconstruction
from jaxface.io.atomic import new_file
from jaxface.types import FineMaps

_UNSURE_DEGREES = 40.0  # black

# name -> (pixels, value of black, value of white)
Pictures = dict[str, tuple[np.ndarray, float, float]]


def write_maps(folder: str | os.PathLike, rec: Reconstruction) -> None:
    """Writes every map into `folder`, which is made if it is missing."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = image_pictures(rec) | texture_pictures(rec)
    for name, (pixels, _, _) in pictures.items():
        with new_file(folder / f"{name}.png") as fresh:
            save_picture(fresh, pixels)
    with new_file(folder / "ranges.json") as fresh:
        ranges = {f"{name}.png": {"black": low, "white": high} for name, (_, low, high) in pictures.items()}
        fresh.write_text(json.dumps(ranges, indent=2) + "\n")
    with new_file(folder / "maps.npz") as fresh:
        # Not compressed: floats with noise shrink little, in seconds.
        np.savez(fresh, **map_arrays(rec))  # type: ignore[arg-type]  # none of them is called allow_pickle


def image_pictures(rec: Reconstruction) -> Pictures:
    """Depth, normals, albedo, shading, specular, mask and certainty over the square crop."""
    maps = rec.maps
    mask = np.asarray(maps.mask)
    height_mm = np.asarray(maps.height_px) / crop_scale(rec)
    seen = mask > 0.5
    return {
        "depth": _grey8(height_mm, *_span(height_mm, seen=seen), seen=seen),
        "depth_16bit_mm": _grey16(height_mm, *_span(height_mm, seen=seen), seen=seen),
        "normals": (normals_picture(np.asarray(maps.normals_image)), -1.0, 1.0),
        "albedo": (to_bytes(np.asarray(maps.albedo)), 0.0, 1.0),
        "shading": _bright(np.asarray(maps.shading), seen=seen),
        "specular": _bright(np.asarray(maps.specular), seen=seen),
        "mask": (to_bytes(mask), 0.0, 1.0),
    } | _certainty(maps)


def _certainty(maps: FineMaps) -> Pictures:
    """Where a network saw normals, how far off it holds them to be, the surest white."""
    if maps.spread is None:
        return {}
    degrees = np.degrees(np.asarray(maps.spread))
    return {"certainty": (to_bytes(1.0 - degrees / _UNSURE_DEGREES), _UNSURE_DEGREES, 0.0)}


def texture_pictures(rec: Reconstruction) -> Pictures:
    """Albedo, tangent-space normals and displacement over the model's UV square."""
    textures = rec.textures
    displacement_mm = np.nan_to_num(np.asarray(textures.displacement_mm))
    limit = max(float(np.abs(displacement_mm).max()), 1e-3)
    return {
        "uv_albedo": (to_bytes(np.asarray(textures.albedo)), 0.0, 1.0),
        "uv_normal_map": (to_bytes(0.5 + 0.5 * np.asarray(textures.normals_tangent)), -1.0, 1.0),
        "uv_displacement_16bit_mm": _grey16(displacement_mm, -limit, limit, seen=np.ones(displacement_mm.shape, bool)),
    }


def map_arrays(rec: Reconstruction) -> dict[str, np.ndarray]:
    """The arrays of `maps.npz`; heights and displacement in float32, the rest in float16."""
    maps, textures = rec.maps, rec.textures
    scale = crop_scale(rec)
    exact = {
        "height_px": maps.height_px,
        "medium_height_px": maps.medium_height_px,
        "phase1_height_px": maps.phase1_height_px,
        "height_mm": np.asarray(maps.height_px) / scale,
        "light": maps.light,
        "uv_displacement_mm": textures.displacement_mm,
        "px_per_mm": scale,
    }
    coarse = {
        "image": rec.crop_image,
        "normals_image": maps.normals_image,
        "albedo": maps.albedo,
        "shading": maps.shading,
        "specular": maps.specular,
        "mask": maps.mask,
        "confidence": maps.confidence,
        "relit": rec.relit,
        "uv_albedo": textures.albedo,
        "uv_normals_tangent": textures.normals_tangent,
        "uv_covered": textures.covered,
    }
    if maps.spread is not None:
        coarse["spread"] = maps.spread
    return {name: np.asarray(value, np.float32) for name, value in exact.items()} | {
        name: np.asarray(value, np.float16) for name, value in coarse.items()
    }


def normals_picture(normals_image: Float[np.ndarray, "height width 3"]) -> np.ndarray:
    """uint8 RGB of (x right, y up, z to the viewer); the image frame's y points down."""
    upward = normals_image * np.array([[[1.0, -1.0, 1.0]]], np.float32)
    return to_bytes(0.5 + 0.5 * upward)


def crop_scale(rec: Reconstruction) -> float:
    """Pixels of the crop per millimetre of the face, at the object's origin."""
    return float(np.exp(np.asarray(rec.coarse_fit.pose.log_scale))) * float(np.asarray(rec.crop.zoom))


def _span(values: np.ndarray, *, seen: Bool[np.ndarray, "height width"]) -> tuple[float, float]:
    usable = values[seen & np.isfinite(values)]
    if usable.size == 0:
        return 0.0, 1.0
    low, high = float(usable.min()), float(usable.max())
    return low, max(high, low + 1e-3)


def _bright(values: np.ndarray, *, seen: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Black is 0; white is 1 or, where that would burn out, the value that one pixel in two hundred exceeds."""
    usable = np.nan_to_num(values[seen])
    white = max(float(np.percentile(usable, 99.5)), 1.0) if usable.size else 1.0
    return to_bytes(values / white), 0.0, white


def _grey8(values: np.ndarray, low: float, high: float, *, seen: np.ndarray) -> tuple[np.ndarray, float, float]:
    return to_bytes(np.where(seen, (values - low) / (high - low), 0.0)), low, high


def _grey16(values: np.ndarray, low: float, high: float, *, seen: np.ndarray) -> tuple[np.ndarray, float, float]:
    unit = np.nan_to_num(np.where(seen, (values - low) / (high - low), 0.0))
    return np.round(np.clip(unit, 0.0, 1.0) * 65535.0).astype(np.uint16), low, high
