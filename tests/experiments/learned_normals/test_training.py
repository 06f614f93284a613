"""Windows of pictures and what training makes of them, on a made-up set of one simple shape."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learned_normals import study, training, windows
from learned_normals.pictures import HEIGHT_STEPS, NORMAL_STEPS

from jaxface.geometry.normals import depth_normals
from jaxface.networks import normals as network

SIZE = 128


def a_row(seed=0):
    """A dome with waves under a light from the left; the fit is the dome without them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    dome = np.sqrt(np.maximum(70.0**2 - x**2 - y**2, 100.0))
    height = dome + 0.8 * np.sin(x / 3.0 + rng.uniform(0, 6)) * np.cos(y / 4.0)
    normals = np.asarray(depth_normals(jnp.asarray(height, jnp.float32)))
    shade = np.clip(normals @ [-0.5, -0.3, 0.8], 0.02, 1.0)
    face = x**2 + y**2 < 48**2
    return {
        "image": (200 * shade[..., None] * [1.0, 0.8, 0.7]).astype(np.uint8),
        "normals_xy": np.round(normals[..., :2] * NORMAL_STEPS).astype(np.int16),
        "height": np.round(height * HEIGHT_STEPS).astype(np.int32), "head": face, "skin": (255 * face).astype(np.uint8),
        "px_per_mm": np.float32(2.0), "family": np.int32(seed % 2), "bent": np.bool_(seed % 3 == 0),
        "fit": np.round(dome * HEIGHT_STEPS).astype(np.int32), "covered": face, "usable": np.bool_(True),
    }  # fmt: skip


@pytest.fixture(scope="module")
def pictures():
    made = windows.Pictures.__new__(windows.Pictures)
    made.rows = [a_row(seed) for seed in range(4)]
    return made


@functools.cache
def some_windows(count=2, side=32):
    made = windows.Pictures.__new__(windows.Pictures)
    made.rows = [a_row(seed) for seed in range(4)]
    found = windows.batch(made, np.random.default_rng(0), count=count)
    middle = slice((windows.SIDE - side) // 2, (windows.SIDE + side) // 2)
    return jax.tree.map(lambda leaf: leaf[:, middle, middle] if leaf.ndim > 1 else leaf, found)


def test_windows_are_whole(pictures):
    found = windows.batch(pictures, np.random.default_rng(1), count=6)
    assert found.image.shape == (6, windows.SIDE, windows.SIDE, 3) and found.px_per_mm.shape == (6,)
    assert all(np.isfinite(leaf).all() for leaf in found)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=-1), 1.0, atol=1e-5)
    for leaf in (found.image, found.covered, found.weight, found.skin):
        assert leaf.min() >= 0.0 and leaf.max() <= 1.0
    assert np.all(found.weight[found.covered == 0.0] == 0.0)
    assert np.all((found.weight > 0.0).mean(axis=(1, 2)) > 0.02)


def test_normals_of_a_window_are_those_of_its_heights():
    """At any scale, mirrored or not: the truth's height, cut alike, has the normals that are given."""
    row = a_row()
    for flip in (False, True):
        cut = windows._Cut(np.array([10.0, -20.0]), 1.25, flip)
        height = cut(row["height"] / HEIGHT_STEPS) * cut.scale
        xy = np.stack([cut(row["normals_xy"][..., axis] / NORMAL_STEPS) for axis in range(2)], axis=-1)
        xy[..., 0] *= -1.0 if flip else 1.0
        inside = cut(row["covered"].astype(np.float32)) > 0.99
        inside[:, [0, -1]] = inside[[0, -1]] = False
        found = np.asarray(depth_normals(jnp.asarray(height)))[..., :2]
        assert np.abs(found - xy)[inside].mean() < 0.02


def test_smooth_starts_lie_between_the_fit_and_the_truth(pictures):
    row = a_row()
    fit, truth = row["fit"] / HEIGHT_STEPS, row["height"] / HEIGHT_STEPS
    side = windows.SIDE - SIZE
    padded = [np.pad(values, ((0, side), (0, side))) for values in (fit, truth, row["covered"], row["head"])]
    starts = [windows.smooth_start(*padded, np.random.default_rng(seed)) for seed in range(12)]
    inside = padded[2] & padded[3]
    moved = [np.abs(start - padded[0])[inside].max() for start in starts]
    assert min(moved) == 0.0 and max(moved) > 0.5  # the product's own, and others
    for start in starts:
        np.testing.assert_array_equal(start[~inside], padded[0][~inside])


def perfect(window):
    """What a network that knows the truth would say."""
    smooth = depth_normals(window.height_px)
    true, own = (n[..., :2] / -np.maximum(n[..., 2:], 0.1) for n in (window.normals, np.asarray(smooth)))
    return (true - own) * np.maximum(np.asarray(smooth)[..., 2:], 0.1)


def test_the_truth_has_no_loss(monkeypatch):
    window = jax.tree.map(lambda leaf: leaf[0], some_windows())
    monkeypatch.setattr(training, "fill_outside", lambda height, covered: height)
    change = perfect(window)
    skin = np.where(window.skin > 0.5, 12.0, -12.0)
    answer = np.concatenate([change, np.full((*skin.shape, 1), -9.0), skin[..., None]], axis=-1)
    monkeypatch.setattr(network, "apply", lambda params, seen: jnp.asarray(answer, jnp.float32))
    best = training.losses({}, window, blind=False)
    monkeypatch.setattr(network, "apply", lambda params, seen: jnp.zeros_like(answer, dtype=jnp.float32))
    untouched = training.losses({}, window, blind=False)
    assert best["normals"] < 0.2 * untouched["normals"] and best["after"] < 1.0 < untouched["after"]
    assert best["before"] == pytest.approx(float(untouched["after"]), rel=1e-3)
    assert best["skin"] < untouched["skin"]


RECIPE = training.Recipe(steps=12, count=2, rate=2e-3, seed=0, blind=False)


@pytest.mark.slow
def test_steps_lower_the_loss_and_the_blind_see_less():
    batch, state, losses = some_windows(), training.begin(RECIPE), []
    for _ in range(RECIPE.steps):
        state, found = training.step(state, batch, recipe=RECIPE)
        losses.append(float(training.total(found)))
    assert losses[-1] < 0.98 * losses[0]
    other = batch._replace(image=np.random.default_rng(0).uniform(size=batch.image.shape).astype(np.float32))
    here, there = (training.measure(state.params, each, blind=True) for each in (batch, other))
    assert here["normals"] == there["normals"]


@pytest.mark.slow
def test_a_run_goes_on_where_it_was(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(training, "batch", lambda pictures, rng, count: some_windows())
    whole = list(training.run(pictures, RECIPE, tmp_path / "whole.npz", every=6))
    assert [done for done, _, _ in whole] == [6, 12]
    begun = training.run(pictures, RECIPE, tmp_path / "parts.npz", every=6)
    next(begun)
    begun.close()
    rest = list(training.run(pictures, RECIPE, tmp_path / "parts.npz", every=6))
    assert [done for done, _, _ in rest] == [12]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole[-1][1].mean, rest[-1][1].mean)
    other = dataclasses.replace(RECIPE, seed=1)
    assert training.restore(tmp_path / "whole.npz", other)[1] == 0  # another recipe begins anew


def test_shipped_weights_are_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "_WEIGHTS", tmp_path / "data" / "normals.npz")
    monkeypatch.setattr(network, "_WEIGHTS", tmp_path / "data" / "normals.npz")
    params = training.begin(RECIPE).params
    study.ship(params, {"recipe": dataclasses.asdict(RECIPE)})
    network.load.cache_clear()
    loaded = network.load()
    network.load.cache_clear()
    assert (tmp_path / "data" / "normals.npz").stat().st_size < 2_500_000
    assert jax.tree.structure(loaded) == jax.tree.structure(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), loaded, params)


@pytest.mark.parametrize("without, kept", [("ict", {0}), ("default", {1}), (None, {0, 1})])
def test_a_family_can_be_left_out(without, kept):
    keep = study._keeps(without)
    assert {family for family in (0, 1) if keep(family, False)} == kept
    assert study._keeps("bent")(0, False) and not study._keeps("bent")(0, True)
