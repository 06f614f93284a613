"""What skin, lips, brows, eyes and teeth look like: linear albedo and gloss at places of the mean head.

All of it is colour without relief, so that the network learns to tell the two apart.
"""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from jaxface.types import Part, Region
from learned_normals import noise
from learned_normals.families import Family, is_skin

# Skin in linear light from palest to darkest (assumed, after photographs); between them one goes along the curve.
_TONES = np.array(
    [[0.80, 0.58, 0.47], [0.62, 0.39, 0.28], [0.42, 0.24, 0.15], [0.22, 0.115, 0.07], [0.05, 0.028, 0.02]]
)
_HAIR = np.array(
    [[0.01, 0.008, 0.007], [0.05, 0.025, 0.015], [0.16, 0.09, 0.045], [0.42, 0.29, 0.14], [0.5, 0.48, 0.46]]
)
_IRISES = np.array(
    [[0.05, 0.025, 0.012], [0.12, 0.07, 0.03], [0.10, 0.14, 0.07], [0.12, 0.20, 0.30], [0.2, 0.22, 0.22]]
)
_SCLERA, _TOOTH, _TONGUE, _INSIDE = (0.56, 0.50, 0.46), (0.62, 0.55, 0.42), (0.36, 0.12, 0.11), (0.08, 0.02, 0.02)
_IRIS_MM, _PUPIL_MM = 5.9, (1.2, 3.2)
_SPOT_REACH_MM = 9.0


class Paint(NamedTuple):
    """A person's colours. Layers are functions of places (n, 3) that give a share in [0, 1]."""

    of: Family
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    pupil_mm: float
    seed: int
    oily: float
    layers: tuple


class Layer(NamedTuple):
    """A factor on the skin (3,), or with `covers` a colour, laid on where `share(places)` says, and its own gloss."""

    share: "object"
    colour: np.ndarray
    covers: bool
    gloss: float


def random_paint(of: Family, rng: np.random.Generator) -> Paint:
    """A person: any tone of skin, marks, stubble, make-up."""
    tone = rng.uniform(0.0, 4.0)
    low = int(min(tone, 3))
    skin = np.exp(np.log(_TONES[low]) + (tone - low) * np.log(_TONES[low + 1] / _TONES[low]))
    skin = np.clip(skin * np.exp(rng.normal(size=3) * [0.05, 0.06, 0.08]), 0.015, 0.85)
    hair = _HAIR[rng.choice(5, p=[0.35, 0.25, 0.15, 0.12, 0.13])] * np.exp(rng.normal(size=3) * 0.15)
    marks = _Marks(of, rng)
    layers = [marks.blood(), marks.lips(skin), *marks.random_layers(skin, hair)]
    return Paint(
        of, skin, hair, _IRISES[rng.integers(5)] * rng.uniform(0.7, 1.3), rng.uniform(*_PUPIL_MM),
        int(rng.integers(2**31)), rng.uniform(0.3, 1.1) ** 1.5, tuple(layers),
    )  # fmt: skip


class _Marks:
    """Makes layers on one mean head."""

    def __init__(self, of: Family, rng: np.random.Generator):
        self.of, self.rng = of, rng
        self.points = of.landmarks @ of.mean_mm
        self.face = np.flatnonzero(is_skin(of) & (of.regions < Region.OUTSIDE))

    def seed(self) -> int:
        return int(self.rng.integers(2**31))

    def near(self, centres, widths, shares):
        """Soft blobs (mm) round points of the head."""
        centres, widths, shares = np.atleast_2d(centres), np.asarray(widths), np.asarray(shares)

        def share(places):
            far = ((places[:, None] - centres) ** 2).sum(axis=2)
            return np.clip((shares * np.exp(-0.5 * far / widths**2)).sum(axis=1), 0.0, 1.0)

        return share

    def spots(self, count, sizes, strengths, *, where=None, sharp=2.0):
        """Round spots scattered over the face."""
        among = self.face if where is None else where
        centres = self.of.places_mm[self.rng.choice(among, count)] + self.rng.normal(size=(count, 3)) * 0.4
        size, strength = self.rng.uniform(*sizes, count), self.rng.uniform(*strengths, count)
        tree = cKDTree(centres)

        def share(places):
            distance, nearest = tree.query(places, distance_upper_bound=_SPOT_REACH_MM)
            nearest = np.minimum(nearest, count - 1)
            return strength[nearest] * np.exp(-((distance / size[nearest]) ** sharp))

        return share

    def patches(self, size_mm, cut, *, octaves=3, edge=0.3):
        """Where noise exceeds a level: blotches, birthmarks."""
        seed = self.seed()
        return lambda places: np.clip(
            (noise.field(places, size_mm=size_mm, seed=seed, octaves=octaves) - cut) / edge, 0.0, 1.0
        )

    def blood(self) -> Layer:
        """Red cheeks, nose, chin, ears, more or less."""
        share = self.near(
            self.points[[50, 280, 4, 199, 234, 454]], [14.0, 14.0, 9.0, 12.0, 14.0, 14.0],
            self.rng.uniform(0.0, 1.0, 6),
        )  # fmt: skip
        return Layer(share, np.array([1.03, 0.72, 0.72]), False, 1.0)

    def region(self, *names, soft_mm=1.2):
        """Near vertices of regions, softly."""
        tree = cKDTree(self.of.places_mm[np.isin(self.of.regions, names) & (self.of.parts == Part.SKIN)])
        return lambda places: np.exp(-((tree.query(places, distance_upper_bound=4 * soft_mm)[0] / soft_mm) ** 2))

    def lips(self, skin) -> Layer:
        if self.rng.random() < 0.3:  # lipstick
            colour = self.rng.uniform([0.1, 0.0, 0.0], [0.6, 0.15, 0.25])
            return Layer(self.region(Region.MOUTH), colour, True, self.rng.uniform(0.5, 4.0))
        return Layer(self.region(Region.MOUTH), np.array([0.85, 0.52, 0.55]) ** self.rng.uniform(0.3, 1.3), False, 1.3)

    def random_layers(self, skin, hair):
        """Marks that a person may or may not have."""
        rng = self.rng
        for chance, make in (
            (0.85, self._brows), (0.8, self._lashes), (0.35, self._freckles), (0.4, self._moles), (0.4, self._blotches),
            (0.3, self._stubble), (0.1, self._birthmark), (0.04, self._tattoo), (0.2, self._shadow),
            (0.25, self._rouge), (0.04, self._face_paint), (0.5, self._circles), (0.15, self._veins),
        ):  # fmt: skip
            if rng.random() < chance:
                yield make(skin, hair)

    def _brows(self, skin, hair) -> Layer:
        inside = self.region(Region.EYEBROW, soft_mm=self.rng.uniform(0.6, 1.6))
        fine, seed = self.rng.uniform(0.4, 1.0), self.seed()

        def share(places):
            hairs = noise.field(places, size_mm=[2.5 * fine, fine, 1.0], seed=seed, octaves=2)
            return inside(places) * np.clip(0.75 + 0.4 * hairs, 0.0, 1.0)

        return Layer(share, np.minimum(hair, 0.3) * self.rng.uniform(0.4, 1.5), True, 0.3)

    def _lashes(self, skin, hair) -> Layer:
        share = self.region(Region.EYE_OPENING, soft_mm=self.rng.uniform(0.6, 1.6))
        return Layer(share, np.full(3, self.rng.uniform(0.3, 0.8)), False, 1.0)

    def _freckles(self, skin, hair) -> Layer:
        share = self.spots(int(self.rng.choice([60, 250, 900])), (0.4, 1.3), (0.2, 1.0))
        return Layer(share, np.array([0.72, 0.55, 0.45]) ** self.rng.uniform(0.5, 1.6), False, 1.0)

    def _moles(self, skin, hair) -> Layer:
        share = self.spots(int(self.rng.integers(1, 14)), (0.8, 2.6), (0.5, 1.0), sharp=4.0)
        return Layer(share, np.array([0.4, 0.28, 0.22]), False, 1.0)

    def _blotches(self, skin, hair) -> Layer:
        share = self.patches(self.rng.uniform(3, 14), self.rng.uniform(-0.5, 0.8), edge=1.5)
        return Layer(share, np.exp(self.rng.normal(size=3) * [0.03, 0.09, 0.09]), False, 1.0)

    def _circles(self, skin, hair) -> Layer:
        drop = np.array([0.0, -self.rng.uniform(4, 9), 0.0])
        share = self.near(self.points[[145, 374]] + drop, [9.0, 9.0], [1.0, 1.0])
        return Layer(share, np.array([0.75, 0.68, 0.78]) ** self.rng.uniform(0.3, 1.2), False, 1.0)

    def _veins(self, skin, hair) -> Layer:
        seed, size = self.seed(), self.rng.uniform(4, 12)
        width = self.rng.uniform(0.04, 0.12)

        def share(places):
            return np.exp(-((noise.field(places, size_mm=size, seed=seed, octaves=2) / width) ** 2))

        return Layer(share, np.array([0.9, 0.8, 0.82]), False, 1.0)

    def _beard_area(self):
        chin = self.points[[152, 172, 397, 58, 288, 0, 61, 291]]
        return self.near(chin, np.array([22, 16, 16, 16, 16, 9, 10, 10.0]), np.full(8, 0.9))

    def _stubble(self, skin, hair) -> Layer:
        area, low = self._beard_area(), self.of.places_mm[self.face, 1] < self.points[2, 1]
        dots = self.spots(int(self.rng.choice([1500, 4000, 9000])), (0.25, 0.6), (0.4, 1.0), where=self.face[low])
        veil = self.rng.uniform(0.0, 0.5)
        return Layer(lambda p: area(p) * np.maximum(veil, dots(p)), np.minimum(hair, 0.12) + 0.3 * skin, True, 0.6)

    def _birthmark(self, skin, hair) -> Layer:
        centre = self.of.places_mm[self.rng.choice(self.face)]
        inside, ragged = self.near(centre, [self.rng.uniform(5, 16)], [1.6]), self.patches(6.0, -0.6, edge=0.3)
        return Layer(lambda p: inside(p) * ragged(p), self.rng.uniform([0.3, 0.2, 0.2], [0.9, 0.6, 0.6]), False, 1.0)

    def _tattoo(self, skin, hair) -> Layer:
        centre, lines = self.of.places_mm[self.rng.choice(self.face)], self._veins(skin, hair).share
        inside = self.near(centre, [self.rng.uniform(8, 20)], [2.0])
        return Layer(lambda p: inside(p) * lines(p), self.rng.uniform(0.01, 0.12, 3), True, 0.8)

    def _shadow(self, skin, hair) -> Layer:
        lift = np.array([0.0, self.rng.uniform(3, 8), 0.0])
        share = self.near(self.points[[159, 386]] + lift, [8.0, 8.0], [1.0, 1.0])
        return Layer(share, self.rng.uniform(0.02, 0.4, 3), True, self.rng.uniform(0.5, 2.0))

    def _rouge(self, skin, hair) -> Layer:
        share = self.near(self.points[[205, 425]], self.rng.uniform(8, 15, 2), [0.8, 0.8])
        return Layer(share, np.array([1.0, 0.6, 0.62]) ** self.rng.uniform(0.3, 1.4), False, 1.0)

    def _face_paint(self, skin, hair) -> Layer:
        share = self.patches(self.rng.uniform(12, 45), self.rng.uniform(0.0, 1.2), octaves=2, edge=0.1)
        return Layer(share, self.rng.uniform(0.02, 0.8, 3), True, self.rng.uniform(0.3, 1.5))


def colours(
    paint: Paint, places_mm: np.ndarray, vertices_mm: np.ndarray, parts: np.ndarray, regions: np.ndarray, eyes_mm: dict
) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (n, 3) and gloss (n,) at places on the mean head, which lie at `vertices_mm` on this one; `eyes_mm` gives
    for each eyeball's part the middle of the iris and the direction in which it looks."""
    tone = 1.0 + 0.04 * noise.field(places_mm, size_mm=14.0, seed=paint.seed)
    tone += 0.03 * noise.field(places_mm, size_mm=3.0, seed=paint.seed + 1, octaves=3)
    albedo = paint.skin * tone[:, None]
    shine = np.clip(1.0 + 0.25 * noise.field(places_mm, size_mm=4.0, seed=paint.seed + 2, octaves=2), 0.3, 2.0)
    gloss = paint.oily * shine
    skin = parts == Part.SKIN
    for layer in paint.layers:
        share = np.zeros(len(places_mm))
        share[skin] = layer.share(places_mm[skin])
        target = layer.colour if layer.covers else layer.colour * albedo
        albedo += share[:, None] * (target - albedo)
        gloss += share * (layer.gloss - 1.0) * (gloss if not layer.covers else 1.0)
    mouth = np.linalg.norm(places_mm - (paint.of.landmarks @ paint.of.mean_mm)[13], axis=1) < 32.0
    albedo[skin & mouth & (regions == Region.OUTSIDE)] = _INSIDE
    albedo[np.isin(parts, (Part.UPPER_TEETH, Part.LOWER_TEETH))] = _TOOTH
    albedo[parts == Part.TONGUE], albedo[parts == Part.INSIDE] = _TONGUE, _INSIDE
    gloss[~skin] = 2.5
    for eye, (iris, axis) in eyes_mm.items():
        ball = parts == eye
        aside = vertices_mm[ball] - iris
        aside = np.linalg.norm(aside - (aside @ axis)[:, None] * axis, axis=1)
        ring = np.clip((_IRIS_MM - aside) / 0.4 + 0.5, 0.0, 1.0)[:, None]
        hole = np.clip((paint.pupil_mm - aside) / 0.3 + 0.5, 0.0, 1.0)[:, None]
        albedo[ball] = (1 - ring) * _SCLERA + ring * ((1 - hole) * paint.iris + hole * 0.004)
        gloss[ball] = 2.5
    return np.clip(albedo, 0.003, 0.95), np.clip(gloss, 0.0, 6.0)
