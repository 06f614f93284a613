"""Pytrees of arrays as named arrays of a journal's chunk, and back (host side)."""

import typing
from typing import Any

import jax
import numpy as np


def pack(**trees: Any) -> dict[str, np.ndarray]:
    """Leaves by name: `fit.pose.log_scale` for `pack(fit=...)`."""
    named = {}
    for name, tree in trees.items():
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            named[".".join([name, *(_key(part) for part in path)])] = np.asarray(leaf)
    return named


def unpack(arrays: dict[str, np.ndarray], name: str, *, kind: Any) -> Any:
    """The NamedTuple of type `kind` that `pack` was given under `name`; None for an optional one that has no leaves; a
    field that has none takes its default."""
    if type(None) in typing.get_args(kind):
        if not _has_leaves(arrays, name):
            return None
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    if not hasattr(kind, "_fields"):
        return arrays[name]
    hints = typing.get_type_hints(kind)
    places = {field: f"{name}.{field}" for field in kind._fields}
    given = [field for field in places if field not in kind._field_defaults or _has_leaves(arrays, places[field])]
    return kind(**{field: unpack(arrays, places[field], kind=hints[field]) for field in given})


def _has_leaves(arrays: dict[str, np.ndarray], name: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for key in arrays)


def _key(part: Any) -> str:
    return str(getattr(part, "name", getattr(part, "key", getattr(part, "idx", part))))
