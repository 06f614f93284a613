"""The mean head: MakeHuman's average grown-up with the measures of people."""

import numpy as np

from default_model import contours
from default_model.expressions import carried, points
from default_model.head import Head
from default_model.measures import OUTER_CANTHI_MM, Measures, published
from jaxface.models.embedding import Embedding
from jaxface.models.openings import boundary_loops
from jaxface.types import Part

ROUNDS, BORDER_ROUNDS = 6, 12
STIFFNESS = 0.01  # variance of a measure's mean, in its own variances
TEETH_WIDTH, TEETH_BACK_MM = 0.88, 2.0
LIP_GAP_MM, LIP_MM = 0.3, 6.0  # between the landmarks of closed lips, and how far around them they are moved


def mean_head(average_mm: np.ndarray, modes_mm: np.ndarray, measures: Measures, head: Head) -> np.ndarray:
    """Symmetric, outer canthi OUTER_CANTHI_MM apart, (vertices, 3) in mm: the most probable head of those that have
    the measures, where people differ by `modes_mm`."""
    wanted, deviations = published()
    wanted, deviations = np.append(wanted, OUTER_CANTHI_MM), np.append(deviations, 1.0)
    flat = modes_mm.reshape(len(modes_mm), -1).astype(np.float64)
    mean_mm = average_mm * OUTER_CANTHI_MM / measures.of(average_mm)[-1]
    for _ in range(ROUNDS):
        slopes = flat @ measures.slopes(mean_mm).T / deviations
        missing = (wanted - measures.of(mean_mm)) / deviations
        weights = slopes @ np.linalg.solve(slopes.T @ slopes + STIFFNESS * np.eye(len(missing)), missing)
        mean_mm = mean_mm + (weights @ flat).reshape(mean_mm.shape)
    mean_mm = (mean_mm + mean_mm[head.mirror] * [-1.0, 1.0, 1.0]) / 2.0
    return mean_mm * OUTER_CANTHI_MM / measures.of(mean_mm)[-1]


def with_even_border(mean_mm: np.ndarray, head: Head) -> np.ndarray:
    """The neck ends in a smooth line, not in the zigzag of the faces that were cut off."""
    (rim,) = boundary_loops(head.triangles[head.parts[head.triangles[:, 0]] == Part.SKIN])
    line = mean_mm[rim]
    for _ in range(BORDER_ROUNDS):
        line = line / 2.0 + (np.roll(line, 1, axis=0) + np.roll(line, -1, axis=0)) / 4.0
    evened = mean_mm.copy()
    evened[rim] = line
    return evened


def with_teeth_inside(mean_mm: np.ndarray, head: Head) -> np.ndarray:
    """Teeth drawn in a little: at the corners of the mouth they would show between closed lips."""
    teeth = np.isin(head.parts, (Part.UPPER_TEETH, Part.LOWER_TEETH))[:, None]
    return np.where(teeth, mean_mm * [TEETH_WIDTH, 1.0, 1.0] - [0.0, 0.0, TEETH_BACK_MM], mean_mm)


def with_closed_lips(mean_mm: np.ndarray, head: Head, found: Embedding) -> np.ndarray:
    """Lips that part by LIP_GAP_MM: MakeHuman's let the teeth be seen."""
    upper, lower = (list(chain[1:-1]) for chain in contours.INNER_LIPS)
    for _ in range(ROUNDS):
        marks = points(head, found, mean_mm)
        excess = (marks[upper] - marks[lower])[:, 1] - LIP_GAP_MM
        shifts = np.zeros((2, len(upper), 3))
        shifts[0, :, 1], shifts[1, :, 1] = -excess / 2.0, excess / 2.0
        moved = carried(shifts.reshape(-1, 3), marks[upper + lower], mean_mm, reach_mm=LIP_MM)
        mean_mm = mean_mm + moved * (head.parts == Part.SKIN)[:, None]
    return mean_mm
