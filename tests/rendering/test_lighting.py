import jax
import numpy as np
import oracles
import pytest

from jaxface.rendering import image_model, lighting


@pytest.fixture(scope="module")
def sphere():
    """Visible half of a sphere on an odd grid: unit normals and mask."""
    y, x = np.mgrid[:61, :53]
    u, v = (x - 26) / 24, (y - 30) / 28
    inside = u**2 + v**2 < 0.95
    z = np.sqrt(np.clip(1 - u**2 - v**2, 0.05, None))
    normals = np.stack([u, v, z], axis=-1)
    return (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32), inside.astype(np.float32)


@pytest.fixture(scope="module")
def light():
    light = 0.1 * np.random.default_rng(0).standard_normal((9, 3))
    light[0], light[1], light[2], light[3] = 2.0, -0.4, 0.8, 0.5
    return light.astype(np.float32)


def test_basis_matches_the_closed_forms(sphere):
    normals = sphere[0].reshape(-1, 3)[::97]
    np.testing.assert_allclose(lighting.sh_basis(normals), [oracles.sh_basis(n) for n in normals], atol=1e-5)


def test_basis_is_orthonormal_on_the_sphere():
    points = np.random.default_rng(0).standard_normal((200_000, 3))
    basis = np.asarray(lighting.sh_basis((points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)))
    np.testing.assert_allclose(4 * np.pi * basis.T.astype(np.float64) @ basis / len(basis), np.eye(9), atol=0.03)


def test_light_is_recovered_exactly_from_its_own_image(sphere, light):
    normals, mask = sphere
    albedo = np.random.default_rng(1).uniform(0.4, 0.8, (*mask.shape, 3)).astype(np.float32)
    image = np.asarray(image_model.render(albedo, lighting.shading(normals, light)))
    found = lighting.estimate_light(image, albedo, normals, confidence=mask)
    shade = lighting.shading(normals, found)
    np.testing.assert_allclose((albedo * shade)[mask > 0], image[mask > 0], atol=5e-3)


def test_shadow_and_shine_are_let_go(sphere, light):
    normals, mask = sphere
    albedo = np.full((*mask.shape, 3), 0.6, np.float32)
    clean = np.asarray(image_model.render(albedo, lighting.shading(normals, light)))
    spoiled = clean.copy()
    spoiled[20:28, 15:25], spoiled[35:40, 25:32] = 0.02, 1.5
    shade = lighting.shading(normals, lighting.estimate_light(spoiled, albedo, normals, confidence=mask))
    plain, *_ = np.linalg.lstsq(
        np.asarray(lighting.sh_basis(normals))[mask > 0] * 0.6, spoiled[mask > 0][:, 0], rcond=None
    )
    robust_error = np.abs(albedo * shade - clean)[mask > 0].mean()
    plain_error = np.abs(0.6 * lighting.sh_basis(normals)[mask > 0] @ plain - clean[mask > 0][:, 0]).mean()
    assert robust_error < 0.25 * plain_error


def test_jit_and_vmap_agree_and_nothing_lit_stays_finite(sphere, light):
    normals, mask = sphere
    albedo = np.full((*mask.shape, 3), 0.6, np.float32)
    image = np.asarray(image_model.render(albedo, lighting.shading(normals, light)))

    def estimate(image, mask):
        return lighting.estimate_light(image, albedo, normals, confidence=mask)

    plain = estimate(image, mask)
    batch = jax.jit(jax.vmap(estimate))(np.stack([image, image]), np.stack([mask, 0 * mask]))
    # Bands 0 and 2 nearly trade off on half a sphere: the shading is what is determined.
    lit = mask > 0
    np.testing.assert_allclose(
        lighting.shading(normals, batch[0])[lit], lighting.shading(normals, plain)[lit], atol=2e-3
    )
    assert np.isfinite(np.asarray(batch[1])).all()


def test_image_model_adds_grey_and_coloured_specular(sphere):
    albedo, shade = np.full((5, 3, 3), 0.5, np.float32), np.full((5, 3, 3), 1.2, np.float32)
    grey, coloured = np.full((5, 3), 0.1, np.float32), np.full((5, 3, 3), 0.1, np.float32)
    np.testing.assert_allclose(image_model.render(albedo, shade, grey), 0.7, rtol=1e-6)
    np.testing.assert_allclose(image_model.render(albedo, shade, coloured), 0.7, rtol=1e-6)
    np.testing.assert_allclose(image_model.render(albedo, shade), 0.6, rtol=1e-6)
