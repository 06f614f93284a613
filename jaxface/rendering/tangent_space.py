"""Normals as a normal map holds them, over the UV square (object frame, mm)."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.numerics import normalise
from jaxface.rendering.raster import interpolate
from jaxface.types import Raster


def tangent_normals(
    vertices_mm: Float[Array, "vertices 3"],
    out: Float[Array, "vertices 3"],
    normals: Float[Array, "vertices 3"],
    raster: Raster,
    *,
    triangles: Int[Array, "faces 3"],
    uvs: Float[Array, "uv_vertices 2"],
    uv_triangles: Int[Array, "faces 3"],
) -> Float[Array, "height width 3"]:
    """`normals` in the frame of a mesh whose own are `out`, where `raster` shows its UVs: x along u, y along v (up), z
    out. Both triangle lists are wound to face the viewer of the UV square."""
    along = _uv_directions(vertices_mm[triangles], uvs, uv_triangles)
    along_u, along_v = jnp.split(interpolate(raster, along, uv_triangles), 2, axis=-1)
    both = interpolate(raster, jnp.concatenate([out, normals], axis=1), triangles)
    out, seen = normalise(both[..., :3], eps=1e-20), both[..., 3:]
    tangent = normalise(along_u - jnp.sum(along_u * out, axis=-1, keepdims=True) * out, eps=1e-20)
    side = jnp.cross(out, tangent)
    side = side * jnp.where(jnp.sum(side * along_v, axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return normalise(jnp.stack([jnp.sum(seen * axis, axis=-1) for axis in (tangent, side, out)], axis=-1))


def _uv_directions(
    corners: Float[Array, "faces 3 3"], uvs: Float[Array, "uv_vertices 2"], uv_triangles: Int[Array, "faces 3"]
) -> Float[Array, "uv_vertices 6"]:
    """dP/du and dP/dv at the UVs, summed over triangles with the weight of their UV area, as unit vectors."""
    places = uvs[uv_triangles]
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    step_a, step_b = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
    along_u = edge_a * step_b[:, 1:] - edge_b * step_a[:, 1:]
    along_v = edge_b * step_a[:, :1] - edge_a * step_b[:, :1]
    spread = jnp.repeat(jnp.concatenate([along_u, along_v], axis=1), 3, axis=0)
    summed = jnp.zeros((uvs.shape[0], 6)).at[uv_triangles.reshape(-1)].add(spread)
    return jnp.concatenate([normalise(summed[:, :3], eps=1e-20), normalise(summed[:, 3:], eps=1e-20)], axis=1)
