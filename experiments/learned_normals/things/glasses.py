"""Glasses and sunglasses that sit on nose and ears."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from learned_normals.head import Glass, Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import dye, metal, smoothstep
from learned_normals.things.shapes import ball, combined, combined_glass, tube
from learned_normals.things.surface import Surface, filled, surface_of

ROUND = 72  # vertices along a lens's outline
KINDS = ("round", "rectangular", "aviator", "cat-eye", "wayfarer", "panto")


class Frame(NamedTuple):
    """A design: half width and height of a lens, exponent of its outline, radius and colour of the rim, what part of
    the rim there is ("full", "half" or "none"), and the bend of the front around the face."""

    kind: str
    width: float
    height: float
    power: float
    radius: float
    colour: np.ndarray
    gloss: float
    rim: str
    wrap: float
    metal: bool


def glasses(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """Glasses of some shape, clear or tinted."""
    del skin, hair
    surface = surface_of(head)
    frame = _design(surface.unit, rng)
    outlines = _placed(surface, frame, rng)
    things = [_rims(outline, frame, rng) for outline in outlines if frame.rim != "none"]
    things += [_bridge(surface, outlines, frame, rng)]
    for side, outline in zip((-1.0, 1.0), outlines, strict=True):
        things.append(_temple(surface, side, outline, frame, rng))
        if frame.metal:
            things.append(_pad(surface, outline))
    tint = _tint(rng)
    lenses = combined_glass([_lens(outline, tint) for outline in outlines])
    return combined(things)._replace(glass=lenses)


def _design(size: float, rng: np.random.Generator) -> Frame:
    kind = str(rng.choice(KINDS))
    is_metal = bool(rng.random() < {"aviator": 0.9, "round": 0.5, "wayfarer": 0.0, "cat-eye": 0.1}.get(kind, 0.3))
    width = rng.uniform(22.0, 26.0) if kind in ("round", "panto") else rng.uniform(24.0, 29.0)
    ratio = {"round": (0.92, 1.0), "panto": (0.85, 0.95), "rectangular": (0.5, 0.72), "aviator": (0.85, 0.95)}
    height = width * rng.uniform(*ratio.get(kind, (0.65, 0.85)))
    power = {"round": 2.0, "panto": 2.3, "rectangular": rng.uniform(3.5, 7.0), "aviator": 2.4}.get(kind, 3.0)
    radius = rng.uniform(0.5, 1.1) if is_metal else rng.uniform(1.2, 3.5)
    rim = str(rng.choice(["full", "half", "none"], p=[0.8, 0.12, 0.08] if is_metal else [0.92, 0.08, 0.0]))
    colour = metal(rng) if is_metal else dye(rng) if rng.random() < 0.5 else np.full(3, 0.02)
    gloss = rng.uniform(2.5, 5.0) if is_metal else rng.uniform(0.8, 4.0)
    grown = size * rng.uniform(0.92, 1.1)
    return Frame(
        kind, grown * width, grown * height, power, radius, colour, gloss, rim, rng.uniform(0.0, 0.006), is_metal
    )


def _placed(surface: Surface, frame: Frame, rng: np.random.Generator) -> list[np.ndarray]:
    """Outlines (ROUND, 3) of the right and the left lens, each from its hinge over the top to the nose and back below,
    as near to the face as brows, nose and cheeks let them."""
    marks = surface.marks
    middle = 0.5 * (marks[468] + marks[473])
    gap = np.clip(0.5 * np.linalg.norm(marks[468] - marks[473]), 27.0, 40.0)
    gap = max(gap, frame.width + rng.uniform(7.0, 10.0)) + rng.uniform(-1.0, 1.5)
    turn = 2 * np.pi * np.arange(ROUND) / ROUND
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / frame.power) * frame.width
    up = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** (2 / frame.power) * frame.height
    if frame.kind == "aviator":
        across, up = across * (1.0 - 0.10 * (up < 0) * (up / frame.height) ** 2), up * np.where(up < 0, 1.12, 0.85)
        up = up - 0.16 * across * (up < 0)
    elif frame.kind == "cat-eye":
        up = up + 0.35 * frame.height * smoothstep((across / frame.width - 0.1) / 0.9) * (up > -0.3 * frame.height)
    elif frame.kind in ("wayfarer", "panto"):
        across = across * (1.0 + 0.10 * up / frame.height)
    low = rng.uniform(-0.35, 0.0) * frame.height
    tilt = rng.uniform(0.05, 0.18)
    outlines = [np.stack([side * (gap + across) + middle[0], up + low + middle[1]], -1) for side in (-1.0, 1.0)]
    plane = np.stack(outlines)
    depth = tilt * (plane[..., 1] - middle[1]) - frame.wrap * (plane[..., 0] - middle[0]) ** 2
    face = surface.relief(np.zeros(3), np.eye(3), plane[..., 0], plane[..., 1])
    eyes = surface.relief(np.zeros(3), np.eye(3), marks[[468, 473], 0], marks[[468, 473], 1])
    front = np.nanmax(face - depth) + frame.radius + rng.uniform(0.3, 1.5)
    front = max(front, np.nanmax(np.append(eyes, middle[2])) + rng.uniform(8.0, 12.0))
    return list(np.concatenate([plane, (depth + front)[..., None]], axis=-1))


def _rims(outline: np.ndarray, frame: Frame, rng: np.random.Generator) -> Thing:
    share = np.arange(ROUND + 1) if frame.rim == "full" else np.arange(-3, ROUND // 2 + 4)
    path = outline[share % ROUND]
    thick = frame.radius * (1.0 if frame.metal else 1.0 + 0.35 * np.sin(2 * np.pi * share / ROUND))
    radii = np.stack(np.broadcast_arrays(thick, 0.8 * frame.radius + 0.2), axis=-1)
    radii = np.broadcast_to(radii, (len(share), 2))[None]
    return tube(path[None], radii, _speckled(path, frame, rng), frame.gloss, sides=10, up=np.array([0.0, 0.0, 1.0]))


def _speckled(path: np.ndarray, frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """The frame's colour along a path (1, k, 1, 3); plastics are sometimes mottled like horn."""
    mottle = 0.0 if frame.metal or rng.random() < 0.6 else 0.35
    return (frame.colour * np.exp(mottle * waves(path, 12.0, rng))[:, None])[None, :, None]


def _bridge(surface: Surface, outlines: list[np.ndarray], frame: Frame, rng: np.random.Generator) -> Thing:
    """Over the nose from one lens to the other; aviators have a second bar."""
    place = rng.uniform(0.2, 0.42)
    bars = [place, 0.3] if frame.kind == "aviator" else [place]
    paths = []
    for share in bars:
        ends = [outline[round((0.5 - 0.5 * share) * ROUND)] for outline in outlines]
        along = np.linspace(0.0, 1.0, 24)[:, None]
        path = ends[0] + along * (ends[1] - ends[0])
        path[:, 1] += rng.uniform(0.0, 4.0) * np.sin(np.pi * along[:, 0])
        face = filled(surface.relief(np.zeros(3), np.eye(3), path[:, 0], path[:, 1]))
        path[:, 2] = np.maximum(path[:, 2], face + frame.radius + 0.4)
        path[1:-1, 2] = np.maximum(path, ndimage.gaussian_filter1d(path, 2.0, axis=0))[1:-1, 2]
        paths.append(path)
    radii = np.full((len(paths), 24), max(frame.radius, 0.7))
    return tube(np.stack(paths), radii, frame.colour, frame.gloss, sides=10, up=np.array([0.0, 0.0, 1.0]))


def _temple(surface: Surface, side: float, outline: np.ndarray, frame: Frame, rng: np.random.Generator) -> Thing:
    """From the hinge along the side of the head onto the ear and down behind it."""
    hinge = outline[rng.integers(3, 8)]
    top, _ = surface.ear(side)
    rest = top + surface.unit * np.array([0.0, 1.0 + 0.4 * frame.radius, 4.0])
    corner = hinge + np.array([side * (2.0 + frame.radius), 0.0, -3.0])
    along = np.linspace(0.0, 1.0, 30)[:, None]
    drop = np.linspace(0.1, 1.0, 10)[:, None] ** [1, 2, 1] * np.array([0.0, -22.0, -28.0]) * surface.unit
    path = np.concatenate([hinge[None], corner + along * (rest - corner), rest + drop])
    turned = np.stack([np.zeros(3), np.array([0.0, 1.0, 0.0]), np.array([side, 0.0, 0.0])])
    turned[0] = np.cross(turned[1], turned[2])
    skin = surface.relief(np.zeros(3), turned, path[:31] @ turned[0], path[:31, 1])
    path[:31, 0] = side * np.fmax(side * path[:31, 0], np.where(path[:31, 2] < rest[2] + 12.0, -np.inf, skin + 1.2))
    path[31:, 0] = path[30, 0] - side * 3.0
    path[2:] = ndimage.gaussian_filter1d(path[2:], 1.5, axis=0)
    flat = 1.0 if frame.metal else rng.uniform(1.0, 2.2)
    radii = np.broadcast_to(np.array([min(frame.radius, 1.6), flat * max(frame.radius, 0.7)]), (1, len(path), 2))
    return tube(path[None], radii, _speckled(path, frame, rng), frame.gloss, sides=8, up=np.array([0.0, 1.0, 0.0]))


def _pad(surface: Surface, outline: np.ndarray) -> Thing:
    """The small cushion on the side of the nose."""
    place = outline[round(0.55 * ROUND)] + np.array([0.0, -2.0, -4.0])
    place[0] -= 2.5 * np.sign(place[0] - surface.axis[0])
    return ball(place, 2.2, np.array([0.75, 0.72, 0.68]), 2.0, steps=7)


def _lens(outline: np.ndarray, tint: np.ndarray) -> Glass:
    """A slightly bulging pane inside an outline."""
    middle = outline.mean(axis=0)
    share = np.linspace(0.0, 0.98, 6)[:, None, None]
    points = middle + share * (outline - middle)
    points[..., 2] += 1.5 * (1.0 - share[..., 0] ** 2)
    index = np.arange(6 * ROUND).reshape(6, ROUND)
    a, b = index[:-1], index[1:]
    c, d = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
    triangles = np.stack([a, b, c, c, b, d], axis=-1).reshape(-1, 3)
    return Glass(points.reshape(-1, 3), triangles, tint)


def _tint(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.65:
        return np.full(3, rng.uniform(0.88, 0.95)) * rng.uniform(0.98, 1.0, 3)
    return np.clip(rng.uniform(0.1, 0.5) * rng.uniform(0.6, 1.4, 3), 0.05, 0.6)
