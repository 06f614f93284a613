"""MakeHuman's targets of head and face as directions in which people differ: symmetric ones, and one side only."""

from typing import NamedTuple

import numpy as np

from default_model.head import Head, without_motion
from default_model.makehuman import MakeHuman

FOLDERS = ("head", "forehead", "eyebrows", "eyes", "cheek", "nose", "mouth", "chin", "ears", "neck", "asym")
# Ends of one axis; what has no other end is an axis of its own.
OPPOSITES = (
    ("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"), ("convex", "concave"),
    ("compress", "uncompress"), ("l", "r"),
)  # fmt: skip
LEFT_OUT = ("head-trans", "head-angle", "neck-trans", "head-age", "measure-", "asymm-")  # posture, or macros once more
LEAST_MM = 0.05  # what moves nothing of the head farther is no trait of it


class Traits(NamedTuple):
    """Names, and what each adds to the head (traits, vertices, 3), mm; a one-sided one is half its two sides'
    difference."""

    names: tuple[str, ...]
    offsets_mm: np.ndarray
    one_sided: np.ndarray


def read_traits(source: MakeHuman, head: Head, vertices_mm: np.ndarray) -> Traits:
    """All axes that move the head, without what they move it as a whole."""
    fields = {
        name: head.matrix @ source.target(folder, name)
        for folder in FOLDERS
        for name in source.names(folder)
        if not name.startswith(LEFT_OUT)
    }
    axes = _axes(fields)
    names, offsets, one_sided = [], [], []
    for name, field in axes.items():
        if name.startswith("r-"):
            continue
        other = axes.get("r-" + name[2:]) if name.startswith("l-") else None
        for sided, sum_of in ((False, field if other is None else field + other), (True, other)):
            if sum_of is not None:
                names.append(name.removeprefix("l-") + (" one side" if sided else ""))
                offsets.append((field - other) / 2 if sided else sum_of)
                one_sided.append(sided or name.startswith("asym"))
    still = without_motion(np.array(offsets), vertices_mm, head)
    kept = np.abs(still).max(axis=(1, 2)) > LEAST_MM
    return Traits(tuple(np.array(names)[kept]), still[kept], np.array(one_sided)[kept])


def _axes(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    axes = {}
    for name, field in fields.items():
        stem, _, end = name.rpartition("-")
        there = next((minus for plus, minus in OPPOSITES if end == plus and f"{stem}-{minus}" in fields), None)
        if there is not None:
            axes[stem] = (field - fields[f"{stem}-{there}"]) / 2
        elif not any(end == minus and f"{stem}-{plus}" in fields for plus, minus in OPPOSITES):
            axes[name] = field
    return axes
