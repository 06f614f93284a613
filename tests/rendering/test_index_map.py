"""Index maps: nearest vertex per pixel, and points back to the mesh."""

import jax
import jax.numpy as jnp
import numpy as np
from dome import grid_triangles

from jaxface.rendering.index_map import embed, index_map, lookup
from jaxface.rendering.raster import rasterise

HEIGHT, WIDTH = 37, 29


def _mesh():
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(4, 32, 6), np.linspace(3, 25, 5), indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), rng.uniform(0, 2, 30)], 1)
    return jnp.array(vertices, jnp.float32), jnp.asarray(grid_triangles(6, 5), jnp.int32)


def test_each_pixel_holds_its_nearest_vertex():
    vertices, triangles = _mesh()
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    found = np.array(index_map(raster, triangles))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            triangle = int(raster.triangle[y, x])
            expected = -1 if triangle < 0 else triangles[triangle][np.argmax(raster.barycentrics[y, x])]
            assert found[y, x] == expected
    # A vertex at a pixel centre is its own nearest vertex.
    assert found[4, 3] == 0 and found[32, 25] == 29 and found[0, 0] == -1


def test_lookup_takes_the_nearest_covered_pixel():
    vertices, triangles = _mesh()
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    rng = np.random.default_rng(1)
    points = rng.uniform([-6, -6], [WIDTH + 6, HEIGHT + 6], (200, 2)).astype(np.float32)
    triangle, barycentrics = jax.jit(lambda p: lookup(p, raster))(jnp.array(points))
    rows, columns = np.nonzero(np.array(raster.triangle) >= 0)
    hits = 0
    for index, (x, y) in enumerate(points):
        near = (abs(columns - round(float(x))) <= 4) & (abs(rows - round(float(y))) <= 4)
        if not near.any():
            assert triangle[index] == -1 and (barycentrics[index] == 0).all()
            continue
        best = np.argmin(np.where(near, (columns - x) ** 2 + (rows - y) ** 2, np.inf))
        assert triangle[index] == raster.triangle[rows[best], columns[best]]
        np.testing.assert_array_equal(barycentrics[index], raster.barycentrics[rows[best], columns[best]])
        hits += 1
    assert 50 < hits < 200


def test_unusable_points_are_not_found():
    vertices, triangles = _mesh()
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    triangle, _ = lookup(jnp.array([[np.nan, 5.0], [np.inf, 5.0], [1e30, 5.0]]), raster)
    assert (triangle == -1).all()


def test_embedded_points_project_back_to_themselves():
    vertices, triangles = _mesh()
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    points = jnp.array([[10.3, 12.8], [20.49, 30.1], [5.0, 5.0], [14.7, 21.2], [90.0, 3.0]])
    triangle, weights = embed(points, raster, vertices_px=vertices, triangles=triangles)
    rebuilt = jnp.sum(weights[..., None] * vertices[triangles[triangle]], axis=1)[:, :2]
    # A point may fall just across an edge from its pixel's triangle; then it is pushed to that edge.
    np.testing.assert_allclose(rebuilt[:4], points[:4], atol=0.5)
    assert np.median(np.abs(rebuilt[:4] - points[:4])) < 1e-4
    assert triangle[4] == -1 and (weights[4] == 0).all()
