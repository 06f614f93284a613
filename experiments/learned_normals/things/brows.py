"""Brows and lashes, hair by hair."""

import numpy as np

from learned_normals.head import Head, Thing
from learned_normals.things.colours import hair_shades
from learned_normals.things.shapes import combined, strand
from learned_normals.things.surface import Surface, surface_of, unit

# From the nose outward, the subject's right then left: upper and lower rim of the brow, upper and lower lid.
UPPER = ((107, 66, 105, 63, 70), (336, 296, 334, 293, 300))
LOWER = ((55, 65, 52, 53, 46), (285, 295, 282, 283, 276))
UPPER_LID = ((133, 173, 157, 158, 159, 160, 161, 246, 33), (362, 398, 384, 385, 386, 387, 388, 466, 263))
LOWER_LID = ((133, 155, 154, 153, 145, 144, 163, 7, 33), (362, 382, 381, 380, 374, 373, 390, 249, 263))


def brows(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """Both brows, mostly with lashes."""
    del skin
    surface = surface_of(head)
    colour = hair * rng.uniform(0.45, 1.0)
    style = (rng.uniform(0.7, 1.5), rng.uniform(5.0, 9.0), rng.uniform(0.15, 0.3), int(rng.integers(110, 320)))
    things = [_brow(surface, side, style, colour, rng) for side in (0, 1)]
    if rng.random() < 0.8:
        size = rng.uniform(5.0, 10.0)
        things += [_lashes(surface, UPPER_LID[side], size, 0.9, colour, rng) for side in (0, 1)]
        things += [_lashes(surface, LOWER_LID[side], 0.55 * size, -0.6, colour, rng) for side in (0, 1)]
    return combined(things)


def _brow(surface: Surface, side: int, style: tuple, colour: np.ndarray, rng: np.random.Generator) -> Thing:
    """Hairs that point up near the nose and outward further on, upper ones down and lower ones up, on the skin."""
    width, length, radius, count = style
    upper, lower = surface.marks[list(UPPER[side])], surface.marks[list(LOWER[side])]
    along = rng.beta(1.1, 1.2, count)
    across = np.clip(0.5 + width * 0.3 * rng.normal(size=count), -0.2, 1.2)
    across = 0.5 + (across - 0.5) * np.interp(along, [0.0, 0.2, 0.6, 1.0], [0.9, 1.0, 0.8, 0.3])
    roots = _curve(lower, along) * (1.0 - across[:, None]) + _curve(upper, along) * across[:, None]
    outwards = unit(_curve(upper + lower, np.minimum(along + 0.1, 1.0)) - _curve(upper + lower, along - 0.1))
    upwards = unit(_curve(upper, along) - _curve(lower, along))
    rise = np.interp(along, [0.0, 0.15, 0.4, 1.0], [2.5, 1.2, 0.4, 0.05]) - 0.7 * (across - 0.4) * (along > 0.15)
    flow = unit(outwards + (rise + 0.2 * rng.normal(size=count))[:, None] * upwards)
    steps = np.linspace(0.0, 1.0, 6)
    size = (length * surface.unit * rng.uniform(0.7, 1.1, count))[:, None, None]
    bend = 0.15 * size * (steps**2)[None, :, None] * outwards[:, None]
    paths = roots[:, None] + size * steps[:, None] * flow[:, None] + bend
    paths = _laid(surface, paths, 0.1 + rng.uniform(0.2, 0.9, (count, 1)) * (0.3 + steps))
    return strand(paths, radius * rng.uniform(0.8, 1.1, count), hair_shades(colour, count, rng), rng.uniform(0.5, 1.5))


def _laid(surface: Surface, paths: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Paths set on the skin: moved along the rays from the upright axis to `gap` in front of it."""
    angles, heights = surface.angle(paths), paths[..., 1]
    radius = surface.around(angles, heights)
    own = np.hypot(paths[..., 0] - surface.axis[0], paths[..., 2] - surface.axis[2])
    return surface.cylinder(angles, heights, np.where(np.abs(radius - own) < 15.0, radius, own) + gap)


def _lashes(surface: Surface, lid: tuple, size: float, lift: float, colour, rng: np.random.Generator) -> Thing:
    """Lashes that fan out from a lid's rim, curved up (`lift` > 0) or down."""
    rim = surface.marks[list(lid)]
    count = int(rng.integers(35, 60))
    along = rng.uniform(0.04, 0.98, count)
    roots = _curve(rim, along) + 0.3 * rng.normal(size=(count, 3)) * np.array([1.0, 0.3, 0.3])
    outwards = unit(rim[-1] - rim[0])
    flow = np.array([0.0, 0.25 * np.sign(lift), 1.0]) + (along[:, None] - 0.35) * outwards
    flow = unit(flow + 0.12 * rng.normal(size=flow.shape))
    steps = np.linspace(0.0, 1.0, 6)[:, None]
    length = (size * surface.unit * rng.uniform(0.6, 1.1, count) * (0.6 + 0.5 * along))[:, None, None]
    curve = np.array([0.0, lift, -0.2]) * steps**2
    paths = roots[:, None] + length * (flow[:, None] * steps + curve) + np.array([0.0, 0.0, 0.4])
    return strand(paths, rng.uniform(0.05, 0.11, count), hair_shades(0.4 * colour, count, rng), 0.6)


def _curve(points: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Places (n, 3) at shares of the length of a polygon."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.clip(along, 0.0, 1.0) * length[-1]
    return np.stack([np.interp(places, length, points[:, axis]) for axis in range(3)], axis=-1)
