"""Long hair that hangs over the face and at its sides."""

import numpy as np
from scipy import ndimage

from learned_normals.head import Head, Thing
from learned_normals.things.colours import hair_shades
from learned_normals.things.shapes import combined, strand
from learned_normals.things.surface import Surface, falling, filled, surface_of

STEPS = 22
STYLES = ("sides", "one side", "bangs", "swept", "loose")


def strands(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """Locks at the sides, bangs, a swept fringe, or a few loose strands across the face."""
    del skin
    surface = surface_of(head)
    style = str(rng.choice(STYLES))
    wavy = rng.uniform(0.0, 1.0) ** 2
    if style == "sides":
        things = [_side(surface, side, 200, wavy, hair, rng) for side in (-1.0, 1.0)]
    elif style == "one side":
        things = [_side(surface, rng.choice([-1.0, 1.0]), 320, wavy, hair, rng)]
    elif style == "bangs":
        things = [_bangs(surface, wavy, hair, rng)]
    elif style == "swept":
        things = [_swept(surface, wavy, hair, rng)]
    else:
        things = [_loose(surface, wavy, hair, rng)]
    if style in ("bangs", "swept") and rng.random() < 0.5:
        things += [_side(surface, side, 70, wavy, hair, rng) for side in (-1.0, 1.0)]
    return combined(things)


def _side(surface: Surface, side: float, count: int, wavy: float, hair: np.ndarray, rng: np.random.Generator) -> Thing:
    """A curtain from the temple past the ear, sometimes over the cheek."""
    inner, outer = rng.uniform(0.75, 1.15), rng.uniform(1.4, 1.9)
    top = surface.marks[10, 1] + surface.unit * rng.uniform(5.0, 25.0)
    locks = max(count // 14, 1)
    angles = side * rng.uniform(inner, outer, locks)
    heights = top + surface.unit * rng.uniform(-15.0, 15.0, locks)
    lengths = surface.unit * (rng.uniform(90.0, 240.0) + rng.uniform(-25.0, 25.0, locks))
    drifts = -side * rng.uniform(-0.1, 0.35) * rng.uniform(0.5, 1.5, locks)
    return _hang(surface, (angles, heights, lengths, drifts), count, wavy, hair, rng, slope=0.25)


def _bangs(surface: Surface, wavy: float, hair: np.ndarray, rng: np.random.Generator) -> Thing:
    """Short hair straight over the forehead, down to the brows or the eyes."""
    locks = int(rng.integers(12, 40))
    angles = rng.uniform(-0.75, 0.75, locks)
    heights = surface.marks[10, 1] + surface.unit * rng.uniform(10.0, 28.0, locks)
    lengths = surface.unit * (rng.uniform(35.0, 75.0) + rng.uniform(-8.0, 8.0, locks)) * (1.0 + 0.3 * np.abs(angles))
    drifts = rng.normal(0.0, 0.12, locks) + rng.uniform(-0.2, 0.2)
    return _hang(surface, (angles, heights, lengths, drifts), int(rng.integers(200, 330)), wavy, hair, rng, slope=1.0)


def _swept(surface: Surface, wavy: float, hair: np.ndarray, rng: np.random.Generator) -> Thing:
    """A fringe from a parting to one side, over the temple or an eye."""
    side = rng.choice([-1.0, 1.0])
    locks = int(rng.integers(10, 26))
    angles = -side * rng.uniform(0.1, 0.45) + rng.normal(0.0, 0.08, locks)
    heights = surface.marks[10, 1] + surface.unit * rng.uniform(8.0, 26.0, locks)
    lengths = surface.unit * rng.uniform(50.0, 140.0) * rng.uniform(0.7, 1.2, locks)
    drifts = side * rng.uniform(0.7, 1.6) * rng.uniform(0.7, 1.2, locks)
    return _hang(surface, (angles, heights, lengths, drifts), int(rng.integers(150, 330)), wavy, hair, rng, slope=0.6)


def _loose(surface: Surface, wavy: float, hair: np.ndarray, rng: np.random.Generator) -> Thing:
    """A few locks and single hairs anywhere over forehead, eye and cheek."""
    locks = int(rng.integers(3, 11))
    angles = rng.uniform(-0.9, 0.9, locks)
    heights = surface.marks[10, 1] + surface.unit * rng.uniform(-5.0, 20.0, locks)
    lengths = surface.unit * rng.uniform(40.0, 170.0, locks)
    drifts = rng.normal(0.0, 0.5, locks)
    return _hang(surface, (angles, heights, lengths, drifts), int(rng.integers(20, 130)), wavy, hair, rng, slope=0.5)


def _hang(surface: Surface, locks: tuple, count: int, wavy: float, hair, rng: np.random.Generator, *, slope) -> Thing:
    """`count` strands in locks of given angle, height, length and drift, a few millimetres off the skin."""
    angles, heights, lengths, drifts = locks
    number = len(angles)
    lock = rng.integers(number, size=count)
    along = np.linspace(0.0, 1.0, STEPS)
    spread = rng.normal(0.0, 1.0, (count, 1)) * (rng.uniform(0.01, 0.05) * (1.0 - 0.6 * along))
    pitch = rng.uniform(45.0, 120.0)
    phase = rng.uniform(0.0, 2 * np.pi, number)[lock, None] + 0.3 * rng.normal(size=(count, 1))
    length = (lengths[lock] * rng.uniform(0.8, 1.08, count))[:, None]
    wave = 2 * np.pi * along * length / pitch + phase
    bend = rng.normal(0.0, 0.15, number)[lock, None]
    turn = angles[lock, None] + drifts[lock, None] * (1.7 * along - 0.7 * along**2) + bend * along**2 + spread
    turn = turn + 0.05 * wavy * along * np.sin(wave)
    height = heights[lock, None] + rng.normal(0.0, 3.0, (count, 1)) - length * along
    skin = filled(surface.around(turn, height))
    gap = 1.0 + rng.uniform(0.5, 3.5, number)[lock, None] + rng.exponential(1.2, (count, 1)) + 2.0 * along
    radius = falling(skin + gap, length * along, slope) + 3.5 * wavy * along * np.cos(wave)
    radius = np.maximum(ndimage.gaussian_filter1d(radius, 1.5, axis=1, mode="nearest"), skin + 0.4)
    paths = surface.cylinder(turn, height, radius)
    shades = hair_shades(hair, count, rng, 0.2) * np.exp(0.15 * rng.normal(size=(number, 1)))[lock]
    thick = rng.uniform(0.3 if count > 150 else 0.15, 0.6) * rng.uniform(0.6, 1.2, count)
    return strand(paths, np.clip(thick, 0.15, 0.6), shades, rng.uniform(0.6, 2.0))
