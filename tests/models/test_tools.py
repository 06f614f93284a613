"""What a reconstruction is told to use: loaded or refused before a photo is looked at, and put to use on one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_networks
from tiny_model import make_model

from jaxface.detection.face_regressor import TddfaWeights
from jaxface.detection.files import in_mesh_order
from jaxface.io.arrays import crop_window
from jaxface.models import store, tools
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68, Crop, FaceError, Parsing

IMAGE = np.random.default_rng(0).uniform(size=(90, 110, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path))


def run(function, *arrays, **static):
    return jax.jit(function, static_argnames=tuple(static))(*arrays, **static)


def test_nothing_asked_for_is_the_best_open_model_and_no_network():
    assert tools.choose() == (load_default(), None, None)
    store.save_model(make_model(name="ict"), tiny_networks.path("ict"))
    assert tools.choose().model.name == "ict" and tools.choose(model="default").model is load_default()
    model = make_model()
    assert tools.choose(model=model).model is model


def test_networks_come_with_what_belongs_to_them():
    tiny_networks.install_3ddfa()
    weights = tools.choose(coarse="3ddfa").regressor
    np.testing.assert_array_equal(weights.mean, tiny_networks.MEAN)
    np.testing.assert_array_equal(weights.std, tiny_networks.STD)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(weights.params))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "ikt"}, ["'ikt'", "did you mean ict"]),
        ({"model": "ict"}, ["ict is not installed", "jaxface models install ict"]),
        ({"model": "bfm2009"}, ["bfm2009 is not installed", "--from=PATH"]),
        ({"model": "3ddfa"}, ["network"]),
        ({"coarse": "3ddfa"}, ["3ddfa is not installed", "--from=PATH"]),
        ({"parsing": "bisenet"}, ["bisenet is not installed", "--from=PATH"]),
        ({"coarse": "3ddfa_v2"}, ["coarse", "landmarks, 3ddfa"]),
        ({"parsing": "hair"}, ["parsing", "landmarks, bisenet"]),
    ],
)
def test_what_is_not_there_is_told_with_the_way_to_get_it(settings, words):
    with pytest.raises(FaceError) as caught:
        tools.choose(**settings)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": None},
        {"std": tiny_networks.STD[:12]},
        {"std": 0.0 * tiny_networks.STD},
        {"params": {"conv1": {"w": np.zeros((3, 3, 3, 1)), "b": np.zeros(1)}}},
        {"params": tiny_networks.mobilenet_params(np.zeros(62)) | {"fc": {"w": np.zeros((2, 62)), "b": np.zeros(62)}}},
        {"params": {}},
    ],
)
def test_a_file_that_is_not_the_network_is_refused(changes):
    tiny_networks.install_3ddfa(**changes)
    with pytest.raises(FaceError, match="3ddfa.npz does not hold the network 3ddfa.*again"):
        tools.choose(coarse="3ddfa")


def test_one_network_does_not_pass_for_the_other():
    tiny_networks.install_3ddfa()
    tiny_networks.path("3ddfa").rename(tiny_networks.path("bisenet"))
    with pytest.raises(FaceError, match="does not hold the network bisenet"):
        tools.choose(parsing="bisenet")


@pytest.mark.parametrize(("name", "setting"), [("ict", "model"), ("3ddfa", "coarse"), ("bisenet", "parsing")])
def test_a_damaged_file_is_told(name, setting):
    tiny_networks.path(name).parent.mkdir()
    tiny_networks.path(name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FaceError, match=f"{name}.npz.*install {name}. again"):
        tools.choose(**{setting: name})


def weights(parameters=None):
    parameters = tiny_networks.frontal_face() if parameters is None else parameters
    return TddfaWeights(tiny_networks.mobilenet_params(parameters), tiny_networks.MEAN, tiny_networks.STD)


def landmarks():
    """A square of 40 pixels around (50, 30), with points elsewhere that are absent or not of the 68."""
    points = np.full((478, 2), 5.0)
    points[list(IBUG_68)] = [50.0, 30.0]
    points[IBUG_68[0]], points[IBUG_68[16]], points[IBUG_68[8]] = [30.0, 30.0], [70.0, 30.0], np.nan
    found = in_mesh_order(points.astype(np.float32))
    return found._replace(confidence=found.confidence.at[IBUG_68[8]].set(0.0))


def test_the_regression_is_a_pose_in_the_photo_and_whitened_coefficients():
    found = tools.regress(IMAGE, landmarks(), weights(), run=run)
    side = 40.0 * np.sqrt(2.0)
    np.testing.assert_allclose(found.pose.rotation_vector, 0.0, atol=1e-6)
    np.testing.assert_allclose(found.pose.translation_px, [50.0, 30.0], atol=0.5 * side / 120.0 + 1e-3)
    assert float(jnp.exp(found.pose.log_scale)) == pytest.approx(0.5 * side / 120.0, rel=1e-4)
    np.testing.assert_allclose(found.identity, np.arange(40.0) / tiny_networks.STD[12:52], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.expression, np.arange(40.0, 50.0) / tiny_networks.STD[52:], rtol=1e-4)


def test_a_regression_of_no_face_is_refused():
    with pytest.raises(FaceError, match="no face"):
        tools.regress(IMAGE, landmarks(), weights(np.zeros(62)), run=run)


def test_a_portrait_is_parsed_and_the_crop_cut_out_of_it():
    """With a parser that hands its picture back: the maps are the crop itself, at the network's resolution."""
    seen = []

    def echo(function, params, image, **static):
        seen.append(image)
        return np.concatenate([0.3 * image, image[..., :1]], axis=-1)

    smooth = np.broadcast_to(np.linspace(0.0, 1.0, 400, dtype=np.float32)[:, None, None], (400, 300, 3)) * [1.0, 0.5, 0]
    crop, size = Crop(jnp.array([60.0, 120.0]), jnp.float32(0.8)), 97
    parsing = tools.parse(smooth.astype(np.float32), crop, {}, size=size, run=echo)
    expected = crop_window(smooth.astype(np.float32), crop, size=size)
    assert isinstance(parsing, Parsing) and seen[0].shape == (512, 512, 3)
    np.testing.assert_allclose(parsing.indicators, 0.3 * expected, atol=2e-3)
    np.testing.assert_allclose(parsing.visible, 1.0 - expected[..., 0], atol=5e-3)
    height = 1.6 * size / 0.8 / 400  # what the network sees of the photo
    assert np.ptp(seen[0][..., 0]) == pytest.approx(height, abs=0.02)
