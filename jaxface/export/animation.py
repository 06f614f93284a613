"""A tracked face as one animated GLB (host side).

The file is `meshes.write_glb`'s with a morph target an expression and one animation: the expressions' weights and the
head's motion, in metres and seconds. A frame shows the vertices R (v + sum_k w_k m_k) + t.
"""

import os

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from jaxface.export.meshes import METRES_PER_MM, glb_bytes, split_seams, unit_rows
from jaxface.io.atomic import new_file
from jaxface.types import FaceError, Mesh

FLOAT = 5126  # glTF 2.0, accessor.componentType
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}  # accessor.type by columns
ROTATION_SLACK = 1e-3  # largest entry of R R^T - I


def write_animation(
    path: str | os.PathLike,
    mesh: Mesh,
    *,
    normals: Float[np.ndarray, "vertices 3"],
    morphs_mm: Float[np.ndarray, "expression vertices 3"],
    names: tuple[str, ...],
    weights: Float[np.ndarray, "frames expression"],
    rotations: Float[np.ndarray, "frames 3 3"],
    translations_mm: Float[np.ndarray, "frames 3"],
    times_s: Float[np.ndarray, "frames"],
    albedo_texture: Float[np.ndarray, "rows columns 3"],
    normal_map: Float[np.ndarray, "rows columns 3"] | None = None,
) -> None:
    """One glTF 2.0 file with everything inside: `mesh` at rest and its key frames at `times_s`, linear between them.

    `morphs_mm` are what each expression at weight 1 adds to `mesh`; `names` (`extras.targetNames`, where viewers look)
    go out as given. `rotations` and `translations_mm` take the object frame to the scene's. `normals` are those of
    `mesh`. Weights may leave [0, 1], but Blender's importer clips them then. FaceError for what no viewer can play: no
    frames, values that are not finite, rotations that are none, times that do not grow.
    """
    if len(names) != len(morphs_mm):
        raise FaceError(f"{len(morphs_mm)} morph targets need as many names, not {len(names)}: give one for each.")
    _check_finite(vertices=mesh.vertices_mm, morphs=morphs_mm)
    _check_finite(weights=weights, rotations=rotations, translations=translations_mm, times=times_s)
    times = _key_times(times_s)
    channels = {"rotation": _quaternions(rotations), "translation": translations_mm * METRES_PER_MM}
    if names:  # glTF knows no empty list of targets
        channels["weights"] = weights.reshape(-1, 1)
    targets = _morph_targets(mesh, morphs_mm)

    def extend(buffers: dict, tree: dict) -> None:
        if names:
            _add_targets(buffers, tree, targets, names)
        _add_animation(buffers, tree, times, channels)

    data = glb_bytes(mesh, normals=normals, albedo_texture=albedo_texture, normal_map=normal_map, extend=extend)
    with new_file(path) as fresh:
        fresh.write_bytes(data)


def _add_targets(buffers: dict, tree: dict, targets: list[dict[str, np.ndarray]], names: tuple[str, ...]) -> None:
    solid = tree["meshes"][0]
    solid["primitives"][0]["targets"] = [
        {kind: _add_array(buffers, tree, values) for kind, values in target.items()} for target in targets
    ]
    solid["weights"] = [0.0] * len(names)
    solid["extras"] = {"targetNames": list(names)}


def _add_animation(buffers: dict, tree: dict, times: np.ndarray, channels: dict[str, np.ndarray]) -> None:
    node = next(place for place, node in enumerate(tree["nodes"]) if "mesh" in node)
    key_times = _add_array(buffers, tree, times)
    samplers = [
        {"input": key_times, "output": _add_array(buffers, tree, values), "interpolation": "LINEAR"}
        for values in channels.values()
    ]
    targets = [{"sampler": place, "target": {"node": node, "path": path}} for place, path in enumerate(channels)]
    tree["animations"] = [{"name": "track", "samplers": samplers, "channels": targets}]


def _add_array(buffers: dict, tree: dict, values: Float[np.ndarray, "rows columns"]) -> int:
    """Index of a new accessor with a buffer view of its own."""
    values = values.astype("<f4")
    name = f"array {len(buffers)}"
    buffers[name] = values.tobytes()
    tree["accessors"][name] = {
        "bufferView": len(buffers) - 1,
        "componentType": FLOAT,
        "type": KINDS[values.shape[1]],
        "count": len(values),
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
    }
    return len(tree["accessors"]) - 1


def _morph_targets(mesh: Mesh, morphs_mm: np.ndarray) -> list[dict[str, np.ndarray]]:
    """What each expression adds to positions (metres) and to normals, by how it turns the surface."""
    vertex, _, _ = split_seams(mesh)
    at_rest = _vertex_normals(mesh.vertices_mm, mesh.triangles)
    turns = (_vertex_normals(mesh.vertices_mm + morph_mm, mesh.triangles) - at_rest for morph_mm in morphs_mm)
    return [
        {"POSITION": morph_mm[vertex] * METRES_PER_MM, "NORMAL": turn[vertex]}
        for morph_mm, turn in zip(morphs_mm, turns, strict=True)
    ]


def _vertex_normals(vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"]) -> np.ndarray:
    """Area-weighted."""
    corners = vertices[triangles].astype(np.float64)
    faces = np.repeat(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), 3, axis=0)
    sums = [np.bincount(triangles.ravel(), column, minlength=len(vertices)) for column in faces.T]
    return unit_rows(np.stack(sums, axis=1))


def _quaternions(rotations: Float[np.ndarray, "frames 3 3"]) -> Float[np.ndarray, "frames 4"]:
    """(x, y, z, w), without the jumps of sign that would send a viewer the long way round."""
    rotations = rotations.astype(np.float64)
    slack = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    good = (slack < ROTATION_SLACK) & (np.linalg.det(rotations) > 0.0)
    if not good.all():
        raise FaceError(f"Frame {np.argmin(good)} of the animation has no rotation: its matrix must be orthonormal.")
    quaternions = Rotation.from_matrix(rotations).as_quat(canonical=True)
    turned = np.sum(quaternions[1:] * quaternions[:-1], axis=1) < 0.0
    return quaternions * np.cumprod(np.append(1.0, np.where(turned, -1.0, 1.0)))[:, None]


def _key_times(times_s: Float[np.ndarray, "frames"]) -> Float[np.ndarray, "frames 1"]:
    if len(times_s) == 0:
        raise FaceError("A clip without frames cannot be animated: give at least one.")
    times = times_s.astype(np.float32)
    if times[0] < 0.0 or not np.all(np.diff(times) > 0.0):
        raise FaceError("The times of an animation's frames must start at 0 s or later and grow from frame to frame.")
    return times[:, None]


def _check_finite(**arrays: np.ndarray) -> None:
    for name, values in arrays.items():
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1) if len(values) else np.zeros(1, bool)
        if bad.any():
            raise FaceError(
                f"The animation's {name} are not finite at row {np.argmax(bad)}: mend or leave out that row."
            )
