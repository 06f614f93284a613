"""Lids and lips: their landmarks in pairs, the skin that goes with each, and moving them together or apart."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from default_model import contours
from default_model.head import Head
from jaxface.models.embedding import Embedding
from jaxface.types import Part

REACH_MM, WIDTH_MM = 6.0, 3.0  # around a rim the skin goes with it; over this length along it neighbours are blended
JAW_MARKS = (0, 17)  # the upper lip's middle and the lower one's: the jaw moves the second


class Rims(NamedTuple):
    """Pairs of landmarks across the openings, `upper[k]` above `lower[k]`, and how far each vertex goes with each of
    them, (vertices, upper then lower): 0 for those of the other lip, which touch it where the mouth is shut."""

    upper: np.ndarray
    lower: np.ndarray
    weights: np.ndarray


def find_rims(head: Head, found: Embedding, mean_mm: np.ndarray, jaw_mm: np.ndarray) -> Rims:
    """On the mean head; `jaw_mm` is what opening the jaw adds to it."""
    pairs = [contours.RIGHT_LIDS, contours.LEFT_LIDS, contours.INNER_LIPS]
    upper, lower = (np.concatenate([pair[side][1:-1] for pair in pairs]) for side in (0, 1))
    marks = np.concatenate([upper, lower])
    distance = cdist(mean_mm, points(head, found, mean_mm)[marks])
    is_lower = np.argmin(distance, axis=1) >= len(upper)
    near_mouth = np.isin(marks[np.argmin(distance, axis=1)], np.concatenate(contours.INNER_LIPS))
    drop = -jaw_mm[:, 1]
    middle = -points(head, found, jaw_mm)[list(JAW_MARKS), 1].mean()
    is_lower = np.where(near_mouth, drop > middle, is_lower)
    follows = is_lower[:, None] == (np.arange(len(marks)) >= len(upper))[None]
    near = np.where(follows, np.exp(-np.square(distance / WIDTH_MM)), 0.0)
    nearest = np.where(follows, distance, np.inf).min(axis=1, keepdims=True)
    fade = np.exp(-np.square(nearest / REACH_MM)) * (head.parts == Part.SKIN)[:, None]
    return Rims(upper, lower, fade * near / np.maximum(near.sum(axis=1, keepdims=True), 1e-12))


def points(head: Head, found: Embedding, vertices_mm: np.ndarray) -> np.ndarray:
    """Where the landmarks are on a shape of the head."""
    return np.sum(found.barycentrics[..., None] * vertices_mm[head.triangles[found.triangles]], axis=1)
