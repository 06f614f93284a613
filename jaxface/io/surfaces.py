"""Meshes, point clouds and their landmarks from anybody's files (host side); lengths come out in millimetres, float64.

Nothing in a file is executed, no other file is opened on its word, and its size bounds what it may ask for. Every
fault is a FaceError whose message opens with the path and a colon.
"""

import io
import json
import os
import pathlib
import re
import struct
import warnings
import xml.parsers.expat
from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int

from jaxface.types import FaceError

UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}

_LARGEST_BYTES = {"mesh": 2**30, "landmark file": 2**24}
_MOST_VERTICES = 2 * 10**7
_LARGEST_MM = 1e6
_NUM_IBUG, _INNER = 68, 17  # points 17 and on: without the jaw
# iBUG's numbers of NoW's seven points: right eye's outer and inner corner, left eye's inner and outer, the bottom of
# the nose, the mouth's right and left corner.
_SEVEN = (36, 39, 42, 45, 33, 48, 54)


def read_surface(
    path: str | os.PathLike, *, unit: str | None = None
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"]]:
    """Vertices (mm) and triangles of an OBJ, PLY, STL, OFF or GLB file; a point cloud has no triangles.

    Vertices stay in the file's order and number, whatever texture coordinates say; only STL, which repeats a vertex at
    every corner, has equal ones joined. `unit` (mm, cm, m) is the file's; without it metres for GLB, else millimetres.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if path.is_file() and suffix not in _MESH_READERS:
        raise FaceError(f"{path}: a mesh must end in {', '.join(_MESH_READERS)}; convert it to one of these.")
    data = _read_bytes(path, noun="mesh")
    try:
        vertices, triangles = _MESH_READERS[suffix](data)
    except Exception as error:  # parsers of hostile bytes raise whatever they run into
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise FaceError(f"{path}: it is no sound {suffix[1:].upper()} mesh ({reason}); export it anew.") from None
    return _checked_surface(unit_mm(path, unit=unit) * vertices, triangles, path=path)


def unit_mm(path: str | os.PathLike, *, unit: str | None) -> float:
    """Millimetres in the unit of a mesh, or of its landmarks: what `unit` says, else metres for GLB, else 1."""
    return UNITS_MM[unit or ("m" if pathlib.Path(path).suffix.lower() == ".glb" else "mm")]


def read_points(path: str | os.PathLike) -> Float[np.ndarray, "points 3"]:
    """Landmarks as rows x y z in the file's own unit; NaN where the file says that a point is unknown.

    `.npy` (numbers only), `.txt` and `.csv` (three numbers a line, # opens a comment), `.pp` of MeshLab, and `.json` (a
    list of triples).
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if path.is_file() and suffix not in _POINT_READERS:
        raise FaceError(f"{path}: a landmark file must end in {', '.join(_POINT_READERS)}.")
    data = _read_bytes(path, noun="landmark file")
    try:
        points = np.asarray(_POINT_READERS[suffix](data), np.float64)
    except Exception as error:  # parsers of hostile bytes raise whatever they run into
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise FaceError(f"{path}: it holds no landmarks as rows of x y z ({reason}); write it anew.") from None
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise FaceError(f"{path}: landmarks must be rows of x y z, not an array of shape {points.shape}.")
    if np.isinf(points).any():
        raise FaceError(f"{path}: a landmark is infinite; write nan where one is unknown.")
    return points


def to_ibug(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "68 3"]:
    """68, 51 (without the jaw) or 7 (NoW's) points in the order of iBUG's 68; NaN where unknown.

    Raises FaceError for any other number, or if fewer than three points are known.
    """
    places = {_NUM_IBUG: range(_NUM_IBUG), _NUM_IBUG - _INNER: range(_INNER, _NUM_IBUG), 7: _SEVEN}
    if len(points) not in places:
        raise FaceError(f"Landmarks must be iBUG's 68 points, the 51 without the jaw, or NoW's 7, not {len(points)}.")
    full = np.full((_NUM_IBUG, 3), np.nan)
    full[list(places[len(points)])] = np.where(np.isfinite(points).all(axis=1, keepdims=True), points, np.nan)
    if np.isfinite(full).all(axis=1).sum() < 3:
        raise FaceError("Fewer than three of the landmarks are known: give more.")
    return full


def _read_bytes(path: pathlib.Path, *, noun: str) -> bytes:
    if path.is_dir():
        raise FaceError(f"{path}: this is a folder; name a {noun} in it.")
    if not path.is_file():
        raise FaceError(f"{path}: there is no such {noun}; check the path.")
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES[noun]:
            raise FaceError(f"{path}: a {noun} of {size / 2**20:.0f} MiB is too large; make it smaller.")
        data = path.read_bytes()
    except OSError as error:
        raise FaceError(f"{path}: it cannot be read ({error.strerror}); check its permissions.") from None
    if not data:
        raise FaceError(f"{path}: the file is empty; get a complete copy.")
    return data


def _checked_surface(vertices_mm: np.ndarray, triangles: np.ndarray, *, path: pathlib.Path):
    if len(vertices_mm) == 0:
        raise FaceError(f"{path}: it has no vertices; is it a mesh, and complete?")
    if len(vertices_mm) > _MOST_VERTICES:
        raise FaceError(f"{path}: it has more than {_MOST_VERTICES // 10**6} million vertices; decimate it first.")
    with np.errstate(invalid="ignore"):
        num_bad = int((~(np.abs(vertices_mm) < _LARGEST_MM)).any(axis=1).sum())
    if num_bad:
        among = f"{num_bad} of its {len(vertices_mm)} vertices"
        raise FaceError(f"{path}: {among} are not finite or are over a kilometre away; leave them out.")
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < len(vertices_mm)):
        raise FaceError(f"{path}: its triangles name vertices that it does not have; get a sound copy.")
    return vertices_mm, triangles


def _read_obj(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """`v` and `f` lines only: colours behind the coordinates, normals, UVs and materials are passed over."""
    vertices: list[list[bytes]] = []
    triangles: list[tuple[int, int, int]] = []
    for line in data.removeprefix(b"\xef\xbb\xbf").replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if words and words[0] == b"v":
            vertices.append(words[1:4])
        elif words and words[0] == b"f":
            corners = [_obj_index(word, count=len(vertices)) for word in words[1:]]
            triangles += [(corners[0], b, c) for b, c in zip(corners[1:-1], corners[2:], strict=True)]
    return np.array(vertices, "S").astype(np.float64).reshape(-1, 3), np.array(triangles, np.int64).reshape(-1, 3)


def _obj_index(word: bytes, *, count: int) -> int:
    """Counted from 1, or backwards from the last vertex so far if negative; 0 is nobody's."""
    index = int(word.partition(b"/")[0])
    if index == 0 or index < -count:
        raise ValueError(f"a face names vertex {index}")
    return index - 1 if index > 0 else count + index


def _read_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    header, end, _ = data.partition(b"end_header")
    if not (data.startswith(b"ply") and end):
        raise ValueError("it does not open with a PLY header")
    promised = sum(int(count) for count in re.findall(rb"^element\s+\S+\s+(\d+)", header, re.MULTILINE))
    _check_promise(promised, data)
    return _by_trimesh(data, "ply", fix_texture=False)


def _read_glb(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Accessors without data stand for zeros, however many: they are counted first."""
    magic, _, _, length, kind = struct.unpack_from("<4s3I4s", data)
    if magic != b"glTF" or kind != b"JSON":
        raise ValueError("it does not open with a GLB header")
    tree = json.loads(data[20 : 20 + length])
    _check_promise(sum(int(accessor["count"]) for accessor in tree.get("accessors", [])), data)
    return _by_trimesh(data, "glb", skip_materials=True)


def _read_stl(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    corners, triangles = _by_trimesh(data, "stl")
    vertices, place = np.unique(corners, axis=0, return_inverse=True)
    return vertices, place.reshape(-1)[triangles]


def _check_promise(promised: int, data: bytes) -> None:
    if promised > len(data):
        raise ValueError(f"it promises {promised} entries in {len(data)} bytes")


def _by_trimesh(data: bytes, kind: str, **options) -> tuple[np.ndarray, np.ndarray]:
    """All meshes and point clouds of a file, each where the scene puts it, one after the other."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        scene: Any = trimesh.load(io.BytesIO(data), file_type=kind, force="scene", process=False, **options)
    vertices, triangles, count = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)], 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        shape = scene.geometry[name]
        if len(scene.graph.nodes_geometry) * len(shape.vertices) > _MOST_VERTICES:
            raise ValueError("too many copies of a mesh")
        vertices.append(np.asarray(shape.vertices, np.float64) @ transform[:3, :3].T + transform[:3, 3])
        if hasattr(shape, "faces"):
            triangles.append(np.asarray(shape.faces, np.int64).reshape(-1, 3) + count)
        count += len(shape.vertices)
    return np.concatenate(vertices), np.concatenate(triangles)


def _read_npy(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of Python 2
        points = np.load(io.BytesIO(data), allow_pickle=False)
    if not isinstance(points, np.ndarray) or points.dtype.kind not in "fiu":
        raise ValueError("not one array of real numbers")
    return points


def _read_text(data: bytes) -> list[list[float]]:
    lines = (line.partition("#")[0].replace(",", " ").replace(";", " ").split() for line in _lines(data))
    return [[float(number) for number in numbers] for numbers in lines if numbers]


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8-sig").splitlines()


def _read_picked_points(data: bytes) -> list[list[float]]:
    """MeshLab's PickedPoints; a point that is not active was not picked. Files that declare entities are refused."""
    points: list[list[float]] = []

    def start(name, attributes):
        if name == "point":
            active = attributes.get("active", "1") != "0"
            points.append([float(attributes[axis]) if active else np.nan for axis in "xyz"])

    def refuse(*declaration):
        raise ValueError("it declares XML entities")

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = start, refuse
    parser.Parse(data, True)
    return points


def _read_json(data: bytes) -> np.ndarray:
    """null stands for what is unknown."""
    rows = json.loads(data.decode("utf-8-sig"))
    if not isinstance(rows, list):
        raise ValueError("not a list of triples")
    return np.array(rows, np.float64)


_MESH_READERS: dict[str, Callable[[bytes], tuple[np.ndarray, np.ndarray]]] = {
    ".obj": _read_obj,
    ".ply": _read_ply,
    ".stl": _read_stl,
    ".off": lambda data: _by_trimesh(data, "off"),
    ".glb": _read_glb,
}
_POINT_READERS: dict[str, Callable[[bytes], object]] = {
    ".pp": _read_picked_points,
    ".txt": _read_text,
    ".csv": _read_text,
    ".npy": _read_npy,
    ".json": _read_json,
}
LANDMARK_SUFFIXES = tuple(_POINT_READERS)
