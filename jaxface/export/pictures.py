"""Arrays as 8-bit pictures and PNG files (host side)."""

import pathlib

import imageio.v3 as iio
import numpy as np
from jaxtyping import Float
from PIL import Image

# zlib's level: 1 is up to four times as fast as the usual 6, for files 10 % larger.
COMPRESSION = 1


def to_bytes(values: Float[np.ndarray, "..."]) -> np.ndarray:
    """uint8 of values in [0, 1]; what is outside is clipped, what is not a number becomes 0."""
    return np.round(np.clip(np.nan_to_num(values), 0.0, 1.0) * 255.0).astype(np.uint8)


def to_picture(values: Float[np.ndarray, "..."]) -> Image.Image:
    """8-bit picture, RGB or grey, of values in [0, 1]."""
    return Image.fromarray(to_bytes(values))


def save_picture(path: pathlib.Path, pixels: np.ndarray) -> None:
    """Writes a PNG of uint8 pixels, RGB or grey, or of uint16 grey ones."""
    path.write_bytes(iio.imwrite("<bytes>", pixels, plugin="pillow", extension=".png", compress_level=COMPRESSION))
