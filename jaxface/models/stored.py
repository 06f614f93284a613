"""Whether arrays and facts from a file make a face model: sizes that agree, finite numbers, indices in range."""

from typing import Any

import numpy as np

from jaxface.types import NUM_LANDMARKS, Part, Region

# Dimensions by name: equal names are equal sizes.
MODEL_SHAPES = {
    "mean_mm": "vertices 3",
    "identity_basis_mm": "identity vertices 3",
    "expression_basis_mm": "expression vertices 3",
    "triangles": "faces 3",
    "uvs": "uv_vertices 2",
    "uv_triangles": "faces 3",
    "landmark_triangles": "landmarks",
    "landmark_barycentrics": "landmarks 3",
    "landmark_regions": "landmarks",
    "vertex_regions": "vertices",
    "vertex_parts": "vertices",
    "ibug_vertices": "68",
    "albedo": "vertices 3",
}
JOINT_SHAPES = {
    "joints_mm": "joints 3",
    "joint_identity_mm": "identity joints 3",
    "joint_expression_mm": "expression joints 3",
    "weights": "vertices joints",
    "correctives_mm": "rotation_entries vertices 3",
}
MODEL_FACTS = ("name", "licence", "expression_names", "expression_bounds")
JOINT_FACTS = ("corrected", "parents", "names", "free", "spread")
# What whole numbers point to: the least value, and the dimension or number that they stay below.
_POINTERS: dict[str, tuple[int, int | str]] = {
    "triangles": (0, "vertices"),
    "uv_triangles": (0, "uv_vertices"),
    "landmark_triangles": (0, "faces"),
    "ibug_vertices": (-1, "vertices"),
    "landmark_regions": (0, len(Region)),
    "vertex_regions": (0, len(Region)),
    "vertex_parts": (0, len(Part)),
}


def check_model(arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Raises ValueError, which says what is wrong, unless `MorphableModel` can be made of these.

    Articulation's arrays have their names after "articulation.", its facts are a dictionary of their own.
    """
    joints = facts.get("articulation")
    shapes = MODEL_SHAPES | ({f"articulation.{key}": shape for key, shape in JOINT_SHAPES.items()} if joints else {})
    if arrays.keys() != shapes.keys():
        raise ValueError(f"arrays missing or too many: {', '.join(sorted(arrays.keys() ^ shapes.keys()))}")
    sizes = {"landmarks": NUM_LANDMARKS}
    for key, shape in shapes.items():
        _check_array(key, arrays[key], shape, sizes)
    for key, (least, end) in _POINTERS.items():
        limit = sizes[end] if isinstance(end, str) else end
        if arrays[key].size and not (least <= arrays[key].min() and arrays[key].max() < limit):
            raise ValueError(f"{key} leaves the range from {least} to {limit - 1}")
    _check_facts(facts, sizes)
    if joints:
        _check_joints(joints, sizes)


def _check_array(key: str, array: np.ndarray, shape: str, sizes: dict[str, int]) -> None:
    """Also learns the sizes of dimensions that it meets for the first time."""
    wanted = np.int32 if key in _POINTERS else np.float32
    dimensions = shape.split()
    if array.dtype != wanted or array.ndim != len(dimensions):
        raise ValueError(f"{key} is {array.dtype} of shape {array.shape}, not {np.dtype(wanted)} ({shape})")
    for dimension, size in zip(dimensions, array.shape, strict=True):
        if size != (int(dimension) if dimension.isdigit() else sizes.setdefault(dimension, size)):
            raise ValueError(f"{key} has shape {array.shape}, which does not fit ({shape}) with {sizes}")
    if not np.isfinite(array).all():
        raise ValueError(f"{key} holds numbers that are not finite")


def _check_facts(facts: dict[str, Any], sizes: dict[str, int]) -> None:
    if not _is_list(facts["expression_names"], str, sizes["expression"]):
        raise ValueError(f"expression_names must be {sizes['expression']} texts")
    low, high = facts["expression_bounds"]
    if not (isinstance(facts["name"], str) and isinstance(facts["licence"], str) and float(low) < float(high)):
        raise ValueError("name, licence or expression_bounds are not what they should be")


def _check_joints(joints: dict[str, Any], sizes: dict[str, int]) -> None:
    count = sizes["joints"]
    if not (_is_list(joints["names"], str, count) and _is_list(joints["parents"], int, count)):
        raise ValueError(f"names and parents must be those of {count} joints")
    if not all(-1 <= parent < place for place, parent in enumerate(joints["parents"])):
        raise ValueError("parents must come before their children")
    for key in ("free", "corrected"):
        if not (_is_list(joints[key], int, len(joints[key])) and all(0 <= joint < count for joint in joints[key])):
            raise ValueError(f"{key} must be numbers of joints")
    if 9 * len(joints["corrected"]) != sizes["rotation_entries"] or 3 * len(joints["free"]) > sizes["expression"]:
        raise ValueError("the joints do not fit the bases")
    if not 0.0 < float(joints["spread"]) < np.inf:
        raise ValueError("spread must be positive")


def _is_list(value: object, kind: type, length: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == length and all(type(item) is kind for item in value)
