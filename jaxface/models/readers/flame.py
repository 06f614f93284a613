"""FLAME 2020 and 2023 (Li et al. 2017): a head with a neck, a jaw and eyeballs that turn; pickle or .npz."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np
import scipy.sparse

from jaxface.io.pickles import load_pickle
from jaxface.models.readers.fields import existing_file, indices, numbers, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import Articulation, FaceError

MM_PER_UNIT = 1e3  # the files are in metres
NUM_IDENTITY = 300  # the rest of `shapedirs` are expressions
JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
JAW = JOINTS.index("jaw")
CORRECTED = (1, 2, 3, 4)  # joints whose rotations drive `posedirs`
SPREAD = 0.1  # radians that a jaw coefficient of 1 stands for; talking and smiling stay within 0.3
EMBEDDING = "flame_static_embedding.pkl"
_KEYS = ("v_template", "shapedirs", "f", "J_regressor", "weights", "posedirs", "kintree_table")
_TITLE = "a FLAME model, such as generic_model.pkl or flame2023.pkl"


def read(path: str | os.PathLike) -> SourceModel:
    """The model in `generic_model.pkl`, `female_model.pkl`, `male_model.pkl`, `flame2023.pkl`, or the same as .npz.

    Metres become millimetres and the origin the mean of the vertices. The first 300 components are identity, the
    others expressions; after them come the three axes of the jaw (see `Articulation`). Where the file
    `flame_static_embedding.pkl` lies beside it, iBUG points 17-67 are the vertices nearest to its points; the outline
    of the jaw has no vertices. Raises FaceError for any other file. Source: FLAME_PyTorch, flame.py; DECA, lbs.py.
    """
    path = existing_file(path, title=_TITLE)
    fields = _load(path)
    template = numbers(fields, "v_template", path=path, shape=(None, 3))
    num_vertices = len(template)
    basis = numbers(fields, "shapedirs", path=path, shape=(num_vertices, 3, None))
    faces = triangles(fields, "f", path=path, count=num_vertices)
    with np.errstate(all="ignore"):
        mean_mm = _recentred(template, template).astype(np.float32)
        basis_mm = np.ascontiguousarray(np.moveaxis(np.float32(MM_PER_UNIT) * basis, 2, 0))
        articulation = _articulation(fields, template, basis_mm, path=path)
        jaw_mm = _jaw_basis(mean_mm, articulation)
    identity_mm, expression_mm = basis_mm[:NUM_IDENTITY], np.concatenate([basis_mm[NUM_IDENTITY:], jaw_mm])
    names = [f"exp_{i}" for i in range(len(expression_mm) - len(jaw_mm))]
    model = SourceModel(
        mean_mm=mean_mm,
        identity_mm=identity_mm,
        expression_mm=expression_mm,
        expression_names=(*names, *("jaw_x", "jaw_y", "jaw_z")[: len(jaw_mm)]),
        expression_bounds=(-3.0, 3.0),
        triangles=faces,
        uvs=None,
        uv_triangles=None,
        colours=None,
        ibug_vertices=_ibug(path.parent / EMBEDDING, template, faces),
        note=f"FLAME with {len(identity_mm)} identities, {len(names)} expressions and the joints {', '.join(JOINTS)}.",
        articulation=articulation,
    )
    return check_source(model, path=path)


def _load(path: pathlib.Path) -> dict:
    if path.suffix.lower() == ".npz":
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return {name: stored[name] for name in _KEYS if name in stored.files}
        except Exception as error:  # on damaged files the unpacker raises nearly anything
            raise FaceError(f"{path}: it is not a readable .npz of plain arrays; give {_TITLE}.") from error
    fields = load_pickle(path)
    if not isinstance(fields, dict):
        raise FaceError(f"{path}: it must hold a dictionary, not {type(fields).__name__}; give {_TITLE}.")
    return fields


def _articulation(fields, template, basis_mm, *, path) -> Articulation:
    """Joints as the regressor finds them on the template and on each component, in millimetres."""
    num_vertices, num_expressions = len(template), max(len(basis_mm) - NUM_IDENTITY, 0)
    regressor = _regressor(fields, path=path, num_vertices=num_vertices)
    joints_basis = np.stack([regressor @ component for component in basis_mm])
    weights = numbers(fields, "weights", path=path, shape=(num_vertices, len(JOINTS)))
    correctives = numbers(fields, "posedirs", path=path, shape=(num_vertices, 3, 9 * len(CORRECTED)))
    free = (JAW,) if weights[:, JAW].any() else ()  # of FLAME 2023 there is a variant whose jaw does not turn
    joint_expression = np.zeros((num_expressions + 3 * len(free), len(JOINTS), 3))
    joint_expression[:num_expressions] = joints_basis[NUM_IDENTITY:]
    parts = {
        "joints_mm": _recentred(regressor @ template, template),
        "joint_identity_mm": joints_basis[:NUM_IDENTITY],
        "joint_expression_mm": joint_expression,
        "weights": weights,
        "correctives_mm": np.moveaxis(MM_PER_UNIT * correctives, 2, 0),
    }
    return Articulation(
        **{name: jnp.asarray(part, jnp.float32) for name, part in parts.items()},
        corrected=CORRECTED,
        parents=_parents(fields, path=path),
        names=JOINTS,
        free=free,
        spread=SPREAD,
    )


def _recentred(points, template) -> np.ndarray:
    """Metres of the file to millimetres about the mean of its vertices."""
    return MM_PER_UNIT * (points - template.mean(axis=0, dtype=np.float64))


def _regressor(fields, *, path, num_vertices) -> np.ndarray:
    """(joints, vertices), float64; sparse in the published files."""
    stored = fields.get("J_regressor")
    if scipy.sparse.issparse(stored) and stored.shape == (len(JOINTS), num_vertices):
        fields = {"J_regressor": stored.toarray()}
    return numbers(fields, "J_regressor", path=path, shape=(len(JOINTS), num_vertices)).astype(np.float64)


def _parents(fields, *, path) -> tuple[int, ...]:
    """Row 0 of `kintree_table`; what stands for the root's parent differs, hence it is not read."""
    table = numbers(fields, "kintree_table", path=path, shape=(2, len(JOINTS)))
    parents = (-1, *(int(parent) for parent in table[0, 1:]))
    if any(parent >= joint or parent < 0 for joint, parent in enumerate(parents) if joint):
        raise FaceError(f"{path}: kintree_table must list parents before their children; give {_TITLE}.")
    return parents


def _jaw_basis(mean_mm, articulation) -> np.ndarray:
    """How the jaw's coefficients move the mean to first order: the turn about its joint and the correctives."""
    if not articulation.free:
        return np.zeros((0, *mean_mm.shape), np.float32)
    place = 9 * CORRECTED.index(JAW)
    correctives = np.asarray(articulation.correctives_mm)[place : place + 9]
    weights, arm = np.asarray(articulation.weights)[:, JAW, None], mean_mm - np.asarray(articulation.joints_mm)[JAW]
    rows = []
    for axis in np.eye(3):
        derivative = np.cross(axis, np.eye(3)).T  # of the rotation matrix, by the angle about this axis
        rows.append(weights * np.cross(axis, arm) + np.tensordot(derivative.reshape(-1), correctives, 1))
    return (SPREAD * np.stack(rows)).astype(np.float32)


def _ibug(path, template, faces) -> np.ndarray:
    """The nearest corner of the triangle that each point 17-67 lies in; -1 where there is no embedding."""
    points = np.full(68, -1, np.int32)
    if not path.is_file():
        return points
    fields = load_pickle(path)
    if not isinstance(fields, dict):
        raise FaceError(f"{path}: it must hold a dictionary, not {type(fields).__name__}; remove or replace it.")
    rows = indices(fields, "lmk_face_idx", path=path, count=len(faces)).reshape(-1)
    if len(rows) != 51:
        raise FaceError(f"{path}: lmk_face_idx names {len(rows)} triangles, expected 51; remove or replace the file.")
    barycentrics = numbers(fields, "lmk_b_coords", path=path, shape=(51, 3))
    corners = template[faces[rows]]
    with np.errstate(all="ignore"):
        places = np.einsum("lc,lca->la", barycentrics, corners)
        nearest = np.argmin(np.sum((corners - places[:, None]) ** 2, axis=-1), axis=1)
    points[17:] = faces[rows, nearest]
    return points
