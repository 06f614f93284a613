"""The face regressor against PyTorch's own results, and against a slow twin on random weights of odd widths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.io.checkpoints import load_checkpoint
from jaxface.networks.mobilenet import params_from_checkpoint, regress
from jaxface.types import FaceError

STRIDES = {"dw2_1": 1, "dw2_2": 2, "dw3_1": 1, "dw3_2": 2, "dw4_1": 1, "dw4_2": 2}
STRIDES |= {"dw5_1": 1, "dw5_2": 1, "dw5_3": 1, "dw5_4": 1, "dw5_5": 1, "dw5_6": 2, "dw6": 1}
WIDTHS = (3, 5, 4, 7, 6, 3, 8, 5, 6, 7, 4, 9, 5, 6)


def random_state() -> dict[str, np.ndarray]:
    """A checkpoint in PyTorch's layout with widths that differ from layer to layer."""
    rng = np.random.default_rng(2)
    state = {}

    def add(layer, norm, shape):
        width = shape[0]
        state[f"module.{layer}.weight"] = rng.normal(size=shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        state[f"module.{norm}.weight"] = rng.uniform(0.5, 1.5, width)
        state[f"module.{norm}.bias"] = 0.3 * rng.normal(size=width)
        state[f"module.{norm}.running_mean"] = 0.3 * rng.normal(size=width)
        state[f"module.{norm}.running_var"] = rng.uniform(0.5, 1.5, width)
        state[f"module.{norm}.num_batches_tracked"] = np.array(7)

    add("conv1", "bn1", (WIDTHS[0], 3, 3, 3))
    for block, inputs, outputs in zip(STRIDES, WIDTHS[:-1], WIDTHS[1:], strict=True):
        add(f"{block}.conv_dw", f"{block}.bn_dw", (inputs, 1, 3, 3))
        add(f"{block}.conv_sep", f"{block}.bn_sep", (outputs, inputs, 1, 1))
    for head, outputs in (("fc_param", 62), ("fc_lm", 136)):
        state[f"module.{head}.weight"] = rng.normal(size=(outputs, WIDTHS[-1]))
        state[f"module.{head}.bias"] = rng.normal(size=outputs)
    return {name: array if array.ndim == 0 else array.astype(np.float32) for name, array in state.items()}


def random_crop() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (120, 120, 3)).astype(np.float32)


def slow_regress(state: dict[str, np.ndarray], crop: np.ndarray) -> np.ndarray:
    """The network as its table says, pixel by pixel in double precision, in PyTorch's layout."""
    state = {name.removeprefix("module."): array.astype(np.float64) for name, array in state.items()}

    def norm_relu(x, name):
        weight, bias, mean, variance = (
            state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * weight + bias, 0.0)

    def windows(x, stride):
        padded = np.zeros((x.shape[0], x.shape[1] + 2, x.shape[2] + 2))
        padded[:, 1:-1, 1:-1] = x
        for row in range((x.shape[1] - 1) // stride + 1):
            for column in range((x.shape[2] - 1) // stride + 1):
                top, left = row * stride, column * stride
                yield row, column, padded[:, top : top + 3, left : left + 3]

    def slide(x, outputs, stride, product):
        result = np.zeros((outputs, (x.shape[1] - 1) // stride + 1, (x.shape[2] - 1) // stride + 1))
        for row, column, window in windows(x, stride):
            result[:, row, column] = product(window)
        return result

    x = (crop.transpose(2, 0, 1) - 127.5) / 128.0
    first = state["conv1.weight"]
    x = norm_relu(slide(x, len(first), 2, lambda window: (first * window).sum(axis=(1, 2, 3))), "bn1")
    for block, stride in STRIDES.items():
        depthwise, separable = state[f"{block}.conv_dw.weight"][:, 0], state[f"{block}.conv_sep.weight"][:, :, 0, 0]
        x = slide(x, len(x), stride, lambda window, kernel=depthwise: (kernel * window).sum(axis=(1, 2)))
        x = norm_relu(x, f"{block}.bn_dw")
        x = norm_relu(np.tensordot(separable, x, axes=1), f"{block}.bn_sep")
    return state["fc_param.weight"] @ x.mean(axis=(1, 2)) + state["fc_param.bias"]


def test_the_network_is_that_of_its_table():
    state, crop = random_state(), random_crop()
    params = params_from_checkpoint(state, source="net.pth")
    expected = slow_regress(state, crop)
    assert np.ptp(expected) > 1.0
    np.testing.assert_allclose(regress(params, jnp.asarray(crop)), expected, atol=2e-4)


@pytest.fixture(scope="module")
def golden(reference_data):
    folder = reference_data / "3ddfa_v2"
    params = params_from_checkpoint(load_checkpoint(folder / "mb05_120x120.pth"), source="mb05_120x120.pth")
    with np.load(folder / "mb05_golden.npz") as stored:
        return params, jnp.asarray(stored["crops_bgr"], jnp.float32), stored["raw_output"]


def test_pytorch_gives_the_same(golden):
    params, crops, expected = golden
    plain = np.stack([regress(params, crop) for crop in crops])
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    jitted = np.stack([jax.jit(regress)(params, crop) for crop in crops])
    np.testing.assert_allclose(jitted, plain, atol=1e-5)
    mapped = jax.jit(jax.vmap(regress, in_axes=(None, 0)))(params, crops)
    np.testing.assert_allclose(mapped, plain, atol=1e-5)


def test_parameters_are_float32_and_the_unused_head_is_dropped(golden):
    params, _, _ = golden
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(params)} == {"float32"}
    assert set(params["fc"]) == {"w", "b"} and params["fc"]["w"].shape == (512, 62)
    assert not any("lm" in name for name in params)


def test_prefix_and_head_may_have_their_later_names():
    state = random_state()
    renamed = {name.removeprefix("module.").replace("fc_param", "fc"): array for name, array in state.items()}
    crop = jnp.asarray(random_crop())
    one, other = (regress(params_from_checkpoint(found, source="net.pth"), crop) for found in (state, renamed))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "key", ["conv1.weight", "bn1.running_var", "dw2_1.conv_dw.weight", "dw5_3.bn_sep.bias", "fc_param.weight"]
)
def test_missing_and_misshapen_entries_are_named(key):
    shown = key.replace("fc_param", "fc")
    state = random_state()
    array = state.pop(f"module.{key}")
    with pytest.raises(FaceError, match=f"net.pth: there is no entry {shown};.*3DDFA_V2.*"):
        params_from_checkpoint(state, source="net.pth")
    for wrong in (array[None], array[:0], np.concatenate([array, array], axis=-1)):
        with pytest.raises(FaceError, match=f"net.pth: entry {shown} has shape"):
            params_from_checkpoint(state | {f"module.{key}": wrong}, source="net.pth")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fc_param.bias", np.nan, "not finite"),
        ("dw3_1.conv_sep.weight", np.inf, "not finite"),
        ("dw6.bn_dw.running_var", -1.0, "negative"),
        ("conv1.weight", 3, "not floating-point"),
    ],
)
def test_unusable_numbers_are_named(key, value, message):
    state = random_state()
    state[f"module.{key}"] = np.full(state[f"module.{key}"].shape, value)
    with pytest.raises(FaceError, match=message) as caught:
        params_from_checkpoint(state, source="net.pth")
    assert key.replace("fc_param", "fc") in str(caught.value)
