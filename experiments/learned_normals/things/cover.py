"""Cloth on the lower face and the neck: masks, scarves and collars."""

import numpy as np
from scipy import ndimage

from learned_normals.head import Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import cloth, dye, smoothstep
from learned_normals.things.shapes import combined, sheet, tube
from learned_normals.things.surface import Surface, falling, filled, surface_of, taut

ROWS, COLUMNS = 70, 110


def mask(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A mask over nose and mouth: pleated, plain or stiff; sometimes below the nose or on the chin."""
    del skin, hair
    surface = surface_of(head)
    marks = surface.marks
    kind = str(rng.choice(["pleated", "cloth", "stiff"]))
    worn = str(rng.choice(["over", "below the nose", "on the chin"], p=[0.75, 0.17, 0.08]))
    top = {"over": marks[6, 1] - rng.uniform(4.0, 14.0), "below the nose": marks[2, 1] - 4.0}.get(
        worn, marks[17, 1] - 4.0
    )
    bottom = marks[152, 1] - rng.uniform(4.0, 16.0)
    width = rng.uniform(0.9, 1.2)
    share = np.linspace(-1.0, 1.0, COLUMNS)
    angles = width * share * (1.0 + 0.05 * np.sin(4.0 * share))
    cheek = marks[205, 1] + rng.uniform(2.0, 14.0) if worn == "over" else top - 4.0
    upper = cheek + (top - cheek) * np.exp(-((share / rng.uniform(0.25, 0.45)) ** 2)) - 3.0 * share**4
    lower = bottom + 0.35 * (cheek - bottom) * np.abs(share) ** 2.5
    down = np.linspace(0.0, 1.0, ROWS)[:, None]
    heights = upper + down * (lower - upper)
    radius = filled(surface.around(angles, heights))
    radius = falling(radius.T, (upper - heights).T, 0.6).T
    radius = taut(radius, 40 if kind != "stiff" else 120) + 1.2
    if kind == "stiff":
        radius = radius + rng.uniform(3.0, 12.0) * np.sin(np.pi * down) * (1.0 - share**2)
    radius = radius + _folds(kind, down, share, worn, rng)
    points = surface.cylinder(angles, heights, radius)
    places = np.stack(np.broadcast_arrays(85.0 * angles, heights), axis=-1)
    plain = np.array([[0.75, 0.77, 0.8], [0.35, 0.6, 0.75], [0.02, 0.02, 0.02], [0.6, 0.75, 0.65]])
    colours = np.broadcast_to(plain[rng.integers(4)], points.shape) if kind != "cloth" else cloth(places, rng)
    hem = smoothstep((np.minimum(down, 1.0 - down) * 25.0 - 1.0) / 0.8) * np.ones_like(share)
    colours = colours * (0.82 + 0.18 * hem[..., None])
    strap, thick = (np.full(3, 0.75) if rng.random() < 0.7 else dye(rng)), rng.uniform(0.8, 1.8)
    things = [sheet(points, colours, rng.uniform(0.05, 0.4), surface.axis, grain=rng.uniform(0.08, 0.25))]
    things += [_strap(surface, side, points, thick, strap) for side in (-1.0, 1.0)]
    return combined(things)


def _folds(kind: str, down: np.ndarray, share: np.ndarray, worn: str, rng: np.random.Generator) -> np.ndarray:
    """How far pleats, a seam and wrinkles lift the cloth (mm, never below the skin)."""
    flat = np.stack(np.broadcast_arrays(90.0 * share, 90.0 * down), axis=-1)
    wrinkles = rng.uniform(0.3, 1.2) * (1.4 + waves(flat, np.array([60.0, 14.0]), rng)) * (0.3 + np.abs(share))
    wrinkles = np.maximum(wrinkles, 0.0) * (2.0 if worn != "over" else 1.0) * (0.3 if kind == "stiff" else 1.0)
    if kind == "pleated":
        inside = smoothstep((down - 0.15) / 0.05) * smoothstep((0.9 - down) / 0.05)
        return wrinkles + rng.uniform(1.5, 3.2) * ((3.5 * down + 0.15 * share**2) % 1.0) * inside
    if kind == "cloth":
        return wrinkles + rng.uniform(0.5, 2.0) * np.exp(-((share / 0.015) ** 2))
    return wrinkles + rng.uniform(0.0, 1.5) * np.exp(-(((down - 0.5) / 0.03) ** 2))


def _strap(surface: Surface, side: float, points: np.ndarray, thick: float, colour: np.ndarray) -> Thing:
    """Two bands from the mask's side to the top and the lobe of the ear."""
    edge = points[:, -1] if side > 0 else points[:, 0]
    along = np.linspace(0.0, 1.0, 24)
    paths = []
    for start, end in zip(edge[[2, -3]], surface.ear(side), strict=True):
        angles = surface.angle(start) + along * (surface.angle(end) - surface.angle(start))
        heights = start[1] + along * (end[1] - start[1])
        radius = filled(surface.around(angles, heights))
        radius[0] = np.hypot(start[0] - surface.axis[0], start[2] - surface.axis[2])
        paths.append(surface.cylinder(angles, heights, taut(radius[None], 10)[0] + 0.8))
    return tube(np.stack(paths), np.full((2, 24), thick), colour, 0.3, sides=8)


def scarf(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A wound scarf, a turtleneck or an open collar."""
    del skin, hair
    surface = surface_of(head)
    kind = rng.choice(["scarf", "turtleneck", "collar"], p=[0.55, 0.25, 0.2])
    if kind == "scarf":
        return _wound(surface, rng)
    chin = surface.marks[152, 1]
    top = chin - (rng.uniform(2.0, 12.0) if kind == "turtleneck" else rng.uniform(8.0, 16.0))
    angles = np.linspace(0.0, 2 * np.pi, 160, endpoint=False)
    if kind == "collar":
        angles = np.linspace(gap := rng.uniform(0.15, 0.5), 2 * np.pi - gap, 160)
    heights = np.linspace(top, chin - 90.0, 50)[:, None]
    down = top - heights
    tilt = rng.uniform(3.0, 16.0) * (1.0 - np.cos(angles)) * np.exp(-down / 40.0)
    neck = filled(surface.around(angles, chin - np.linspace(6.0, 14.0, 5)[:, None]))
    neck = ndimage.median_filter(np.median(neck, axis=0), 5, mode="wrap")
    skin = np.minimum(filled(surface.around(angles, heights)), neck + 8.0)
    radius = taut(np.maximum(skin, neck), 25, mode=("nearest", "wrap" if kind == "turtleneck" else "nearest"))
    radius = radius + 2.5 + 0.08 * down + 1.3 * np.maximum(down - 35.0, 0.0)
    if kind == "turtleneck":
        roll = rng.uniform(2.0, 6.0) * smoothstep((30.0 - down) / 6.0)
        rib = rng.uniform(0.0, 0.9) * np.cos(angles * rng.integers(50, 75))
        radius = radius + roll + rib + 1.5 * waves(np.stack(np.broadcast_arrays(70 * angles, heights), -1), 30.0, rng)
    else:
        radius = radius + rng.uniform(4.0, 14.0) * (1.0 - down / 60.0) * (down < 60.0)
    points = surface.cylinder(angles, heights + tilt, radius)
    places = np.stack(np.broadcast_arrays(70.0 * angles, heights), axis=-1)
    colours = cloth(places, rng, finest_mm=9.0)
    closed = kind == "turtleneck"
    return sheet(points, colours, rng.uniform(0.05, 0.6), surface.axis, closed=closed, grain=rng.uniform(0.1, 0.3))


def _wound(surface: Surface, rng: np.random.Generator) -> Thing:
    """Two or three soft coils about the neck, up to the chin, the mouth or the nose."""
    goal = surface.marks[rng.choice([152, 17, 13, 2], p=[0.55, 0.2, 0.15, 0.1]), 1] - rng.uniform(-2.0, 12.0)
    tall, thick = rng.uniform(20.0, 32.0), rng.uniform(8.0, 16.0)
    fabric, gloss = int(rng.integers(2**31)), rng.uniform(0.05, 0.3)
    things = []
    for coil in range(2 + (goal - 2.6 * tall > surface.marks[152, 1] - 45.0)):
        points, flat = _coil(surface, goal - tall * (1.0 + 1.3 * coil), tall, thick, 7.0 * coil, rng)
        colours = cloth(flat, np.random.default_rng(fabric), finest_mm=9.0)
        things.append(sheet(points, colours, gloss, surface.axis, grain=0.25))
    return combined(things)


def _coil(surface: Surface, height: float, tall: float, thick: float, out: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """A closed roll of folded cloth about the neck, points (around, across, 3), and its fabric's coordinates."""
    angles = np.linspace(0.0, 2 * np.pi, 151)
    turn = np.linspace(0.0, 2 * np.pi, 41)
    middle = height + rng.uniform(0.0, 8.0) * np.cos(angles - rng.uniform(0.0, 6.0)) + 8.0 * (1.0 - np.cos(angles))
    near = filled(surface.around(angles, middle + np.linspace(-0.9, 0.9, 9)[:, None] * tall)).max(axis=0)
    near = taut(near[None], 30, mode=("nearest", "wrap"))[0] + 0.75 * thick + out
    place = np.stack(np.broadcast_arrays(70 * np.sin(angles)[:, None], 26 * turn, 70 * np.cos(angles)[:, None]), -1)
    slant = place + np.stack([0 * place[..., 0], rng.normal(0.0, 0.12) * place[..., 0], 0 * place[..., 0]], axis=-1)
    fold = 1.0 + 0.17 * waves(slant, np.array([160.0, 16.0, 160.0]), rng) + 0.06 * waves(slant, 40.0, rng)
    fold = fold + smoothstep((turn - 5.5) / 0.78) * (fold[:, :1] - fold)
    fold[-1] = fold[0]
    radius = near[:, None] + thick * (np.cos(turn) + 1.5 * (fold - 1.0))
    sag = 1.0 + 0.07 * waves(place * np.array([1.0, 0.0, 1.0]), 60.0, rng)
    points = surface.cylinder(angles[:, None], middle[:, None] + tall * sag * np.sin(turn), radius)
    return points, np.stack(np.broadcast_arrays(70.0 * angles[:, None], 26.0 * turn), axis=-1)
