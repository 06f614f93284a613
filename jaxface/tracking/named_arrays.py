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


def unpack(arrays: dict[str, np.ndarray], name: str, *, kind: type) -> Any:
    """The NamedTuple of type `kind` that `pack` was given under `name`."""
    if not hasattr(kind, "_fields"):
        return arrays[name]
    hints = typing.get_type_hints(kind)
    return kind(*(unpack(arrays, f"{name}.{field}", kind=hints[field]) for field in kind._fields))


def stack(trees: list[Any]) -> Any:
    """One tree with a leading axis (host arrays)."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def join(trees: list[Any]) -> Any:
    """Trees with leading axes, one behind the other (host arrays)."""
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *trees)


def at(tree: Any, *, index: int) -> Any:
    """One row of every array."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _key(part: Any) -> str:
    return str(getattr(part, "name", getattr(part, "key", getattr(part, "idx", part))))
