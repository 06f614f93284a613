"""Expressions under the names that ARKit gives them."""

import numpy as np

from jaxface.export.expressions import as_arkit

NAMES = ("browInnerUp_L", "jawOpen", "browInnerUp_R", "eyeBlink_L", "cheekPuff_L", "smile_L")


def test_sides_have_arkits_names_and_what_it_does_not_know_keeps_its_own():
    names, _, _ = as_arkit(NAMES, np.zeros((6, 2, 3)), np.zeros((1, 6)))
    assert names == ("browInnerUp", "jawOpen", "eyeBlinkLeft", "cheekPuff_L", "smile_L")  # half a pair is not the pair


def test_a_pair_that_arkit_has_as_one_is_its_sum():
    """At equal weights the shape is what it was."""
    random = np.random.default_rng(0)
    offsets_mm = random.normal(size=(6, 4, 3)).astype(np.float32)
    weights = random.uniform(size=(3, 6)).astype(np.float32)
    weights[:, 2] = weights[:, 0]
    names, merged_mm, merged = as_arkit(NAMES, offsets_mm, weights)
    assert len(names) == len(merged_mm) == merged.shape[1] == 5
    np.testing.assert_allclose(merged_mm[0], offsets_mm[0] + offsets_mm[2], atol=1e-6)
    np.testing.assert_allclose(np.tensordot(merged, merged_mm, 1), np.tensordot(weights, offsets_mm, 1), atol=1e-5)
    weights[:, 2] = 0.0
    np.testing.assert_allclose(as_arkit(NAMES, offsets_mm, weights)[2][:, 0], 0.5 * weights[:, 0])


def test_no_expressions_are_none():
    names, offsets_mm, weights = as_arkit((), np.zeros((0, 4, 3)), np.zeros((2, 0)))
    assert names == () and offsets_mm.shape == (0, 4, 3) and weights.shape == (2, 0)
