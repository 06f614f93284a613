"""Random fields in space, from one periodic grid of white noise a seed."""

import functools

import numpy as np
from scipy.ndimage import map_coordinates

_SIDE = 48


@functools.lru_cache(maxsize=64)
def _grid(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(_SIDE,) * 3).astype(np.float32)


def field(points_mm: np.ndarray, *, size_mm: float | np.ndarray, seed: int, octaves: int = 1) -> np.ndarray:
    """A smooth field of about unit spread at points (n, 3); features are about `size_mm` wide, one size an axis if
    three are given, and each further octave is half as wide and half as strong."""
    grid, total, norm = _grid(int(seed) % 2**31), np.zeros(len(points_mm)), 0.0
    for octave in range(octaves):
        places = (points_mm / size_mm * 2.0**octave + 11.7 * octave).T
        total += map_coordinates(grid, places, order=1, mode="grid-wrap", prefilter=False) / 2.0**octave
        norm += 0.25**octave
    return total * 1.8 / np.sqrt(norm)  # linear interpolation leaves little more than half of the spread


def gradient(points_mm: np.ndarray, *, size_mm: float, seed: int) -> np.ndarray:
    """Of the same field, (n, 3) per mm, by differences over a fifth of its features."""
    step = 0.2 * size_mm
    ahead = [field(points_mm + step * axis, size_mm=size_mm, seed=seed) for axis in np.eye(3)]
    behind = [field(points_mm - step * axis, size_mm=size_mm, seed=seed) for axis in np.eye(3)]
    return (np.stack(ahead, axis=1) - np.stack(behind, axis=1)) / (2.0 * step)


def waves(points: np.ndarray, wavelength, rng: np.random.Generator, *, count: int = 14) -> np.ndarray:
    """A smooth random field of about unit variance over points (..., d); wavelengths may differ by coordinate."""
    dims = points.shape[-1]
    directions = rng.normal(size=(count, dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    pitch = 2 * np.pi * rng.uniform(0.6, 1.6, (count, 1)) * directions / np.broadcast_to(wavelength, dims)
    phase = rng.uniform(0.0, 2 * np.pi, count)
    return np.cos(points @ pitch.T + phase).sum(axis=-1) * np.sqrt(2.0 / count)


def vectors(points_mm: np.ndarray, *, size_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Three such fields at points (n, 3), as the components of one of vectors."""
    return np.stack([waves(points_mm, size_mm, rng) for _ in range(3)], axis=-1)
