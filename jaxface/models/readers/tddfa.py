"""3DDFA_V2's face model (Guo et al. 2020): `bfm_noneck_v3.pkl`, cut out of the Basel Face Model 2009."""

import os
import pathlib

import numpy as np
from jaxtyping import Float

from jaxface.io.pickles import load_pickle
from jaxface.models.readers.fields import existing_file, indices, numbers, scaled_basis, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import FaceError

MM_PER_UNIT = 1e-3  # the files are in micrometres
MODEL, DEVIATIONS, TRIANGLES = "bfm_noneck_v3.pkl", "param_mean_std_62d_120x120.pkl", "tri.pkl"
# Parts of the network's 62 parameters; before them stands the pose.
IDENTITY, EXPRESSION = slice(12, 52), slice(52, 62)


def read(path: str | os.PathLike) -> SourceModel:
    """The model in `bfm_noneck_v3.pkl`, or in the folder `configs` of 3DDFA_V2 that holds it.

    Beside it must lie `param_mean_std_62d_120x120.pkl`, whose standard deviations make the raw coefficients ~ N(0, 1)
    in spread (`whitened` converts them); `tri.pkl`, if there, has the triangles, as in 3DDFA_V2 itself. Micrometres
    become millimetres, triangles turn outwards. Raises FaceError for any other file. Source: 3DDFA_V2, bfm/bfm.py.
    """
    path = pathlib.Path(path)
    path = existing_file(path / MODEL if path.is_dir() else path, title=MODEL)
    fields = _load(path)
    std = _deviations(path.parent / DEVIATIONS)
    mean = numbers(fields, "u", path=path, shape=(None,))
    if len(mean) % 3:
        raise FaceError(f"{path}: u has {len(mean)} numbers, expected three for each vertex; check the file.")
    with np.errstate(all="ignore"):
        identity_mm = _basis(fields, "w_shp", std[IDENTITY], path=path, rows=len(mean))
        expression_mm = _basis(fields, "w_exp", std[EXPRESSION], path=path, rows=len(mean))
    model = SourceModel(
        mean_mm=np.float32(MM_PER_UNIT) * mean.reshape(-1, 3),
        identity_mm=identity_mm,
        expression_mm=expression_mm,
        expression_names=tuple(f"exp_{i}" for i in range(len(expression_mm))),
        expression_bounds=(-3.0, 3.0),
        triangles=_triangles(fields, path=path, num_vertices=len(mean) // 3),
        uvs=None,
        uv_triangles=None,
        colours=None,
        ibug_vertices=_ibug(fields, path=path, size=len(mean)),
        note=f"3DDFA_V2's {MODEL} with the standard deviations of {DEVIATIONS}.",
    )
    return check_source(model, path=path)


def whitened(
    parameters: Float[np.ndarray, "62"], std: Float[np.ndarray, "62"]
) -> tuple[Float[np.ndarray, "40"], Float[np.ndarray, "10"]]:
    """Identity and expression coefficients of the model that `read` gives, from the network's 62 parameters.

    `parameters` are de-normalised (output * std + mean); `std` is that of `param_mean_std_62d_120x120.pkl`.
    """
    return parameters[IDENTITY] / std[IDENTITY], parameters[EXPRESSION] / std[EXPRESSION]


def _load(path: pathlib.Path) -> dict:
    fields = load_pickle(path)
    if not isinstance(fields, dict):
        raise FaceError(f"{path}: it must hold a dictionary, not {type(fields).__name__}; is this the right file?")
    return fields


def _deviations(path: pathlib.Path) -> np.ndarray:
    if not path.is_file():
        raise FaceError(f"{path}: it is missing; copy {DEVIATIONS} of 3DDFA_V2's configs there, beside {MODEL}.")
    std = numbers(_load(path), "std", path=path, shape=(EXPRESSION.stop,))
    if std[IDENTITY.start :].min() <= 0.0:
        raise FaceError(f"{path}: std must be above 0; get a complete copy of the file.")
    return std


def _basis(fields, key, std, *, path, rows):
    components = numbers(fields, key, path=path, shape=(rows, len(std)))
    return scaled_basis(components, np.float32(MM_PER_UNIT) * std)


def _triangles(fields, *, path, num_vertices):
    override = path.parent / TRIANGLES
    if override.is_file():
        fields, path = {"tri": load_pickle(override)}, override
    return triangles(fields, "tri", path=path, count=num_vertices, flip=True)


def _ibug(fields, *, path, size):
    """`keypoints` are places in the flat vector of coordinates: x, y, z of one point after the other."""
    places = indices(fields, "keypoints", path=path, count=size).reshape(-1)
    if (
        len(places) != 3 * 68
        or np.any(places.reshape(68, 3) != places[::3, None] + np.arange(3))
        or np.any(places[::3] % 3)
    ):
        raise FaceError(f"{path}: keypoints must be the x, y, z places of 68 vertices in u; is this the right file?")
    return places[::3] // 3
