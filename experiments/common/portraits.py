"""Photos of faces: the ones that are named, or public-domain portraits."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator

import matplotlib.cbook
import numpy as np

from jaxface.io.arrays import as_rgb
from jaxface.io.images import read_image
from jaxface.types import FaceError


def load(paths: list[str]) -> dict[str, np.ndarray]:
    """Photos by name, RGB in [0, 1]; without paths the public-domain portraits. Raises FaceError for bad files."""
    if not paths:
        return _public_domain()
    found = {}
    for path in map(pathlib.Path, paths):
        name = path.stem if path.stem not in found else str(path)
        found[name] = read_image(path)
    return found


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """What is raised inside as FaceError says whose photo it is about."""
    try:
        yield
    except FaceError as error:
        raise FaceError(f"{name}: {error}") from None


def _public_domain() -> dict[str, np.ndarray]:
    """Grace Hopper, who comes with matplotlib, and Eileen Collins where scikit-image is installed."""
    hopper = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    found = {"Grace Hopper": read_image(hopper)}
    if importlib.util.find_spec("skimage") is not None:
        from skimage import data

        found["Eileen Collins"] = as_rgb(data.astronaut())
    return found
