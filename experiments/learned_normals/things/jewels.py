"""Earrings and piercings."""

import numpy as np

from learned_normals.head import Head, Thing
from learned_normals.things.colours import dye, metal
from learned_normals.things.shapes import ball, combined, ring
from learned_normals.things.surface import Surface, surface_of

# Landmarks that bear studs: wings of the nose, brows' ends, below the lip, beside the nose's root.
STUDS = (48, 278, 46, 276, 17, 18, 64, 294, 61, 291)


def earrings_or_piercings(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """Balls and rings at ears, nose, brow and lip."""
    del skin, hair
    surface = surface_of(head)
    colour, gloss = metal(rng), rng.uniform(3.0, 5.0)
    things = []
    if rng.random() < 0.7:
        things += _earrings(surface, colour, gloss, rng)
    if rng.random() < 0.3:
        nostril = surface.marks[2] + np.array([0.0, 0.5, 0.0])
        things.append(ring(nostril, np.array([0.0, 0.3, 1.0]), rng.uniform(3.5, 6.0), 0.8, colour, gloss))
    count = int(rng.integers(0, 4)) + (not things)
    for landmark in rng.choice(STUDS, count, replace=False):
        radius = rng.uniform(0.9, 2.4)
        place = surface.marks[landmark] + 0.6 * radius * surface.normal_near(surface.marks[landmark])
        things.append(ball(place, radius, colour, gloss, steps=9))
    return combined(things)


def _earrings(surface: Surface, colour: np.ndarray, gloss: float, rng: np.random.Generator) -> list[Thing]:
    """A pair: studs, hoops or drops."""
    kind, size = rng.choice(["stud", "hoop", "drop"]), rng.uniform(0.0, 1.0)
    stone = dye(rng) if rng.random() < 0.4 else colour
    things = []
    for side in (-1.0, 1.0):
        lobe = surface.ear(side)[1] + np.array([side * 1.0, 4.0, 1.5])
        if kind == "stud":
            things.append(ball(lobe + np.array([side, 0.0, 1.0]), 1.5 + 3.0 * size, stone, gloss, steps=9))
        elif kind == "hoop":
            radius = 6.0 + 22.0 * size
            axis = np.array([0.5 * side, 0.0, 1.0])
            things.append(ring(lobe - np.array([0.0, radius, 0.0]), axis, radius, 0.7 + 1.2 * size, colour, gloss))
        else:
            hang = lobe - np.array([0.0, 8.0 + 14.0 * size, 0.0])
            things += [ball(lobe, 1.6, colour, gloss, steps=8), ball(hang, 3.0 + 4.0 * size, stone, gloss, steps=10)]
            things.append(ball(0.5 * (lobe + hang), np.array([4.0 + 7.0 * size, 0.6]), colour, gloss, steps=8))
    return things
