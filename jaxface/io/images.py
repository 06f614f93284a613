"""Photos from disk as upright RGB arrays in [0, 1], whatever they are stored as (host side)."""

import os
import pathlib
import struct
import warnings

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from jaxface.types import FaceError

MAX_PIXELS = 80_000_000  # 1 GB as float32 RGB; larger headers are bombs or scans that need cropping first
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# What Pillow's decoders raise on broken files, apart from OSError.
_BROKEN = (SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, struct.error)


def read_image(path: str | os.PathLike) -> Float[np.ndarray, "height width 3"]:
    """The picture in a file as float32 RGB in [0, 1], turned as its EXIF orientation asks.

    Grey, palette, CMYK and 16-bit pictures are converted; transparency is laid over white, as browsers show it;
    of an animation the first frame counts. Colours stay in the file's own space. Raises FaceError for whatever
    is not a complete picture of at most 80 megapixels; the message opens with the path and a colon.
    """
    path = pathlib.Path(path)
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode(path)
    except FaceError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise FaceError(_too_large(path)) from None
    except Image.UnidentifiedImageError:
        raise FaceError(f"{path}: this is not a picture; give a JPEG, PNG, WebP, TIFF or BMP file.") from None
    except PermissionError:
        raise FaceError(f"{path}: it may not be read; check its permissions.") from None
    except (OSError, *_BROKEN) as error:
        raise FaceError(f"{path}: the picture is damaged or cut short ({error}); get a complete copy.") from None


def find_images(path: str | os.PathLike) -> list[pathlib.Path]:
    """`path` itself if it is a file; the pictures in it, by suffix, sorted, not recursive, if it is a folder.

    Raises FaceError for a missing path and for a folder without pictures.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FaceError(f"{path}: it does not exist; check the path.")
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and _is_visible(file))
    if not found:
        raise FaceError(f"{path}: no pictures in this folder; they must end in {', '.join(SUFFIXES)}.")
    return found


def _is_visible(path: pathlib.Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _check_file(path: pathlib.Path) -> None:
    if path.is_dir():
        raise FaceError(f"{path}: this is a folder; name a picture in it.")
    if not path.exists():
        raise FaceError(f"{path}: it does not exist; check the path.")
    if path.stat().st_size == 0:
        raise FaceError(f"{path}: the file is empty; get a complete copy.")


def _too_large(path: pathlib.Path) -> str:
    return f"{path}: it has more than {MAX_PIXELS // 10**6} megapixels; crop it around the face or make it smaller."


def _decode(path: pathlib.Path) -> np.ndarray:
    with Image.open(path) as stored:
        if stored.width * stored.height > MAX_PIXELS:
            raise FaceError(_too_large(path))
        stored.load()
        return _to_rgb(ImageOps.exif_transpose(stored))


def _to_rgb(picture: Image.Image) -> np.ndarray:
    """RGB in [0, 1] of a decoded picture in any Pillow mode."""
    if picture.mode.startswith("I"):  # "I;16" and its relatives: 16-bit grey, which convert("RGB") would clip
        grey = np.asarray(picture, np.float32) / 65535.0
        return np.repeat(np.clip(grey, 0.0, 1.0)[..., None], 3, axis=-1)
    if picture.mode == "F":
        raise ValueError("floating-point picture: save it with 8 or 16 bits")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255.0)
