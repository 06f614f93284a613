"""Slow float64 twins of Eqs. 2 and 3, written from the paper with loops."""

import numpy as np


def slow_neighbours(triangles, num_vertices):
    found = [set() for _ in range(num_vertices)]
    for triangle in np.asarray(triangles).tolist():
        for i in triangle:
            found[i] |= set(triangle) - {i}
    return found


def slow_laplace(vertices, triangles):
    """Eq. 2: v_i - sum_j v_j / N_i."""
    vertices = np.asarray(vertices, np.float64)
    result = np.zeros_like(vertices)
    for i, near in enumerate(slow_neighbours(triangles, len(vertices))):
        if near:
            result[i] = vertices[i] - sum(vertices[j] / len(near) for j in near)
    return result


def slow_energy(vertices, initial, triangles, corners, barycentrics, targets, weights, norm):
    """Eq. 3; `norm` maps a 3-vector to its contribution."""
    after, before = slow_laplace(vertices, triangles), slow_laplace(initial, triangles)
    energy = sum(norm(a - b) for a, b in zip(after, before, strict=True))
    for corner, barycentric, target, weight in zip(corners, barycentrics, targets, weights, strict=True):
        place = sum(b * np.asarray(vertices[i], np.float64) for i, b in zip(corner, barycentric, strict=True))
        energy += weight * norm(place - target)
    return energy
