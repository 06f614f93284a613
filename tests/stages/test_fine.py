"""The fine stage on a lit ellipsoid whose relief, light and albedo are known; odd sizes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import presets
from jaxface.energies.depth import depth_energy
from jaxface.geometry.normals import depth_normals
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.stages import fine
from jaxface.synthetic import LitSphere, lit_sphere, preset_light
from jaxface.types import FineInputs, Region

HEIGHT, WIDTH = 97, 89
PRESET = presets.default(size=96)
REGIONS = (Region.SKIN, Region.EYEBROW, Region.MOUTH)


def make_sphere(*, seed=0, light="side", relief_px=0.3, texture=0.05) -> LitSphere:
    return lit_sphere(
        jax.random.key(seed),
        height=HEIGHT,
        width=WIDTH,
        relief_px=relief_px,
        texture=texture,
        noise=0.003,
        light=preset_light(light),
    )


def make_inputs(sphere: LitSphere) -> FineInputs:
    """What the medium stage would leave: the smooth surface, cut off at the mask, and one mean colour."""
    indicators = jnp.stack([sphere.regions == label for label in REGIONS], axis=-1).astype(jnp.float32)
    mean = jnp.broadcast_to(jnp.array([[[0.6, 0.45, 0.4]]]), sphere.image.shape)
    return FineInputs(
        sphere.image, sphere.base_height_px * sphere.mask, sphere.mask, sphere.mask, indicators, mean
    )  # fmt: skip


TRACES = []


@functools.partial(jax.jit, static_argnames="schedule")
def run(inputs, weights, *, schedule=PRESET.schedule):
    TRACES.append(schedule)
    return fine.run(inputs, weights=weights, schedule=schedule)


def mean_turn(normals, sphere, where):
    """Mean angle to the true normals, in degrees."""
    cosine = np.sum(np.asarray(normals) * np.asarray(sphere.normals_image), axis=-1)
    return np.degrees(np.mean(np.arccos(np.clip(cosine[where], -1.0, 1.0))))


def rms(x):
    return np.sqrt(np.mean(np.square(np.asarray(x, np.float64))))


@pytest.fixture(scope="module")
def sphere():
    return make_sphere()


@pytest.fixture(scope="module")
def maps(sphere):
    return run(make_inputs(sphere), PRESET.weights)


@pytest.mark.parametrize("light", ["side", "top"])
def test_relief_is_found(light):
    sphere = make_sphere(light=light, seed=3)
    maps = run(make_inputs(sphere), PRESET.weights)
    skin = np.array(maps.confidence) > 0.5
    assert skin.mean() > 0.9 * np.mean(sphere.mask) and maps.finite
    before = mean_turn(depth_normals(maps.medium_height_px), sphere, skin)
    for height_px in (maps.phase1_height_px, maps.height_px):
        assert mean_turn(depth_normals(height_px), sphere, skin) < 0.9 * before
        found = np.array(height_px - maps.medium_height_px)[skin]
        true = np.array(sphere.height_px - sphere.base_height_px)[skin]
        assert np.corrcoef(found, true)[0, 1] > 0.4
        assert 0.1 < rms(found) / rms(true) < 1.5


def test_light_shading_and_albedo_are_recovered(sphere, maps):
    skin = np.array(maps.confidence) > 0.5
    smooth = shading(depth_normals(sphere.base_height_px), sphere.light)  # the relief asks for more than the light does
    found = shading(depth_normals(sphere.base_height_px), maps.light)
    assert rms((found - smooth)[skin]) < 0.05 * np.mean(smooth[skin])
    assert rms((maps.shading - sphere.shading)[skin]) < 0.08
    gap = np.array(maps.albedo - sphere.albedo)[skin]
    assert np.abs(np.mean(gap, axis=0)).max() < 0.03 and rms(gap) < 0.06
    # Brow and mouth keep colours of their own.
    for label in REGIONS:
        here = skin & (np.array(sphere.regions) == label)
        np.testing.assert_allclose(
            np.mean(maps.albedo[here], axis=0), np.mean(sphere.albedo[here], axis=0), rtol=0.12, atol=0.01
        )


def test_maps_belong_together(sphere, maps):
    np.testing.assert_allclose(maps.normals_image, depth_normals(maps.height_px), atol=1e-5)
    np.testing.assert_allclose(maps.shading, shading(maps.normals_image, maps.light), atol=1e-4)
    skin = np.array(maps.confidence) > 0.5

    def residual(height_px):
        rendered = render(maps.albedo, shading(depth_normals(height_px), maps.light), maps.specular)
        return rms((rendered - sphere.image)[skin])

    assert residual(maps.height_px) < 0.9 * residual(maps.medium_height_px)
    outside = np.array(sphere.mask) == 0
    np.testing.assert_array_equal(maps.mask, sphere.mask)
    assert (np.array(maps.confidence)[outside] == 0).all() and (np.array(maps.specular)[outside] == 0).all()
    far = np.s_[:4, :4]
    np.testing.assert_array_equal(maps.height_px[far], maps.medium_height_px[far])


def test_depth_energies_fall(maps):
    steps = PRESET.schedule.phase1_steps
    for energies in (maps.depth_energies[:steps], maps.depth_energies[steps:]):
        assert energies[-1] < 0.95 * energies[0]


def make_appearance(sphere, maps) -> fine.Appearance:
    """The light and mask that were found, the start albedo with its true region colours."""
    palette = jnp.stack([jnp.mean(sphere.albedo[sphere.regions == label], axis=0) for label in REGIONS])
    mean = palette[jnp.searchsorted(jnp.array(REGIONS), sphere.regions)]
    return fine.Appearance(maps.light, mean, mean, maps.specular, maps.confidence)


def test_the_albedo_energy_falls(sphere, maps):
    shade = shading(depth_normals(maps.medium_height_px), maps.light)

    @jax.jit
    def fit(appearance):
        return fine.fit_albedo(appearance, sphere.image, shade, weights=PRESET.weights, schedule=PRESET.schedule)

    appearance = make_appearance(sphere, maps)
    minimum = fit(appearance)
    assert minimum.finite and minimum.energies[-1] < 0.8 * minimum.energies[0]
    outside = np.array(maps.confidence) == 0
    np.testing.assert_allclose(minimum.value[outside], appearance.albedo[outside], atol=1e-6)


@functools.partial(jax.jit, static_argnames="num_steps")
def phase1(sphere, maps, *, num_steps):
    """Energy of Eq. 9 at the start and after so many steps."""
    weights, rate = PRESET.weights.phase1, PRESET.weights.phase1_rate
    start_px = maps.medium_height_px
    appearance = fine.Appearance(maps.light, maps.albedo, maps.albedo, maps.specular, maps.confidence)
    result = fine.refine_height(
        make_inputs(sphere), appearance, start_px, initial_px=start_px, depth_weights=weights, rate=rate,
        num_steps=num_steps,
    )  # fmt: skip
    energy = depth_energy(
        result.value, image=sphere.image, albedo=maps.albedo, specular=maps.specular, light=maps.light,
        initial_height_px=start_px, mask=maps.confidence, weights=weights,
    )  # fmt: skip
    return result.energies[0], energy


def test_the_presets_few_steps_come_near_the_optimum(sphere, maps):
    start, short = phase1(sphere, maps, num_steps=PRESET.schedule.phase1_steps)
    _, converged = phase1(sphere, maps, num_steps=400)
    assert converged <= short and converged < 0.6 * start
    assert start - short > 0.95 * (start - converged)


def test_two_frames_at_once_are_two_frames(sphere, maps):
    other = make_inputs(make_sphere(seed=1, light="top"))
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), make_inputs(sphere), other)
    together = jax.vmap(run, in_axes=(0, None))(both, PRESET.weights)
    for index, alone in enumerate((maps, run(other, PRESET.weights))):
        assert together.finite[index]
        for name in ("phase1_height_px", "height_px", "albedo", "shading", "confidence", "light"):
            expected = getattr(alone, name)
            assert rms(getattr(together, name)[index] - expected) < 2e-3 * max(rms(expected), 0.1), name


def test_weights_and_rates_are_traced(sphere, maps):
    base, before = PRESET.weights, len(TRACES)
    settings = [
        base._replace(phase1=base.phase1._replace(data=0.0, gradient=0.0), phase1_rate=0.1),
        base._replace(phase2=base.phase2._replace(emboss=0.0)),
        base._replace(albedo_rate=0.1),
    ]
    changed = [run(make_inputs(sphere), setting) for setting in settings]
    # Without image and gradient terms phase 1 already stands at its optimum, the medium shape.
    np.testing.assert_allclose(changed[0].phase1_height_px, maps.medium_height_px, atol=1e-4)
    np.testing.assert_array_equal(changed[1].phase1_height_px, maps.phase1_height_px)
    assert rms(changed[1].height_px - maps.height_px) > 1e-4
    assert rms(changed[2].albedo - maps.albedo) > 1e-3
    assert len(TRACES) == before


def test_a_broken_pixel_is_flagged_not_raised(sphere, maps):
    inputs = make_inputs(sphere)
    broken = run(inputs._replace(image=inputs.image.at[48, 40, 1].set(jnp.nan)), PRESET.weights)
    assert not broken.finite and maps.finite


def test_without_skin_nothing_moves(sphere):
    inputs = make_inputs(sphere)
    blind = run(inputs._replace(prior=jnp.zeros_like(inputs.prior)), PRESET.weights)
    empty = run(
        inputs._replace(covered=jnp.zeros_like(inputs.prior), prior=jnp.zeros_like(inputs.prior)), PRESET.weights
    )
    for maps in (blind, empty):
        assert maps.finite and all(np.isfinite(leaf).all() for leaf in maps)
        np.testing.assert_array_equal(maps.height_px, maps.medium_height_px)
        assert (np.array(maps.confidence) == 0).all()
    inside = np.array(sphere.mask) > 0
    np.testing.assert_array_equal(blind.height_px[inside], inputs.height_px[inside])


def test_fill_outside_continues_the_surface():
    y, x = jnp.meshgrid(jnp.arange(37.0), jnp.arange(29.0), indexing="ij")
    plane = 5.0 + 0.3 * x - 0.2 * y
    fill = jax.jit(fine.fill_outside)
    covered = ((x - 14) ** 2 + (y - 18) ** 2 < 100.0).astype(jnp.float32)
    filled = np.array(fill(plane * covered, covered))
    inside = np.array(covered) > 0
    np.testing.assert_array_equal(filled[inside], np.array(plane)[inside])
    low, high = filled[inside].min(), filled[inside].max()
    assert filled.min() > low - 1e-3 and filled.max() < high + 1e-3
    # Nowhere at the rim a cliff: zeros outside would step by up to 9 pixels.
    steps = np.abs(np.diff(filled, axis=1))[inside[:, 1:] != inside[:, :-1]]
    assert steps.max() < 2.5 and steps.mean() < 1.0
    flat = fill(7.0 * covered, covered)
    np.testing.assert_allclose(flat, 7.0, rtol=1e-5)
    np.testing.assert_array_equal(fill(plane, jnp.zeros_like(plane)), 0.0)


def test_the_paper_preset_runs_as_printed(sphere):
    paper = presets.paper()
    schedule = paper.schedule._replace(albedo_steps=3, phase1_steps=4, phase2_steps=3, rtv_sigma=1.5)
    maps = run(make_inputs(sphere), paper.weights, schedule=schedule)
    assert maps.finite and maps.depth_energies.shape == (7,)
    assert rms(maps.specular) > 0.0 and rms(maps.height_px - maps.medium_height_px) > 0.0
    # Plain Adam: no pixel can go farther than the sum of the rates.
    furthest = 4 * paper.weights.phase1_rate + 3 * paper.weights.phase2_rate
    assert np.abs(maps.height_px - maps.medium_height_px).max() < 1.2 * furthest
