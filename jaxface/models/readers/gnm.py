"""GNM Head 3 (Google, Apache-2.0): `gnm_head.npz`, a head with a neck and eyeballs that turn.

Written from the format's description; the winding of its triangles is taken to be outward, and checked.
"""

import os
import pathlib
import warnings
import zipfile

import jax.numpy as jnp
import numpy as np

from jaxface.models.readers.fields import existing_file, indices, numbers, triangles
from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import Articulation, FaceError, Part

MM_PER_UNIT = 1e3  # the file is in metres
MAX_BYTES = 4 << 30  # of all arrays; the real file has 0.2 GB
# Vertex groups that are kept, each with its own UV square, and where an atlas has them: (u, v, side).
PLACES = {"skin": (0.0, 0.0, 3 / 4), "left_eye": (0.0, 3 / 4, 1 / 4), "right_eye": (1 / 4, 3 / 4, 1 / 4)}
PARTS = (Part.SKIN, Part.LEFT_EYE, Part.RIGHT_EYE)  # of these groups
HIDDEN = "eye_interiors"  # behind the outer shells of the eyes
MEMBER, MOVES_M = 1e-4, 1e-6  # least weight of a group's vertex; least displacement of a mode that is kept
_TITLE = "gnm_head.npz of GNM"
_FIELDS = (
    "template_vertex_positions", "template_joint_positions", "vertex_identity_basis", "joint_identity_basis",
    "expression_basis", "joint_names", "expression_names", "joint_parent_indices", "skinning_weights", "triangles",
    "triangle_uvs", "pose_correctives_regressor", "vertex_groups", "vertex_group_names",
)  # fmt: skip


def read(path: str | os.PathLike) -> SourceModel:
    """The model in `gnm_head.npz`: metres become millimetres, the origin the mean of the vertices.

    Of the vertex groups, skin and the eyes' outer shells are kept, with their UV squares in one atlas; modes that move
    none of their vertices (of teeth and tongue) are left out. A file without groups is kept whole. No joint is free:
    root, neck and the eyeballs turn the head and the gaze only. Raises FaceError for any other file.
    Source: github.com/google/GNM, gnm/shape.
    """
    path = existing_file(path, title=_TITLE)
    with np.errstate(all="ignore"):  # absurd numbers are found at the end
        return check_source(_model(_load(path), path=path), path=path)


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES >> 30} GiB")
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in _FIELDS if name in stored.files}
    except Exception as error:  # on damaged files the unpacker raises nearly anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FaceError(f"{path}: it is not a readable .npz of plain arrays ({reason}); give {_TITLE}.") from error


def _model(fields, *, path) -> SourceModel:
    template = numbers(fields, "template_vertex_positions", path=path, shape=(None, 3))
    group = _groups(fields, path=path, num_vertices=len(template))
    keep = np.flatnonzero(group >= 0)
    if not len(keep):
        raise FaceError(f"{path}: vertex_groups has no vertex of {', '.join(PLACES)}; give {_TITLE}.")
    centre = template[keep].mean(axis=0, dtype=np.float64)
    identity = numbers(fields, "vertex_identity_basis", path=path, shape=(None, len(template), 3))[:, keep]
    expression = numbers(fields, "expression_basis", path=path, shape=(None, len(template), 3))[:, keep]
    names = _names(fields, "expression_names", path=path, count=len(expression))
    used, kept = [np.abs(basis).max(axis=(1, 2)) > MOVES_M for basis in (identity, expression)]
    faces, uvs, uv_triangles = _surface(fields, group, path=path)
    return SourceModel(
        mean_mm=(MM_PER_UNIT * (template[keep] - centre)).astype(np.float32),
        identity_mm=np.float32(MM_PER_UNIT) * identity[used],
        expression_mm=np.float32(MM_PER_UNIT) * expression[kept],
        expression_names=tuple(names[kept].tolist()),
        expression_bounds=(-3.0, 3.0),
        triangles=faces,
        uvs=uvs,
        uv_triangles=uv_triangles,
        colours=None,
        ibug_vertices=np.full(68, -1, np.int32),
        note=f"GNM Head, {'its skin and eyeballs' if 'vertex_groups' in fields else 'the whole mesh'}: "
        f"{used.sum()} of {len(used)} identities and {kept.sum()} of {len(kept)} expressions move them.",
        articulation=_articulation(fields, keep, used, centre, kept.sum(), path=path),
        parts=np.array(PARTS, np.int32)[group[keep]] if "vertex_groups" in fields else None,
    )


def _groups(fields, *, path, num_vertices) -> np.ndarray:
    """Which of `PLACES` each vertex belongs to, -1 for none; all 0 in a file without groups."""
    if "vertex_groups" not in fields:
        return np.zeros(num_vertices, np.int32)
    weights = numbers(fields, "vertex_groups", path=path, shape=(None, num_vertices))
    names = _names(fields, "vertex_group_names", path=path, count=len(weights)).tolist()
    group = np.full(num_vertices, -1, np.int32)
    for number, name in enumerate(PLACES):
        if name not in names:
            raise FaceError(f"{path}: vertex_group_names has no {name}, only {', '.join(names[:9])}; give {_TITLE}.")
        group[weights[names.index(name)] > MEMBER] = number
    if HIDDEN in names:
        group[weights[names.index(HIDDEN)] > MEMBER] = -1
    return group


def _surface(fields, group, *, path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles of kept vertices, renumbered; the different UVs of their corners, and triangles of these."""
    corners = triangles(fields, "triangles", path=path, count=len(group))
    uvs = numbers(fields, "triangle_uvs", path=path, shape=(len(corners), 3, 2))
    whole = np.all(group[corners] >= 0, axis=1)
    corners, uvs = corners[whole], uvs[whole]
    if "vertex_groups" in fields:
        places = np.array(list(PLACES.values()), np.float32)[group[corners]]
        uvs = uvs * places[..., 2:] + places[..., :2]
    different, uv_triangles = np.unique(uvs.reshape(-1, 2), axis=0, return_inverse=True)
    new_index = (np.cumsum(group >= 0) - 1).astype(np.int32)
    return new_index[corners], different, uv_triangles.reshape(-1, 3).astype(np.int32)


def _articulation(fields, keep, used, centre, num_expressions, *, path) -> Articulation:
    """The four joints; correctives are linear in R - I of them all."""
    names = _names(fields, "joint_names", path=path, count=None).tolist()
    joints, num_vertices = len(names), np.shape(fields["template_vertex_positions"])[0]
    positions = numbers(fields, "template_joint_positions", path=path, shape=(joints, 3))
    identity = numbers(fields, "joint_identity_basis", path=path, shape=(len(used), joints, 3))
    weights = numbers(fields, "skinning_weights", path=path, shape=(joints, num_vertices))
    correctives = numbers(fields, "pose_correctives_regressor", path=path, shape=(9 * joints, 3 * num_vertices))
    parents = indices(fields, "joint_parent_indices", path=path, count=joints).reshape(-1)
    parts = {
        "joints_mm": MM_PER_UNIT * (positions - centre),
        "joint_identity_mm": MM_PER_UNIT * identity[used],
        "joint_expression_mm": np.zeros((num_expressions, joints, 3)),
        "weights": weights[:, keep].T,
        "correctives_mm": MM_PER_UNIT * correctives.reshape(9 * joints, num_vertices, 3)[:, keep],
    }
    return Articulation(
        **{name: jnp.asarray(part, jnp.float32) for name, part in parts.items()},
        corrected=tuple(range(joints)),
        parents=tuple(-1 if parent == joint else parent for joint, parent in enumerate(parents.tolist())),
        names=tuple(names),
        free=(),
        spread=1.0,
    )


def _names(fields, key, *, path, count) -> np.ndarray:
    names = fields.get(key)
    if names is None or names.dtype.kind != "U" or names.ndim != 1 or count not in (None, len(names)) or not len(names):
        raise FaceError(f"{path}: {key} must hold {'' if count is None else f'{count} '}names as text; give {_TITLE}.")
    return names
