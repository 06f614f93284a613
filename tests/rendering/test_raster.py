"""Rasteriser against per-pixel NumPy loops and analytic depth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from dome import grid_triangles

from jaxface.rendering.raster import barycentrics_at, interpolate, rasterise, visibility

HEIGHT, WIDTH = 37, 29


def _twin(vertices, triangles, height, width):
    """Every pixel against every triangle in float64: greatest height, then greatest index."""
    best = np.full((height, width), -np.inf)
    winner = np.full((height, width), -1)
    margin = np.full((height, width), np.inf)  # how near the pixel is to any edge
    for index, corners in enumerate(np.asarray(vertices, np.float64)[triangles]):
        if not np.isfinite(corners).all():
            continue
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
        area = (by - ay) * (cx - ax) - (bx - ax) * (cy - ay)
        if area <= 0:
            continue
        for y in range(height):
            for x in range(width):
                wa = (by - y) * (cx - x) - (bx - x) * (cy - y)
                wb = (cy - y) * (ax - x) - (cx - x) * (ay - y)
                wc = area - wa - wb
                margin[y, x] = min(margin[y, x], abs(wa), abs(wb), abs(wc))
                z = (wa * az + wb * bz + wc * cz) / area
                if min(wa, wb, wc) >= 0 and z >= best[y, x]:
                    best[y, x], winner[y, x] = z, index
    return winner, np.where(winner < 0, 0.0, best), margin


def _grid(rows, columns, *, height, width, low=-0.5):
    """A mesh over [low, width + 0.5] x [low, height + 0.5], its triangles counter-clockwise on the screen."""
    y, x = np.meshgrid(np.linspace(low, height + 0.5, rows), np.linspace(low, width + 0.5, columns), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], 1), grid_triangles(rows, columns).astype(np.int32)


def _random_mesh(seed, faces):
    rng = np.random.default_rng(seed)
    centres = rng.uniform([-5, -5, 0], [WIDTH + 5, HEIGHT + 5, 20], (faces, 1, 3))
    spread = np.exp(rng.uniform(-1.5, 3.0, (faces, 1, 1)))
    vertices = (centres + spread * rng.normal(size=(faces, 3, 3))).reshape(-1, 3)
    return jnp.array(vertices, jnp.float32), jnp.arange(3 * faces, dtype=jnp.int32).reshape(-1, 3)


@pytest.mark.parametrize("tile, wrap", [(1, lambda f: f), (4, jax.jit), (5, lambda f: f)])
def test_random_triangles_match_the_slow_twin(tile, wrap):
    vertices, triangles = _random_mesh(0, 40)
    raster = wrap(functools.partial(rasterise, height=HEIGHT, width=WIDTH, tile=tile))(vertices, triangles)
    winner, height, margin = _twin(vertices, np.array(triangles), HEIGHT, WIDTH)
    sure = margin > 1e-3
    assert sure.mean() > 0.9 and 0.2 < (winner >= 0).mean() < 1.0
    np.testing.assert_array_equal(np.array(raster.triangle)[sure], winner[sure])
    np.testing.assert_allclose(np.array(raster.height_px)[sure], height[sure], atol=2e-3)
    assert bool(raster.complete)


def test_batches_match_single_frames():
    meshes = [_random_mesh(seed, 15) for seed in range(3)]
    triangles = meshes[0][1]
    draw = functools.partial(rasterise, height=HEIGHT, width=WIDTH)
    batch = jax.vmap(draw, in_axes=(0, None))(jnp.stack([vertices for vertices, _ in meshes]), triangles)
    for index, (vertices, _) in enumerate(meshes):
        single = draw(vertices, triangles)
        np.testing.assert_array_equal(batch.triangle[index], single.triangle)
        np.testing.assert_allclose(batch.height_px[index], single.height_px, atol=1e-4)


@pytest.mark.parametrize("rows, columns", [(2, 2), (5, 9), (60, 70)])
def test_plane_has_exact_height_and_no_holes(rows, columns):
    xy, triangles = _grid(rows, columns, height=HEIGHT, width=WIDTH)
    rng = np.random.default_rng(1)
    inner = (xy.min(1) > 0) & (xy[:, 0] < WIDTH - 1) & (xy[:, 1] < HEIGHT - 1)
    xy = xy + inner[:, None] * rng.uniform(-0.1, 0.1, xy.shape)
    z = 3.0 + 0.5 * xy[:, 0] - 0.25 * xy[:, 1]
    vertices = jnp.array(np.concatenate([xy, z[:, None]], 1), jnp.float32)
    raster = rasterise(vertices, jnp.array(triangles), height=HEIGHT, width=WIDTH)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    assert (np.array(raster.triangle) >= 0).all()
    np.testing.assert_allclose(raster.height_px, 3.0 + 0.5 * x - 0.25 * y, atol=2e-5)
    drawn = interpolate(raster, vertices, jnp.array(triangles))
    np.testing.assert_allclose(drawn[..., 0], x, atol=2e-4)
    np.testing.assert_allclose(drawn[..., 1], y, atol=2e-4)


def test_shared_edges_through_pixel_centres_leave_no_hole():
    rng = np.random.default_rng(2)
    for _ in range(5):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        rim = 60 * np.stack([np.cos(angles), -np.sin(angles)], 1) + [16.0, 16.0]
        centre = rng.integers(14, 18, 2) + rng.choice([0.0, 0.5, 1 / 3], 2)
        vertices = np.concatenate([[centre], rim]).astype(np.float32)
        fan = np.array([[0, 1 + i, 1 + (i + 1) % 12] for i in range(12)], np.int32)
        points = jnp.array(np.concatenate([vertices, np.zeros((13, 1))], 1), jnp.float32)
        raster = rasterise(points, jnp.array(fan), height=33, width=33)
        if np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() < np.pi / 2:
            assert (np.array(raster.triangle) >= 0).all()


def test_only_counter_clockwise_triangles_are_drawn():
    corners = jnp.array([[2.0, 2.0, 0.0], [2.0, 20.0, 0.0], [20.0, 2.0, 0.0]])  # down, then right: y points down
    front = rasterise(corners, jnp.array([[0, 1, 2]]), height=HEIGHT, width=WIDTH)
    back = rasterise(corners, jnp.array([[0, 2, 1]]), height=HEIGHT, width=WIDTH)
    assert (front.triangle >= 0).sum() > 100 and (back.triangle >= 0).sum() == 0
    assert (back.height_px == 0.0).all() and (back.barycentrics == 0.0).all()


def test_ties_go_to_the_greatest_index_and_nearer_wins():
    corners = np.array([[2.0, 2.0, 0.0], [2.0, 20.0, 0.0], [20.0, 2.0, 0.0]])
    vertices = jnp.array(np.concatenate([corners, corners + [0, 0, 1]]), jnp.float32)
    tied = rasterise(vertices, jnp.array([[0, 1, 2], [0, 1, 2]]), height=HEIGHT, width=WIDTH)
    assert set(np.unique(tied.triangle)) == {-1, 1}
    stacked = rasterise(vertices, jnp.array([[3, 4, 5], [0, 1, 2]]), height=HEIGHT, width=WIDTH)
    assert set(np.unique(stacked.triangle)) == {-1, 0}


def test_odd_triangles_are_harmless():
    vertices = jnp.array(
        [
            [-1e4, -1e4, 5.0], [-1e4, 2e4, 5.0], [2e4, -1e4, 5.0],  # covers everything
            [5.2, 5.2, 9.0], [5.2, 5.8, 9.0], [5.8, 5.2, 9.0],  # between the pixel centres
            [-9.0, 3.0, 9.0], [-9.0, 8.0, 9.0], [-2.0, 3.0, 9.0],  # beside the image
            [4.0, 4.0, 9.0], [4.0, 4.0, 9.0], [9.0, 4.0, 9.0],  # no area
            [np.nan, 4.0, 9.0], [4.0, 9.0, 9.0], [9.0, 4.0, 9.0],
            [4.0, 4.0, np.inf], [4.0, 9.0, 9.0], [9.0, 4.0, 9.0],
        ]
    )  # fmt: skip
    triangles = jnp.arange(18, dtype=jnp.int32).reshape(-1, 3)
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    assert (raster.triangle == 0).all()
    np.testing.assert_allclose(raster.height_px, 5.0, atol=1e-5)
    nothing = rasterise(vertices, triangles[1:], height=HEIGHT, width=WIDTH)
    assert (nothing.triangle == -1).all() and bool(nothing.complete)


def test_work_beyond_an_int32_is_reported():
    vertices = jnp.array([[-1e4, -1e4, 0.0], [-1e4, 2e4, 0.0], [2e4, -1e4, 0.0]])
    triangles = jnp.tile(jnp.array([[0, 1, 2]]), (40_000, 1))
    assert not bool(rasterise(vertices, triangles, height=256, width=256, tile=1).complete)


def _icosphere(radius=14.0, centre=(14.0, 18.0)):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    vertices = np.array(mesh.vertices) * [1, -1, 1] + [*centre, 0.0]
    return jnp.array(vertices, jnp.float32), jnp.array(mesh.faces, jnp.int32)


def test_sphere_matches_the_analytic_depth():
    vertices, triangles = _icosphere()
    raster = rasterise(vertices, triangles, height=HEIGHT, width=WIDTH)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    squared = 14.0**2 - (x - 14.0) ** 2 - (y - 18.0) ** 2
    inner = squared > 36.0
    np.testing.assert_allclose(np.array(raster.height_px)[inner], np.sqrt(squared[inner]), atol=0.06)
    assert (np.array(raster.triangle)[squared < -1.0] == -1).all()


def test_height_has_gradients():
    vertices, triangles = _random_mesh(3, 6)
    weights = jax.random.normal(jax.random.key(0), (HEIGHT, WIDTH))

    def total(z):
        return jnp.sum(weights * rasterise(vertices.at[:, 2].set(z), triangles, height=HEIGHT, width=WIDTH).height_px)

    z = vertices[:, 2]
    gradient = jax.grad(total)(z)
    direction = jax.random.normal(jax.random.key(1), z.shape)
    numeric = (total(z + 1e-3 * direction) - total(z - 1e-3 * direction)) / 2e-3
    np.testing.assert_allclose(jnp.vdot(gradient, direction), numeric, rtol=0.02)
    full = jax.grad(lambda v: jnp.sum(rasterise(v, triangles, height=HEIGHT, width=WIDTH).height_px))(vertices)
    assert np.isfinite(full).all()


def test_barycentrics_rebuild_the_point():
    corners = jnp.array([[[0.0, 0.0, 1.0], [0.0, 9.0, 2.0], [6.0, 1.0, 3.0]]])
    weights = barycentrics_at(jnp.array([[1.5, 2.5]]), corners)
    np.testing.assert_allclose(jnp.sum(weights[..., None] * corners, axis=1)[0, :2], [1.5, 2.5], atol=1e-5)
    outside = barycentrics_at(jnp.array([[-3.0, 4.0]]), corners)
    assert (outside >= 0).all() and np.isclose(outside.sum(), 1.0)


def test_visibility_of_a_sphere_and_of_a_plate_behind_another():
    vertices, triangles = _icosphere(radius=11.0)
    seen = visibility(vertices, rasterise(vertices, triangles, height=HEIGHT, width=WIDTH))
    assert (np.array(seen)[np.array(vertices)[:, 2] > 5.0] == 1.0).all()
    assert (np.array(seen)[np.array(vertices)[:, 2] < -3.0] == 0.0).all()
    xy, plate = _grid(5, 5, height=HEIGHT, width=WIDTH, low=1.0)
    for gap, expected in [(0.5, 1.0), (1.5, 0.5), (3.0, 0.0)]:
        layers = [np.concatenate([xy, np.full((25, 1), z)], 1) for z in (5.0, 5.0 - gap)]
        both = jnp.array(np.concatenate(layers), jnp.float32)
        raster = rasterise(both, jnp.concatenate([plate, plate + 25]), height=HEIGHT, width=WIDTH)
        hidden = np.array(visibility(both, raster))[25:].reshape(5, 5)
        np.testing.assert_allclose(hidden[:4, :4], expected, atol=1e-4)
        assert (hidden[4] == 0.0).all()  # beyond the image
