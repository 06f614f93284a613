"""Identity statistics: a mirror-symmetric low-rank Gaussian process on the control mesh.

Scales are chosen so that standard deviations of measured breadths and lengths come near those of adults of both
sexes (face breadth 6.5 mm, face length 7.5, nose breadth 3.5, nose length 4, nose protrusion 2.5, lip length 4,
interpupillary 3.6 of 63; remembered from Zhuang et al. 2010, not checked against their tables); `report` prints what
the basis gives.
"""

import numpy as np
from scipy.spatial.distance import cdist

from default_model import topology

NUM_COMPONENTS = 80
# (length scale in mm, standard deviation along x, y, z in mm): overall form, features, details.
SCALES = ((70.0, (2.0, 2.2, 2.4)), (34.0, (1.5, 1.7, 1.7)), (16.0, (0.85, 0.95, 1.0)), (8.0, (0.3, 0.35, 0.35)))
STRETCH = (0.022, 0.030, 0.040)  # relative variation of breadth, height and depth of the whole face
SIZE = 0.02  # relative variation of the size, all axes together
ASYMMETRY = 0.35  # amplitude of the asymmetric part relative to the symmetric one


def identity_basis(mesh: np.ndarray, triangles: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Components (80, 468, 3) in mm for one standard deviation each, most important first."""
    covariance = _covariance(mesh)
    covariance = _split_symmetry(covariance, mirror)
    _, area = topology.cotangent_laplacian(mesh, triangles)
    weight = np.repeat((area / area.mean()) ** 0.5, 3)  # between equal vertices and equal areas
    covariance = _without_pose(covariance, mesh, weight)
    root = np.sqrt(weight)
    values, vectors = np.linalg.eigh(root[:, None] * covariance * root)
    order = np.argsort(values)[::-1][:NUM_COMPONENTS]
    basis = (vectors[:, order] / root[:, None] * np.sqrt(values[order])).T
    signs = np.sign(basis[np.arange(NUM_COMPONENTS), np.abs(basis).argmax(1)])
    return (basis * signs[:, None]).reshape(NUM_COMPONENTS, -1, 3)


def _covariance(mesh):
    """Sum of vector-valued Gaussian kernels and of linear stretches, (3n, 3n)."""
    squared = cdist(mesh, mesh) ** 2
    total = np.zeros((mesh.size, mesh.size))
    for length, deviations in SCALES:
        total += np.kron(np.exp(-squared / (2 * length**2)), np.diag(np.square(deviations)))
    centred = mesh - mesh.mean(0)
    for axis, deviation in enumerate(STRETCH):
        mode = (centred * np.eye(3)[axis] * deviation).ravel()
        total += np.outer(mode, mode)
    mode = (centred * SIZE).ravel()
    return total + np.outer(mode, mode)


def _split_symmetry(covariance, mirror):
    """Keeps the mirror-symmetric part of the process and weakens the asymmetric part."""
    flat = (3 * mirror[:, None] + np.arange(3)).ravel()
    sign = np.tile([-1.0, 1.0, 1.0], len(mirror))
    crossed = covariance[:, flat] * sign
    even = (covariance + crossed) / 2
    odd = (covariance - crossed) / 2
    # Each part alone has about half the variance; the sum keeps the total near the requested one.
    symmetric, asymmetric = 2 / (1 + ASYMMETRY**2), 2 * ASYMMETRY**2 / (1 + ASYMMETRY**2)
    return symmetric * even + asymmetric * odd


def _without_pose(covariance, mesh, weight):
    """Projects out rigid motions, in the weighted metric."""
    centred = mesh - np.average(mesh, axis=0, weights=weight[::3])
    turns = [np.cross(np.eye(3)[axis], centred).ravel() for axis in range(3)]
    shifts = [np.tile(np.eye(3)[axis], len(mesh)) for axis in range(3)]
    motions = np.stack(turns + shifts, axis=1)
    projector = np.eye(mesh.size) - motions @ np.linalg.solve(motions.T * weight @ motions, motions.T * weight)
    return projector @ covariance @ projector.T


def report(mesh: np.ndarray, basis: np.ndarray) -> dict[str, float]:
    """Standard deviations (mm) of a few measures and the rms over vertices, from 2000 random faces."""
    pairs = {
        "face breadth": (234, 454), "face length": (168, 152), "nose breadth": (48, 278), "nose length": (168, 2),
        "lip length": (61, 291), "outer canthi": (33, 263), "inner canthi": (133, 362), "jaw breadth": (172, 397),
    }  # fmt: skip
    faces = mesh + np.tensordot(np.random.default_rng(0).normal(size=(2000, len(basis))), basis, axes=1)
    spread = {name: float(np.linalg.norm(faces[:, a] - faces[:, b], axis=1).std()) for name, (a, b) in pairs.items()}
    spread["nose protrusion"] = float((faces[:, 4, 2] - faces[:, 2, 2]).std())
    return spread | {"rms": float(np.sqrt((basis**2).sum((0, 2)).mean()))}
