"""A face model as its authors publish it, brought to our units and axes."""

import dataclasses

import numpy as np

from jaxface.types import Articulation


@dataclasses.dataclass(frozen=True)
class SourceModel:
    """What a reader returns: object frame, millimetres, triangles that face outwards, indices from 0; host arrays.

    `identity_mm` and `expression_mm` (components, vertices, 3) carry the standard deviations, so that coefficients are
    ~ N(0, 1), or in [0, 1] for blendshapes (`expression_bounds` (-3, 3) or (0, 1)). `colours` are RGB in [0, 1] or
    None, `uvs` with `uv_triangles` (corner by corner with `triangles`, v up, in [0, 1]) or both None, `ibug_vertices`
    the 68 iBUG points as vertices, -1 where unknown. `parts` are values of `Part`, or None where the file does not name
    them. `note` says in one sentence what of the files was used.
    """

    mean_mm: np.ndarray
    identity_mm: np.ndarray
    expression_mm: np.ndarray
    expression_names: tuple[str, ...]
    expression_bounds: tuple[float, float]
    triangles: np.ndarray
    uvs: np.ndarray | None
    uv_triangles: np.ndarray | None
    colours: np.ndarray | None
    ibug_vertices: np.ndarray
    note: str
    articulation: Articulation | None = None
    parts: np.ndarray | None = None
