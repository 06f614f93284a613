"""What heads wear: caps, beanies, brimmed hats, helmets and headscarves."""

import numpy as np
from scipy import ndimage

from learned_normals.head import Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import cloth, dye, smoothstep
from learned_normals.things.shapes import combined, sheet, tube
from learned_normals.things.surface import Surface, filled, sphere, surface_of, taut

ROWS, COLUMNS = 64, 150
# The face's outline from the top over the subject's left cheek to the chin and back.
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip


def hat(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A cap with a peak, a beanie, a hat with a brim, a helmet or a headscarf."""
    del skin, hair
    surface = surface_of(head)
    kind = rng.choice(["cap", "beanie", "brim", "helmet", "headscarf"], p=[0.27, 0.22, 0.15, 0.13, 0.23])
    makers = {"cap": _cap, "beanie": _beanie, "brim": _brim, "helmet": _helmet, "headscarf": _headscarf}
    return makers[str(kind)](surface, rng)


def _azimuth() -> np.ndarray:
    return 2 * np.pi * np.arange(COLUMNS) / COLUMNS


def _edge(surface: Surface, front_mm: float, side: float, back: float) -> np.ndarray:
    """Polar angles of a hat's rim per azimuth: `front_mm` above the forehead's top landmark, then the sides' and the
    back's own angles."""
    top = surface.marks[10] + np.array([0.0, front_mm, 0.0]) - surface.centre
    front = np.arctan2(top[2], top[1])
    turn = np.exp(1j * _azimuth())
    mean, slope = 0.25 * (front + back) + 0.5 * side, 0.5 * (front - back)
    return mean + slope * turn.real + (0.25 * (front + back) - 0.5 * side) * (turn**2).real


def _crown(surface: Surface, edge: np.ndarray, passes: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (ROWS, COLUMNS, 3) from the top down to the rim, and how far out a taut cover would lie."""
    polar = np.linspace(0.0, 1.0, ROWS)[:, None] * edge
    directions = sphere(polar, _azimuth())
    return directions, taut(filled(surface.outward(directions)), passes, mode=("nearest", "wrap"))


def _covered(surface, directions, radius, colours, gloss, grain) -> Thing:
    points = surface.centre + radius[..., None] * directions
    return sheet(points, colours, gloss, surface.centre, closed=True, grain=grain)


def _places(directions: np.ndarray) -> np.ndarray:
    """Coordinates of a fabric over the head: around and down."""
    polar = np.arccos(np.clip(directions[..., 1], -1.0, 1.0))
    return np.stack([90.0 * np.broadcast_to(_azimuth(), polar.shape), 90.0 * polar], axis=-1)


def _cap(surface: Surface, rng: np.random.Generator) -> Thing:
    """Six panels and a peak; sometimes back to front."""
    backwards = rng.random() < 0.15
    edge = _edge(surface, rng.uniform(-16.0, 6.0), rng.uniform(1.35, 1.55), rng.uniform(1.75, 2.0))
    directions, radius = _crown(surface, edge, 60)
    share = np.linspace(0.0, 1.0, ROWS)[:, None]
    radius = (
        radius + rng.uniform(4.0, 9.0) + rng.uniform(2.0, 12.0) * np.sin(np.pi * share) * (1.0 + np.cos(_azimuth()))
    )
    seams = np.abs(np.sin(3.0 * _azimuth())) < 0.06
    radius = radius - 0.6 * seams + 0.4 * waves(90.0 * directions, 40.0, rng)
    first = cloth(_places(directions), rng, finest_mm=20.0)
    second = dye(rng) if rng.random() < 0.4 else None
    colours = first if second is None else np.where((np.cos(_azimuth()) > 0.5)[:, None], second, first)
    gloss = rng.uniform(0.1, 0.5)
    shell = _covered(surface, directions, radius, colours * (1.0 - 0.25 * seams[:, None]), gloss, 0.2)
    rim = surface.centre + radius[-1][:, None] * directions[-1]
    colour = dye(rng) if rng.random() < 0.4 else colours[-1].mean(axis=0)
    return combined([shell, _peak(surface, rim, np.pi if backwards else 0.0, colour, rng)])


def _peak(surface: Surface, rim: np.ndarray, where: float, colour: np.ndarray, rng: np.random.Generator) -> Thing:
    """A stiff peak that leaves the rim at azimuth `where`, arched from side to side."""
    turn = np.linspace(-1.2, 1.2, 50)
    inner = np.stack([np.interp(where + turn, _azimuth(), rim[:, axis], period=2 * np.pi) for axis in range(3)], -1)
    reach = rng.uniform(55.0, 80.0) * surface.unit * np.cos(turn * 1.3) ** 0.5
    ahead = np.array([np.sin(where), 0.0, np.cos(where)])
    share = np.linspace(0.0, 1.0, 16)[:, None, None]
    drop, arch = rng.uniform(0.05, 0.45), rng.uniform(8.0, 26.0)
    points = inner + share * reach[:, None] * (ahead - drop * np.array([0.0, 1.0, 0.0]))
    points = points - arch * share**0.7 * ((turn / 1.2) ** 2)[:, None] * np.array([0.0, 0.5, 0.0])
    under = points[::-1] - np.array([0.0, 2.2, 0.0])
    return sheet(np.concatenate([points, under]), colour, 0.4, points.mean(axis=(0, 1)) - [0, 1, 0], grain=0.15)


def _beanie(surface: Surface, rng: np.random.Generator) -> Thing:
    """Knitted, over or above the ears, mostly with a folded cuff; some sag behind, some bear a bobble."""
    edge = _edge(surface, rng.uniform(-24.0, 8.0), rng.uniform(1.4, 1.85), rng.uniform(1.9, 2.2))
    directions, radius = _crown(surface, edge, 25)
    share = np.linspace(0.0, 1.0, ROWS)[:, None]
    loose = rng.uniform(0.0, 40.0) * np.exp(-share * 3.0) * (1.0 - 0.6 * np.cos(_azimuth()))
    folds = rng.uniform(0.5, 3.0) * waves(90.0 * directions, 35.0, rng) * (1.0 - share)
    cuff = rng.uniform(3.0, 6.0) * smoothstep((share - rng.uniform(0.72, 0.85)) / 0.03) * (rng.random() < 0.75)
    ribs = rng.uniform(0.3, 1.2) * np.cos(_azimuth() * int(rng.integers(30, 50)))
    radius = radius + 3.5 + loose + folds + cuff + ribs * np.minimum(3.0 * share, 1.0)
    colours = cloth(_places(directions), rng, finest_mm=16.0) * (1.0 + 0.12 * np.sign(ribs))[:, None]
    colours = np.where((cuff > 1.0)[..., None], dye(rng), colours) if rng.random() < 0.3 else colours
    return _covered(surface, directions, radius, colours, 0.1, 0.35)


def _brim(surface: Surface, rng: np.random.Generator) -> Thing:
    """A hat with a ribbon and a brim all round."""
    edge = _edge(surface, rng.uniform(-14.0, 8.0), rng.uniform(1.3, 1.45), rng.uniform(1.5, 1.75))
    directions, radius = _crown(surface, edge, 60)
    share = np.linspace(0.0, 1.0, ROWS)[:, None]
    tall = rng.uniform(0.0, 35.0)
    points = surface.centre + (radius + 5.0)[..., None] * directions
    points[..., 1] += tall * smoothstep((1.0 - share) / 0.5)
    colour, ribbon = dye(rng), dye(rng)
    colours = np.where((share > 0.85)[..., None], ribbon, colour * np.ones((1, COLUMNS, 1)))
    crown = sheet(points, colours, 0.3, surface.centre, closed=True, grain=0.25)
    reach, drop = rng.uniform(40.0, 95.0), rng.uniform(-0.2, 0.5)
    out = np.stack([np.sin(_azimuth()), np.zeros(COLUMNS), np.cos(_azimuth())], axis=-1)
    wave = rng.uniform(0.0, 6.0) * waves(80.0 * out, 120.0, rng)[:, None] * np.array([0.0, 1.0, 0.0])
    along = np.linspace(0.0, 1.0, 14)[:, None, None]
    top = points[-1] + along * reach * (out - drop * np.array([0.0, 1.0, 0.0])) + along**2 * wave
    both = np.concatenate([top, top[::-1] - np.array([0.0, 2.0, 0.0])])
    return combined([crown, sheet(both, colour, 0.3, surface.centre, closed=True, grain=0.25)])


def _helmet(surface: Surface, rng: np.random.Generator) -> Thing:
    """A smooth thick shell with a stripe and a strap under the chin."""
    edge = _edge(surface, rng.uniform(-14.0, 4.0), rng.uniform(1.45, 1.9), rng.uniform(1.8, 2.1))
    directions, radius = _crown(surface, edge, 120)
    share = np.linspace(0.0, 1.0, ROWS)[:, None]
    radius = ndimage.gaussian_filter(radius, 4.0, mode=("nearest", "wrap")) + rng.uniform(14.0, 26.0)
    radius = np.where(share > 0.985, radius - 10.0, radius) - 3.0 * np.exp(-(((share - 0.9) / 0.02) ** 2))
    colour, stripe = dye(rng), dye(rng)
    middle = np.abs(directions[..., 0]) < rng.uniform(0.0, 0.3)
    vents = waves(90.0 * directions, np.array([25.0, 60.0, 60.0]), rng) > rng.uniform(1.2, 3.0)
    colours = np.where(middle[..., None], stripe, colour) * np.where(vents, 0.1, 1.0)[..., None]
    shell = _covered(surface, directions, radius, colours, rng.uniform(1.0, 5.0), 0.02)
    turn = np.linspace(-1.0, 1.0, 60)
    marks = surface.marks
    angles = 1.35 * turn
    heights = marks[152, 1] - 6.0 + (marks[127, 1] + 25.0 - marks[152, 1]) * np.abs(turn) ** 2.2
    near = taut(filled(surface.around(angles, heights))[None], 10)[0] + 1.5
    strap = tube(surface.cylinder(angles, heights, near)[None], np.full((1, 60, 2), [6.0, 1.0]), 0.03, 0.5, sides=8,
                 up=surface.cylinder(angles, heights, 1.0) - surface.on_axis(heights))  # fmt: skip
    return combined([shell, strap])


def _headscarf(surface: Surface, rng: np.random.Generator) -> Thing:
    """Cloth from the forehead around the cheeks and under the chin, and down over the neck."""
    roll = 2 * np.pi * np.arange(COLUMNS) / COLUMNS  # about the line of sight: 0 up, positive to the subject's left
    oval = surface.marks[list(OVAL)] - surface.centre
    where, angle = np.arctan2(oval[:, 0], oval[:, 1]), np.arctan2(np.hypot(oval[:, 0], oval[:, 1]), oval[:, 2])
    start = np.interp(roll, where, angle, period=2 * np.pi)
    start = ndimage.gaussian_filter1d(start, 3.0, mode="wrap") + rng.uniform(-0.08, 0.06)
    share = np.linspace(0.0, 1.0, ROWS)[:, None] ** 1.3
    polar = start + share * (2.7 - start)
    side = np.sin(polar)
    directions = np.stack([side * np.sin(roll), side * np.cos(roll), np.cos(polar)], axis=-1)
    radius = np.minimum(filled(surface.outward(directions)), 190.0 * surface.unit)
    radius = taut(radius, 40, mode=("nearest", "wrap")) + rng.uniform(2.0, 5.0)
    flat = np.stack([90.0 * polar, 60.0 * np.sin(roll) + 0 * polar, 60.0 * np.cos(roll) + 0 * polar], axis=-1)
    radius = radius + rng.uniform(0.5, 2.5) * np.maximum(waves(flat, np.array([16.0, 70.0, 70.0]), rng) + 0.8, 0.0)
    seed, gloss = int(rng.integers(2**31)), rng.uniform(0.1, 1.0)
    places = np.stack([90.0 * np.broadcast_to(roll, polar.shape), 90.0 * polar], axis=-1)
    colours = cloth(places, np.random.default_rng(seed), finest_mm=16.0)
    hood = _covered(surface, directions, radius, colours, gloss, 0.2)
    angles = _azimuth()
    heights = np.linspace(surface.marks[152, 1] - 4.0, surface.marks[152, 1] - 110.0, 40)[:, None]
    near = filled(surface.around(angles, heights))
    near = np.maximum(near, 55.0 * surface.unit + 0.35 * (heights[0] - heights))
    flat = np.stack(np.broadcast_arrays(80.0 * np.sin(angles), heights, 80.0 * np.cos(angles)), axis=-1)
    near = taut(near, 30, mode=("nearest", "wrap")) + 4.0
    near = near - 12.0 * (1.0 - smoothstep((heights[0] - heights) / 14.0))
    near = near + rng.uniform(1.0, 4.0) * (waves(flat, np.array([60.0, 18.0, 60.0]), rng) + 1.0)
    places = np.stack(np.broadcast_arrays(80.0 * angles, heights), axis=-1)
    colours = cloth(places, np.random.default_rng(seed), finest_mm=16.0)
    drape = sheet(surface.cylinder(angles, heights, near), colours, gloss, surface.axis, closed=True, grain=0.2)
    return combined([hood, drape])
