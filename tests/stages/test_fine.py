"""The fine stage on a lit ellipsoid whose relief, light and albedo are known; odd sizes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from scenes import random_scene

from jaxface import presets
from jaxface.energies.albedo import albedo_energy
from jaxface.energies.depth import depth_energy
from jaxface.energies.scene import FineTerms, Phase, Scene, height_term, with_value
from jaxface.energies.specular import specular_energy
from jaxface.geometry.normals import depth_normals
from jaxface.rendering.appearance import fill_outside
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.stages import fine
from jaxface.synthetic import LitSphere, lit_sphere, preset_light
from jaxface.types import FineInputs, Region

HEIGHT, WIDTH = 97, 89
TERMS = presets.default(size=96).fine
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


@jax.jit
def run(inputs, terms):
    TRACES.append(terms)
    return fine.run(inputs, terms)


light_and_albedo, solve = jax.jit(fine.light_and_albedo), jax.jit(fine.solve)


def exchanged(phase: Phase, place: int, **changes) -> Phase:
    """The phase with one of its unknowns changed."""
    unknowns = list(phase.unknowns)
    unknowns[place] = dataclasses.replace(unknowns[place], **changes)
    return dataclasses.replace(phase, unknowns=tuple(unknowns))


def shortened(terms: FineTerms, **num_steps) -> FineTerms:
    phases = {name: dataclasses.replace(getattr(terms, name), num_steps=num) for name, num in num_steps.items()}
    return dataclasses.replace(terms, **phases)


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
    return run(make_inputs(sphere), TERMS)


@pytest.mark.parametrize("light", ["side", "top"])
def test_relief_is_found(light):
    sphere = make_sphere(light=light, seed=3)
    maps = run(make_inputs(sphere), TERMS)
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


@pytest.fixture(scope="module")
def scenes(sphere):
    """Lit, after the first phase, and after the second."""
    lit = light_and_albedo(make_inputs(sphere), TERMS)
    first = solve(lit, TERMS.phase1)
    return lit, first, solve(first, TERMS.phase2)


def energy(scene, phase) -> float:
    """Of the phase's last unknown."""
    return float(phase.unknowns[-1].energy(scene, phase.unknowns[-1].weights))


def test_run_is_its_steps(scenes, maps):
    assert rms(fine.shown_height(scenes[1]) - maps.phase1_height_px) < 1e-3  # each program rounds in its own way
    assert rms(fine.shown_height(scenes[2]) - maps.height_px) < 1e-3


def test_energies_fall(scenes):
    lit, first, second = scenes
    flat = with_value(lit, lit.mean_albedo, name="albedo")._replace(specular=jnp.zeros_like(lit.image))
    solved = solve(flat, TERMS.albedo)
    assert solved.finite and energy(solved, TERMS.albedo) < 0.8 * energy(flat, TERMS.albedo)
    outside = np.array(lit.mask) == 0
    np.testing.assert_allclose(solved.albedo[outside], lit.mean_albedo[outside], atol=1e-6)
    assert energy(first, TERMS.phase1) < 0.95 * energy(lit, TERMS.phase1)
    assert energy(second, TERMS.phase2) < 0.95 * energy(first, TERMS.phase2)


def test_the_presets_few_steps_come_near_the_optimum(scenes):
    lit, first, _ = scenes
    start, short = energy(lit, TERMS.phase1), energy(first, TERMS.phase1)
    converged = energy(solve(lit, dataclasses.replace(TERMS.phase1, num_steps=400)), TERMS.phase1)
    assert converged <= short and converged < 0.6 * start
    assert start - short > 0.95 * (start - converged)


def flattened(scene, weights):
    """Eq. 9, and a pull of the shading toward even light: a user's own term."""
    eq9, pull = weights
    return height_term(scene, eq9) + evenness(scene, pull)


def evenness(scene, pull):
    return pull * jnp.sum((scene.mask[..., None] * (scene.shading - 0.8)) ** 2)


def test_a_term_of_ones_own_counts(scenes, maps):
    lit, first, _ = scenes
    (unknown,) = TERMS.phase2.unknowns
    for pull, moves in ((0.0, False), (3.0, True)):
        own = exchanged(TERMS.phase2, 0, energy=flattened, weights=(unknown.weights, pull))
        second = solve(first, own)
        gap = rms(fine.shown_height(second) - maps.height_px)
        assert second.finite and (gap > 0.02 if moves else gap < 1e-3)
        uneven = float(evenness(second, 1.0) / evenness(scenes[2], 1.0))
        assert uneven < 0.95 if moves else abs(uneven - 1.0) < 1e-2


def test_its_gradient_follows_the_height_through_the_shading():
    known = random_scene(height=13, width=11)
    empty = jnp.zeros_like(known["image"])
    scene = Scene(
        image=known["image"], covered=known["mask"], mask=known["mask"], light=known["light"],
        mean_albedo=known["mean_albedo"], albedo=known["albedo"], specular=empty, initial_specular=empty,
        initial_height_px=known["initial"], height_px=known["initial"], shading=known["shading"],
        finite=jnp.array(True),
    )  # fmt: skip
    mask = np.zeros_like(known["mask"])
    mask[1:-1, 1:-1] = known["mask"][1:-1, 1:-1]
    scene = scene._replace(mask=jnp.asarray(mask))
    gradient = jax.grad(lambda height: evenness(with_value(scene, height, name="height_px"), 1.5))(known["height"])

    def twin(height):
        seen = [(y, x) for y, x in np.argwhere(mask > 0)]
        shades = [oracles.sh_basis(oracles.normal_at(height, y, x)) @ known["light"].astype(float) for y, x in seen]
        return 1.5 * sum(np.sum((shade - 0.8) ** 2) for shade in shades)

    oracles.check_gradient(twin, known["height"].astype(float), gradient)


def test_two_frames_at_once_are_two_frames(sphere, maps):
    other = make_inputs(make_sphere(seed=1, light="top"))
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), make_inputs(sphere), other)
    together = jax.vmap(run, in_axes=(0, None))(both, TERMS)
    for index, alone in enumerate((maps, run(other, TERMS))):
        assert together.finite[index]
        for name in ("phase1_height_px", "height_px", "albedo", "shading", "confidence", "light"):
            expected = getattr(alone, name)
            assert rms(getattr(together, name)[index] - expected) < 2e-3 * max(rms(expected), 0.1), name


def test_weights_and_rates_are_traced(sphere, maps):
    before = len(TRACES)
    of_height = [phase.unknowns[0].weights for phase in (TERMS.phase1, TERMS.phase2)]
    blind = exchanged(TERMS.phase1, 0, weights=of_height[0]._replace(data=0.0, gradient=0.0), rate=0.1)
    smooth = exchanged(TERMS.phase2, 0, weights=of_height[1]._replace(emboss=0.0))
    settings = [
        dataclasses.replace(TERMS, phase1=blind),
        dataclasses.replace(TERMS, phase2=smooth),
        dataclasses.replace(TERMS, albedo=exchanged(TERMS.albedo, 0, rate=0.1)),
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
    broken = run(inputs._replace(image=inputs.image.at[48, 40, 1].set(jnp.nan)), TERMS)
    assert not broken.finite and maps.finite


def test_without_skin_nothing_moves(sphere):
    inputs = make_inputs(sphere)
    blind = run(inputs._replace(prior=jnp.zeros_like(inputs.prior)), TERMS)
    empty = run(inputs._replace(covered=jnp.zeros_like(inputs.prior), prior=jnp.zeros_like(inputs.prior)), TERMS)
    for maps in (blind, empty):
        assert maps.finite and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(maps))
        np.testing.assert_array_equal(maps.height_px, maps.medium_height_px)
        assert (np.array(maps.confidence) == 0).all()
    inside = np.array(sphere.mask) > 0
    np.testing.assert_array_equal(blind.height_px[inside], inputs.height_px[inside])


def test_fill_outside_continues_the_surface():
    y, x = jnp.meshgrid(jnp.arange(37.0), jnp.arange(29.0), indexing="ij")
    plane = 5.0 + 0.3 * x - 0.2 * y
    fill = jax.jit(fill_outside)
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


PAPER = shortened(presets.paper().fine, albedo=3, phase1=4, phase2=3)


def test_the_paper_preset_runs_as_printed(sphere):
    maps = run(make_inputs(sphere), PAPER)
    assert maps.finite and rms(maps.specular) > 0.0 and rms(maps.height_px - maps.medium_height_px) > 0.0
    # Plain Adam: no pixel can go farther than the sum of the rates.
    furthest = sum(phase.num_steps * phase.unknowns[-1].rate for phase in (PAPER.phase1, PAPER.phase2))
    assert np.abs(maps.height_px - maps.medium_height_px).max() < 1.2 * furthest


def adam_step(x, gradient, moments, *, rate, count):
    """Kingma and Ba (2014), Algorithm 1; count starts at 1."""
    first, second = (0.9 * moments[0] + 0.1 * gradient, 0.999 * moments[1] + 0.001 * gradient**2)
    return x - rate * (first / (1 - 0.9**count)) / (jnp.sqrt(second / (1 - 0.999**count)) + 1e-8), (first, second)


def test_a_printed_phase_is_a_step_on_albedo_specular_and_height_in_turn(sphere):
    """A plain loop over Eqs. 6, 8 and 9, each of which sees the newest of the others."""
    lit = light_and_albedo(make_inputs(sphere), PAPER)
    image, light, mask = lit.image, lit.light, lit.mask
    assert rms(lit.specular) == 0.0 < rms(lit.initial_specular)
    albedo, specular, height_px = lit.albedo, lit.specular, lit.initial_height_px

    def shade(height_px):
        return shading(depth_normals(height_px), light)

    def eq6(albedo, specular, height_px):
        return albedo_energy(
            albedo, image=image, shading=shade(height_px), specular=specular, mean_albedo=lit.mean_albedo, mask=mask,
            weights=presets.EQ6, sigma=3.0, per_channel=True,
        )  # fmt: skip

    def eq8(specular, albedo, height_px):
        diffuse = render(albedo, shade(height_px))
        return specular_energy(
            specular, image=image, diffuse=diffuse, specular_init=lit.initial_specular, mask=mask, weights=presets.EQ8
        )

    def eq9(height_px, albedo, specular):
        return depth_energy(
            height_px, image=image, albedo=albedo, specular=specular, light=light, mask=mask, as_printed=True,
            initial_height_px=lit.initial_height_px, weights=presets.EQ9_PHASE1,
        )  # fmt: skip

    gradients = [jax.jit(jax.grad(eq)) for eq in (eq6, eq8, eq9)]
    moments = [(jnp.zeros_like(x), jnp.zeros_like(x)) for x in (albedo, specular, height_px)]
    for count in range(1, PAPER.phase1.num_steps + 1):
        slope = gradients[0](albedo, specular, height_px)
        albedo, moments[0] = adam_step(albedo, slope, moments[0], rate=0.05 / 255.0, count=count)
        slope = gradients[1](specular, albedo, height_px)
        specular, moments[1] = adam_step(specular, slope, moments[1], rate=0.25 / 255.0, count=count)
        slope = gradients[2](height_px, albedo, specular)
        height_px, moments[2] = adam_step(height_px, slope, moments[2], rate=0.015, count=count)
    found = solve(lit, PAPER.phase1)
    # Where a gradient is nearly zero, rounding may turn a step of Adam around: a thousandth of the pixels.
    pairs = ((found.albedo, albedo, 2e-4), (found.specular, specular, 1e-3), (found.height_px, height_px, 0.015))
    for ours, theirs, rate in pairs:
        gap = np.abs(np.asarray(ours - theirs))
        assert np.quantile(gap, 0.999) < 0.02 * rate and rms(theirs) > 0.0
