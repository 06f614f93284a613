"""Basel Face Model 2009 (Paysan et al. 2009): `01_MorphableModel.mat`, or face3d's `BFM.mat` with expressions."""

import os

import numpy as np

from jaxface.io.matlab import parse_matlab
from jaxface.io.pickles import read_bytes
from jaxface.models.readers.fields import existing_file, indices, numbers, scaled_basis, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import FaceError

MM_PER_UNIT = 1e-3  # the files are in micrometres
NUM_VERTICES = 53490
# iBUG points from 1 and vertices from 0, as in eos: share/ibug_to_bfm2009.txt; it has no others.
IBUG = {
    18: 38792, 20: 40087, 22: 40514, 23: 41091, 25: 41511, 27: 42825, 31: 8319, 34: 8334, 37: 2088, 40: 5959,
    43: 10603, 46: 14472, 49: 5006, 52: 8344, 55: 11714, 58: 8374, 63: 8354, 67: 8366,
}  # fmt: skip
_TITLE = "01_MorphableModel.mat of the Basel Face Model 2009"


def read(path: str | os.PathLike) -> SourceModel:
    """The model in `01_MorphableModel.mat`; `shapeEV` are standard deviations, and it has no expressions.

    face3d's `BFM.mat`, the same model trimmed, brings 29 expressions and all iBUG points; its mean is the sum of both
    means. Micrometres become millimetres, triangles turn outwards, colours are `texMU` / 255. Raises FaceError for any
    other file. Sources: eos share/scripts/convert-bfm2009-to-eos.py, face3d examples/Data/BFM/generate.m.
    """
    path = existing_file(path, title=_TITLE)
    fields = parse_matlab(read_bytes(path), path=path)
    inside = fields.get("model")
    fields = inside if isinstance(inside, dict) else fields
    has_expressions = fields is inside
    mean = numbers(fields, "shapeMU", path=path, shape=(None,))
    if len(mean) % 3:
        raise FaceError(f"{path}: shapeMU has {len(mean)} numbers, expected three for each vertex; check the file.")
    num_vertices = len(mean) // 3
    expression_mm = np.zeros((0, num_vertices, 3), np.float32)
    with np.errstate(all="ignore"):
        identity_mm = _basis(fields, "shape", path=path, rows=len(mean))
        if has_expressions:
            mean = mean + numbers(fields, "expMU", path=path, shape=(len(mean),))
            expression_mm = _basis(fields, "exp", path=path, rows=len(mean))
    colours = numbers(fields, "texMU", path=path, shape=(len(mean),)).reshape(-1, 3) / 255
    model = SourceModel(
        mean_mm=MM_PER_UNIT * mean.reshape(-1, 3),
        identity_mm=identity_mm,
        expression_mm=expression_mm,
        expression_names=tuple(f"exp_{i}" for i in range(len(expression_mm))),
        expression_bounds=(-3.0, 3.0),
        triangles=triangles(
            fields, "tri" if has_expressions else "tl", path=path, count=num_vertices, first=1, flip=True
        ),
        uvs=None,
        uv_triangles=None,
        colours=np.clip(colours, 0.0, 1.0),
        ibug_vertices=_ibug(fields, path=path, num_vertices=num_vertices),
        note=f"Basel Face Model 2009, its {len(identity_mm)} identities and {len(expression_mm)} expressions.",
    )
    return check_source(model, path=path)


def _basis(fields, prefix, *, path, rows):
    """Components times their standard deviations, in millimetres."""
    components = numbers(fields, prefix + "PC", path=path, shape=(rows, None))
    deviations = numbers(fields, prefix + "EV", path=path, shape=(components.shape[1],))
    return scaled_basis(components, np.float32(MM_PER_UNIT) * deviations)


def _ibug(fields, *, path, num_vertices):
    if "kpt_ind" in fields:
        points = indices(fields, "kpt_ind", path=path, count=num_vertices, first=1).reshape(-1)
        if len(points) != 68:
            raise FaceError(f"{path}: kpt_ind names {len(points)} points, expected 68; check the file.")
        return points
    points = np.full(68, -1, np.int32)
    if num_vertices == NUM_VERTICES:
        points[np.array(list(IBUG)) - 1] = list(IBUG.values())
    return points
