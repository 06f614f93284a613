"""Deep3DFaceReconstruction's face model (Deng et al. 2019): the front of the Basel Face Model 2009 with expressions."""

import os
import pathlib

import numpy as np

from jaxface.io.matlab import parse_matlab
from jaxface.io.pickles import read_bytes
from jaxface.models.archives import read_members
from jaxface.models.readers.fields import indices, numbers, scaled_basis, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import FaceError

MM_PER_UNIT, UNITS_PER_BFM = 100.0, 1e-5  # decimetres; the Basel Face Model is in micrometres
NUM_IDENTITY, NUM_EXPRESSION = 80, 64  # components that the authors keep
FRONT = "BFM_model_front.mat"
BFM, EXPRESSIONS, DEVIATIONS = "01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt"
TRIMMED, CHOSEN, INFO = "BFM_exp_idx.mat", "BFM_front_idx.mat", "facemodel_info.mat"
PARTS = (BFM, EXPRESSIONS, DEVIATIONS, TRIMMED, CHOSEN, INFO)


def read(path: str | os.PathLike) -> SourceModel:
    """The model in `BFM_model_front.mat`: that file, or a folder, .zip or .tar that holds it.

    Where it is absent there, the model is put together as the authors do, from `01_MorphableModel.mat`,
    `Exp_Pca.bin`, `std_exp.txt`, `BFM_exp_idx.mat`, `BFM_front_idx.mat` and `facemodel_info.mat`. Decimetres become
    millimetres, the origin the mean of the vertices; its bases carry the standard deviations. Raises FaceError for
    anything else. Source: Deep3DFaceRecon_pytorch, util/load_mats.py and models/bfm.py.
    """
    path = pathlib.Path(path)
    with np.errstate(all="ignore"):  # absurd numbers are found at the end
        if path.is_file() and path.suffix.lower() == ".mat":
            files = {FRONT: read_bytes(path)}
        else:
            files = _files(path, (FRONT,))
        if files:
            return check_source(_model(parse_matlab(files[FRONT], path=path), path=path), path=path)
        files = _files(path, PARTS)
        missing = [name for name in PARTS if name not in files]
        if missing:
            raise FaceError(f"{path}: no {FRONT} in it, and to build it {', '.join(missing)} are missing; add these.")
        return check_source(_model(_assemble(files, path=path), path=path), path=path)


def _files(path, names) -> dict[str, bytes]:
    """Content by base name; of several, the first that is stored."""
    found: dict[str, bytes] = {}
    for name, data in read_members(path, lambda base: base in names):
        found.setdefault(name.rsplit("/", 1)[-1], data)
    return found


def _model(fields, *, path) -> SourceModel:
    mean = numbers(fields, "meanshape", path=path, shape=(None,))
    if len(mean) % 3:
        raise FaceError(f"{path}: meanshape has {len(mean)} numbers, expected three for each vertex; check the file.")
    identity = numbers(fields, "idBase", path=path, shape=(len(mean), None))
    expression = numbers(fields, "exBase", path=path, shape=(len(mean), None))
    colours = numbers(fields, "meantex", path=path, shape=(len(mean),)).reshape(-1, 3) / 255
    mean = mean.reshape(-1, 3)
    points = indices(fields, "keypoints", path=path, count=len(mean), first=1).reshape(-1)
    if len(points) != 68:
        raise FaceError(f"{path}: keypoints names {len(points)} points, expected 68; check the file.")
    return SourceModel(
        mean_mm=(MM_PER_UNIT * (mean - mean.mean(axis=0, dtype=np.float64))).astype(np.float32),
        identity_mm=_basis(identity),
        expression_mm=_basis(expression),
        expression_names=tuple(f"exp_{i}" for i in range(expression.shape[1])),
        expression_bounds=(-3.0, 3.0),
        triangles=triangles(fields, "tri", path=path, count=len(mean), first=1),
        uvs=None,
        uv_triangles=None,
        colours=np.clip(colours, 0.0, 1.0),
        ibug_vertices=points,
        note=f"The front of the Basel Face Model 2009 as Deep3DFaceReconstruction has it, its {identity.shape[1]} "
        f"identities and {expression.shape[1]} expressions.",
    )


def _basis(components) -> np.ndarray:
    return scaled_basis(components, np.full(components.shape[1], MM_PER_UNIT, np.float32))


def _assemble(files, *, path) -> dict[str, np.ndarray | dict]:
    """The fields of `BFM_model_front.mat` that are used, from what it is built of."""
    stored = {name: parse_matlab(files[name], path=path / name) for name in (BFM, TRIMMED, CHOSEN, INFO)}
    mean = numbers(stored[BFM], "shapeMU", path=path / BFM, shape=(None,))
    colours = numbers(stored[BFM], "texMU", path=path / BFM, shape=(len(mean),))
    components = numbers(stored[BFM], "shapePC", path=path / BFM, shape=(len(mean), None))
    deviations = numbers(stored[BFM], "shapeEV", path=path / BFM, shape=(components.shape[1],))
    trimmed = indices(stored[TRIMMED], "trimIndex", path=path / TRIMMED, count=len(mean) // 3, first=1).reshape(-1)
    chosen = indices(stored[CHOSEN], "idx", path=path / CHOSEN, count=len(trimmed), first=1).reshape(-1)
    rows = _coordinates(trimmed[chosen])
    identity = UNITS_PER_BFM * components[rows, :NUM_IDENTITY] * deviations[None, :NUM_IDENTITY]
    return {
        "meanshape": UNITS_PER_BFM * mean[rows],
        "meantex": colours[rows],
        "idBase": identity,
        "exBase": _expressions(files, len(trimmed), path=path)[_coordinates(chosen)],
        **{key: stored[INFO][key] for key in ("tri", "keypoints") if key in stored[INFO]},
    }


def _coordinates(vertices: np.ndarray) -> np.ndarray:
    """Rows of x, y, z of the vertices in a column of coordinates."""
    return (3 * vertices[:, None] + np.arange(3)[None]).reshape(-1)


def _expressions(files, num_vertices, *, path) -> np.ndarray:
    """(coordinates, components), decimetres. The file has a count, a mean that is not used, and the components."""
    data, row = files[EXPRESSIONS], 3 * num_vertices
    count = int.from_bytes(data[:4], "little", signed=True)
    if count < 1 or len(data) != 4 + 4 * row * (count + 1):
        raise FaceError(f"{path / EXPRESSIONS}: it does not hold {count} components of {num_vertices} vertices.")
    components = np.frombuffer(data, "<f4", offset=4).reshape(count + 1, row)[1:].T
    try:
        deviations = np.array(files[DEVIATIONS].split(), np.float32)
    except ValueError:
        deviations = np.zeros(0, np.float32)
    if len(deviations) != count:
        raise FaceError(f"{path / DEVIATIONS}: it must hold {count} numbers, one for each component of {EXPRESSIONS}.")
    return UNITS_PER_BFM * components[:, :NUM_EXPRESSION] * deviations[None, :NUM_EXPRESSION]
