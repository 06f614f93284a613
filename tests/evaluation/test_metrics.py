"""Metrics on inputs whose answers are known; odd sizes, so that swapped axes fail."""

import numpy as np
import pytest

from jaxface.evaluation.metrics import (
    high_pass,
    high_pass_correlation,
    normal_error_degrees,
    rmse,
    share_within,
    summarise,
)

SHAPE = (61, 83)
Y, X = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
MASK = (X - 40) ** 2 + (Y - 30) ** 2 < 25**2


def _tilted(degrees):
    angle = np.radians(degrees)
    return np.broadcast_to(np.array([np.sin(angle), 0.0, np.cos(angle)]), (*SHAPE, 3)).astype(np.float32)


@pytest.mark.parametrize("degrees", [0.0, 0.02, 7.5, 90.0, 170.0])
def test_normal_error_is_the_angle(degrees):
    assert normal_error_degrees(_tilted(degrees), _tilted(0.0), mask=MASK) == pytest.approx(degrees, abs=1e-4)


def test_normal_error_counts_the_mask_only():
    normals = np.where((X < 40)[..., None], _tilted(10.0), _tilted(0.0))
    assert normal_error_degrees(normals, _tilted(0.0), mask=X < 20) == pytest.approx(10.0, abs=1e-4)
    assert normal_error_degrees(normals, _tilted(0.0), mask=X >= 0) == pytest.approx(10.0 * 40 / 83, abs=1e-4)
    assert np.isnan(normal_error_degrees(normals, _tilted(0.0), mask=X < 0))


def test_rmse():
    assert rmse(np.array([3.0, -4.0])) == pytest.approx(np.sqrt(12.5))


def test_high_pass_removes_a_constant_up_to_the_edge_of_the_mask():
    values = np.where(MASK, 5.0, 1e6)
    np.testing.assert_allclose(high_pass(values, mask=MASK, sigma_px=3.0), 0.0, atol=1e-9)


def test_high_pass_of_a_wave_has_the_gaussians_gain():
    wave = np.sin(2 * np.pi * X / 12.0)
    gain = 1.0 - np.exp(-0.5 * (2 * np.pi / 12.0 * 3.0) ** 2)
    inside = (np.abs(X - 41) < 25) & (np.abs(Y - 30) < 15)
    passed = high_pass(wave, mask=np.ones(SHAPE, bool), sigma_px=3.0)
    np.testing.assert_allclose(passed[inside], gain * wave[inside], atol=1e-3)


def test_correlation_sees_detail_under_any_slope_and_size():
    detail = np.random.default_rng(0).normal(size=SHAPE)
    estimate = 0.3 * detail + 0.1 * X - 7.0
    assert high_pass_correlation(estimate, detail + 0.1 * Y, mask=MASK, sigma_px=2.0) > 0.98
    assert high_pass_correlation(-detail, detail, mask=MASK, sigma_px=2.0) == pytest.approx(-1.0)


def test_correlation_of_unrelated_and_of_constant_maps():
    a, b = np.random.default_rng(1).normal(size=(2, *SHAPE))
    assert abs(high_pass_correlation(a, b, mask=MASK, sigma_px=2.0)) < 0.1
    assert np.isnan(high_pass_correlation(np.zeros(SHAPE), a, mask=MASK, sigma_px=2.0))


def test_summaries_of_known_distances():
    figures = summarise(np.array([0.5, 1.0, 2.0, 4.5]))
    assert figures == pytest.approx(
        {
            "rmse_mm": np.sqrt(25.5 / 4.0),
            "mean_mm": 2.0,
            "median_mm": 1.5,
            "std_mm": np.sqrt(25.5 / 4.0 - 4.0),
            "within_1mm": 0.5,
            "within_2mm": 0.75,
        }
    )
    assert all(np.isnan(value) for value in summarise(np.zeros(0)).values())
    assert share_within(np.array([1.0, 3.0]), limit=3.0) == 1.0
