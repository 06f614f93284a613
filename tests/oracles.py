"""Slow float64 NumPy twins of Eqs. 2 to 9, written from the paper with loops, and a finite-difference check."""

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


def zeros_outside(image, y, x):
    inside = 0 <= y < image.shape[0] and 0 <= x < image.shape[1]
    return image[y, x] if inside else 0.0


def blur(image, sigma):
    radius = int(np.ceil(3 * sigma))
    taps = np.array([np.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)])
    taps /= taps.sum()
    out = np.zeros_like(image, dtype=np.float64)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for j, row in enumerate(range(y - radius, y + radius + 1)):
                for i, column in enumerate(range(x - radius, x + radius + 1)):
                    out[y, x] += taps[j] * taps[i] * zeros_outside(image, row, column)
    return out


def forward(image, mask, axis):
    out = np.zeros_like(image, dtype=np.float64)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            v, u = (y, x + 1) if axis == 1 else (y + 1, x)
            if v < image.shape[0] and u < image.shape[1]:
                out[y, x] = (image[v, u] - image[y, x]) * mask[y, x] * mask[v, u]
    return out


def rtv(channel, mask, sigma, eps, eta):
    """Eq. 7, both directions summed, with the epsilon that print leaves out."""

    def absolute(x):
        return np.sqrt(x * x + eta * eta) - eta

    total = 0.0
    for axis in (0, 1):
        step = forward(channel, mask, axis)
        total = total + blur(absolute(step), sigma) / (absolute(blur(step, sigma)) + eps)
    return total


def albedo_energy(albedo, image, shading, specular, mean_albedo, mask, colour, detail, sigma, eps, eta):
    """Eq. 6, RTV on each channel."""
    value = 0.0
    for c in range(3):
        data = albedo[..., c] * shading[..., c] + specular - image[..., c]
        value += np.sum((mask * data) ** 2)
        value += colour * np.sum((mask * (albedo[..., c] - mean_albedo[..., c])) ** 2)
        value += detail * np.sum((mask * rtv(albedo[..., c], mask, sigma, eps, eta)) ** 2)
    return value


def sh_basis(normal):
    """Y_k of Eq. 5 for one unit normal, from the closed forms of the real spherical harmonics."""
    x, y, z = normal
    pi = np.pi
    return np.array(
        [
            0.5 * np.sqrt(1 / pi),
            np.sqrt(3 / (4 * pi)) * y,
            np.sqrt(3 / (4 * pi)) * z,
            np.sqrt(3 / (4 * pi)) * x,
            0.5 * np.sqrt(15 / pi) * x * y,
            0.5 * np.sqrt(15 / pi) * y * z,
            0.25 * np.sqrt(5 / pi) * (3 * z * z - 1),
            0.5 * np.sqrt(15 / pi) * x * z,
            0.25 * np.sqrt(15 / pi) * (x * x - y * y),
        ]
    )


def normal_at(height_px, y, x):
    """(-dh/dx, -dh/dy, 1) / norm by central differences; inside the image only."""
    slope_x = (height_px[y, x + 1] - height_px[y, x - 1]) / 2
    slope_y = (height_px[y + 1, x] - height_px[y - 1, x]) / 2
    normal = np.array([-slope_x, -slope_y, 1.0])
    return normal / np.sqrt(np.sum(normal**2))


def depth_energy(height, image, albedo, specular, light, initial, mask, weights, as_printed):
    """Eq. 9; terms that look at neighbours count where all of them are inside the mask."""
    position, smoothness, gradient, emboss, data = weights
    grey = image @ np.array([0.299, 0.587, 0.114])
    surface = height if as_printed else height - initial
    value = position * np.sum((mask * (height - initial)) ** 2)
    for y in range(1, height.shape[0] - 1):
        for x in range(1, height.shape[1] - 1):
            inner = mask[y, x] * mask[y, x - 1] * mask[y, x + 1] * mask[y - 1, x] * mask[y + 1, x]
            rendered = albedo[y, x] * (sh_basis(normal_at(height, y, x)) @ light) + specular[y, x]
            value += data * np.sum((inner * (rendered - image[y, x])) ** 2)
            around = surface[y, x + 1] + surface[y, x - 1] + surface[y + 1, x] + surface[y - 1, x]
            value += smoothness * (inner * (around - 4 * surface[y, x])) ** 2
    for axis in (0, 1):
        of_image, of_surface = forward(grey, mask, axis), forward(surface, mask, axis)
        difference = of_image - emboss * of_surface if as_printed else emboss * of_image - of_surface
        value += gradient * np.sum(difference**2)
    return value


def slope_energy(change, asked, weight, weights, sure):
    """Eq. 9 with slopes asked for, and what stands beside it; x, then y in `asked` and `weight`."""
    position, smoothness, gradient, outlier = weights
    rows, columns = change.shape
    scale = (outlier * sure) ** 2
    value = position * np.sum(change**2)
    for y in range(rows):
        for x in range(columns):
            around = 0.0
            for v, u in ((y, x + 1), (y + 1, x), (y, x - 1), (y - 1, x)):
                around += change[min(max(v, 0), rows - 1), min(max(u, 0), columns - 1)] - change[y, x]
            value += smoothness * around**2
            for axis, (v, u) in enumerate(((y, x + 1), (y + 1, x))):
                slope = change[v, u] - change[y, x] if v < rows and u < columns else 0.0
                squared = weight[axis, y, x] * (slope - asked[axis, y, x]) ** 2
                value += squared * scale / (squared + scale) + gradient * slope**2
    return value


def check_gradient(function, x, gradient, *, seed=0, step=1e-3, tolerance=2e-2):
    """Central differences along random directions, in float64 against the float32 gradient."""
    directions = np.random.default_rng(seed).standard_normal((3, *x.shape))
    for direction in directions:
        direction /= np.linalg.norm(direction)
        slope = (function(x + step * direction) - function(x - step * direction)) / (2 * step)
        np.testing.assert_allclose(np.sum(np.asarray(gradient) * direction), slope, rtol=tolerance, atol=1e-4)
