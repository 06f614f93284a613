"""Eyes and mouths that a mesh leaves open are closed by membranes, so that a face is one surface in photo and texture.

A membrane hangs from the rim alone: its vertices are midpoints of rim vertices, so every shape of the model, whatever
its coefficients, is closed too.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxface.geometry.topology import components
from jaxface.models.source import SourceModel

_LONGEST_MM = 250.0  # around an eye, a mouth, a nostril; a mask ends in 450 mm and more, a neck in 300


def close_openings(source: SourceModel) -> tuple[SourceModel, Bool[np.ndarray, "vertices"]]:
    """The model with eyes, mouth and other small holes closed, and which vertices are new.

    A model of several pieces brings its own eyeballs and mouth and is returned as it is.
    """
    num_vertices = len(source.mean_mm)
    if len(np.unique(components(source.triangles, num_vertices=num_vertices)[source.triangles])) == 1:
        for rim in boundary_loops(source.triangles):
            if _length(source.mean_mm[rim]) < _LONGEST_MM:
                source = _close(source, rim)
    return source, np.arange(len(source.mean_mm)) >= num_vertices


def boundary_loops(triangles: Int[np.ndarray, "faces 3"]) -> list[Int[np.ndarray, "rim"]]:
    """Rims as vertex lists, each along the direction that the missing triangles would run in. Holes that touch in a
    vertex are kept apart."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    base = int(triangles.max()) + 1
    open_sides = sides[~np.isin(sides[:, 0] * base + sides[:, 1], sides[:, 1] * base + sides[:, 0])]
    after: dict[int, list[int]] = {}
    for end, start in open_sides.tolist():
        after.setdefault(start, []).append(end)
    loops = []
    while after:
        path = [next(iter(after))]
        while path[-1] in after:
            following = after[path[-1]].pop()
            if not after[path[-1]]:
                del after[path[-1]]
            if following in path:
                place = path.index(following)
                loops.append(np.array(path[place:]))
                path = path[:place]
            path.append(following)
    return loops


def _length(points: Float[np.ndarray, "rim 3"]) -> float:
    return float(np.sum(np.linalg.norm(points - np.roll(points, 1, axis=0), axis=1)))


def _close(source: SourceModel, rim: Int[np.ndarray, "rim"]) -> SourceModel:
    """Triangles between the rim's vertices; diagonals get a vertex in their middle, which carries the label."""
    local = _fill(source.mean_mm[rim].astype(np.float64))
    local, ends = _split_diagonals(local, len(rim))
    first_new = len(source.mean_mm)
    ids = np.concatenate([rim, first_new + np.arange(len(ends))]).astype(np.int32)
    pairs = rim[ends]
    changes: dict[str, Any] = {"triangles": np.concatenate([source.triangles, ids[local]])}
    changes |= {
        name: np.concatenate([values, values[..., pairs, :].mean(axis=-2)], axis=-2)
        for name in ("mean_mm", "identity_mm", "expression_mm", "colours")
        if (values := getattr(source, name)) is not None
    }
    if source.uvs is not None and source.uv_triangles is not None:
        corner_uvs = np.zeros(first_new, np.int32)
        corner_uvs[source.triangles] = source.uv_triangles
        rim_uvs = corner_uvs[rim]
        ids = np.concatenate([rim_uvs, len(source.uvs) + np.arange(len(ends))]).astype(np.int32)
        changes["uvs"] = np.concatenate([source.uvs, source.uvs[rim_uvs[ends]].mean(axis=1)])
        changes["uv_triangles"] = np.concatenate([source.uv_triangles, ids[local]])
    if source.parts is not None:
        changes["parts"] = np.concatenate([source.parts, source.parts[pairs[:, 0]]])
    if source.articulation is not None:
        changes["articulation"] = _extend(source.articulation, pairs)
    return dataclasses.replace(source, **changes)


def _extend(articulation, pairs):
    return dataclasses.replace(
        articulation,
        weights=np.concatenate([articulation.weights, articulation.weights[pairs].mean(axis=1)]),
        correctives_mm=np.concatenate(
            [articulation.correctives_mm, articulation.correctives_mm[:, pairs].mean(axis=2)], axis=1
        ),
    )


def _fill(points: Float[np.ndarray, "rim 3"]) -> Int[np.ndarray, "faces 3"]:
    """The triangulation of a closed polygon whose diagonals have the least sum of squares (dynamic programming).

    Short diagonals run from lid to lid and from lip to lip.
    """
    count = len(points)
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=-1)
    cost, split = np.zeros((count, count)), np.zeros((count, count), int)
    for span in range(2, count):
        starts = np.arange(count - span)
        middles = starts[:, None] + np.arange(1, span)[None, :]
        ends = (starts + span)[:, None]
        totals = cost[starts[:, None], middles] + cost[middles, ends]
        best = np.argmin(totals, axis=1)
        cost[starts, starts + span] = totals[starts, best] + squares[starts, starts + span]
        split[starts, starts + span] = middles[starts, best]
    triangles, open_spans = [], [(0, count - 1)]
    while open_spans:
        a, c = open_spans.pop()
        if c - a >= 2:
            b = split[a, c]
            triangles.append((a, b, c))
            open_spans += [(a, b), (b, c)]
    return np.array(triangles)


def _split_diagonals(triangles: Int[np.ndarray, "faces 3"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Every side that is no side of the rim is halved: the new triangles, and the ends of each halved side."""
    middles: dict[tuple[int, int], int] = {}
    pieces = []
    for corners in triangles.tolist():
        outline = []
        for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
            outline.append((a, True))
            if (b - a) % count not in (1, count - 1):
                outline.append((middles.setdefault((min(a, b), max(a, b)), count + len(middles)), False))
        pieces += _cut(outline)
    return np.array(pieces), np.array(list(middles), int).reshape(-1, 2)


def _cut(outline: list[tuple[int, bool]]) -> list[tuple[int, int, int]]:
    """A triangle with some of its sides halved, as triangles: corners between two halves are cut off first."""
    pieces = []
    while len(outline) > 3:
        size = len(outline)
        halves = [(not outline[k - 1][1]) + (not outline[(k + 1) % size][1]) for k in range(size)]
        corner = max(range(size), key=lambda k: halves[k] if outline[k][1] else -1)
        pieces.append((outline[corner - 1][0], outline[corner][0], outline[(corner + 1) % size][0]))
        del outline[corner]
    a, b, c = (vertex for vertex, _ in outline)
    return [*pieces, (a, b, c)]
