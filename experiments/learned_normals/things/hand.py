"""A hand in front of the face: fingers with knuckles, creases and nails, and the back of the hand."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from learned_normals.head import Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import dye, other_skin
from learned_normals.things.fingers import STEPS, Cover, finger
from learned_normals.things.shapes import combined, tube
from learned_normals.things.surface import Surface, surface_of, unit

# Landmarks touched on the subject's right and left, and towards where the fingers point: degrees from up, outward > 0.
TARGETS = {
    "chin": ((152, 152), (-50.0, 50.0)),
    "lips": ((13, 13), (-60.0, 30.0)),
    "jaw": ((172, 397), (-50.0, 20.0)),
    "cheek": ((50, 280), (-80.0, 10.0)),
    "eye": ((159, 386), (-80.0, 10.0)),
    "forehead": ((67, 297), (-100.0, -30.0)),
    "nose": ((4, 4), (-70.0, 20.0)),
}
LENGTHS = np.array([75.0, 84.0, 78.0, 61.0])  # index to little finger
ROOT = 10  # where along its middle line a finger leaves the hand


class Hand(NamedTuple):
    """Where a hand is: the plane it lies over (`frame` rows: across, along the fingers, away from the face), its size,
    how many fingers are stretched and which way round it is."""

    origin: np.ndarray
    frame: np.ndarray
    size: float
    stretched: int
    first: int
    mirror: float
    spread: float


def hand(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """One to five fingers of a bare or gloved hand on some part of the face."""
    del hair
    surface = surface_of(head)
    place, cover = _posture(surface, rng), _cover(skin, rng)
    lines, floors = zip(*(_line(surface, place, number, rng) for number in range(4)), strict=True)
    bases = np.stack([line[ROOT] for line in lines])
    bases[:, 2] = bases[place.first : place.first + place.stretched, 2].mean()
    things = []
    for number, (line, floor) in enumerate(zip(lines, floors, strict=True)):
        rooted = line[:, 2] + (bases[number, 2] - line[ROOT, 2]) * np.linspace(1.0, 0.0, STEPS)
        line[:, 2] = np.maximum(rooted, np.maximum(floor, -1e3))
        path = ndimage.gaussian_filter1d(place.origin + line @ place.frame, 2.0, axis=0, mode="nearest")
        radius = place.size * (8.9 if number < 3 else 7.7)
        things.append(finger(path, radius, place.frame[2], cover, rng))
    if rng.random() < 0.6:
        things.append(_thumb(surface, place, bases[0], cover, rng))
    things.append(_back(surface, place, bases, cover, rng))
    return combined(things)


def _posture(surface: Surface, rng: np.random.Generator) -> Hand:
    landmarks, (lowest, highest) = TARGETS[str(rng.choice(list(TARGETS)))]
    side = rng.choice([-1.0, 1.0])
    origin = surface.marks[landmarks[0 if side < 0 else 1]] + np.append(rng.normal(0.0, 5.0, 2), 0.0)
    away = unit(surface.normal_near(origin) * np.array([1.0, 0.3, 1.0]) + np.array([0.0, 0.0, 1.0]))
    angle = np.radians(rng.uniform(lowest, highest)) * side
    along = np.array([np.sin(angle), np.cos(angle), 0.0])
    along = unit(along - away * (along @ away))
    frame = np.stack([np.cross(along, away), along, away])
    stretched = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.25, 0.2, 0.35]))
    first = 0 if rng.random() < 0.7 else int(rng.integers(0, 5 - stretched))
    spread = rng.uniform(-0.02, 0.1)
    return Hand(origin, frame, surface.unit * rng.uniform(0.9, 1.18), stretched, first, rng.choice([-1.0, 1.0]), spread)


def _cover(skin: np.ndarray, rng: np.random.Generator) -> Cover:
    kind = rng.choice(["own", "other", "glove"], p=[0.7, 0.18, 0.12])
    if kind == "glove":
        return Cover(dye(rng), None, rng.uniform(0.1, 2.5), 0.15)
    colour = skin * rng.uniform(0.75, 1.15) * rng.uniform(0.96, 1.04, 3) if kind == "own" else other_skin(rng)
    nail = dye(rng) if rng.random() < 0.2 else np.clip(colour * np.array([1.12, 1.0, 1.02]) + 0.05, 0.0, 1.0)
    return Cover(colour, nail, rng.uniform(0.7, 1.4), 0.12)


def _line(surface: Surface, place: Hand, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A finger's middle line in the hand's frame (STEPS, 3), from inside the hand to the tip, and the heights that it
    must keep to be above the face: stretched to touch it, or curled in front of it."""
    last = place.first + place.stretched
    stretched, length = place.first <= number < last, LENGTHS[number] * place.size
    if stretched:
        share, rise = (
            np.array([-0.2, 0.0, 0.48, 0.77, 1.0]),
            rng.uniform(0.5, 1.5) * np.array([9.0, 11.0, 13.0, 7.0, 0.0]),
        )
    else:
        share, rise = np.array([-0.2, 0.0, 0.45, 0.5, 0.22]), np.array([10.0, 12.0, 17.0, -4.0, -12.0])
    across = place.mirror * 18.5 * place.size * (number - place.first - 0.5 * (place.stretched - 1))
    start = -place.size * LENGTHS[place.first : last].mean() + place.size * np.array([3.0, 5.0, 2.0, -6.0])[number]
    lean = place.mirror * place.spread * (number - 1.5)
    knots = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(length * share), np.diff(rise)))]) / length
    knots = (knots - knots[1]) / (knots[-1] - knots[1])
    at = np.linspace(-ROOT / (STEPS - 1 - ROOT), 1.0, STEPS)
    reach, height = np.interp(at, knots, length * share), np.interp(at, knots, place.size * rise)
    u, v = across + np.sin(lean) * reach, start + np.cos(lean) * reach
    face = surface.relief(place.origin, place.frame, u, v)
    tip = np.nanmax(np.append(face[-12:] if stretched else face, -30.0))
    floor = np.where(np.isnan(face), -np.inf, face) + place.size * 7.8
    height = np.maximum(height + tip + place.size * 7.4, floor)
    height = np.maximum(ndimage.gaussian_filter1d(height, 4.0, mode="nearest"), floor)
    return np.stack([u, v, height], axis=-1), floor


def _thumb(surface: Surface, place: Hand, index: np.ndarray, cover: Cover, rng: np.random.Generator) -> Thing:
    """Beside the index finger's root, held out or laid along the hand."""
    out = -place.mirror * place.size
    angle = rng.uniform(0.3, 1.0)
    start = index + np.array([out * -12.0, -66.0 * place.size, -2.0])
    middle = index + np.array([out * 9.0, -34.0 * place.size, -1.0])
    end = middle + 48.0 * place.size * np.array([out / place.size * np.sin(angle), np.cos(angle), -0.1])
    knots = np.stack([start, middle, end])
    path = np.stack([np.interp(np.linspace(0, 2, STEPS), range(3), knots[:, axis]) for axis in range(3)], axis=-1)
    face = surface.relief(place.origin, place.frame, path[:, 0], path[:, 1])
    floor = np.where(np.isnan(face), -np.inf, face) + 8.0 * place.size
    path[:, 2] = np.maximum(ndimage.gaussian_filter1d(np.maximum(path[:, 2], floor), 5.0, mode="nearest"), floor)
    path = ndimage.gaussian_filter1d(path, 4.0, axis=0, mode="nearest")
    up = unit(place.frame[2] + 0.7 * np.sign(out) * place.frame[0])
    return finger(place.origin + path @ place.frame, 9.6 * place.size, up, cover, rng)


def _back(surface: Surface, place: Hand, bases: np.ndarray, cover: Cover, rng: np.random.Generator) -> Thing:
    """From the knuckles to the wrist and a little of the arm, kept off the face."""
    along = np.linspace(0.0, 1.0, 60)
    v = bases[:, 1].mean() + place.size * (8.0 - 230.0 * along)
    u = np.full(60, bases[:, 0].mean()) + place.size * rng.normal(0.0, 20.0) * along**2
    face = surface.relief(place.origin, place.frame, u + np.array([[-20.0], [0.0], [20.0]]) * place.size, v)
    floor = np.nanmax(np.concatenate([face, np.full((1, 60), -200.0)]), axis=0) + 15.0 * place.size
    height = np.maximum(bases[:, 2].mean() - place.size * rng.uniform(-10.0, 30.0) * along, floor)
    height = np.maximum(ndimage.gaussian_filter1d(height, 4.0, mode="nearest"), floor)
    path = place.origin + np.stack([u, v, height], axis=-1) @ place.frame
    half = np.interp(along, [0.0, 0.04, 0.2, 0.39, 1.0], [12.0, 36.0, 40.0, 29.0, 38.0])
    thick = np.interp(along, [0.0, 0.04, 0.2, 0.39, 1.0], [3.0, 9.5, 14.0, 17.0, 30.0])
    sides = 36
    turn = 2 * np.pi * np.arange(sides) / sides
    knuckles = (
        np.cos(4.3 * np.pi * np.cos(turn)) * (np.sin(turn) > 0) * np.exp(-(((along[:, None] - 0.052) / 0.065) ** 2))
    )
    flat = np.stack(np.broadcast_arrays(105.0 * along[:, None], 35.0 * np.cos(turn), 15.0 * np.sin(turn)), axis=-1)
    shade = 1.0 + 0.05 * waves(flat, 25.0, rng) - 0.06 * knuckles
    sleeve = (along > rng.uniform(0.43, 1.3))[:, None, None]
    colours = np.where(sleeve, dye(rng), cover.colour * shade[..., None])
    radii = place.size * np.stack([half, thick], axis=-1) * np.where(sleeve[..., 0], 1.12, 1.0)
    back = tube(path[None], radii[None], colours[None], cover.gloss, sides=sides, up=place.frame[2], grain=cover.grain)
    raised = 2.0 * place.size * knuckles.reshape(-1, 1) * place.frame[2]
    return back._replace(vertices_mm=back.vertices_mm + raised)
