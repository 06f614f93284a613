"""Eqs. 6, 8 and 9 against slow twins, finite differences, jit and vmap, and their gradients at the start."""

import jax
import numpy as np
import oracles
import pytest
from scenes import random_scene

from jaxface import presets
from jaxface.energies import albedo, depth, specular
from jaxface.imaging import rtv

SIGMA = 1.2


@pytest.fixture(scope="module")
def scene():
    return random_scene(height=19, width=15)


def of_albedo(scene, per_channel=True):
    names = ("image", "shading", "specular", "mean_albedo", "mask")
    return lambda x: albedo.albedo_energy(
        x, weights=presets.EQ6, sigma=SIGMA, per_channel=per_channel, **{n: scene[n] for n in names}
    )


def of_depth(scene, as_printed=False, weights=depth.DepthWeights(0.01, 0.05, 0.02, 2.5, 1.3)):
    names = ("image", "albedo", "specular", "light", "mask")
    return lambda x: depth.depth_energy(
        x, initial_height_px=scene["initial"], weights=weights, as_printed=as_printed, **{n: scene[n] for n in names}
    )


def albedo_twin(scene):
    double = {name: value.astype(np.float64) for name, value in scene.items()}
    return lambda x: oracles.albedo_energy(
        x, double["image"], double["shading"], double["specular"], double["mean_albedo"], double["mask"],
        *presets.EQ6, SIGMA, rtv.EPS, rtv.ETA,
    )  # fmt: skip


def depth_twin(scene, as_printed):
    double = {name: value.astype(np.float64) for name, value in scene.items()}
    return lambda x: oracles.depth_energy(
        x, double["image"], double["albedo"], double["specular"], double["light"], double["initial"], double["mask"],
        (0.01, 0.05, 0.02, 2.5, 1.3), as_printed,
    )  # fmt: skip


def test_albedo_energy_matches_its_twin(scene):
    np.testing.assert_allclose(of_albedo(scene)(scene["albedo"]), albedo_twin(scene)(scene["albedo"]), rtol=1e-4)


def test_albedo_gradient_matches_finite_differences(scene):
    gradient = jax.grad(of_albedo(scene))(scene["albedo"])
    oracles.check_gradient(albedo_twin(scene), scene["albedo"].astype(np.float64), gradient, step=1e-5)


def test_albedo_gradient_at_the_flat_start_is_finite_and_blind_outside_the_mask(scene):
    gradient = np.asarray(jax.grad(of_albedo(scene))(scene["mean_albedo"]))
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert np.abs(gradient[scene["mask"] == 0]).max() == 0


def test_luminance_form_equals_channel_form_on_grey_up_to_the_count(scene):
    grey = np.repeat(scene["albedo"][..., :1], 3, axis=-1)
    weights = albedo.AlbedoWeights(colour=0.0, detail=1.0)
    blank = dict(image=grey, shading=np.ones_like(grey), specular=0.0, mean_albedo=grey, mask=scene["mask"])
    single = albedo.albedo_energy(grey, weights=weights, sigma=SIGMA, per_channel=False, **blank)
    triple = albedo.albedo_energy(grey, weights=weights, sigma=SIGMA, per_channel=True, **blank)
    np.testing.assert_allclose(3 * single, triple, rtol=1e-3)


@pytest.mark.parametrize("as_printed", [False, True])
def test_depth_energy_matches_its_twin(scene, as_printed):
    twin = depth_twin(scene, as_printed)
    np.testing.assert_allclose(of_depth(scene, as_printed)(scene["height"]), twin(scene["height"]), rtol=1e-4)


@pytest.mark.parametrize("as_printed", [False, True])
def test_depth_gradient_matches_finite_differences(scene, as_printed):
    gradient = jax.grad(of_depth(scene, as_printed))(scene["height"])
    oracles.check_gradient(depth_twin(scene, as_printed), scene["height"].astype(np.float64), gradient)


def test_depth_gradient_at_the_start_is_finite_and_not_zero(scene):
    gradient = np.asarray(jax.grad(of_depth(scene))(scene["initial"]))
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_bright_means_toward_the_viewer(scene):
    emboss_only = depth.DepthWeights(0.0, 0.0, 1.0, 2.0, 0.0)
    energy = of_depth(scene, weights=emboss_only)
    grey = scene["image"] @ np.float32([0.299, 0.587, 0.114])
    assert energy(scene["initial"] + 2.0 * grey) < 1e-6 < energy(scene["initial"])


def test_specular_minimiser_zeroes_the_gradient_of_eq_8(scene):
    diffuse, start = scene["albedo"] * scene["shading"], scene["image"] * np.float32(0.1)
    best = specular.specular_minimiser(scene["image"], diffuse, start, weights=presets.EQ8)
    arguments = dict(
        image=scene["image"], diffuse=diffuse, specular_init=start, mask=scene["mask"], weights=presets.EQ8
    )
    gradient = jax.grad(lambda x: specular.specular_energy(x, **arguments))(best)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-5)
    double = [x.astype(np.float64) for x in (best, scene["image"], diffuse, start, scene["mask"])]
    beta, image, base, first, mask = double
    twin = sum(
        np.sum(mask * (base + beta - image)[..., c] ** 2) + 0.5 * np.sum(mask * (beta - first)[..., c] ** 2)
        for c in range(3)
    )
    np.testing.assert_allclose(specular.specular_energy(best, **arguments), twin, rtol=1e-5)


def test_residual_as_beta_0_leaves_no_signal(scene):
    """Why the default does not follow Eq. 8 literally."""
    diffuse = scene["albedo"] * scene["shading"]
    best = specular.specular_minimiser(scene["image"], diffuse, scene["image"] - diffuse, weights=presets.EQ8)
    np.testing.assert_allclose(diffuse + best, scene["image"], atol=1e-6)


@pytest.mark.parametrize("make,name", [(of_albedo, "albedo"), (of_depth, "height")])
def test_plain_jit_and_vmap_agree_on_odd_sizes(make, name):
    scene = random_scene()
    energy, x = make(scene), scene[name]
    plain = energy(x)
    np.testing.assert_allclose(jax.jit(energy)(x), plain, rtol=1e-4)
    np.testing.assert_allclose(jax.vmap(energy)(np.stack([x, x]))[1], plain, rtol=1e-4)
