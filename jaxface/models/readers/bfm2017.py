"""Basel Face Model 2017 and 2019 (Gerig et al. 2018): HDF5 in Statismo's layout."""

import os
import pathlib
from collections.abc import Mapping

import h5py
import numpy as np

from jaxface.models.readers.fields import existing_file, numbers, scaled_basis, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import FaceError

NUM_VERTICES = 53149  # of model2017-1_bfm_nomouth.h5, the one mesh that the table below is for
# iBUG points from 1 and vertices from 0, as in eos: share/ibug_to_bfm2017-1_bfm_nomouth.txt; it has no others.
IBUG = {
    9: 47846, 31: 8156, 37: 2602, 40: 5830, 43: 10390, 46: 13481, 49: 5522, 50: 6026, 51: 7355, 52: 8181, 53: 9007,
    54: 10329, 55: 10857, 56: 9730, 57: 8670, 58: 8199, 59: 7726, 60: 6898, 61: 6291, 62: 7364, 63: 8190, 64: 9016,
    65: 10088, 66: 8663, 67: 8191, 68: 7719,
}  # fmt: skip
_TITLE = "an .h5 file of the Basel Face Model 2017 or 2019"
_MAX_NUMBERS = 200_000_000  # in one dataset; the largest that we know has a fifth of it
# By layout: whether the basis carries the standard deviations.
_IS_SCALED: dict[tuple[float, ...], bool] = {(0, 8): True, (0, 9): False}
_VERSION = ("version/majorVersion", "version/minorVersion")
_GROUPS = ("shape", "expression", "color")
_DATASETS = ("model/mean", "model/pcaBasis", "model/pcaVariance", "representer/cells")


def read(path: str | os.PathLike) -> SourceModel:
    """The model in a file such as `model2017-1_bfm_nomouth.h5`, `..._face12_nomouth.h5` or `model2019_fullHead.h5`.

    The mean is the sum of the shape's and the expressions' mean; bases are multiplied by the square root of the
    variances where the layout (0.9) has not done so already (0.8). Millimetres, triangles outwards, colours in [0, 1].
    Files without expressions or colours are taken. Raises FaceError for any other file. Source: scalismo-faces,
    MoMoIO.scala; eos share/scripts/convert-bfm2017-to-eos.py.
    """
    path = existing_file(path, title=_TITLE)
    fields = _load(path)
    mean = numbers(fields, "shape/model/mean", path=path, shape=(None,))
    if len(mean) % 3:
        raise FaceError(f"{path}: shape/model/mean has {len(mean)} numbers, expected three for each vertex.")
    num_vertices = len(mean) // 3
    expression_mm = np.zeros((0, num_vertices, 3), np.float32)
    with np.errstate(all="ignore"):
        identity_mm = _basis(fields, "shape", path=path, rows=len(mean))
        if "expression/model/mean" in fields:
            mean = mean + numbers(fields, "expression/model/mean", path=path, shape=(len(mean),))
            expression_mm = _basis(fields, "expression", path=path, rows=len(mean))
    model = SourceModel(
        mean_mm=mean.reshape(-1, 3),
        identity_mm=identity_mm,
        expression_mm=expression_mm,
        expression_names=tuple(f"exp_{i}" for i in range(len(expression_mm))),
        expression_bounds=(-3.0, 3.0),
        triangles=triangles(fields, "shape/representer/cells", path=path, count=num_vertices),
        uvs=None,
        uv_triangles=None,
        colours=_colours(fields, path=path, size=len(mean)),
        ibug_vertices=_ibug(num_vertices),
        note=f"Basel Face Model 2017 or 2019, its {len(identity_mm)} identities and {len(expression_mm)} expressions.",
    )
    return check_source(model, path=path)


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The datasets that a face shape needs, by their place in the file, as far as they are there."""
    names = [f"{group}/{dataset}" for group in _GROUPS for dataset in _DATASETS]
    names += _VERSION
    try:
        with h5py.File(path, "r") as file:
            return {name: _dataset(file[name], name, path=path) for name in names if name in file}
    except FaceError:
        raise
    except Exception as error:  # on damaged files the library raises nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FaceError(f"{path}: it is not a readable HDF5 file ({reason}); give {_TITLE}.") from error


def _dataset(dataset, name, *, path):
    if not isinstance(dataset, h5py.Dataset) or dataset.size is None or dataset.size > _MAX_NUMBERS:
        raise FaceError(f"{path}: {name} is not an array of a plausible size; give {_TITLE}.")
    return np.asarray(dataset[()])


def _basis(fields: Mapping[str, np.ndarray], group: str, *, path: pathlib.Path, rows: int) -> np.ndarray:
    """Components times their standard deviations, in millimetres."""
    components = numbers(fields, f"{group}/model/pcaBasis", path=path, shape=(rows, None))
    variances = numbers(fields, f"{group}/model/pcaVariance", path=path, shape=(components.shape[1],))
    if variances.min() < 0:
        raise FaceError(f"{path}: {group}/model/pcaVariance holds negative numbers; get a complete copy of the file.")
    layout = tuple(float(numbers(fields, key, path=path, shape=(1,))[0]) for key in _VERSION)
    if layout not in _IS_SCALED:
        raise FaceError(f"{path}: version/minorVersion says layout {layout[0]:g}.{layout[1]:g}, expected 0.8 or 0.9.")
    return scaled_basis(components, np.ones_like(variances) if _IS_SCALED[layout] else np.sqrt(variances))


def _colours(fields, *, path, size):
    if "color/model/mean" not in fields:
        return None
    return np.clip(numbers(fields, "color/model/mean", path=path, shape=(size,)).reshape(-1, 3), 0.0, 1.0)


def _ibug(num_vertices):
    points = np.full(68, -1, np.int32)
    if num_vertices == NUM_VERTICES:
        points[np.array(list(IBUG)) - 1] = list(IBUG.values())
    return points
