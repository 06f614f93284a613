"""A tracked face as one animated GLB (host side).

The file is `glb.write_glb`'s with a morph target an expression and one animation: the expressions' weights and the
head's motion, in metres and seconds. A frame shows the vertices R (v + sum_k w_k m_k) + t.
"""

import os

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from jaxface.export.glb import Morphs, glb_bytes
from jaxface.export.gltf import Gltf
from jaxface.export.meshes import METRES_PER_MM
from jaxface.io.atomic import new_file
from jaxface.types import FaceError, Mesh

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
    morphs = Morphs(names, morphs_mm, np.zeros(len(names)))
    data = glb_bytes(
        mesh, normals=normals, albedo_texture=albedo_texture, normal_map=normal_map, morphs=morphs,
        extend=lambda file: _add_animation(file, times, channels),
    )  # fmt: skip
    with new_file(path) as fresh:
        fresh.write_bytes(data)


def _add_animation(file: Gltf, times: np.ndarray, channels: dict[str, np.ndarray]) -> None:
    """Key frames of the face, which is node 0."""
    key_times = file.add_array(times)
    samplers = [
        {"input": key_times, "output": file.add_array(values), "interpolation": "LINEAR"}
        for values in channels.values()
    ]
    targets = [{"sampler": place, "target": {"node": 0, "path": path}} for place, path in enumerate(channels)]
    file.add("animations", {"name": "track", "samplers": samplers, "channels": targets})


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
