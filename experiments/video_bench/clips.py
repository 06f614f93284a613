"""The clip that is tracked: photos of a rendered head that turns, and the same photos many times over."""

import pathlib

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np

from jaxface.morphable.default import load_default
from jaxface.synthetic import SyntheticFace, synthetic_face

YAW_DEGREES = 25.0  # the head turns from one side to the other


def render(folder: str, *, num_frames: int, size: int) -> dict:
    """Photos of `size` x `size` pixels, a PNG file a frame."""
    path = pathlib.Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    for number, turn in enumerate(-np.cos(np.linspace(0.0, np.pi, num_frames))):
        image = to_bytes(photograph(turn * np.radians(YAW_DEGREES), size=size).image)
        iio.imwrite(path / f"{number:06d}.png", image, plugin="pillow")
    return {"frames": num_frames}


def photograph(yaw: float, *, size: int) -> SyntheticFace:
    """The head turned by `yaw` radians."""
    return synthetic_face(jax.random.key(7), model=load_default(), size=size, yaw=jnp.float32(yaw), levels=1)


def to_bytes(image: jax.Array) -> np.ndarray:
    """Colours in [0, 1] as 8 bits."""
    return np.round(255.0 * np.asarray(image)).astype(np.uint8)


def lengthen(clip: pathlib.Path, folder: pathlib.Path, *, factor: int) -> int:
    """A clip of `factor` times as many frames, links to the same photos, forth and back; returns their number."""
    folder.mkdir(parents=True)
    forth = sorted(clip.resolve().glob("*.png"))
    photos = [photo for turn in range(factor) for photo in (reversed(forth) if turn % 2 else forth)]
    for number, photo in enumerate(photos):
        (folder / f"{number:06d}.png").symlink_to(photo)
    return len(photos)
