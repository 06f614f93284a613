"""People of MakeHuman: both sexes, three ancestries, grown-ups of every age, thin and stout, weak and strong."""

from typing import NamedTuple

import numpy as np

from default_model.head import Head
from default_model.makehuman import MakeHuman
from jaxface.types import Part

ANCESTRIES, SEXES, AGES = ("african", "asian", "caucasian"), ("female", "male"), ("young", "old")
YOUNG_YEARS, OLD_YEARS = 25.0, 90.0  # the ages that MakeHuman's names stand for
LEVELS = ("min", "average", "max")
MEAN_YEARS = 42.0


class Person(NamedTuple):
    """Shares of the ancestries (sum 1), how male (0 to 1), years, and strength and weight from -1 to 1."""

    ancestry: np.ndarray
    male: float
    years: float
    muscle: float
    weight: float


AVERAGE = Person(np.full(3, 1 / 3), 0.5, MEAN_YEARS, 0.0, 0.1)


class Macros(NamedTuple):
    """Offsets (mm) on the head: of ancestry, sex and age, and of sex, age, muscle and weight."""

    base_mm: np.ndarray
    faces_mm: np.ndarray
    builds_mm: np.ndarray


def read_macros(source: MakeHuman, head: Head) -> Macros:
    """All macro targets that grown-up faces take."""

    def on_head(name):
        return head.matrix @ source.target("macrodetails", name)

    faces = [[[on_head(f"{a}-{s}-{y}") for y in AGES] for s in SEXES] for a in ANCESTRIES]
    builds = [
        [[[on_head(f"universal-{s}-{y}-{m}muscle-{w}weight") for w in LEVELS] for m in LEVELS] for y in AGES]
        for s in SEXES
    ]
    return Macros(head.matrix @ source.mesh.vertices_mm, np.array(faces), np.array(builds))


def shape(person: Person, macros: Macros, head: Head) -> np.ndarray:
    """A person's head in mm, its skin centred on the average head's place."""
    sex = np.array([1.0 - person.male, person.male])
    old = np.clip((person.years - YOUNG_YEARS) / (OLD_YEARS - YOUNG_YEARS), 0.0, 1.0)
    age = np.array([1.0 - old, old])
    faces = np.einsum("a,s,y,asyvx->vx", person.ancestry, sex, age, macros.faces_mm)
    builds = np.einsum("s,y,m,w,symwvx->vx", sex, age, *map(_levels, (person.muscle, person.weight)), macros.builds_mm)
    vertices = macros.base_mm + faces + builds
    return vertices - vertices[head.parts == Part.SKIN].mean(axis=0) * [0.0, 1.0, 1.0]


def _levels(amount: float) -> np.ndarray:
    """Weights of least, average and most."""
    return np.array([max(-amount, 0.0), 1.0 - abs(amount), max(amount, 0.0)])
