"""What the fine stage is given: the dome rendered into the crop, and where skin may be."""

import functools

import jax
import jax.numpy as jnp
import matplotlib.tri
import numpy as np
import pytest
from dome import dome_model

from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import observe
from jaxface.types import FineInputs, Parsing, Pose

SIZE = 61
MODEL = dome_model()
SURFACE = loop_subdivision(MODEL.triangles, num_vertices=MODEL.mean_mm.shape[0], levels=1)
# The sheet is 130 x 170 mm: 45 x 59 % of it in pixels, so that the crop shows a rim of background.
POSE = Pose(jnp.array([0.05, 0.2, 0.03]), jnp.array([30.4, 31.2]), jnp.log(jnp.float32(0.3)))
INSIDE = jnp.ones((SIZE, SIZE))


@jax.jit
def run(pose=POSE, inside=INSIDE, vertices_mm=MODEL.mean_mm, parsing=None) -> FineInputs:
    image = jnp.broadcast_to(jnp.linspace(0.0, 1.0, SIZE)[:, None, None], (SIZE, SIZE, 3))
    return observe.run(
        image, vertices_mm, pose, camera=orthographic(), model=MODEL, surface=SURFACE, inside=inside, parsing=parsing
    )  # fmt: skip


@pytest.fixture(scope="module")
def inputs():
    return run()


@functools.cache
def projected():
    smooth = subdivide(MODEL.mean_mm, subdivision=SURFACE)
    return np.asarray(project(smooth, POSE, camera=orthographic()), np.float64)


def test_maps_are_in_range(inputs):
    assert all(np.isfinite(leaf).all() for leaf in inputs)
    assert set(np.unique(inputs.covered)) == {0.0, 1.0}
    assert 0.4 < np.mean(inputs.covered) < 0.7
    for maps in (inputs.prior, inputs.indicators, inputs.albedo):
        assert np.min(maps) >= -1e-6 and np.max(maps) <= 1.0 + 1e-6
    assert np.all(inputs.prior <= inputs.covered) and np.max(inputs.prior) > 0.95


def test_the_height_map_is_the_projected_mesh(inputs):
    points = projected()
    mesh = matplotlib.tri.Triangulation(points[:, 0], points[:, 1], np.asarray(SURFACE.triangles))
    y, x = np.mgrid[:SIZE, :SIZE]
    expected = matplotlib.tri.LinearTriInterpolator(mesh, points[:, 2])(x, y)
    covered = np.array(inputs.covered) > 0
    np.testing.assert_array_equal(covered, ~expected.mask)
    np.testing.assert_allclose(np.array(inputs.height_px)[covered], expected.data[covered], atol=2e-3)


def test_outside_of_the_mesh_there_is_nothing(inputs):
    empty = np.array(inputs.covered) == 0
    assert (np.array(inputs.prior)[empty] == 0).all() and (np.array(inputs.indicators)[empty] == 0).all()
    np.testing.assert_array_equal(np.array(inputs.albedo)[empty], 0.5)


def test_indicators_share_the_face_and_follow_the_labels(inputs):
    covered = np.array(inputs.covered) > 0
    np.testing.assert_allclose(np.sum(inputs.indicators, axis=-1)[covered], 1.0, atol=1e-5)

    def at(x_mm, y_mm):
        nearest = np.argmin(np.linalg.norm(np.asarray(MODEL.mean_mm)[:, :2] - [x_mm, y_mm], axis=1))
        column, row = np.round(projected()[nearest, :2]).astype(int)
        return np.argmax(inputs.indicators[row, column])

    assert [at(0, 55), at(30, 43), at(-30, 43), at(0, -42)] == [0, 1, 1, 2]
    np.testing.assert_allclose(np.array(inputs.albedo)[covered], [[0.6, 0.45, 0.35]] * covered.sum(), atol=1e-5)


def test_pixels_beyond_the_photo_are_not_trusted(inputs):
    inside = INSIDE.at[:, :20].set(0.0).at[50:].set(0.0)
    cut = run(inside=inside)
    beyond = np.array(inside) == 0
    assert np.sum(inputs.prior[beyond]) > 50 and (np.array(cut.prior)[beyond] == 0).all()
    np.testing.assert_array_equal(cut.prior[~beyond], inputs.prior[~beyond])
    np.testing.assert_array_equal(cut.height_px, inputs.height_px)


def test_rim_brows_and_grazing_surface_are_trusted_less(inputs):
    skin, brow, _ = np.moveaxis(np.array(inputs.indicators), -1, 0)
    assert np.max(inputs.prior[brow > 0.9]) < 0.1 and np.max(inputs.prior[skin > 0.9]) > 0.9
    turned = run(pose=POSE._replace(rotation_vector=jnp.array([0.0, 1.0, 0.0])))

    def halves(maps):
        x = np.broadcast_to(np.arange(SIZE), (SIZE, SIZE))[np.array(maps.prior) > 0.5]
        covered = np.broadcast_to(np.arange(SIZE), (SIZE, SIZE))[np.array(maps.covered) > 0]
        return (x.mean() - covered.mean()) / np.ptp(covered)

    # Turned to the subject's left the right cheek is what faces the viewer.
    assert abs(halves(turned)) > abs(halves(run(pose=POSE._replace(rotation_vector=jnp.zeros(3))))) + 0.05
    assert np.sum(turned.prior) < 0.7 * np.sum(inputs.prior)


def test_a_batch_of_frames_is_each_frame(inputs):
    other = POSE._replace(log_scale=POSE.log_scale - 0.2)
    poses = jax.tree.map(lambda a, b: jnp.stack([a, b]), POSE, other)
    together = jax.vmap(run)(poses)
    for index, alone in enumerate((inputs, run(pose=other))):
        same = np.array(together.covered[index] == alone.covered)
        assert same.mean() > 0.998
        np.testing.assert_allclose(together.height_px[index][same], alone.height_px[same], atol=0.05)


def parsed(indicators=(0.0, 0.0, 0.0), visible=1.0) -> Parsing:
    return Parsing(jnp.broadcast_to(jnp.array(indicators), (SIZE, SIZE, 3)), jnp.full((SIZE, SIZE), visible))


def test_a_parsing_that_names_nothing_changes_nothing(inputs):
    for map_, expected in zip(run(parsing=parsed()), inputs, strict=True):
        np.testing.assert_allclose(map_, expected, atol=1e-6)


def test_parsed_regions_replace_the_meshs_own(inputs):
    covered = np.array(inputs.covered) > 0
    found = run(parsing=parsed((0.0, 0.0, 1.0)))
    np.testing.assert_allclose(np.array(found.indicators)[covered], [[0.0, 0.0, 1.0]] * covered.sum(), atol=1e-6)
    assert (np.array(found.indicators)[~covered] == 0).all()
    half = run(parsing=parsed((0.5, 0.0, 0.0)))
    expected = 0.5 * np.array(inputs.indicators) + np.array([[[0.5, 0.0, 0.0]]])
    np.testing.assert_allclose(np.array(half.indicators)[covered], expected[covered], atol=1e-6)
    assert np.max(np.sum(half.indicators, axis=-1)) <= 1.0 + 1e-6
    np.testing.assert_array_equal(half.height_px, inputs.height_px)


def test_parsed_brows_and_what_hides_the_face_are_not_trusted(inputs):
    brow = np.array(inputs.indicators)[..., 1] > 0.9
    bare = run(parsing=parsed((1.0, 0.0, 0.0)))  # no brow where the mesh has one
    assert np.max(inputs.prior[brow]) < 0.1 and np.max(bare.prior[brow]) > 0.9
    assert np.max(run(parsing=parsed((0.0, 1.0, 0.0))).prior) < 1e-6
    np.testing.assert_allclose(run(parsing=parsed(visible=0.25)).prior, 0.25 * inputs.prior, atol=1e-6)
