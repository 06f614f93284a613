"""A rendered clip that many tests share, and a detector that was told where its face is."""

import functools
import hashlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.morphable.default import load_default
from jaxface.synthetic import FaceSettings, SyntheticFace, preset_light, synthetic_face
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.track import WORK
from jaxface.types import Landmarks

FRAMES, GAP, SIZE = 4, 2, 128
SETTINGS = TrackSettings(size=SIZE, chunk=3)
MODEL = load_default()


@functools.cache
def shoot(t: int) -> SyntheticFace:
    """A head that turns by 0.1 a frame, frontal in frame 1."""
    yaw, settings = jnp.float32(0.1 * (t - 1)), FaceSettings(off_basis_mm=0.3)
    return synthetic_face(
        jax.random.key(7), model=MODEL, size=224, yaw=yaw, light=preset_light("soft"), levels=1, settings=settings
    )


class Told:
    """A detector that knows pictures by their checksum, from `points.npz` beside the clip."""

    name = "told"

    def __init__(self, clip: pathlib.Path):
        with np.load(clip.parent / "points.npz") as stored:
            self._points = dict(stored)

    def __call__(self, image: np.ndarray) -> list[Landmarks]:
        rows = self._points.get(checksum(image))
        return [] if rows is None else [Landmarks(rows[:, :2], rows[:, 2], rows[:, 3])]


def checksum(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def everything(folder: pathlib.Path) -> dict[str, bytes]:
    """All files of a result but the journal's, by name."""
    files = [file for file in folder.rglob("*") if file.is_file() and WORK not in file.parts]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
