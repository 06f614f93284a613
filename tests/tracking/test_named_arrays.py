"""Records as a journal's arrays and back, also those of which parts are missing."""

import jax
import numpy as np
import pytest
from fake_face import landmarks

from jaxface.state import View
from jaxface.tracking.named_arrays import pack, unpack
from jaxface.types import Camera, Crop, Parsing, Pose, Regression

POSE = Pose(np.ones(3), np.zeros(2), np.array(0.5))
VIEW = View(landmarks(), Camera(np.array(0.0), np.ones(2)), np.array([8.0, 6.0]), np.array(1.0))
PARTS = {
    "crop": Crop(np.zeros(2), np.array(2.0)),
    "window": np.full((4, 4, 3), 7, np.uint8),
    "parsing": Parsing(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8)),
}


def same(found, given):
    assert jax.tree.structure(found) == jax.tree.structure(given) and type(found) is type(given)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(given), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("missing", [(), ("parsing",), ("parsing", "crop", "window")])
def test_a_view_comes_back_and_what_it_lacks_has_no_arrays(missing):
    view = VIEW._replace(**{name: part for name, part in PARTS.items() if name not in missing})
    arrays = pack(view=view, viewed=np.zeros(1))  # another name that begins alike
    assert "view.landmarks.points_px" in arrays
    assert not any(name.startswith(("view.regression", *(f"view.{part}" for part in missing))) for name in arrays)
    same(unpack(arrays, "view", kind=View), view)


@pytest.mark.parametrize("regression", [Regression(POSE, None, None), Regression(POSE, np.ones(40), np.ones(10))])
def test_a_regression_comes_back_with_and_without_its_coefficients(regression):
    same(unpack(pack(face=regression), "face", kind=Regression), regression)


def test_what_must_be_there_and_is_not_is_no_record():
    with pytest.raises(KeyError, match="pose.log_scale"):
        unpack({"pose.rotation_vector": np.ones(3), "pose.translation_px": np.ones(2)}, "pose", kind=Pose)
