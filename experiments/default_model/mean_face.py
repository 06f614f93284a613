"""The mean face: both portraits blended, their smiles relaxed, MediaPipe's known biases corrected.

Lengths in millimetres with the outer eye corners 90 apart; y = z = 0 at the nose bridge (point 168) while working.
Anthropometry (adult means of both sexes, rounded, as remembered from the works named, not checked against their
tables): bizygomatic breadth 139, sellion-menton 118, nose breadth 35,
lip length 49, nose protrusion 20 (Zhuang et al. 2010, NIOSH head-and-face survey); palpebral fissure 30 x 10,
intercanthal 33, bigonial breadth about 0.75 of the bizygomatic (Farkas 1994, Anthropometry of the Head and Face).
"""

import numpy as np

from default_model import topology

BRIDGE, GLABELLA, CHIN = 168, 9, 199
SKIN_PASSES = 6
GAP_MM = 0.6  # between the closed lips; less makes the subdivided lips cross


def mean_face(meshes: dict[str, np.ndarray], triangles: np.ndarray) -> np.ndarray:
    """Neutral symmetric mean (468, 3), origin at the centroid of the points."""
    mirror = meshes["mirror"]
    hopper, collins = _upright(meshes["hopper"]), _upright(meshes["collins"])
    mesh = _blend(hopper, collins)
    mesh = _proportions(mesh)
    mesh = _smooth_skin(mesh, triangles)
    mesh = _open_eyes(mesh)
    mesh = _close_mouth(mesh)
    mesh = _smooth_corners(mesh, triangles)
    mesh = (mesh + mesh[mirror] * [-1, 1, 1]) / 2
    mesh *= 90 / np.linalg.norm(mesh[33] - mesh[263])
    return mesh - mesh.mean(0) * [0, 1, 1]


def smoothstep(x, low, high):
    """0 below `low`, 1 above `high`, cubic between (either order)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _upright(mesh):
    """Pitch such that the chin lies 3 mm behind the glabella, as in natural head position; bridge at the origin."""
    for _ in range(3):
        line = mesh[GLABELLA] - mesh[CHIN]
        angle = np.arctan2(line[2], line[1]) - np.arctan2(3, np.hypot(line[1], line[2]))
        c, s = np.cos(angle), np.sin(angle)
        mesh = mesh @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    mesh = mesh * 90 / np.linalg.norm(mesh[33] - mesh[263])
    return mesh - mesh[BRIDGE] * [0, 1, 1]


def _blend(hopper, collins):
    """Half and half above; around the mouth nearly all Hopper, whose lips almost meet (Collins laughs)."""
    mean = (hopper + collins) / 2
    weight = 0.5 + 0.4 * smoothstep(mean[:, 1], -36, -54)
    weight = (weight * smoothstep(mean[:, 1], -125, -85) + 0.5 * (1 - smoothstep(mean[:, 1], -125, -85)))[:, None]
    return weight * hopper + (1 - weight) * collins


def _proportions(mesh):
    """Pulls breadths and depths toward the anthropometric means with smooth fields."""
    x, y, z = mesh.T.copy()
    # The network flattens the head: tragion-nasion and tragion-gnathion come out 10 % short of 118 and 141 mm (Farkas).
    z = z - 0.2 * np.where(z < -15, (z + 15) ** 2 / (8 - (z + 15)), 0.0)
    x = x * (1 + 0.035 * smoothstep(np.abs(x), 42, 72))  # to the bizygomatic breadth
    jaw = smoothstep(y, -30, -80) * smoothstep(z, -2, -45)
    x = x * (1 - 0.09 * jaw)
    x = x * (1 - 0.03 * smoothstep(y, 0, 30))
    # Smiling flares the alae: nose breadth 43 to 36; the bridge stays.
    nose = np.exp(-(((y + 42) / 13) ** 2)) * smoothstep(np.abs(x), 34, 24)
    x = x * (1 - 0.13 * nose)
    # The tip drops and sharpens in the network's output; round it off and shorten it a little.
    tip = np.exp(-(((y + 37) / 9) ** 2) - (x / 12) ** 2)
    z = z - 0.8 * tip
    y = y + 0.6 * tip
    # Lips and chin: the network sets the chin back; pogonion lies about on the line subnasale-lower lip.
    z = z + 2.5 * np.exp(-(((y + 99) / 14) ** 2) - (x / 26) ** 2)
    return np.stack([x, y, z], axis=1)


def _smooth_skin(mesh, triangles):
    """Volume-keeping (Taubin 1995) smoothing of cheeks, forehead and chin, where wrinkles of age and smile sit."""
    fixed = set(sum(topology.RIGHT_LIDS + topology.LEFT_LIDS + topology.INNER_LIPS + topology.OUTER_LIPS, ()))
    fixed |= set(sum(topology.LIP_ROWS, ())) | set(topology.OVAL) | set(topology.NOSE)
    weight = np.ones(len(mesh))
    weight[list(fixed)] = 0
    distance = topology.geodesics(mesh, triangles)[:, sorted(fixed - set(topology.OVAL))].min(1)
    weight *= smoothstep(distance, 2, 14)
    neighbours = (topology.adjacency(mesh, triangles) > 0).astype(float)
    degree = np.asarray(neighbours.sum(1))
    for _ in range(SKIN_PASSES):
        for step in (0.5, -0.52):
            mesh = mesh + step * weight[:, None] * (neighbours @ mesh / degree - mesh)
    return mesh


def _open_eyes(mesh):
    """Lids moved apart to a fissure of 10 mm; smiling had narrowed it."""
    mesh = mesh.copy()
    for upper, lower in (topology.RIGHT_LIDS, topology.LEFT_LIDS):
        opening = mesh[upper[4], 1] - mesh[lower[4], 1]
        centre = mesh[list(upper + lower)].mean(0)
        extra = 10.0 - opening
        near = np.exp(-(((mesh[:, 0] - centre[0]) / 11) ** 2))
        above = mesh[:, 1] - (mesh[upper[0], 1] + mesh[upper[-1], 1]) / 2
        shift = 0.6 * extra * near * smoothstep(above, 0.5, 3.0) * smoothstep(above, 13, 6)
        shift -= 0.4 * extra * near * smoothstep(above, -0.2, -2.0) * smoothstep(above, -16, -5)
        mesh[:, 1] += shift
    return mesh


def _close_mouth(mesh):
    """Lips meet along one line behind their crests and fill out again; corners come in, down and forward."""
    mesh = mesh.copy()
    x, y, z = mesh.T
    corners = np.exp(-((((np.abs(x) - 26) / 14) ** 2) + ((y - mesh[61, 1]) / 12) ** 2))
    mesh[:, 0] -= np.sign(x) * 1.0 * corners
    mesh[:, 1] -= 1.3 * corners
    mesh[:, 2] += 2.0 * corners  # smiling drew them back against the teeth
    upper, lower = (list(chain) for chain in topology.INNER_LIPS)
    middle = 1 - (mesh[upper, 0] / 26) ** 2  # 1 at the middle, 0 at the corners
    for row, forward, up in zip(
        (topology.OUTER_LIPS[0], *topology.LIP_ROWS[:2], *topology.LIP_ROWS[:1:-1], topology.OUTER_LIPS[1]),
        (0.2, 1.8, 1.8, 1.6, 1.8, 0.5),
        (0.8, 0.5, 0.2, 0.0, 0.0, 0.0),
        strict=True,
    ):
        inner = np.array(row)[1:-1]
        mesh[inner, 2] += forward * middle[1:-1]
        mesh[inner, 1] += up * middle[1:-1]
    line = (mesh[upper] + mesh[lower]) / 2
    line[:, 2] += 2.2 * middle
    mesh[upper[1:-1]] = line[1:-1] + [0, GAP_MM / 2, 0]
    mesh[lower[1:-1]] = line[1:-1] - [0, GAP_MM / 2, 0]
    return mesh


def _smooth_corners(mesh, triangles):
    """Takes the pinch out of the skin beside the mouth corners and at the outer eye corners."""
    distance = topology.geodesics(mesh, triangles)
    weight = np.exp(-((distance[:, [61, 291]].min(1) / 9) ** 2)) + np.exp(-((distance[:, [33, 263]].min(1) / 4) ** 2))
    still = sum(topology.INNER_LIPS + topology.OUTER_LIPS, ())
    weight[list(set(still + sum(topology.LIP_ROWS, ())) - {61, 291})] = 0
    neighbours = (topology.adjacency(mesh, triangles) > 0).astype(float)
    degree = np.asarray(neighbours.sum(1))
    for _ in range(3):
        mesh = mesh + 0.5 * np.minimum(weight, 1)[:, None] * (neighbours @ mesh / degree - mesh)
    return mesh
