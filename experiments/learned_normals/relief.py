"""Relief of skin, in mm along the normals of the mean head's skin: lines along muscles, folds, bags, scars, bumps."""

import numpy as np
from scipy.spatial import cKDTree

from jaxface.types import Part, Region
from learned_normals import noise
from learned_normals.families import Family, is_skin

_STEP_MM = 0.5  # between points of a line
_REACH_MM = 7.0
_BROWS = (66, 107, 336, 296)


def relief_mm(of: Family, rng: np.random.Generator, *, age: float) -> np.ndarray:
    """Heights (fine vertices,) for an `age` from 0, hardly any, to 1, old."""
    surface = _Surface(of)
    height = np.zeros(len(of.places_mm))
    for lines, width_mm, depth_mm in _lines(surface, rng, age):
        height += _grooves(of.places_mm, lines, width_mm, depth_mm, rng)
    height += _bumps(of, rng)
    size = rng.uniform(2.0, 4.0)
    height += rng.uniform(0.0, 0.1) * noise.field(of.places_mm, size_mm=size, seed=rng.integers(2**31))
    height += rng.uniform(0.0, 0.25) * noise.field(of.places_mm, size_mm=9.0, seed=rng.integers(2**31))
    height += age * rng.uniform(0.0, 0.15) * _creased(of.places_mm, rng)
    return np.clip(height, -1.6, 1.6) * _where(of)


def _where(of: Family) -> np.ndarray:
    """Full on the face's skin, little on lips and lids, none where there is none."""
    share = is_skin(of).astype(float)
    share[np.isin(of.regions, (Region.MOUTH, Region.EYE, Region.EAR))] *= 0.3
    return share


class _Surface:
    """The front of the mean head, to lay curves on."""

    def __init__(self, of: Family):
        front = np.flatnonzero((of.parts == Part.SKIN) & (of.regions < Region.OUTSIDE))
        self.points_mm = of.landmarks @ of.mean_mm
        self._skin_mm = of.places_mm[front]
        self._tree = cKDTree(self._skin_mm[:, :2])

    def curve(self, knots_mm: np.ndarray, rng: np.random.Generator, *, waver_mm: float = 0.8) -> np.ndarray:
        """A wavering curve (points, 3) on the skin through knots (knots, 2) as seen from the front."""
        along = np.linspace(0.0, 1.0, len(knots_mm))
        length = np.linalg.norm(np.diff(knots_mm, axis=0), axis=1).sum()
        dense = np.linspace(0.0, 1.0, max(4, int(length / _STEP_MM)))
        degree = min(2, len(knots_mm) - 1)
        flat = np.stack([np.polyval(np.polyfit(along, axis, degree), dense) for axis in knots_mm.T], axis=1)
        phase, turns = rng.uniform(0, 6.3, 2), rng.uniform(0.5, 3.0)
        flat += waver_mm * np.stack([np.sin(6.3 * turns * dense + p) for p in phase], axis=1)
        return self._skin_mm[self._tree.query(flat)[1]]


def _lines(surface: _Surface, rng: np.random.Generator, age: float):
    """Groups of curves with a width and a depth (mm)."""
    deep = 0.25 + 0.75 * age

    def group(curves, widths, depths):
        kept = [curve for curve in curves if len(curve)]
        return kept, rng.uniform(*widths), deep * rng.uniform(*depths)

    for make, chance, widths, depths in (
        (_forehead, 0.7, (0.7, 1.8), (0.2, 1.0)), (_frown, 0.6, (0.6, 1.5), (0.2, 1.0)),
        (_crows_feet, 0.7, (0.5, 1.1), (0.15, 0.7)), (_bags, 0.6, (0.8, 2.5), (0.2, 1.0)),
        (_nasolabial, 0.8, (1.0, 3.0), (0.2, 1.4)), (_marionette, 0.5, (0.8, 2.0), (0.2, 1.0)),
        (_lip_lines, 0.4, (0.4, 0.9), (0.1, 0.4)), (_chin, 0.5, (1.2, 3.0), (0.2, 0.8)),
        (_cheeks, 0.4, (0.5, 1.5), (0.1, 0.6)), (_scattered, 0.6, (0.5, 2.0), (0.1, 0.8)),
    ):  # fmt: skip
        if rng.random() < chance:
            yield group(make(surface, rng), widths, depths)


def _forehead(surface, rng):
    brow, top = surface.points_mm[list(_BROWS), 1].mean(), surface.points_mm[10, 1]
    for _ in range(rng.integers(1, 7)):
        y, half, middle = rng.uniform(brow + 8, max(top, brow + 20)), rng.uniform(10, 48), rng.normal() * 8
        x = middle + np.linspace(-half, half, 7)
        arch = rng.uniform(-0.004, 0.002) * (x - middle) ** 2
        yield surface.curve(np.stack([x, y + arch + rng.normal(size=7)], axis=1), rng)


def _frown(surface, rng):
    middle = surface.points_mm[[107, 336], :2].mean(axis=0)
    for side in rng.permutation([-1, 1, 0.2])[: rng.integers(1, 4)]:
        x, length = middle[0] + side * rng.uniform(3, 9), rng.uniform(7, 20)
        y = middle[1] + np.linspace(-0.4, 0.8, 4) * length
        yield surface.curve(np.stack([x + side * rng.normal() * np.linspace(0, 3, 4), y], axis=1), rng, waver_mm=0.4)
    if rng.random() < 0.3:  # across the root of the nose
        root = surface.points_mm[168, :2] + [0, rng.uniform(-3, 3)]
        yield surface.curve(root + np.linspace([-9, 1], [9, 1], 4), rng, waver_mm=0.5)


def _crows_feet(surface, rng):
    for side, corner in ((-1, 33), (1, 263)):
        start = surface.points_mm[corner, :2] + [side * rng.uniform(4, 7), 0]
        for angle in np.radians(rng.uniform(-50, 40, rng.integers(2, 6))):
            reach = rng.uniform(6, 22)
            end = start + reach * np.array([side * np.cos(angle), np.sin(angle)])
            bow = [0, rng.normal() * 0.08 * reach]
            yield surface.curve(np.array([start, (start + end) / 2 + bow, end]), rng, waver_mm=0.3)


def _bags(surface, rng):
    for lids in ((33, 145, 133), (263, 374, 362)):
        outer, low, inner = surface.points_mm[list(lids), :2]
        for _ in range(rng.integers(1, 4)):
            drop = np.array([0, -rng.uniform(3, 16)])
            yield surface.curve(np.array([inner + 0.6 * drop, low + drop, outer + 0.5 * drop]), rng, waver_mm=0.5)


def _nasolabial(surface, rng):
    for side, wing, mouth in ((-1, 98, 61), (1, 327, 291)):
        start = surface.points_mm[wing, :2] + [side * rng.uniform(3, 8), rng.uniform(0, 8)]
        end = surface.points_mm[mouth, :2] + [side * rng.uniform(4, 13), rng.uniform(-12, 4)]
        bow = np.array([side * rng.uniform(0, 6), 0])
        yield surface.curve(np.array([start, (start + end) / 2 + bow, end]), rng, waver_mm=0.6)


def _marionette(surface, rng):
    for side, mouth in ((-1, 61), (1, 291)):
        start = surface.points_mm[mouth, :2] + [side * rng.uniform(1, 4), -rng.uniform(1, 4)]
        yield surface.curve(start + np.linspace([0, 0], [side * rng.uniform(-2, 6), -rng.uniform(8, 26)], 4), rng)


def _lip_lines(surface, rng):
    for x in rng.uniform(-20, 20, rng.integers(3, 9)):
        lip = surface.points_mm[0, :2] + [x, 1.5 - 0.006 * x * x]
        yield surface.curve(lip + np.linspace([0, 0], [rng.normal(), rng.uniform(4, 10)], 3), rng, waver_mm=0.2)


def _chin(surface, rng):
    middle = surface.points_mm[[17, 199], :2].mean(axis=0) + [0, rng.uniform(-4, 6)]
    half = rng.uniform(8, 18)
    yield surface.curve(middle + np.array([[-half, -3], [0, rng.uniform(0, 3)], [half, -3]]), rng)


def _cheeks(surface, rng):
    for side, cheek in ((-1, 50), (1, 280)):
        for _ in range(rng.integers(1, 5)):
            start = surface.points_mm[cheek, :2] + rng.normal(size=2) * [9, 10] + [side * 8, -6]
            fall = [side * rng.uniform(-6, 12), -rng.uniform(10, 32)]
            yield surface.curve(start + np.linspace([0, 0], fall, 4), rng, waver_mm=1.2)


def _scattered(surface, rng):
    """Scars and lines anywhere: a line's place must not tell of its relief."""
    for _ in range(rng.integers(1, 7)):
        start, angle = rng.uniform([-60, -75], [60, 75]), rng.uniform(0, 6.3)
        reach = rng.uniform(5, 28) * np.array([np.cos(angle), np.sin(angle)])
        yield surface.curve(start + np.linspace([0, 0], reach, 3) + rng.normal(size=(3, 2)), rng)


def _grooves(places_mm, curves, width_mm, depth_mm, rng) -> np.ndarray:
    """Grooves with a slight wall beside them; they taper, and each is of its own depth."""
    if not curves:
        return np.zeros(len(places_mm))
    points = np.concatenate(curves)
    taper = [np.minimum(1.0, 3.5 * np.minimum(t, 1.0 - t)) for t in (np.linspace(0, 1, len(c)) for c in curves)]
    own = np.concatenate([ends * rng.uniform(0.4, 1.0) for ends in taper])
    distance, nearest = cKDTree(points).query(places_mm, distance_upper_bound=_REACH_MM)
    near = np.isfinite(distance)
    apart = distance[near] / width_mm
    wall = rng.uniform(0.0, 0.5)
    profile = np.exp(-0.5 * apart**2) - wall * np.exp(-0.5 * ((apart - 2.2) / 0.8) ** 2)
    height = np.zeros(len(places_mm))
    height[near] = -depth_mm * profile * own[nearest[near]]
    return height


def _bumps(of: Family, rng) -> np.ndarray:
    """Pimples, raised moles, pits of old ones."""
    count = rng.choice([0, 3, 10, 40], p=[0.3, 0.35, 0.25, 0.1])
    height = np.zeros(len(of.places_mm))
    face = np.flatnonzero(is_skin(of) & (of.regions < Region.OUTSIDE))
    if not count:
        return height
    centres = of.places_mm[rng.choice(face, count)]
    size, tall = rng.uniform(0.9, 2.2, count), rng.uniform(0.15, 0.8, count) * rng.choice([1, 1, -0.5], count)
    distance, nearest = cKDTree(centres).query(of.places_mm, distance_upper_bound=8.0)
    near = np.isfinite(distance)
    which = nearest[near]
    height[near] = tall[which] * np.exp(-0.5 * (distance[near] / size[which]) ** 2)
    return height


def _creased(places_mm, rng) -> np.ndarray:
    """Fine parallel lines of old skin, along a direction that drifts."""
    turn = rng.uniform(0, 3.14)
    across = np.array([np.cos(turn), np.sin(turn), rng.normal() * 0.3])
    bent = places_mm @ across + 5.0 * noise.field(places_mm, size_mm=30.0, seed=rng.integers(2**31))
    strength = np.clip(noise.field(places_mm, size_mm=28.0, seed=rng.integers(2**31)), 0.0, 2.0)
    return np.cos(2.0 * np.pi * bent / rng.uniform(3.0, 7.0)) * strength
