"""Random light: an environment of soft lobes around the head, and sources near or far that cast shadows.

Directions point from the head to the light, in the camera frame: x right, y up, z toward the viewer.
"""

from typing import NamedTuple

import numpy as np


class Source(NamedTuple):
    """Unit directions to points spread over a light (samples, 3), and its colour, that of all samples together."""

    directions: np.ndarray
    colour: np.ndarray


class Light(NamedTuple):
    """`environment(directions)` gives radiance (n, 3); its share of the whole is `ambient`."""

    lobes: np.ndarray  # (lobes, 3) axes
    sharpness: np.ndarray  # (lobes,)
    colours: np.ndarray  # (lobes, 3)
    base: np.ndarray  # (2, 3): sky, ground
    sources: tuple[Source, ...]

    def environment(self, directions: np.ndarray) -> np.ndarray:
        up = 0.5 + 0.5 * np.clip(directions[:, 1:2] * 1.5, -1.0, 1.0)
        radiance = up * self.base[0] + (1.0 - up) * self.base[1]
        return radiance + np.exp((directions @ self.lobes.T - 1.0) * self.sharpness) @ self.colours


def spread(count: int) -> np.ndarray:
    """Directions (count, 3) evenly over the sphere, on a spiral."""
    rank = np.arange(count) + 0.5
    height, turn = 1.0 - 2.0 * rank / count, np.pi * (3.0 - np.sqrt(5.0)) * rank
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=1)


def disc(axis: np.ndarray, half_angle: float, count: int) -> np.ndarray:
    """Directions (count, 3) evenly over a cap of `half_angle` radians around a direction."""
    axis = axis / np.linalg.norm(axis)
    aside = np.cross(axis, [0.37, 0.61, 0.7] if abs(axis[1]) > 0.6 else [0.1, 1.0, 0.2])
    aside /= np.linalg.norm(aside)
    rank = np.arange(count) + 0.5
    turn = np.pi * (3.0 - np.sqrt(5.0)) * rank
    tilt = np.arccos(1.0 - rank / count * (1.0 - np.cos(half_angle)))
    around = np.cos(turn)[:, None] * aside + np.sin(turn)[:, None] * np.cross(axis, aside)
    return np.cos(tilt)[:, None] * axis + np.sin(tilt)[:, None] * around


def _toward(rng: np.random.Generator, *, behind: bool = False) -> np.ndarray:
    """From the front half mostly, more often from above than from below."""
    azimuth = rng.uniform(110, 170) * rng.choice([-1, 1]) if behind else np.clip(rng.normal() * 50, -105, 105)
    height = np.radians(np.clip(rng.normal(25, 25), -35, 80))
    azimuth = np.radians(azimuth)
    return np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])


def _tint(rng: np.random.Generator, strength: float) -> np.ndarray:
    """From candle to blue sky, or a coloured lamp."""
    warm = rng.uniform(-1.0, 1.0) * np.array([0.35, 0.02, -0.45])
    odd = rng.normal(size=3) * (0.4 if rng.random() < 0.05 else 0.04)
    return np.exp(strength * warm + odd)


def random_light(rng: np.random.Generator) -> Light:
    """Studio, window, overcast, sun and sky, lamps of several colours, flash, light from behind."""
    kind = rng.choice(
        ["overcast", "one", "two", "sun", "several", "flash", "back"], p=[0.12, 0.3, 0.2, 0.14, 0.1, 0.06, 0.08]
    )
    fill = rng.uniform(0.08, 0.5)
    base = fill * np.stack([_tint(rng, 0.5), _tint(rng, 0.5) * rng.uniform(0.3, 1.0)])
    count = rng.integers(1, 5)
    lobes = np.stack([_toward(rng, behind=rng.random() < 0.3) for _ in range(count)])
    strength = rng.uniform(0.1, 1.0, (count, 1)) * (2.0 if kind == "overcast" else 0.7)
    colours = strength * np.stack([_tint(rng, 0.6) for _ in range(count)])
    sources = []

    def add(direction, degrees, power, samples):
        sources.append(Source(disc(direction, np.radians(degrees), samples), power * _tint(rng, 0.6)))

    if kind == "sun":
        add(_toward(rng), 1.0, rng.uniform(1.5, 4.0), 4)
    elif kind == "flash":
        add(np.array([rng.normal() * 0.15, rng.uniform(0, 0.3), 1.0]), 3.0, rng.uniform(1.0, 3.0), 4)
    elif kind == "back":
        add(_toward(rng, behind=True), rng.uniform(2, 15), rng.uniform(1.0, 4.0), 8)
        add(_toward(rng), rng.uniform(10, 35), rng.uniform(0.3, 0.8), 12)
    elif kind != "overcast":
        for k in range({"one": 1, "two": 2, "several": 3}[kind]):
            add(_toward(rng), rng.uniform(4, 38), rng.uniform(0.5, 1.8) * 0.6**k, 16 if k == 0 else 8)
    return Light(lobes, rng.uniform(1.0, 12.0, count), colours, base, tuple(sources))
