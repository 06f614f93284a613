"""Identity components: the modes of `variation`, their spread set by the measures of people, in order of importance."""

import numpy as np

from default_model.head import Head, vertex_areas, without_motion
from default_model.measures import Measures, published
from default_model.rims import Rims, points
from jaxface.models.embedding import Embedding
from jaxface.types import Part, Region

NUM_COMPONENTS = 80
ROUNDS = 10  # until rims do not part
ASIDE = 0.15  # weight of ears, scalp, neck and what is inside beside the face, in choosing components


def identity_basis(
    modes_mm: np.ndarray,
    mean_mm: np.ndarray,
    regions: np.ndarray,
    measures: Measures,
    found: Embedding,
    rims: Rims,
    head: Head,
) -> np.ndarray:
    """Components (80, vertices, 3) in mm for one standard deviation each, most important first."""
    aside = (regions >= Region.OUTSIDE) | (head.parts != Part.SKIN)
    weight = np.sqrt(vertex_areas(mean_mm, head) * np.where(aside, ASIDE, 1.0))
    flat = modes_mm.reshape(len(modes_mm), -1)
    flat = _calibrated(flat, measures, mean_mm)
    seen = flat * np.repeat(weight, 3)[None, :].astype(np.float32)
    values, vectors = np.linalg.eigh((seen @ seen.T).astype(np.float64))
    largest = np.argsort(values)[::-1][:NUM_COMPONENTS]
    kept = _with_closed_rims(vectors[:, largest].T.astype(np.float32) @ flat, found, rims, head)
    basis = _calibrated(kept, measures, mean_mm)
    signs = np.sign(basis[np.arange(NUM_COMPONENTS), np.abs(basis).argmax(axis=1)])
    return without_motion((basis * signs[:, None]).reshape(NUM_COMPONENTS, -1, 3), mean_mm, head)


def _with_closed_rims(flat: np.ndarray, found: Embedding, rims: Rims, head: Head) -> np.ndarray:
    """Modes that open neither eyes nor mouth: how wide they are is expression, and shut lids and lips stay shut in
    everybody. Each rim goes half of the way."""
    modes = flat.reshape(len(flat), -1, 3).astype(np.float64)
    for mode in modes:
        for _ in range(ROUNDS):
            moved = points(head, found, mode)
            apart = (moved[rims.upper] - moved[rims.lower]) * [0.0, 0.5, 0.5]
            mode += rims.weights @ np.concatenate([-apart, apart])
    return modes.reshape(len(flat), -1).astype(np.float32)


def _calibrated(flat: np.ndarray, measures: Measures, mean_mm: np.ndarray) -> np.ndarray:
    """Modes whose measures have the published spreads: what a measure has too much or too little of is taken or given
    along the field that goes with it in these very modes. Correlations of measures stay."""
    _, wanted = published()
    slopes = measures.slopes(mean_mm)[: len(wanted)]
    moved = flat.astype(np.float64) @ slopes.T
    covariance = moved.T @ moved
    factors = wanted / np.sqrt(np.diag(covariance))
    fields = np.linalg.solve(covariance, moved.T @ flat)
    return (flat + (moved * (factors - 1.0)) @ fields).astype(np.float32)
