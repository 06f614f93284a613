"""Jitter and spread of meshes whose motion is known."""

import numpy as np
import pytest

from jaxface.evaluation.motion import jitter, spread

RNG = np.random.default_rng(0)
SHAPE_MM = RNG.normal(size=(17, 3)) * 80.0


def test_a_face_that_glides_has_no_jitter():
    times = np.arange(9.0)[:, None, None]
    assert jitter(SHAPE_MM + times * np.array([0.5, -2.0, 1.0])) == pytest.approx(0.0, abs=1e-12)


def test_constant_acceleration_is_the_jitter():
    times = np.arange(9.0)[:, None, None]
    assert jitter(SHAPE_MM + 0.5 * times**2 * np.array([0.3, 0.0, -0.4])) == pytest.approx(0.5)


def test_one_jumping_vertex_is_shared_by_all():
    frames = np.tile(SHAPE_MM, (7, 1, 1))
    frames[3, 5, 1] += 2.0  # accelerations 2, 4, 2 in five triples
    assert jitter(frames) == pytest.approx(8.0 / 5 / 17)


def test_noise_of_one_millimetre():
    """Accelerations of white noise have sqrt(6) times its deviation; a 3D Gaussian's mean length is sqrt(8 / pi)."""
    frames = SHAPE_MM + RNG.normal(size=(400, 17, 3))
    assert jitter(frames) == pytest.approx(np.sqrt(6.0 * 8.0 / np.pi), rel=0.03)
    assert spread(frames) == pytest.approx(np.sqrt(3.0), rel=0.03)


def test_spread_matches_the_formula_even_far_from_the_origin():
    frames = RNG.normal(size=(23, 5, 3)) + 1e6
    formula = np.mean([np.sqrt(np.sum(np.var(frames[:, v], axis=0))) for v in range(5)])
    assert spread(frames) == pytest.approx(formula, rel=1e-8)
    assert spread(np.tile(SHAPE_MM, (4, 1, 1))) == 0.0


def test_a_stream_gives_what_an_array_gives():
    frames = (SHAPE_MM + RNG.normal(size=(11, 17, 3))).astype(np.float32)
    for figure in (jitter, spread):
        assert figure(frame for frame in frames) == figure(frames) == figure(np.float64(frames))


def test_frames_without_a_face_are_left_out():
    frames = SHAPE_MM + RNG.normal(size=(12, 17, 3))
    holed = np.insert(frames, 6, np.nan, axis=0)
    triples = np.linalg.norm(frames[:-2] - 2 * frames[1:-1] + frames[2:], axis=-1).mean(axis=1)
    assert jitter(holed) == pytest.approx(np.delete(triples, [4, 5]).mean())
    assert spread(holed) == pytest.approx(spread(frames))


def test_too_few_frames_have_no_figure():
    assert np.isnan(jitter(np.zeros((2, 4, 3)))) and np.isnan(spread(np.zeros((0, 4, 3))))
    assert np.isnan(jitter(np.full((5, 4, 3), np.nan))) and np.isnan(spread(np.full((5, 4, 3), np.nan)))
    assert spread(np.ones((1, 4, 3))) == 0.0
