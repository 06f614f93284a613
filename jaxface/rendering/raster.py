"""Z-buffered rasterisation in the image frame: pixel centres at integers, the greatest height wins.

Triangles that face away from the viewer are culled: drawn are those whose corners run counter-clockwise as one
sees them on the screen. Edges are inclusive with a margin of rounding size, so that neighbours leave no gap.
Visibility is a constant to autodiff; barycentrics and heights have gradients.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxface.geometry.normals import vertex_normals
from jaxface.types import Raster

_CHUNK = 4096  # squares evaluated at once: bounds the memory; larger ones leave the CPU cache and are slower
_MARGIN = 4.0 * 2.0**-23  # relative rounding error of an edge function in float32, with room


# Jitted here because JAX would compile the loop anew at each call from outside a jitted function.
@functools.partial(jax.jit, static_argnames=("height", "width", "tile"))
def rasterise(
    vertices_px: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    *,
    height: int,
    width: int,
    tile: int = 4,
) -> Raster:
    """What each pixel of a `height` x `width` image sees of a mesh given as rows (x_px, y_px, height_px).

    Each triangle's bounding box is cut into `tile` x `tile` squares, and the squares of all triangles are worked
    off in equal chunks; any triangle size goes. Triangles with a vertex that is not finite are left out. Of equal
    heights, the triangle with the greatest index wins. Values are linear in the image plane, which is exact for
    the orthographic camera. `complete` is False if there were more squares than an int32 can count.
    """
    corners = vertices_px[triangles]
    fixed = jax.lax.stop_gradient(corners)
    starts, columns, counts = _tiles(fixed, height=height, width=width, tile=tile)
    complete = jnp.sum(counts.astype(jnp.float32)) < 2.0**31 - 2 * _CHUNK
    ends = jnp.where(complete, jnp.cumsum(counts), 0)

    def chunk(index, buffers):
        entry = index * _CHUNK + jnp.arange(_CHUNK)
        face = jnp.minimum(jnp.searchsorted(ends, entry, side="right"), ends.shape[0] - 1)
        local = entry - (ends[face] - counts[face])
        x = starts[face, 0] + tile * (local % columns[face])
        y = starts[face, 1] + tile * (local // columns[face])
        return _draw(buffers, fixed[face], face, x, y, entry < ends[-1], tile=tile)

    num_chunks = (ends[-1] + _CHUNK - 1) // _CHUNK
    empty = (jnp.full((height, width), -jnp.inf), jnp.full((height, width), -1))
    _, triangle = jax.lax.fori_loop(0, num_chunks, chunk, empty)
    barycentrics = _pixel_barycentrics(corners, triangle)
    heights = jnp.sum(barycentrics * corners[jnp.maximum(triangle, 0), :, 2], axis=-1)
    return Raster(triangle, barycentrics, jnp.where(triangle < 0, 0.0, heights), complete)


def interpolate(
    raster: Raster, values: Float[Array, "vertices channels"], triangles: Int[Array, "faces 3"]
) -> Float[Array, "height width channels"]:
    """Per-vertex values at each pixel by barycentric weights; 0 where nothing is seen."""
    corners = values[triangles[jnp.maximum(raster.triangle, 0)]]
    return jnp.sum(raster.barycentrics[..., None] * corners, axis=-2)


def draw(
    vertices_px: Float[Array, "vertices 3"],
    triangles: Int[Array, "faces 3"],
    values: Float[Array, "vertices channels"],
    *,
    size: int,
) -> tuple[Raster, Float[Array, "{size} {size} 3"], Float[Array, "{size} {size} channels"]]:
    """A square picture of a mesh: what each pixel sees, its normal (image frame, not of unit length) and its values.

    In the image frame y points down, so that outward normals come out negated.
    """
    raster = rasterise(vertices_px, triangles, height=size, width=size)
    columns = jnp.concatenate([-vertex_normals(vertices_px, triangles), values], axis=1)
    seen = interpolate(raster, columns, triangles)
    return raster, seen[..., :3], seen[..., 3:]


def visibility(
    vertices_px: Float[Array, "vertices 3"], raster: Raster, *, tolerance_px: Float[Array, ""] | float = 1.0
) -> Float[Array, "vertices"]:
    """1 where a vertex lies on the seen surface or at most `tolerance_px` behind it, 0 from twice that on.

    Outside the image 0; inside it, but with nothing drawn around, 1: nothing hides it.
    """
    height, width = raster.height_px.shape
    x, y = vertices_px[:, 0], vertices_px[:, 1]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    left = jnp.clip(jnp.floor(jnp.where(inside, x, 0.0)).astype(jnp.int32), 0, width - 2)
    top = jnp.clip(jnp.floor(jnp.where(inside, y, 0.0)).astype(jnp.int32), 0, height - 2)
    rows, columns = top[:, None] + jnp.array([[0, 0, 1, 1]]), left[:, None] + jnp.array([[0, 1, 0, 1]])
    weights = jnp.maximum(1.0 - jnp.abs(columns - x[:, None]), 0.0)
    weights = weights * jnp.maximum(1.0 - jnp.abs(rows - y[:, None]), 0.0)
    weights = jnp.where(raster.triangle[rows, columns] >= 0, weights, 0.0)
    behind = weights * (raster.height_px[rows, columns] - vertices_px[:, 2:])
    depth = jnp.sum(behind, axis=1) / jnp.maximum(jnp.sum(weights, axis=1), 1e-6)
    return jnp.where(inside, jnp.clip(2.0 - depth / tolerance_px, 0.0, 1.0), 0.0)


def barycentrics_at(
    points_px: Float[Array, "*points 2"], corners: Float[Array, "*points 3 3"]
) -> Float[Array, "*points 3"]:
    """Barycentric weights of image points in drawn triangles; outside they are pushed to an edge."""
    weights = jnp.maximum(_edge_functions(corners[..., :2] - points_px[..., None, :])[0], 0.0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return jnp.where(total > 0.0, weights / jnp.where(total > 0.0, total, 1.0), 1.0 / 3.0)


def _edge_functions(
    relative: Float[Array, "*points 3 2"],
) -> tuple[Float[Array, "*points 3"], Float[Array, "*points 3"]]:
    """Twice the signed areas opposite each corner, and the size of their rounding error."""
    b, c = jnp.roll(relative, -1, axis=-2), jnp.roll(relative, -2, axis=-2)
    left, right = b[..., 1] * c[..., 0], b[..., 0] * c[..., 1]
    return left - right, _MARGIN * (jnp.abs(left) + jnp.abs(right))


def _tiles(
    corners: Float[Array, "faces 3 3"], *, height: int, width: int, tile: int
) -> tuple[Int[Array, "faces 2"], Int[Array, "faces"], Int[Array, "faces"]]:
    """Per triangle: first pixel, squares per row, and number of squares (0 if culled or between the pixels)."""
    xy = corners[..., :2]
    last = jnp.array([[width - 1.0, height - 1.0]])
    first = jnp.ceil(jnp.clip(jnp.min(xy, axis=1), 0.0, last + 1.0))
    spans = jnp.floor(jnp.clip(jnp.max(xy, axis=1), -1.0, last)) - first + 1.0
    squares = jnp.ceil(jnp.maximum(jnp.nan_to_num(spans), 0.0) / tile).astype(jnp.int32)
    side_a, side_b = xy[:, 1] - xy[:, 0], xy[:, 2] - xy[:, 0]
    faces_viewer = side_a[:, 1] * side_b[:, 0] - side_a[:, 0] * side_b[:, 1] > 0.0
    drawn = faces_viewer & jnp.all(jnp.isfinite(corners), axis=(1, 2))
    counts = jnp.where(drawn, squares[:, 0] * squares[:, 1], 0)
    return jnp.nan_to_num(first).astype(jnp.int32), jnp.maximum(squares[:, 0], 1), counts


def _draw(
    buffers: tuple[Float[Array, "height width"], Int[Array, "height width"]],
    corners: Float[Array, "tiles 3 3"],
    face: Int[Array, "tiles"],
    x: Int[Array, "tiles"],
    y: Int[Array, "tiles"],
    valid: Bool[Array, "tiles"],
    *,
    tile: int,
) -> tuple[Float[Array, "height width"], Int[Array, "height width"]]:
    """One chunk of squares into the height and the triangle buffer."""
    nearest, triangle = buffers
    height, width = nearest.shape
    steps = jnp.arange(tile * tile)
    columns, rows = x[:, None] + (steps % tile)[None, :], y[:, None] + (steps // tile)[None, :]
    pixels = jnp.stack([columns, rows], axis=-1).astype(jnp.float32)
    areas, margins = _edge_functions(corners[:, None, :, :2] - pixels[:, :, None, :])
    inside = jnp.all(areas >= -margins, axis=-1) & (columns < width) & (rows < height) & valid[:, None]
    weights = jnp.maximum(areas, 0.0)
    heights = jnp.sum(weights * corners[:, None, :, 2], axis=-1) / jnp.sum(weights, axis=-1)
    # The barrier keeps one value of each height: recomputed with other roundings it might not equal itself.
    heights = jax.lax.optimization_barrier(jnp.where(inside, heights, -jnp.inf))
    target = jnp.where(heights > -jnp.inf, rows * width + columns, height * width)
    before = nearest.reshape(-1)
    after = before.at[target].max(heights, mode="drop")
    winners = jnp.where(heights == after[jnp.minimum(target, height * width - 1)], target, height * width)
    kept = jnp.where(after > before, -1, triangle.reshape(-1))
    triangle = kept.at[winners].max(jnp.broadcast_to(face[:, None], winners.shape), mode="drop")
    return after.reshape(height, width), triangle.reshape(height, width)


def _pixel_barycentrics(
    corners: Float[Array, "faces 3 3"], triangle: Int[Array, "height width"]
) -> Float[Array, "height width 3"]:
    height, width = triangle.shape
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    pixels = jnp.stack([x, y], axis=-1).astype(jnp.float32)
    weights = barycentrics_at(pixels, corners[jnp.maximum(triangle, 0)])
    return jnp.where((triangle >= 0)[..., None], weights, 0.0)
