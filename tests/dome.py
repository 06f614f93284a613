"""A small face-like model for tests: a bulging sheet with a nose, landmarks inside its triangles, all regions."""

import jax.numpy as jnp
import numpy as np

from jaxface.types import MorphableModel, Part, Region


def dome_model(*, rows: int = 23, columns: int = 19, every: int = 3, with_island: bool = False) -> MorphableModel:
    """Sheet of rows x columns vertices, 130 mm wide and 170 mm high, with mirror-symmetric UVs."""
    v, u = np.meshgrid(np.linspace(1, 0, rows), np.linspace(0, 1, columns), indexing="ij")
    x, y = 130 * (u - 0.5), 170 * (v - 0.5)
    z = 60 * (1 - (x / 80) ** 2 - (y / 110) ** 2) + 18 * np.exp(-((x / 12) ** 2) - (y / 22) ** 2)
    mean = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    uvs = np.stack([0.04 + 0.92 * u, 0.04 + 0.92 * v], axis=-1).reshape(-1, 2)
    triangles = grid_triangles(rows, columns)
    chosen, barycentrics = _grid_landmarks(rows, columns, every)
    where = (mean[triangles[chosen]] * barycentrics[..., None]).sum(axis=1)
    if with_island:  # a disc that touches nothing, behind the sheet
        island = len(mean) + np.array([[0, 1, 2], [0, 2, 3]])
        mean = np.concatenate([mean, [[-5, -5, 10], [5, -5, 10], [5, 5, 10], [-5, 5, 10]]])
        uvs = np.concatenate([uvs, [[0.01, 0.01], [0.03, 0.01], [0.03, 0.03], [0.01, 0.03]]])
        triangles = np.concatenate([triangles, island])
    rng = np.random.default_rng(0)
    return MorphableModel(
        mean_mm=jnp.asarray(mean, jnp.float32),
        identity_basis_mm=jnp.asarray(rng.normal(size=(2, len(mean), 3)), jnp.float32),
        expression_basis_mm=jnp.asarray(rng.normal(size=(1, len(mean), 3)), jnp.float32),
        triangles=jnp.asarray(triangles, jnp.int32),
        uvs=jnp.asarray(uvs, jnp.float32),
        uv_triangles=jnp.asarray(triangles, jnp.int32),
        landmark_triangles=jnp.asarray(np.append(chosen, 0), jnp.int32),
        landmark_barycentrics=jnp.asarray(np.append(barycentrics, np.zeros((1, 3)), axis=0), jnp.float32),
        landmark_regions=jnp.asarray(np.append(_regions(where), Region.EYE_OPENING), jnp.int32),
        vertex_regions=jnp.asarray(_regions(mean), jnp.int32),
        vertex_parts=jnp.where(jnp.arange(len(mean)) < rows * columns, Part.SKIN, Part.INSIDE),
        ibug_vertices=jnp.full(68, -1, jnp.int32),
        albedo=jnp.full((len(mean), 3), 0.5, jnp.float32) * jnp.array([[1.2, 0.9, 0.7]]),
        name="dome",
        licence="none",
        expression_names=("a",),
        expression_bounds=(-3.0, 3.0),
    )


def grid_triangles(rows, columns):
    """Of vertices in rows: the first halves of all cells, then the second ones; outwards where rows go down."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).reshape(-1, 3)


def _grid_landmarks(rows, columns, every):
    """Every so many cells, a point off the vertices of the cell's first triangle; one landmark a place."""
    row, column = np.meshgrid(np.arange(0, rows - 1, every), np.arange(0, columns - 1, every), indexing="ij")
    chosen = (row * (columns - 1) + column).ravel()
    return chosen, np.tile([[0.5, 0.3, 0.2]], (len(chosen), 1))


def _regions(points):
    x, y = np.abs(points[:, 0]), points[:, 1]
    labels = np.full(len(points), Region.SKIN)
    labels[(x > 15) & (x < 45) & (y > 15) & (y < 35)] = Region.EYE
    labels[(x > 15) & (x < 45) & (y >= 35) & (y < 50)] = Region.EYEBROW
    labels[(x < 12) & (np.abs(y) < 25)] = Region.NOSE
    labels[(x < 30) & (y < -30) & (y > -55)] = Region.MOUTH
    labels[(x > 55) | (np.abs(y) > 75)] = Region.BORDER
    return labels
