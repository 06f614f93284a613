"""The clip of `clips`, rendered and tracked once for all tests."""

import pathlib

import numpy as np
import pytest
from PIL import Image
from tracking.clips import FRAMES, GAP, SETTINGS, Told, checksum, shoot

from jaxface.tracking.track import track


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> pathlib.Path:
    """Photos of a turning head; in one of them the lens is covered."""
    folder, points = tmp_path_factory.mktemp("clip") / "turning", {}
    folder.mkdir()
    for t in range(FRAMES):
        face = shoot(t)
        pixels = np.round(255.0 * np.asarray(face.image)).astype(np.uint8)
        points[checksum(pixels)] = np.column_stack([np.asarray(part) for part in face.landmarks])
        Image.fromarray(pixels * (t != GAP)).save(folder / f"frame{t}.png")
    np.savez(folder.parent / "points.npz", **points)
    return folder


@pytest.fixture(scope="session")
def result(clip, tmp_path_factory):
    """The clip tracked, its folder, and what progress told."""
    folder, steps = tmp_path_factory.mktemp("tracked") / "turning", []
    found = track(clip, folder, settings=SETTINGS, landmarks=Told(clip), progress=lambda *step: steps.append(step))
    return found, folder, steps
