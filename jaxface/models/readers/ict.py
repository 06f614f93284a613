"""ICT Face Model Light (USC ICT, MIT): OBJ files of one topology, a neutral, identities and blendshapes."""

import json
import os
import re
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from jaxface.models.archives import find_folder, read_members
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import FaceError, Part

NEUTRAL, INDICES = "generic_neutral_mesh.obj", "vertex_indices.json"
MM_PER_UNIT = 10.0  # the files are in centimetres


class Piece(NamedTuple):
    """Ranges of vertices and faces (first, one past the last), and where the atlas has the piece's UV tile.

    Tiles are unit squares side by side along u; `tile` counts them, `place` is (u, v, side) in the atlas.
    """

    vertices: tuple[int, int]
    faces: tuple[int, int]
    tile: int
    place: tuple[float, float, float]
    part: Part


# README of ICT-FaceKit, "Geometry", where an eyeball and its iris are one; where tiles overlap (the eyes' pieces lie on
# the face's) the atlas keeps them apart. The jaw tells lower teeth from upper ones.
PIECES = {
    "face": Piece((0, 9409), (0, 9230), 0, (0.0, 0.0, 3 / 4), Part.SKIN),
    "head_neck": Piece((9409, 11248), (9230, 11144), 1, (3 / 4, 0.0, 1 / 4), Part.SKIN),
    "mouth_socket": Piece((11248, 13294), (11144, 13226), 1, (3 / 4, 0.0, 1 / 4), Part.SKIN),
    "eye_socket_left": Piece((13294, 13678), (13226, 13630), 1, (3 / 4, 0.0, 1 / 4), Part.SKIN),
    "eye_socket_right": Piece((13678, 14062), (13630, 14034), 1, (3 / 4, 0.0, 1 / 4), Part.SKIN),
    "gums_tongue": Piece((14062, 17039), (14034, 17006), 2, (3 / 4, 1 / 4, 1 / 4), Part.TONGUE),
    "teeth": Piece((17039, 21451), (17006, 21496), 3, (3 / 4, 1 / 2, 1 / 4), Part.UPPER_TEETH),
    "eyeball_left": Piece((21451, 22221), (21496, 22296), 0, (0.0, 3 / 4, 1 / 4), Part.LEFT_EYE),
    "iris_left": Piece((22221, 23021), (22296, 23094), 0, (11 / 12, 3 / 4, 1 / 12), Part.LEFT_EYE),
    "eyeball_right": Piece((23021, 23791), (23094, 23894), 0, (1 / 4, 3 / 4, 1 / 4), Part.RIGHT_EYE),
    "iris_right": Piece((23791, 24591), (23894, 24692), 0, (11 / 12, 5 / 6, 1 / 12), Part.RIGHT_EYE),
    "lacrimal_left": Piece((24591, 24795), (24692, 24855), 4, (3 / 4, 3 / 4, 1 / 12), Part.INSIDE),
    "lacrimal_right": Piece((24795, 24999), (24855, 25018), 5, (5 / 6, 3 / 4, 1 / 12), Part.INSIDE),
    "eye_blend_left": Piece((24999, 25023), (25018, 25033), 0, (3 / 4, 5 / 6, 1 / 12), Part.INSIDE),
    "eye_blend_right": Piece((25023, 25047), (25033, 25048), 0, (5 / 6, 5 / 6, 1 / 12), Part.INSIDE),
    "eye_occlusion_left": Piece((25047, 25199), (25048, 25176), 0, (3 / 4, 11 / 12, 1 / 12), Part.INSIDE),
    "eye_occlusion_right": Piece((25199, 25351), (25176, 25304), 0, (5 / 6, 11 / 12, 1 / 12), Part.INSIDE),
    "eyelashes": Piece((25351, 26719), (25304, 26384), 6, (1 / 2, 3 / 4, 1 / 4), Part.INSIDE),
}
_OF_HEAD = (
    "face",
    "head",
    "mouth",
    "eye_socket",
    "gums",
    "teeth",
    "eyeball",
)  # what may be seen and is not transparent
CHOICES = {
    "head": tuple(name for name in PIECES if name.startswith(_OF_HEAD)),
    "face": ("face",),
    "all": tuple(PIECES),
}
_WITH_JAW_MM = 1.0  # teeth that jawOpen moves by more are lower ones
_GAZE = np.radians(30.0)  # how far eyeLook* at 1 turns an eye (ours): eyes reach 45 degrees
# Axes that eyeLook* turns the subject's left eye about; the right one's are mirror images.
_GAZE_AXES = {"Up": (-1.0, 0.0, 0.0), "Down": (1.0, 0.0, 0.0), "In": (0.0, -1.0, 0.0), "Out": (0.0, 1.0, 0.0)}


def read(path: str | os.PathLike, *, part: str = "head") -> SourceModel:
    """The model in `FaceXModel`: that folder, one that contains it, or a .zip or .tar of either.

    `part` is "head" (with eyeballs, teeth and tongue), "face" (ears and front of the neck included) or "all" (also what
    only transparency makes look right: lashes, tears and the irises behind the eyeballs' shells). Quads are cut along
    their shorter diagonal, which keeps the mesh's mirror symmetry. The 53 expressions of `vertex_indices.json` keep
    their names and order; those named eyeLook* turn the eyes too, which the files leave still. UVs are the files' own
    for "face", else an atlas of their tiles. Identity modes are independent over all pieces only.
    Source: github.com/ICT-VGL/ICT-FaceKit.
    """
    if part not in CHOICES:
        raise FaceError(f'Part "{part}" is unknown for an ICT face model: use one of {", ".join(CHOICES)}.')
    with np.errstate(all="ignore"):  # absurd numbers are found at the end
        return check_source(_model(_read_files(path), part, path=path), path=path)


def _model(files, part, *, path) -> SourceModel:
    chosen = [PIECES[name] for name in CHOICES[part]]
    neutral = _vertices_of(files, NEUTRAL, path=path)
    names, landmarks = _index_lists(files, path=path)
    identities = sorted(name for name in files if re.fullmatch(r"identity\d{3}\.obj", name))
    if not identities or identities[-1] != f"identity{len(identities) - 1:03d}.obj":
        raise FaceError(f"{path}: identity files must be numbered from identity000.obj without gaps.")
    keep = np.concatenate([np.arange(*piece.vertices) for piece in chosen])
    triangles, uvs, uv_triangles = _surface(files[NEUTRAL][1], neutral, chosen, path=path)
    new_index = np.full(len(neutral), -1, np.int32)
    new_index[keep] = np.arange(len(keep))
    mean_mm = (MM_PER_UNIT * neutral[keep]).astype(np.float32)
    expression_mm = _offsets(files, [name + ".obj" for name in names], neutral, keep, path=path)
    parts = _parts(chosen, expression_mm[names.index("jawOpen")] if "jawOpen" in names else 0.0 * mean_mm)
    return SourceModel(
        mean_mm=mean_mm,
        identity_mm=_offsets(files, identities, neutral, keep, path=path),
        expression_mm=expression_mm + _gaze_mm(mean_mm, parts, names),
        expression_names=names,
        expression_bounds=(0.0, 1.0),
        triangles=new_index[triangles],
        uvs=uvs,
        uv_triangles=uv_triangles,
        colours=None,
        ibug_vertices=new_index[landmarks],
        note=f'Part "{part}" of ICT Face Model Light, its {len(identities)} identities and {len(names)} expressions.',
        parts=parts,
    )


def _parts(chosen: list[Piece], opened_mm: np.ndarray) -> np.ndarray:
    """`Part` of each vertex; `opened_mm` is what jawOpen moves."""
    parts = np.concatenate([np.full(piece.vertices[1] - piece.vertices[0], piece.part) for piece in chosen])
    with_jaw = np.linalg.norm(opened_mm, axis=1) > _WITH_JAW_MM
    return np.where((parts == Part.UPPER_TEETH) & with_jaw, Part.LOWER_TEETH, parts).astype(np.int32)


def _gaze_mm(mean_mm: np.ndarray, parts: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """What eyeLook* moves when it turns the eyeballs, (expressions, vertices, 3)."""
    moves = np.zeros((len(names), *mean_mm.shape), np.float32)
    for part, side, mirror in ((Part.LEFT_EYE, "L", 1.0), (Part.RIGHT_EYE, "R", -1.0)):
        eye = parts == part
        if not eye.any():
            continue
        offsets = mean_mm[eye] - _sphere_centre(mean_mm[eye])
        for direction, (x, y, z) in _GAZE_AXES.items():
            if (name := f"eyeLook{direction}_{side}") in names:
                turn = Rotation.from_rotvec(_GAZE * np.array([x, mirror * y, z]))
                moves[names.index(name), eye] = turn.apply(offsets) - offsets
    return moves


def _sphere_centre(points: np.ndarray) -> np.ndarray:
    """Of the sphere nearest to the points in the sense of least squares: |p|^2 = 2 c p + r^2 - |c|^2."""
    points = points.astype(np.float64)
    middle = points.mean(axis=0)
    around = points - middle
    equations = np.concatenate([2.0 * around, np.ones((len(around), 1))], axis=1)
    return middle + np.linalg.lstsq(equations, np.sum(around**2, axis=1), rcond=None)[0][:3]


def _read_files(path) -> dict[str, tuple[np.ndarray, bytes]]:
    """Vertices of every OBJ in the model's folder; text is kept of the neutral and the JSON only."""
    found = {}
    for name, data in read_members(path, lambda base: base.endswith(".obj") or base == INDICES):
        kept = data if name.endswith((NEUTRAL, INDICES)) else b""
        found[name] = (_parse_vertices(data if name.endswith(".obj") else b""), kept)
    folder = find_folder(list(found), NEUTRAL)
    if folder is None:
        raise FaceError(f"{path}: no {NEUTRAL} in it; give the folder FaceXModel of ICT-FaceKit, or an archive of it.")
    inside = {name[len(folder) :]: file for name, file in found.items() if name.startswith(folder)}
    return {name: file for name, file in inside.items() if "/" not in name}


def _parse_vertices(text: bytes) -> np.ndarray:
    """(vertices, 3); lines that are not `v x y z` are left out, so that the count tells."""
    lines = re.findall(rb"^v[ \t]+(\S+[ \t]+\S+[ \t]+\S+)[ \t\r]*$", text, re.MULTILINE)
    try:
        return np.array(b" ".join(lines).split(), np.float64).reshape(-1, 3)
    except ValueError:
        return np.zeros((0, 3))


def _vertices_of(files, name, *, path) -> np.ndarray:
    if name not in files:
        raise FaceError(f"{path}: {name} is missing; get a complete copy of ICT-FaceKit's FaceXModel.")
    vertices = files[name][0]
    expected = max(piece.vertices[1] for piece in PIECES.values())
    if len(vertices) != expected or not np.all(np.isfinite(vertices)):
        raise FaceError(f"{path}: {name} holds {len(vertices)} readable vertices, expected {expected} finite ones.")
    return vertices


def _offsets(files, names, neutral, keep, *, path) -> np.ndarray:
    """Offsets of the named shapes from the neutral, (shapes, vertices, 3) in mm."""
    shapes = np.empty((len(names), len(keep), 3), np.float32)
    for row, name in enumerate(names):
        shapes[row] = MM_PER_UNIT * (_vertices_of(files, name, path=path) - neutral)[keep]
    return shapes


def _index_lists(files, *, path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the expressions, and vertices of the 68 iBUG points."""
    if INDICES not in files:
        raise FaceError(f"{path}: {INDICES} is missing; get a complete copy of ICT-FaceKit's FaceXModel.")
    try:
        lists = json.loads(files[INDICES][1])
        names, landmarks = lists["expressions"], np.array(lists["idx_to_landmark_verts"])
        good = names and all(isinstance(name, str) for name in names)
        good = good and landmarks.shape == (68,) and landmarks.dtype.kind == "i"
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        good = False
    if not good or landmarks.min() < 0 or landmarks.max() >= len(files[NEUTRAL][0]) or len(set(names)) != len(names):
        raise FaceError(f"{path}: {INDICES} must list `expressions` by name and 68 `idx_to_landmark_verts`.")
    return tuple(names), landmarks


def _surface(text, neutral, chosen, *, path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles (of the whole mesh's vertices), UVs and triangles of UVs of the chosen parts."""
    tiles, corners = _parse_uvs(text), _parse_faces(text)
    expected = max(piece.faces[1] for piece in PIECES.values())
    if len(corners) != expected or np.any(corners >= (len(neutral), len(tiles))) or np.any(corners < 0):
        raise FaceError(f"{path}: {NEUTRAL} must hold {expected} faces of 3 or 4 corners `vertex/uv` that it defines.")
    triangles, uvs, uv_triangles, count = [], [], [], 0
    for piece in chosen:
        cut = _cut_quads(corners[slice(*piece.faces)], neutral)
        used, local = np.unique(cut[..., 1], return_inverse=True)
        u, v, side = piece.place if len(chosen) > 1 else (0.0, 0.0, 1.0)
        uvs.append((tiles[used] - (piece.tile, 0.0)) * side + (u, v))
        uv_triangles.append(local.reshape(-1, 3) + count)
        triangles.append(cut[..., 0])
        count += len(used)
    return (
        np.concatenate(triangles).astype(np.int32),
        np.concatenate(uvs).astype(np.float32),
        np.concatenate(uv_triangles).astype(np.int32),
    )


def _parse_uvs(text: bytes) -> np.ndarray:
    """(uvs, 2); empty if a line is not `vt u v`."""
    lines = re.findall(rb"^vt[ \t]+(\S+[ \t]+\S+)[ \t\r]*$", text, re.MULTILINE)
    try:
        return np.array(b" ".join(lines).split(), np.float64).reshape(-1, 2)
    except ValueError:
        return np.zeros((0, 2))


def _parse_faces(text: bytes) -> np.ndarray:
    """(faces, 4 corners, vertex and uv), from 0; a triangle's last corner stands twice."""
    lines = re.findall(rb"^f[ \t]+(\d{1,9}/\d{1,9}(?:[ \t]+\d{1,9}/\d{1,9}){2,3})[ \t\r]*$", text, re.MULTILINE)
    faces = [line.split() for line in lines]
    flat = b"/".join(b"/".join(face + face[-1:] * (4 - len(face))) for face in faces)
    return np.array(flat.split(b"/") if flat else [], np.int64).reshape(-1, 4, 2) - 1


def _cut_quads(corners: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """(triangles, 3 corners, vertex and uv), each quad along its shorter diagonal."""
    a, b, c, d = np.moveaxis(vertices[corners[..., 0]], 1, 0)
    along_bd = np.sum((b - d) ** 2, axis=-1) < np.sum((a - c) ** 2, axis=-1)
    halves = np.where(along_bd[:, None, None], [[1, 2, 3], [1, 3, 0]], [[0, 1, 2], [0, 2, 3]])
    cut = np.take_along_axis(corners[:, None], halves[..., None], axis=2).reshape(-1, 3, 2)
    whole = np.all(cut[..., 0] != np.roll(cut[..., 0], 1, axis=1), axis=1)
    return cut[whole]
