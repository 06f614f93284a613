"""A small face and writers that store it as the published models are stored (formats of BFM, 3DDFA_V2 and FLAME)."""

import pathlib
import pickle
import sys
import types
from typing import NamedTuple

import h5py
import numpy as np
import scipy.io
import scipy.sparse

HALF_WIDTH, HALF_HEIGHT = 70.0, 90.0


class TinyFace(NamedTuple):
    """Millimetres, object frame, outward triangles; bases are orthonormal columns beside their standard deviations."""

    mean_mm: np.ndarray
    triangles: np.ndarray
    ibug: np.ndarray
    identity: np.ndarray
    identity_std_mm: np.ndarray
    expression: np.ndarray
    expression_std_mm: np.ndarray
    colours: np.ndarray

    def shape_mm(self, identity, expression):
        """The face that these coefficients stand for, (vertices, 3)."""
        offsets = self.identity @ (self.identity_std_mm * identity)
        offsets += self.expression @ (self.expression_std_mm * expression)
        return self.mean_mm + offsets.reshape(-1, 3)


def tiny_face(num_vertices=192, *, num_identity=3, num_expression=2, table=None) -> TinyFace:
    """A dome with a nose; `table` (iBUG points from 0 to vertices) says where given points must be in the order."""
    columns = round(np.sqrt(num_vertices * 0.75))
    rows = -(-num_vertices // columns)
    y, x = np.meshgrid(
        np.linspace(-HALF_HEIGHT, HALF_HEIGHT, rows), np.linspace(-HALF_WIDTH, HALF_WIDTH, columns), indexing="ij"
    )
    depth = 60.0 - 40.0 * (x / HALF_WIDTH) ** 2 - 40.0 * (y / HALF_HEIGHT) ** 2
    depth += 25.0 * np.exp(-(x**2 + (y + 5.0) ** 2) / 150.0)
    mean = np.stack([x, y, depth], axis=-1).reshape(-1, 3)[:num_vertices]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    triangles = triangles[(triangles < num_vertices).all(axis=1)]
    distance = np.linalg.norm(mean[None, :, :2] - ibug_places()[:, None], axis=-1)
    ibug = np.argmin(distance, axis=1)
    order = _order(num_vertices, ibug, table or {})
    place = np.argsort(order)
    rng = np.random.default_rng(num_vertices)
    root = np.sqrt(num_vertices)
    modes = np.linalg.qr(rng.normal(size=(3 * num_vertices, num_identity + num_expression)))[0]
    return TinyFace(
        mean[order],
        place[triangles],
        place[ibug],
        modes[:, :num_identity],
        np.linspace(2.0, 1.0, num_identity) * root,
        modes[:, num_identity:],
        np.linspace(1.5, 0.5, num_expression) * root,
        rng.uniform(0.2, 0.9, (num_vertices, 3)),
    )


def ibug_places():
    """Where the 68 points lie on the dome, (68, 2) in mm."""
    turn = np.linspace(-np.pi, 0.0, 17)
    brow = np.linspace(15.0, 55.0, 5)
    eye = np.array([(44, 30), (38, 34), (28, 34), (20, 30), (28, 26), (38, 26)], float)
    parts = [
        np.stack([65 * np.cos(turn), 80 * np.sin(turn) + 10], 1),
        np.stack([-brow[::-1], 0 * brow + 45], 1),
        np.stack([brow, 0 * brow + 45], 1),
        np.stack([np.zeros(4), [30, 18, 6, -5]], 1),
        np.stack([np.linspace(-12, 12, 5), np.full(5, -15)], 1),
        eye * [-1, 1],
        eye[[3, 2, 1, 0, 5, 4]],
    ]
    for width, height, count in ((27, 12, 12), (20, 8, 8)):  # outer and inner lips
        around = np.pi - 2 * np.pi * np.arange(count) / count
        parts.append(np.stack([width * np.cos(around), height * np.sin(around) - 40], 1))
    return np.concatenate(parts)


def _order(num_vertices, ibug, table):
    """Which vertex stands at each place, so that `ibug[point]` stands at `table[point]`."""
    order = np.arange(num_vertices)
    for point, vertex in table.items():
        now = int(np.flatnonzero(order == ibug[point])[0])
        order[[now, vertex]] = order[[vertex, now]]
    return order


def changed(fields: dict, changes: dict) -> dict:
    """`fields` with some replaced; None removes one."""
    return {key: value for key, value in {**fields, **changes}.items() if value is not None}


def write_bfm2009(path: pathlib.Path, face: TinyFace, **changes) -> pathlib.Path:
    """`01_MorphableModel.mat`: micrometres, columns, counted from 1, inward triangles."""
    fields = {
        "shapeMU": 1e3 * face.mean_mm.reshape(-1, 1),
        "shapePC": face.identity,
        "shapeEV": 1e3 * face.identity_std_mm[:, None],
        "texMU": 255 * face.colours.reshape(-1, 1),
        "tl": face.triangles[:, [0, 2, 1]] + 1,
        "segbin": np.zeros((len(face.mean_mm), 4)),
    }
    floats = {key: np.float32(value) if key != "tl" else np.float64(value) for key, value in fields.items()}
    scipy.io.savemat(path, changed(floats, changes))
    return path


def write_face3d(path: pathlib.Path, face: TinyFace, **changes) -> pathlib.Path:
    """face3d's `BFM.mat`: one structure, triangles in columns."""
    offset = np.full((face.mean_mm.size, 1), 7e3, np.float32)
    fields = {
        "shapeMU": np.float32(1e3 * face.mean_mm.reshape(-1, 1) - offset),
        "shapePC": np.float32(face.identity),
        "shapeEV": np.float32(1e3 * face.identity_std_mm[:, None]),
        "expMU": offset,
        "expPC": np.float32(1e3 * face.expression),
        "expEV": np.float32(face.expression_std_mm[:, None]),
        "texMU": np.float32(255 * face.colours.reshape(-1, 1)),
        "tri": (face.triangles[:, [0, 2, 1]] + 1).T.astype(np.int32),
        "kpt_ind": face.ibug[None] + 1,
    }
    scipy.io.savemat(path, {"model": changed(fields, changes)})
    return path


def write_bfm2017(path: pathlib.Path, face: TinyFace, *, minor=9, **changes) -> pathlib.Path:
    """Statismo's HDF5; keys of `changes` have two underscores for a slash."""
    fields = {"version/majorVersion": 0, "version/minorVersion": minor}
    offset = np.tile([0.5, -0.25, 0.125], len(face.mean_mm))
    groups = {
        "shape": (face.mean_mm.reshape(-1) - offset, face.identity, face.identity_std_mm),
        "expression": (offset, face.expression, face.expression_std_mm),
        "color": (face.colours.reshape(-1), face.identity, face.identity_std_mm),
    }
    for group, (mean, basis, deviation) in groups.items():
        fields |= {
            f"{group}/model/mean": np.float32(mean),
            f"{group}/model/pcaBasis": np.float32(basis if minor == 9 else basis * deviation),
            f"{group}/model/pcaVariance": np.float32(deviation**2),
            f"{group}/representer/cells": face.triangles.T.astype(np.int32),
        }
    with h5py.File(path, "w") as file:
        for key, value in changed(fields, {key.replace("__", "/"): new for key, new in changes.items()}).items():
            file[key] = value
    return path


def write_tddfa(folder: pathlib.Path, face: TinyFace, **changes) -> pathlib.Path:
    """`bfm_noneck_v3.pkl` and the standard deviations beside it; 40 identities and 10 expressions are needed."""
    std = np.random.default_rng(0).uniform(0.5, 2.0, 62).astype(np.float32)
    std[12:52] *= 1e5
    keypoints = (3 * face.ibug[:, None] + np.arange(3)).reshape(-1)
    fields = {
        "u": np.float32(1e3 * face.mean_mm.reshape(-1, 1)),
        "w_shp": np.float32(1e3 * face.identity * face.identity_std_mm / std[12:52]),
        "w_exp": np.float32(1e3 * face.expression * face.expression_std_mm / std[52:62]),
        "tri": np.asfortranarray(face.triangles[:, [0, 2, 1]].T.astype(np.int32)),
        "keypoints": keypoints.astype(np.int32),
    }
    write_pickle(folder / "param_mean_std_62d_120x120.pkl", {"mean": np.zeros(62, np.float32), "std": std})
    return write_pickle(folder / "bfm_noneck_v3.pkl", changed(fields, changes))


def write_pickle(path: pathlib.Path, value) -> pathlib.Path:
    """A pickle as Python 2 could read it."""
    path.write_bytes(pickle.dumps(value, protocol=2))
    return path


def flame_fields(face: TinyFace, *, num_components=304) -> dict:
    """The arrays of a FLAME file in metres, its head far from the origin."""
    rng = np.random.default_rng(5)
    count = len(face.mean_mm)
    weights = np.zeros((count, 5))
    weights[:, 1] = np.clip((-face.mean_mm[:, 1] - 40) / 50, 0.0, 0.4)
    weights[:, 2] = np.clip((-face.mean_mm[:, 1] - 10) / 30, 0.0, 0.5)
    weights[:, 3:] = np.exp(-np.sum((face.mean_mm[:, None, :2] - [(32.0, 30.0), (-32.0, 30.0)]) ** 2, -1) / 100) / 3
    weights[:, 0] = 1.0 - weights.sum(axis=1)
    regressor = rng.uniform(size=(5, count)) * (rng.uniform(size=(5, count)) < 0.1)
    return {
        "v_template": 1e-3 * face.mean_mm + [0.0, 1.5, 0.1],
        "f": face.triangles.astype(np.uint32),
        "shapedirs": 1e-4 * rng.normal(size=(count, 3, num_components)),
        "posedirs": 1e-4 * rng.normal(size=(count, 3, 36)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": weights,
    }


def write_flame(path: pathlib.Path, fields: dict) -> pathlib.Path:
    """A pickle with chumpy arrays and a sparse regressor, as the published files have them; .npz is plain."""
    if path.suffix == ".npz":
        np.savez(path, **fields)
        return path
    chumpy, module = (types.ModuleType(name) for name in ("chumpy", "chumpy.ch"))
    kind = type("Ch", (), {"__module__": "chumpy.ch"})
    module.Ch = kind
    stored = dict(fields)
    for key in {"v_template", "shapedirs", "posedirs"} & set(fields):
        stored[key] = kind()
        stored[key].x = fields[key]
    if isinstance(stored.get("J_regressor"), np.ndarray) and stored["J_regressor"].ndim == 2:
        stored["J_regressor"] = scipy.sparse.csc_matrix(stored["J_regressor"])
    sys.modules |= {"chumpy": chumpy, "chumpy.ch": module}
    try:
        return write_pickle(path, stored)
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def damaged(content: bytes, *, count: int, head: int = 4000):
    """Copies cut short, with bytes changed near the start, where the structure is, and with bytes changed anywhere."""
    rng = np.random.default_rng(len(content))
    for trial in range(count):
        copy = bytearray(content)
        if trial % 3 == 0:
            yield bytes(copy[: rng.integers(len(copy))])
            continue
        for place in rng.integers(min(head, len(copy)) if trial % 3 == 1 else len(copy), size=1 + trial % 5):
            copy[place] = rng.integers(256)
        yield bytes(copy)
