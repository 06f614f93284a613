"""The mean head: MakeHuman's average grown-up with the measures of people."""

import numpy as np

from default_model import contours
from default_model.head import Head
from default_model.measures import OUTER_CANTHI_MM, Measures, published
from default_model.rims import Rims, points
from jaxface.models.embedding import Embedding
from jaxface.models.openings import boundary_loops
from jaxface.types import Part

ROUNDS, BORDER_ROUNDS = 6, 12
STIFFNESS = 0.01  # variance of a measure's mean, in its own variances
TEETH_WIDTH, TEETH_BACK_MM, OVERBITE_MM, TONGUE_MM = 0.84, 2.0, 1.5, (0.0, -5.0, -5.0)
LIP_GAP_MM, LIP_ROUNDS = 0.3, 20  # between the landmarks of closed lips; rounds until they are so near


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


def with_mouth_in_place(mean_mm: np.ndarray, head: Head) -> np.ndarray:
    """Teeth drawn in a little, as at the corners of the mouth they would show between closed lips; the upper ones over
    the lower ones, and the tongue behind these, where MakeHuman's fills an open mouth."""
    moves = {
        Part.UPPER_TEETH: (TEETH_WIDTH, (0.0, -OVERBITE_MM, -TEETH_BACK_MM)),
        Part.LOWER_TEETH: (TEETH_WIDTH, (0.0, 0.0, -TEETH_BACK_MM)),
        Part.TONGUE: (1.0, TONGUE_MM),
    }
    placed = mean_mm.copy()
    for part, (width, shift) in moves.items():
        placed[head.parts == part] = mean_mm[head.parts == part] * [width, 1.0, 1.0] + shift
    return placed


def with_closed_lips(mean_mm: np.ndarray, head: Head, found: Embedding, rims: Rims) -> np.ndarray:
    """Lips that part by LIP_GAP_MM: MakeHuman's let the teeth be seen."""
    is_lip = np.isin(rims.upper, contours.INNER_LIPS[0])
    for _ in range(LIP_ROUNDS):
        marks = points(head, found, mean_mm)
        excess = np.where(is_lip, (marks[rims.upper] - marks[rims.lower])[:, 1] - LIP_GAP_MM, 0.0)
        shifts = np.concatenate([-excess, excess]) / 2.0
        mean_mm = mean_mm + (rims.weights @ shifts)[:, None] * [0.0, 1.0, 0.0]
    return mean_mm
