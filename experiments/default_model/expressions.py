"""Named, localised deformations in the manner of ARKit's blendshapes, sized in millimetres.

Each shape moves a few handles; a thin-plate field under tension (Botsch and Kobbelt 2004) carries the motion over the
open surface, where lids and lips are apart, and a geodesic radius bounds it. `_L` is the subject's left (+x); `_R`
mirrors it.
"""

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from default_model import topology

UPPER_LIP = tuple(zip(topology.OUTER_LIPS[0], *topology.LIP_ROWS[:2], topology.INNER_LIPS[0], strict=True))
LOWER_LIP = tuple(zip(topology.OUTER_LIPS[1], *topology.LIP_ROWS[2:], topology.INNER_LIPS[1], strict=True))
CORNER = tuple(set(UPPER_LIP[10] + UPPER_LIP[9] + LOWER_LIP[9]))
MANDIBLE = {  # share of the jaw's motion along the face oval, from the chin (1) to the ear (0)
    377: 1, 400: 1, 378: 1, 379: 0.97, 365: 0.92, 397: 0.8, 288: 0.55, 361: 0.3, 323: 0.12, 454: 0, 356: 0, 389: 0,
    251: 0, 284: 0, 332: 0, 297: 0, 338: 0,
}  # fmt: skip
UPPER_FACE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 94, 358, 278, 327, 330, 280, 347, 345, 263, 386)
JAW_HINGE_MM = (10.0, 16.0)  # the condyles lie so far below and before point 454, which sits at the tragus
JAW_GLIDE_MM = (0.0, -4.0, 7.0)  # the condyles glide forward and down while the mouth opens
TENSION_PER_MM2 = 1 / 12.0**2  # membrane stiffness that keeps the thin plate from overshooting
FOREHEAD = (10, 338, 297, 332, 284, 109, 67, 103, 54)
JAW_ANGLE = np.deg2rad(18.5)
SIDED = {
    # name: (radius, pinned points, ((handles, (out, up, forward)), ...)), for the subject's left
    "browInnerUp": (
        34, topology.LEFT_LIDS[0] + FOREHEAD, (((285, 336, 295, 296), (0, 8, 0.5)), ((9, 282, 334), (0, 4, 0))),
    ),
    "browOuterUp": (
        32, topology.LEFT_LIDS[0] + FOREHEAD, (((300, 293, 276, 283), (0.5, 7, -0.5)), ((334, 282), (0, 5.5, 0))),
    ),
    "browDown": (
        30, topology.LEFT_LIDS[1] + FOREHEAD, (((285, 336, 295, 296), (-2.5, -6, 1)), ((282, 334), (-1.5, -5, 0.7)),
                                    ((283, 293), (-0.5, -3, 0.3)), (topology.LEFT_LIDS[0][3:7], (0, -0.8, 0))),
    ),
    "eyeSquint": (20, (386, 263, 362, 280), ((topology.LEFT_LIDS[1][2:7], (0, 2.2, 0.2)), ((450, 449), (0, 2, 0.6)))),
    "cheekSquint": (26, (358, 291, 454), (((347, 330, 348), (0, 4, 1.5)), ((280, 346), (0.5, 3.5, 1.5)))),
    "noseSneer": (
        22, (1, 5, 263), (((358, 278, 294), (0.7, 4, 0)), ((355, 429), (0, 3.5, 1)), ((391, 322), (0, 2.5, 0))),
    ),
    "mouthSmile": (
        48, (0, 17, 1, 152, 374), ((CORNER, (8.5, 8, -5)), (UPPER_LIP[8] + LOWER_LIP[8], (5.5, 4, -2.2)),
                             (UPPER_LIP[7] + LOWER_LIP[7], (3, 1.5, -0.8)), ((425, 426), (2.5, 4, 2)),
                             ((280, 330), (0.5, 2.5, 1.5))),
    ),
    "mouthFrown": (32, (0, 17, 1), ((CORNER, (1.5, -8, -1)), (UPPER_LIP[8] + LOWER_LIP[8], (0.8, -3.5, 0)))),
    "mouthStretch": (
        40, (0, 17, 1), ((CORNER, (9.5, -3, -5)), (UPPER_LIP[8] + LOWER_LIP[8], (5.5, -1.5, -2.2)),
                         (UPPER_LIP[7] + LOWER_LIP[7], (3, -0.8, -0.8))),
    ),
    "mouthUpperUp": (
        26, (1, 195, 291), ((sum(UPPER_LIP[6:8], ()), (0, 5.5, 0.5)), (UPPER_LIP[5] + UPPER_LIP[8], (0, 3, 0.2)),
                       ((358, 327), (0.4, 1.5, 0))),
    ),
    "mouthLowerDown": (
        26, (152, 291), ((sum(LOWER_LIP[6:8], ()), (0.5, -6.5, 0.4)), (LOWER_LIP[5] + LOWER_LIP[8], (0, -3.5, 0.2))),
    ),
    "cheekPuff": (
        40, (1, 0, 17, 152, 374, 454) + UPPER_LIP[7] + LOWER_LIP[7],
        (((425, 411, 427, 436), (3.5, 0, 7)), ((434, 416, 432), (4, 0, 5)), (CORNER, (0.5, 0, 1.5))),
    ),
}  # fmt: skip
JAWS = ("jawForward", "jawLeft", "jawRight")
MOUTHS = ("mouthPucker", "mouthFunnel", "mouthLeft", "mouthRight", "mouthShrugLower")


def expression_basis(mesh: np.ndarray, triangles: np.ndarray, mirror: np.ndarray) -> dict[str, np.ndarray]:
    """Displacements (468, 3) by name on the surface with open eyes and mouth."""
    field = _Plate(mesh, triangles)
    shapes = {}
    for name, (radius, pins, handles) in SIDED.items():
        moves = {v: np.array(move, float) for points, move in handles for v in points}
        _add_pair(shapes, name, field.solve(moves, radius=radius, pins=pins), mirror)
    _add_pair(shapes, "eyeBlink", field.solve(_lid_moves(mesh, 1.0), radius=17, pins=(282, 283, 295)), mirror)
    _add_pair(shapes, "eyeWide", field.solve(_lid_moves(mesh, -0.25), radius=14, pins=(282,)), mirror)
    for name in MOUTHS:
        shapes[name] = field.solve(_mouth_moves(mesh, name), radius=36, pins=(1, 2, 152))
    return shapes | _jaw_shapes(mesh, field, mirror)


def _add_pair(shapes, name, displacement, mirror):
    shapes[f"{name}_L"] = displacement
    shapes[f"{name}_R"] = displacement[mirror] * [-1, 1, 1]


class _Plate:
    """Fields that solve (L M^-1 L + tension L) u = 0 between handles and the rest of the face, which stays."""

    def __init__(self, mesh, triangles):
        self.stiffness, area = topology.cotangent_laplacian(mesh, triangles)
        plate = self.stiffness @ sparse.diags(1 / area) @ self.stiffness
        self.energy = (plate + TENSION_PER_MM2 * self.stiffness).tocsc()
        self.distance = topology.geodesics(mesh, triangles)

    def solve(self, moves, *, radius, pins=()):
        """Displacements (n, 3) for `moves` {vertex: vector}; zero at pins and farther than `radius`."""
        handles = np.array(list(moves))
        values = np.zeros((len(self.distance), 3))
        still = self.distance[handles].min(0) > radius
        still[[p for p in pins if p not in moves]] = True
        values[handles] = np.array(list(moves.values()))
        return _fill(self.energy, values, still | np.isin(np.arange(len(values)), handles))


def _fill(matrix, values, known):
    """Solves matrix @ u = 0 on the unknown rows."""
    values = values.copy()
    free = ~known
    solver = splu(matrix[free][:, free].tocsc())
    values[free] = solver.solve(-matrix[free][:, known] @ values[known])
    return values


def _lid_moves(mesh, amount):
    """Left lids toward the closed line (amount 1), which lies near the lower lid, or apart (negative)."""
    moves = {}
    for upper, lower in list(zip(*topology.LEFT_LIDS, strict=True))[1:-1]:
        line = 0.86 * mesh[lower] + 0.14 * mesh[upper] + [0, 0, 0.4]
        moves[upper] = amount * (line - mesh[upper])
        moves[lower] = amount * (line - mesh[lower])
    moves[263], moves[362] = np.zeros(3), np.zeros(3)
    return moves


def _mouth_moves(mesh, name):
    """Whole-mouth shapes: every lip vertex is a handle."""
    moves = {}
    for rows, side in ((UPPER_LIP, 1), (LOWER_LIP, -1)):
        for column in rows:
            for vertex in column:
                x = mesh[vertex, 0]
                middle = 1 - min(abs(x) / 26, 1) ** 2
                moves[vertex] = {
                    "mouthPucker": np.array([-0.36 * x, 0.6 * side * middle, 4 + 3.5 * middle]),
                    "mouthFunnel": np.array([-0.26 * x, side * (4.5 if side > 0 else 6) * middle, 3 + 3.5 * middle]),
                    "mouthLeft": np.array([8.0, 0.05 * x, -0.04 * x]),
                    "mouthRight": np.array([-8.0, -0.05 * x, 0.04 * x]),
                    "mouthShrugLower": np.array([0, (2.5 if side > 0 else 4.0) * middle, 1.8 * middle]),
                }[name]
    if name == "mouthShrugLower":
        moves |= {v: np.array([0, 4.0, 1.5]) for v in (18, 200, 199)}
    return moves


def _jaw_shapes(mesh, field, mirror):
    """The mandible turns about the condyles or shifts; a harmonic weight tells how much each point follows."""
    share = dict(MANDIBLE) | {152: 1, 17: 1, 199: 1, 200: 1, 18: 1}
    share |= {v: 1.0 for column in LOWER_LIP[4:8] for v in column}
    share |= {v: 0.0 for column in UPPER_LIP[4:8] for v in column} | dict.fromkeys(UPPER_FACE, 0.0)
    share |= {v: 0.85 for v in LOWER_LIP[8]} | {v: 0.7 for v in LOWER_LIP[9]} | {v: 0.5 for v in UPPER_LIP[10]}
    share |= {v: 0.12 for v in UPPER_LIP[8]} | {v: 0.3 for v in UPPER_LIP[9]}
    share |= {int(mirror[v]): w for v, w in share.items()}
    values = np.zeros((len(mesh), 1))
    values[list(share), 0] = list(share.values())
    weight = _fill(field.stiffness.tocsc(), values, np.isin(np.arange(len(mesh)), list(share)))
    shapes = {"jawOpen": weight * (_turned(mesh) - mesh)}
    shapes["jawOpen"][:, 0] -= 0.12 * mesh[:, 0] * (weight * (1 - weight) * 4)[:, 0] * (mesh[:, 2] > -10)
    for name, move in zip(JAWS, ((0, 0, 7), (9, 0, 0), (-9, 0, 0)), strict=True):
        shapes[name] = weight * np.array(move, float)
    return shapes


def _turned(mesh):
    """The face turned as a whole about the axis through both condyles; the chin goes down and back."""
    hinge = mesh[454] * [0, 1, 1] + [0, -JAW_HINGE_MM[0], JAW_HINGE_MM[1]]
    c, s = np.cos(JAW_ANGLE), np.sin(JAW_ANGLE)
    turned = (mesh - hinge) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T + hinge
    return turned + JAW_GLIDE_MM
