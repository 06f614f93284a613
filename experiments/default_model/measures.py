"""Twelve measures of head and face, and what they are in people.

Means and standard deviations (mm) of men and women are remembered from Zhuang and Bradtmiller (2005), "Head-and-face
anthropometric survey of U.S. respirator users", J. Occup. Environ. Hyg. 2(11); not checked against its tables.
Distances of surface points without soft-tissue pressure, so breadths of bone come out somewhat large.
"""

from typing import NamedTuple

import numpy as np

from default_model.head import Head
from jaxface.models.embedding import Embedding
from jaxface.types import Part

# name: (men's mean, their deviation, women's mean, their deviation)
PUBLISHED_MM = {
    "minimum frontal breadth": (105.5, 5.7, 102.9, 5.4),
    "face width": (143.5, 6.9, 135.1, 6.5),
    "bigonial breadth": (120.4, 10.4, 110.1, 8.9),
    "face length": (122.7, 7.0, 113.4, 6.1),
    "interpupillary distance": (64.5, 3.6, 61.9, 3.5),
    "head breadth": (153.0, 6.0, 146.8, 5.6),
    "head length": (197.3, 7.4, 187.5, 7.2),
    "nose protrusion": (21.1, 2.7, 19.8, 2.7),
    "nose breadth": (36.6, 4.1, 33.2, 3.9),
    "nasal root breadth": (16.6, 2.3, 16.3, 2.0),
    "nose length": (52.0, 4.1, 48.2, 3.8),
    "lip length": (51.1, 4.2, 48.0, 4.0),
}
OUTER_CANTHI_MM = 90.0  # of the mean face, by which models are brought to one size


class Measures(NamedTuple):
    """Pairs of points by name, each a row of weights over the vertices."""

    names: tuple[str, ...]
    starts: np.ndarray
    ends: np.ndarray

    def of(self, vertices_mm: np.ndarray) -> np.ndarray:
        """The distances on heads (..., vertices, 3)."""
        return np.linalg.norm(self._differences(vertices_mm), axis=-1)

    def slopes(self, vertices_mm: np.ndarray) -> np.ndarray:
        """Their derivatives by the vertices, (measures, vertices * 3)."""
        apart = self._differences(vertices_mm)
        direction = apart / np.linalg.norm(apart, axis=-1, keepdims=True)
        return ((self.ends - self.starts)[:, :, None] * direction[:, None, :]).reshape(len(self.names), -1)

    def _differences(self, vertices_mm):
        return np.einsum("mv,...vx->...mx", self.ends - self.starts, vertices_mm)


def published() -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of men and women together, half of each."""
    table = np.array(list(PUBLISHED_MM.values()))
    means = (table[:, 0] + table[:, 2]) / 2
    variances = (table[:, 1] ** 2 + table[:, 3] ** 2) / 2 + ((table[:, 0] - table[:, 2]) / 2) ** 2
    return means, np.sqrt(variances)


def report(measures: Measures, mean_mm: np.ndarray, basis_mm: np.ndarray) -> list[str]:
    """A line a measure: of the mean, mean and deviation of 1,000 random people, and as published (mm)."""
    weights = np.random.default_rng(0).normal(size=(1000, len(basis_mm)))
    found = measures.of(mean_mm + np.tensordot(weights, basis_mm, axes=1))
    found = measures.of(mean_mm + np.tensordot(weights, basis_mm, axes=1))
    figures = np.stack([measures.of(mean_mm), found.mean(axis=0), found.std(axis=0)], axis=1)[: len(PUBLISHED_MM)]
    return [
        f"{name}: mean face {mean:.1f}, people {middle:.1f} +- {spread:.1f}, published {wanted:.1f} +- {known:.1f}"
        for name, (mean, middle, spread), wanted, known in zip(PUBLISHED_MM, figures, *published(), strict=True)
    ]


def find_measures(head: Head, vertices_mm: np.ndarray, found: Embedding) -> Measures:
    """Where the measures are taken, on the average head; `outer canthi` comes last."""
    skin = vertices_mm * np.where(head.parts == Part.SKIN, 1.0, np.nan)[:, None]
    marks = found.points_mm

    def mark(number):
        row = np.zeros(len(vertices_mm))
        np.add.at(row, head.triangles[found.triangles[number]], found.barycentrics[number])
        return row

    def centre(part):
        return (head.parts == part) / (head.parts == part).sum()

    def widest(low, high, ahead):
        """The outermost vertex of the left side between two heights, in front of the ear or above it."""
        inside = (skin[:, 1] > low) & (skin[:, 1] < high) & ahead
        return np.eye(1, len(vertices_mm), np.nanargmax(np.where(inside, skin[:, 0], np.nan)))[0]

    middle = np.abs(skin[:, 0]) < 1.0
    brow, eye = marks[9], marks[33]
    before_ear = skin[:, 2] > marks[454, 2] + 4.0
    sides = {
        "minimum frontal breadth": mark(293),
        "face width": widest(marks[2, 1], eye[1], before_ear),
        "bigonial breadth": mark(397) * 0.5 + mark(288) * 0.5,
        "interpupillary distance": centre(Part.LEFT_EYE),
        "head breadth": widest(brow[1] + 25.0, np.inf, np.ones(len(skin), bool)),
        "nose breadth": mark(278) if marks[278, 0] > marks[294, 0] else mark(294),
        "nasal root breadth": mark(417),
        "lip length": mark(291),
        "outer canthi": mark(263),
    }
    pairs = {name: (row[head.mirror], row) for name, row in sides.items()}
    back = np.nanargmin(np.where(middle, skin[:, 2], np.nan))
    sellion, subnasale = mark(168), np.eye(1, len(skin), _corner(skin, middle, marks[4], marks[2], marks[0]))[0]
    pairs["face length"] = (mark(152), sellion)
    pairs["head length"] = (np.eye(1, len(skin), back)[0], mark(9))
    pairs["nose protrusion"] = (subnasale, mark(4))
    pairs["nose length"] = (subnasale, sellion)
    names = (*PUBLISHED_MM, "outer canthi")
    return Measures(names, *(np.array([pairs[name][end] for name in names]) for end in (0, 1)))


def _corner(skin, middle, tip, base, lip):
    """The midline's vertex farthest behind the line from the tip of the nose to the upper lip, near the septum's base
    as the detector has it: what lies deeper is inside of the nose."""
    along = (lip - tip) / np.linalg.norm(lip - tip)
    behind = np.cross([1.0, 0.0, 0.0], along)
    behind *= np.sign(-behind[2])
    between = middle & (skin[:, 1] < tip[1]) & (skin[:, 1] > lip[1]) & (skin[:, 2] > base[2] - 4.0)
    return np.nanargmax(np.where(between, (skin - tip) @ behind, np.nan))
