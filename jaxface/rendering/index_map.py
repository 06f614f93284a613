"""Index maps, Jin et al. (2021) Sec. 3.3: from a point of the image to the place on the mesh seen there."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.rendering.raster import barycentrics_at
from jaxface.types import Raster


def index_map(raster: Raster, triangles: Int[Array, "faces 3"]) -> Int[Array, "height width"]:
    """Index map, Jin et al. (2021) Sec. 3.3: each pixel holds the index of the nearest vertex, -1 if none."""
    corners = triangles[jnp.maximum(raster.triangle, 0)]
    nearest = jnp.argmax(raster.barycentrics, axis=-1)
    vertices = jnp.take_along_axis(corners, nearest[..., None], axis=-1)[..., 0]
    return jnp.where(raster.triangle < 0, -1, vertices)


def lookup(
    points_px: Float[Array, "points 2"], raster: Raster, *, radius: int = 4
) -> tuple[Int[Array, "points"], Float[Array, "points 3"]]:
    """Triangle and barycentric weights of the covered pixel nearest to each point.

    Searched at most `radius` pixels around (a point may fall just beside the outline); where nothing is found,
    the triangle is -1 and the weights are 0.
    """
    height, width = raster.triangle.shape
    steps = jnp.arange(-radius, radius + 1)
    nearest = jnp.clip(jnp.nan_to_num(jnp.round(points_px)), -(2.0**20), 2.0**20).astype(jnp.int32)
    columns = (nearest[:, 0, None, None] + steps[None, None, :]).repeat(steps.size, axis=1)
    rows = (nearest[:, 1, None, None] + steps[None, :, None]).repeat(steps.size, axis=2)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = jnp.clip(columns, 0, width - 1), jnp.clip(rows, 0, height - 1)
    x, y = points_px[:, 0, None, None], points_px[:, 1, None, None]
    distances = jnp.square(columns - x) + jnp.square(rows - y)
    usable = inside & (raster.triangle[rows, columns] >= 0) & jnp.isfinite(distances)
    distances = jnp.where(usable, distances, jnp.inf).reshape(points_px.shape[0], -1)
    best = jnp.argmin(distances, axis=1)[:, None]
    row = jnp.take_along_axis(rows.reshape(distances.shape), best, axis=1)[:, 0]
    column = jnp.take_along_axis(columns.reshape(distances.shape), best, axis=1)[:, 0]
    found = jnp.isfinite(jnp.min(distances, axis=1))
    triangle = jnp.where(found, raster.triangle[row, column], -1)
    return triangle, jnp.where(found[:, None], raster.barycentrics[row, column], 0.0)


def embed(
    points_px: Float[Array, "points 2"],
    raster: Raster,
    *,
    vertices_px: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    radius: int = 4,
) -> tuple[Int[Array, "points"], Float[Array, "points 3"]]:
    """`lookup` with the weights taken at the point itself rather than at the pixel: sub-pixel where they overlap."""
    triangle, _ = lookup(points_px, raster, radius=radius)
    corners = vertices_px[triangles[jnp.maximum(triangle, 0)]]
    weights = barycentrics_at(points_px, corners)
    return triangle, jnp.where((triangle >= 0)[:, None], weights, 0.0)
