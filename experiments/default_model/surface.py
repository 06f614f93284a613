"""What lies on the surface: UV map, region labels, albedo, and the small relief that the control mesh cannot hold."""

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve

from default_model import topology
from jaxface.types import Region

RIGHT_LID_RING = (247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25, 130)
RIGHT_NOSE = (
    168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 122, 196, 3, 51, 45, 44, 125, 141, 188, 174, 236, 134, 220, 237, 241, 242,
    217, 114, 126, 198, 131, 115, 218, 239, 238, 20, 99, 97, 209, 49, 48, 219, 79, 60, 75, 166, 59, 235, 240, 64, 102,
    129, 98,
)  # fmt: skip
SKIN, LIPS, BROW = (0.72, 0.56, 0.48), (0.62, 0.36, 0.34), (0.30, 0.22, 0.18)  # sRGB, assumed
CHEEK, SCLERA, IRIS = (0.74, 0.50, 0.43), (0.86, 0.83, 0.80), (0.30, 0.22, 0.16)
NOSTRIL, CAVITY = (0.25, 0.13, 0.10), (0.20, 0.08, 0.08)
STRETCH_ROUNDS = 4
DENSE = 60
IRIS_RADIUS_MM, PUPIL_RADIUS_MM = 5.9, 2.0  # iris diameter 11.7 mm (Hashemi et al. 2015)


def mean_value_uvs(mesh: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Mean-value map (Floater 2003) of the disc onto a rounded convex outline, its weights divided by the local stretch
    (Yoshizawa et al. 2004): every point stays a convex combination of its neighbours, so no triangle flips."""
    outline = _outline(mesh)
    weights = np.zeros((len(mesh), len(mesh)))
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        to_j, to_o = mesh[j] - mesh[i], mesh[o] - mesh[i]
        length_j, length_o = np.linalg.norm(to_j, axis=1), np.linalg.norm(to_o, axis=1)
        half = np.sqrt((1 - (c := (to_j * to_o).sum(1) / (length_j * length_o))) / (1 + c))
        np.add.at(weights, (i, j), half / length_j)
        np.add.at(weights, (i, o), half / length_o)
    rim = np.array(topology.OVAL)
    free = np.setdiff1d(np.arange(len(mesh)), rim)
    uvs = np.zeros((len(mesh), 2))
    uvs[rim] = outline
    for _ in range(STRETCH_ROUNDS):
        weights /= weights.sum(1, keepdims=True)
        system = np.eye(len(free)) - weights[np.ix_(free, free)]
        uvs[free] = np.linalg.solve(system, weights[np.ix_(free, rim)] @ outline)
        weights /= np.sqrt(_stretch(mesh, uvs, triangles))[None, :]
    return uvs


def _stretch(mesh, uvs, triangles):
    """Mean ratio of lengths on the surface to lengths in the map, around each vertex."""
    a, b, c = (mesh[triangles[:, k]] for k in range(3))
    p, q, r = (uvs[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    double = (q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]
    along_u = (a * (q - r)[:, 1:] + b * (r - p)[:, 1:] + c * (p - q)[:, 1:]) / double[:, None]
    along_v = (a * (r - q)[:, :1] + b * (p - r)[:, :1] + c * (q - p)[:, :1]) / double[:, None]
    squared = ((along_u**2).sum(1) + (along_v**2).sum(1)) / 2 * area
    total, weight = np.zeros(len(mesh)), np.zeros(len(mesh))
    for k in range(3):
        np.add.at(total, triangles[:, k], squared)
        np.add.at(weight, triangles[:, k], area)
    return np.sqrt(total / weight)


def _outline(mesh):
    """The oval unrolled from a cylinder and drawn on a superellipse that fills the unit square's height."""
    oval = mesh[list(topology.OVAL)]
    axis_z = oval[:, 2].min() - 10
    radius = mesh[:, 2].max() - 20 - axis_z
    unrolled = np.stack([np.arctan2(oval[:, 0], oval[:, 2] - axis_z) * radius, oval[:, 1]], axis=1)
    centre = (unrolled.max(0) + unrolled.min(0)) / 2
    half = (unrolled.max(0) - unrolled.min(0)) / 2
    direction = (unrolled - centre) / half
    power = 2.3
    rounded = direction / (np.abs(direction) ** power).sum(1, keepdims=True) ** (1 / power)
    return 0.5 + np.array([0.48, 0.42]) * rounded  # taller than life: more texels for nose and lips


def control_regions(mirror: np.ndarray) -> dict[Region, set[int]]:
    """Control vertices of each facial part, both sides."""
    lips = set(sum(topology.OUTER_LIPS + topology.INNER_LIPS + topology.LIP_ROWS, ()))
    lids = set(sum(topology.RIGHT_LIDS, ())) | set(RIGHT_LID_RING)
    parts = {
        Region.MOUTH: lips,
        Region.EYE: lids,
        Region.NOSE: set(RIGHT_NOSE),
        Region.EYEBROW: set(topology.RIGHT_BROW),
    }
    return {region: part | {int(mirror[v]) for v in part} for region, part in parts.items()}


def landmark_regions(mirror: np.ndarray) -> np.ndarray:
    """Labels of the 478 landmarks; of the lids only the contours count as EYE."""
    labels = np.full(478, Region.SKIN)
    for region, part in control_regions(mirror).items():
        labels[sorted(part)] = region
    ring = np.array(RIGHT_LID_RING)
    labels[np.concatenate([ring, mirror[ring]])] = Region.SKIN
    labels[list(topology.OVAL)] = Region.BORDER
    labels[468:] = Region.EYE_OPENING
    return labels.astype(np.int8)


def vertex_regions(triangles, fine_triangles, holes, mirror, num_fine) -> np.ndarray:
    """Labels of the fine vertices from the labels of the control triangles (16 children each, in order)."""
    labels = np.full(num_fine, Region.SKIN)
    children = fine_triangles.reshape(len(triangles), -1)
    parts = control_regions(mirror)
    for region in (Region.NOSE, Region.EYEBROW, Region.EYE, Region.MOUTH):
        inside = np.isin(triangles, sorted(parts[region])).all(1)
        labels[children[inside]] = region
    for region, strips in ((Region.EYE_OPENING, ("right_eye", "left_eye")), (Region.MOUTH_OPENING, ("mouth",))):
        for strip in strips:
            labels[interior(triangles, children, holes[strip], num_fine)] = region
    labels[rim_vertices(fine_triangles, rings=2)] = Region.BORDER
    return labels.astype(np.int8)


def interior(triangles, children, strip, num_fine) -> np.ndarray:
    """Fine vertices all of whose triangles come from the strip."""
    chosen = {tuple(sorted(t)) for t in strip.tolist()}
    inside = np.array([tuple(sorted(t)) in chosen for t in triangles.tolist()])
    touched = np.zeros(num_fine, bool)
    touched[children[~inside]] = True
    return np.where(~touched)[0]


def rim_vertices(triangles, *, rings) -> np.ndarray:
    """Vertices within so many rings of the boundary."""
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    near = np.unique(edges[count == 1])
    for _ in range(rings - 1):
        near = np.unique(triangles[np.isin(triangles, near).any(1)])
    return near


def relief(vertices, triangles, labels) -> np.ndarray:
    """Three displacement fields (3, fine, 3): right eyeball, left eyeball, mouth cavity; each at most 1 mm.

    Profiles solve laplace(u) = -1 inside the opening with u = 0 on its rim; the Laplacian is that of the graph,
    since the closed mouth has no area.
    """
    graph = (topology.adjacency(vertices, triangles, shortcuts=False) > 0).astype(float)
    stiffness = sparse.diags(np.asarray(graph.sum(1)).ravel()) - graph
    fields = np.zeros((3, len(vertices), 3))
    eye, mouth = labels == Region.EYE_OPENING, labels == Region.MOUTH_OPENING
    for field, inside in enumerate((eye & (vertices[:, 0] < 0), eye & (vertices[:, 0] > 0), mouth)):
        rows = np.where(inside)[0]
        profile = spsolve(stiffness[rows][:, rows].tocsc(), np.ones(len(rows)))
        fields[field, rows, 2] = profile / profile.max()
    return fields


def albedo(vertices, labels, mesh) -> np.ndarray:
    """Mean skin colour with lips, cheeks, brows, eyes and nostrils painted on; sRGB in [0, 1]."""
    colour = np.tile(np.array(SKIN), (len(vertices), 1))
    for cheek in (mesh[50], mesh[280], mesh[4]):
        colour = _mix(colour, CHEEK, 0.55 * _blob(vertices, cheek, 17 if cheek[0] else 10))
    nostril = mesh[[2, 98, 97, 99]].mean(0)
    for side in (1, -1):
        colour = _mix(colour, NOSTRIL, 0.75 * _blob(vertices, nostril * [side, 1, 1], 3.2))
        colour = _mix(colour, BROW, 0.8 * _brow(vertices, mesh, side))
        colour = _eye(colour, vertices, labels, mesh, side)
    lips = _soft(labels == Region.MOUTH, vertices, 1.2)
    colour = _mix(colour, LIPS, 0.75 * lips)
    return np.clip(_mix(colour, CAVITY, 1.0 * (labels == Region.MOUTH_OPENING)), 0, 1)


def _mix(colour, other, amount):
    return colour + amount[:, None] * (np.array(other) - colour)


def _blob(vertices, centre, radius):
    return np.exp(-((np.linalg.norm(vertices - centre, axis=1) / radius) ** 2))


def _soft(inside, vertices, width):
    """An indicator blurred over `width` mm among the vertices."""
    if not inside.any():
        return np.zeros(len(vertices))
    near = np.where(np.linalg.norm(vertices - vertices[inside].mean(0), axis=1) < 60)[0]
    squared = ((vertices[near][:, None] - vertices[near][None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * width**2))
    soft = np.zeros(len(vertices))
    soft[near] = kernel @ inside[near] / kernel.sum(1)
    return soft


def _brow(vertices, mesh, side):
    """A tapered strip along the middle line between both brow contours."""
    lower, upper = mesh[list(topology.RIGHT_BROW[:5])], mesh[list(topology.RIGHT_BROW[5:])]
    line = (0.45 * lower + 0.55 * upper) * [-side, 1, 1]
    distance = np.linalg.norm(vertices[:, None] - _dense(line)[None], axis=2)
    along = distance.argmin(1) / (DENSE - 1)
    width = 1.5 + 3.0 * np.sqrt(along)
    return np.exp(-((distance.min(1) / width) ** 2.5)) * (1 - 0.35 * along)


def _dense(line):
    """A polyline sampled finely."""
    t, knots = np.linspace(0, 1, DENSE), np.linspace(0, 1, len(line))
    return np.stack([np.interp(t, knots, line[:, k]) for k in range(3)], axis=1)


def _eye(colour, vertices, labels, mesh, side):
    """Sclera, iris, pupil inside the opening; a dark lash line on the upper lid."""
    upper, lower = (mesh[list(chain)] * [-side, 1, 1] for chain in topology.RIGHT_LIDS)
    inside = ((labels == Region.EYE_OPENING) & (vertices[:, 0] * side > 0)).astype(float)
    colour = _mix(colour, SCLERA, inside)
    centre = (upper[3:6].mean(0) + lower[3:6].mean(0)) / 2 + [0, 0.8, 0]
    radius = np.linalg.norm(vertices[:, :2] - centre[:2], axis=1)
    for tint, size in ((IRIS, IRIS_RADIUS_MM), ((0.05, 0.04, 0.04), PUPIL_RADIUS_MM)):
        colour = _mix(colour, tint, inside / (1 + np.exp((radius - size) / 0.35)))
    lash = np.linalg.norm(vertices[:, None] - _dense(upper[1:-1])[None], axis=2).min(1)
    return _mix(colour, (0.20, 0.14, 0.12), 0.6 * np.exp(-((lash / 1.1) ** 2)))
