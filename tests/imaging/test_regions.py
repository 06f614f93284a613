import numpy as np

from jaxface.imaging import regions
from jaxface.imaging.spectral import precondition


def test_mean_albedo_recovers_region_colours_under_uneven_shading():
    rng = np.random.default_rng(0)
    shading = rng.uniform(0.5, 1.5, (37, 29, 3)).astype(np.float32)
    indicators = np.zeros((37, 29, 2), np.float32)
    indicators[:20, :, 0], indicators[20:, :, 1] = 1, 1
    colours = np.array([[0.7, 0.5, 0.4], [0.3, 0.2, 0.1]], np.float32)
    albedo = indicators @ colours
    found = regions.mean_albedo(albedo * shading, shading, indicators, confidence=np.ones((37, 29), np.float32))
    np.testing.assert_allclose(found, albedo, rtol=1e-3)


def test_dark_hair_and_green_paint_are_not_skin():
    rng = np.random.default_rng(0)
    skin = np.broadcast_to(np.float32([0.7, 0.5, 0.4]), (64, 48, 3))
    image = (skin + 0.02 * rng.standard_normal(skin.shape)).astype(np.float32)
    image[5:15, 5:40], image[45:55, 5:40] = [0.1, 0.08, 0.07], [0.4, 0.7, 0.4]
    found = np.asarray(regions.skin_confidence(image, skin.copy(), mask=np.ones((64, 48), np.float32), sigma=1.0))
    assert found[7:13, 8:36].max() == 0 and found[47:53, 8:36].max() == 0
    assert found[20:40, 5:-5].mean() > 0.99


def test_preconditioner_multiplies_each_wave_by_its_response():
    y, x = np.mgrid[:37, :29]
    fy, fx = 2 * np.pi * 3 / 37, 2 * np.pi * 5 / 29
    wave = np.cos(fy * y + fx * x).astype(np.float32)
    squared = fy**2 + fx**2
    for cutoff, bending in ((0.01, 0.0), (0.003, 2.0)):
        expected = wave / np.sqrt(cutoff + squared + bending * squared**2)
        np.testing.assert_allclose(precondition(wave, cutoff=cutoff, bending=bending), expected, atol=1e-4)
