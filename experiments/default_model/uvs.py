"""The texture's layout: MakeHuman's islands side by side, the face enlarged, the left half the right one's mirror."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from scipy.sparse import csgraph

from default_model.head import Head
from jaxface.types import Part

MARGIN = 0.008
HEAD_TOP = 0.71  # the head's island lies below, the others above
FACE_ZOOM = 1.2  # the middle of the head's island is enlarged 1 + FACE_ZOOM times, its sides less


class Place(NamedTuple):
    """Middle (u from the axis of symmetry, v) and larger side of an island in the layout."""

    u: float
    v: float
    side: float


# Of the islands beside the head's; those off the axis have a mirror image.
PLACES = {
    "neck": Place(0.0, 0.95, 0.24),
    "mouth": Place(0.0, 0.885, 0.06),
    "tongue": Place(0.0, 0.83, 0.055),
    "upper teeth": Place(0.0, 0.775, 0.10),
    "lower teeth": Place(0.0, 0.733, 0.10),
    "eye": Place(-0.25, 0.86, 0.16),
    "back of the eye": Place(-0.42, 0.78, 0.08),
    "socket": Place(-0.42, 0.91, 0.10),
}


def lay_out(head: Head, vertices_mm: np.ndarray) -> np.ndarray:
    """UVs in the place of `head.uvs`, v up."""
    island, vertex, kinds = _islands(head, vertices_mm)
    uvs = np.full_like(head.uvs, np.nan)
    for number, kind in enumerate(kinds):
        members = island == number
        if kind == "head":
            uvs[members] = _head_uvs(head.uvs[members], vertices_mm[vertex[members]])
        elif kind is not None:
            uvs[members] = _put(head.uvs[members], vertices_mm[vertex[members]], PLACES[kind])
    return _mirrored(uvs, vertex, island, head)


def kinds_of_triangles(head: Head, vertices_mm: np.ndarray) -> np.ndarray:
    """What each triangle's island shows, the left half's like the right one's."""
    island, vertex, kinds = _islands(head, vertices_mm)
    mirrored = {frozenset(head.mirror[vertex[island == k]].tolist()): kind for k, kind in enumerate(kinds) if kind}
    whole = [kind or mirrored[frozenset(vertex[island == k].tolist())] for k, kind in enumerate(kinds)]
    return np.array(whole)[island[head.uv_triangles[:, 0]]]


def _islands(head: Head, vertices_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Of each UV vertex its island and its vertex; of each island what it shows, None for the left half's."""
    sides = np.concatenate([head.uv_triangles[:, [0, 1]], head.uv_triangles[:, [1, 2]]])
    graph = sparse.csr_matrix((np.ones(len(sides)), sides.T), (len(head.uvs),) * 2)
    count, island = csgraph.connected_components(graph, directed=False)
    vertex = np.zeros(len(head.uvs), int)
    vertex[head.uv_triangles] = head.triangles
    return island, vertex, [_kind(vertex[island == number], head, vertices_mm) for number in range(count)]


def _kind(vertex: np.ndarray, head: Head, vertices_mm: np.ndarray) -> str | None:
    """What an island shows; None for the left half's."""
    part, places = Part(head.parts[vertex[0]]), vertices_mm[vertex]
    if part in (Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE):
        return part.name.lower().replace("_", " ")
    if np.all(places[:, 0] > 0.0):
        return None
    if part == Part.RIGHT_EYE:
        return "eye" if places[:, 2].max() == vertices_mm[head.parts == part, 2].max() else "back of the eye"
    if np.all(places[:, 0] < 0.0):
        return "socket"
    skin = vertices_mm[head.parts == Part.SKIN]
    if places[:, 1].max() == skin[:, 1].max():
        return "head"
    return "neck" if places[:, 1].min() == skin[:, 1].min() else "mouth"


def _head_uvs(uvs: np.ndarray, places_mm: np.ndarray) -> np.ndarray:
    """The head's island upright and in the unit of its half width, its middle enlarged; it stays without overlap, as u
    grows with u."""
    across, up = uvs[:, 1] - (uvs[:, 1].min() + uvs[:, 1].max()) / 2.0, -uvs[:, 0]
    across *= np.sign(np.sum(across * places_mm[:, 0])) / np.abs(across).max()
    across *= (1.0 + FACE_ZOOM) / (1.0 + FACE_ZOOM * np.abs(across))
    up = (up - up.min()) / np.ptp(up)
    return np.stack([0.5 + (0.5 - MARGIN) * across, MARGIN + (HEAD_TOP - 2 * MARGIN) * up], axis=1)


def _put(uvs: np.ndarray, places_mm: np.ndarray, place: Place) -> np.ndarray:
    """An island turned so that u grows to the subject's left, scaled into its place."""
    centred = uvs - (uvs.min(axis=0) + uvs.max(axis=0)) / 2.0
    centred[:, 0] *= np.sign(np.sum(centred[:, 0] * (places_mm[:, 0] - places_mm[:, 0].mean())))
    return [0.5 + place.u, place.v] + place.side / np.ptp(uvs, axis=0).max() * centred


def _mirrored(uvs: np.ndarray, vertex: np.ndarray, island: np.ndarray, head: Head) -> np.ndarray:
    """The left half's UVs from the right's; islands on the axis become symmetric, but for seams there."""
    members = [np.flatnonzero(island == number) for number in range(island.max() + 1)]
    by_vertices = {frozenset(vertex[rows].tolist()): rows for rows in members}
    found = uvs.copy()
    for rows in members:
        partners = by_vertices[frozenset(head.mirror[vertex[rows]].tolist())]
        if np.isfinite(uvs[partners, 0]).all():
            images = uvs[partners] * [-1.0, 1.0] + [1.0, 0.0]
            for row in rows:
                choices = images[vertex[partners] == head.mirror[vertex[row]]]
                nearest = (
                    choices[np.linalg.norm(choices - uvs[row], axis=1).argmin()] if len(choices) > 1 else choices[0]
                )
                found[row] = nearest if np.isnan(uvs[row, 0]) else (uvs[row] + nearest) / 2.0
    return found
