"""How people differ, as a long list of independent modes: MakeHuman's people, its traits, and smooth random fields for
what its targets cannot say. One mode's weight is ~ N(0, 1).
"""

import numpy as np
from scipy.spatial import KDTree

from default_model.head import EYES, Head, without_motion
from default_model.people import AVERAGE, Macros, Person, shape
from default_model.traits import Traits
from jaxface.types import Part

SEED, NUM_PEOPLE, NUM_MACRO = 0, 1500, 40
YEARS, BUILD = (20.0, 75.0), 0.35  # range of ages; deviation of strength and weight, 1 being MakeHuman's most
TRAIT, TRAIT_MM = 0.2, 2.0  # deviation of a trait, 1 being the end of its slider, and of the farthest vertex it moves
ONE_SIDED = 0.35  # of a trait that is not symmetric beside its symmetric part, and likewise of fields
# Length (mm) and standard deviation along x, y, z (mm) of the fields: features, details.
FIELDS = ((45.0, (1.1, 1.2, 1.2)), (22.0, (0.7, 0.8, 0.8)), (12.0, (0.4, 0.45, 0.45)))
NUM_WAVES = 120  # random Fourier features (Rahimi and Recht 2007) a field and axis
STILL_MM, FREE_MM = 3.0, 16.0  # distance to an eyeball within which the skin goes with it, and beyond which it does not


def modes(mean_mm: np.ndarray, macros: Macros, traits: Traits, head: Head) -> np.ndarray:
    """All modes (modes, vertices, 3), mm, without motion of the head as a whole."""
    scale = np.ptp(mean_mm[:, 0]) / np.ptp(shape(AVERAGE, macros, head)[:, 0])
    parts = [scale * _macro_modes(macros, head), _trait_modes(traits), _field_modes(mean_mm, head)]
    return np.concatenate([without_motion(part, mean_mm, head) for part in parts]).astype(np.float32)


def random_person(rng: np.random.Generator) -> Person:
    """Someone of the population: half of each sex, most of one ancestry, ages evenly."""
    build = np.clip(rng.normal([0.0, AVERAGE.weight], BUILD), -1.0, 1.0)
    return Person(rng.dirichlet(np.full(3, 0.5)), float(np.clip(rng.choice([0.1, 0.9]) + rng.normal(0.0, 0.1), 0, 1)),
                  rng.uniform(*YEARS), *build)  # fmt: skip


def _macro_modes(macros: Macros, head: Head) -> np.ndarray:
    """Principal components of random people."""
    rng = np.random.default_rng(SEED)
    people = np.array([shape(random_person(rng), macros, head) for _ in range(NUM_PEOPLE)], np.float32)
    people = without_motion(people - people.mean(axis=0), macros.base_mm - macros.base_mm.mean(axis=0), head)
    flat = people.reshape(NUM_PEOPLE, -1)
    values, vectors = np.linalg.eigh(flat @ flat.T / NUM_PEOPLE)
    largest = np.argsort(values)[::-1][:NUM_MACRO]
    return (vectors[:, largest].T @ flat / np.sqrt(NUM_PEOPLE)).reshape(NUM_MACRO, -1, 3)


def _trait_modes(traits: Traits) -> np.ndarray:
    farthest = np.abs(traits.offsets_mm).max(axis=(1, 2))
    deviation = np.minimum(TRAIT, TRAIT_MM / farthest) * np.where(traits.one_sided, ONE_SIDED, 1.0)
    return traits.offsets_mm * deviation[:, None, None]


def _field_modes(mean_mm: np.ndarray, head: Head) -> np.ndarray:
    """Fields of every scale; each wave is split into its mirror-symmetric part and the weaker rest."""
    rng = np.random.default_rng(SEED)
    places = _anchored(mean_mm, head)
    found = []
    for length, deviations in FIELDS:
        for axis, deviation in enumerate(deviations):
            waves = rng.normal(0.0, 1.0 / length, (NUM_WAVES, 3))
            heights = np.cos(waves @ mean_mm.T + rng.uniform(0.0, 2.0 * np.pi, (NUM_WAVES, 1))) * np.sqrt(2 / NUM_WAVES)
            fields = np.zeros((NUM_WAVES, *mean_mm.shape), np.float32)
            fields[..., axis] = (places @ heights.T).T * deviation
            mirrored = fields[:, head.mirror] * np.float32([-1.0, 1.0, 1.0])
            # Each part alone has half the variance; together they keep it.
            even, odd = (np.sqrt(2.0 / (1.0 + ONE_SIDED**2)) * share for share in (1.0, ONE_SIDED))
            found += [even * (fields + mirrored) / 2.0, odd * (fields - mirrored) / 2.0]
    return np.concatenate(found)


def _anchored(mean_mm: np.ndarray, head: Head):
    """Takes a field's values at the vertices to what they get: pieces but the skin move as a whole, and lids with
    their eyeball, so that they stay on it."""
    take = np.zeros((len(mean_mm), len(mean_mm)), np.float32)
    np.fill_diagonal(take, head.parts == Part.SKIN)
    mouth = np.isin(head.parts, (Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE))
    take[np.ix_(mouth, mouth)] = 1.0 / mouth.sum()
    for eye in EYES:
        ball = head.parts == eye
        take[np.ix_(ball, ball)] = 1.0 / ball.sum()
        distance = KDTree(mean_mm[ball]).query(mean_mm)[0]
        t = np.clip((distance - STILL_MM) / (FREE_MM - STILL_MM), 0.0, 1.0)
        own = np.where(head.parts == Part.SKIN, t * t * (3.0 - 2.0 * t), 1.0).astype(np.float32)
        take *= own[:, None]
        take += (1.0 - own[:, None]) * (ball / ball.sum())[None, :].astype(np.float32)
    return take
