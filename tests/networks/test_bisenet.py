"""BiSeNet against a float64 NumPy twin that mirrors the published blocks, and against PyTorch's own output."""

import json
import zlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxface.networks.bisenet import params_from_checkpoint, parse_logits
from jaxface.types import FaceError

ODD = (37, 29)  # 19 x 15, 10 x 8, 5 x 4, 3 x 2, 2 x 1: rounds up at every level


def norm_shapes(name, width):
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def unit_shapes(name, outputs, inputs, size):
    return {f"{name}.conv.weight": (outputs, inputs, size, size)} | norm_shapes(f"{name}.bn", outputs)


def shapes():
    """The entries that count, written down block by block."""
    found = {"cp.resnet.conv1.weight": (64, 3, 7, 7)} | norm_shapes("cp.resnet.bn1", 64)
    for layer, (inputs, width) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], start=1):
        for block, first in enumerate((inputs, width)):
            name = f"cp.resnet.layer{layer}.{block}"
            found |= {f"{name}.conv1.weight": (width, first, 3, 3)} | norm_shapes(f"{name}.bn1", width)
            found |= {f"{name}.conv2.weight": (width, width, 3, 3)} | norm_shapes(f"{name}.bn2", width)
            if layer > 1 and block == 0:
                found |= {f"{name}.downsample.0.weight": (width, inputs, 1, 1)}
                found |= norm_shapes(f"{name}.downsample.1", width)
    for name, inputs in (("cp.arm16", 256), ("cp.arm32", 512)):
        found |= unit_shapes(f"{name}.conv", 128, inputs, 3)
        found |= {f"{name}.conv_atten.weight": (128, 128, 1, 1)} | norm_shapes(f"{name}.bn_atten", 128)
    found |= unit_shapes("cp.conv_head32", 128, 128, 3) | unit_shapes("cp.conv_head16", 128, 128, 3)
    found |= unit_shapes("cp.conv_avg", 128, 512, 1) | unit_shapes("ffm.convblk", 256, 256, 1)
    found |= {"ffm.conv1.weight": (64, 256, 1, 1), "ffm.conv2.weight": (256, 64, 1, 1)}
    return found | unit_shapes("conv_out.conv", 256, 256, 3) | {"conv_out.conv_out.weight": (19, 256, 1, 1)}


def entry(key, shape):
    """Numbers that depend on the name alone and keep activations near 1."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) == 4:
        return (noise * np.sqrt(2.0 / np.prod(shape[1:]))).astype(np.float32)
    if key.endswith(("running_mean", "bias")):
        return np.float32(0.1) * noise
    return 1 + np.float32(0.1) * (np.abs(noise) if key.endswith("running_var") else noise)


@pytest.fixture(scope="module")
def state():
    return {key: entry(key, shape) for key, shape in shapes().items()}


@pytest.fixture(scope="module")
def params(state):
    return params_from_checkpoint(state, source="face.pth")


@pytest.fixture(scope="module")
def jitted():
    return jax.jit(parse_logits)


class Twin:
    """float64, channels first, normalisation where upstream has it."""

    def __init__(self, state):
        self.state = {key: value.astype(np.float64) for key, value in state.items()}

    def conv(self, name, x, stride=1):
        kernel = self.state[f"{name}.weight"]
        size = kernel.shape[-1]
        x = np.pad(x, ((0, 0), *[(size // 2, size // 2)] * 2))
        patches = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
        return np.tensordot(kernel, patches, axes=([1, 2, 3], [0, 3, 4]))

    def norm(self, name, x):
        weight, bias, mean, variance = (self.state[key][:, None, None] for key in norm_shapes(name, 0))
        return weight * (x - mean) / np.sqrt(variance + 1e-5) + bias

    def unit(self, name, x):
        return relu(self.norm(f"{name}.bn", self.conv(f"{name}.conv", x)))

    def block(self, name, x, stride):
        y = relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride)))
        y = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", y))
        if f"{name}.downsample.0.weight" in self.state:
            x = self.norm(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride))
        return relu(x + y)

    def arm(self, name, x):
        x = self.unit(f"{name}.conv", x)
        return x * sigmoid(self.norm(f"{name}.bn_atten", self.conv(f"{name}.conv_atten", average(x))))

    def logits(self, image):
        colour = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
        x = (np.moveaxis(image.astype(np.float64), -1, 0) - colour[0]) / colour[1]
        x = max_pool(relu(self.norm("cp.resnet.bn1", self.conv("cp.resnet.conv1", x, 2))))
        levels = []
        for layer in (1, 2, 3, 4):
            x = self.block(f"cp.resnet.layer{layer}.0", x, 1 if layer == 1 else 2)
            levels.append(x := self.block(f"cp.resnet.layer{layer}.1", x, 1))
        _, at8, at16, at32 = levels
        context = self.arm("cp.arm32", at32) + nearest(self.unit("cp.conv_avg", average(at32)), at32.shape)
        context = self.unit("cp.conv_head32", nearest(context, at16.shape))
        context = self.unit("cp.conv_head16", nearest(self.arm("cp.arm16", at16) + context, at8.shape))
        fused = self.unit("ffm.convblk", np.concatenate([at8, context]))
        attention = sigmoid(self.conv("ffm.conv2", relu(self.conv("ffm.conv1", average(fused)))))
        scores = self.conv("conv_out.conv_out", self.unit("conv_out.conv", fused * attention + fused))
        return np.moveaxis(linear(linear(scores, 1, image.shape[0]), 2, image.shape[1]), 0, -1)


def relu(x):
    return np.maximum(x, 0.0)


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def average(x):
    return x.mean(axis=(1, 2), keepdims=True)


def max_pool(x):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(3, 4))


def nearest(x, shape):
    """PyTorch: source index floor(target index * old / new)."""
    rows, columns = ([int(i * old / new) for i in range(new)] for old, new in zip(x.shape[1:], shape[1:], strict=True))
    return x[:, rows][:, :, columns]


def linear(x, axis, size):
    """First sample on first, last on last."""
    at = np.linspace(0.0, 1.0, size)
    return np.apply_along_axis(lambda line: np.interp(at, np.linspace(0.0, 1.0, len(line)), line), axis, x)


def image_of(height, width, *, seed=0):
    return np.random.default_rng(seed).uniform(size=(height, width, 3)).astype(np.float32)


def assert_close(logits, expected):
    np.testing.assert_allclose(logits, expected, rtol=0.0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", [ODD, (64, 33)])
def test_agrees_with_the_twin(state, params, jitted, size):
    image = image_of(*size)
    expected = Twin(state).logits(image)
    assert np.ptp(expected) > 1.0
    assert_close(jitted(params, image), expected)


def test_batches_by_vmap(params, jitted):
    images = np.stack([image_of(*ODD, seed=seed) for seed in (0, 1)])
    together = jax.jit(jax.vmap(parse_logits, in_axes=(None, 0)))(params, images)
    for logits, image in zip(together, images, strict=True):
        assert_close(logits, np.asarray(jitted(params, image)))


def test_golden_output_of_pytorch(reference_data, params, jitted):
    with np.load(reference_data / "bisenet" / "golden.npz") as golden:
        image, expected, labels = golden["image_rgb"], golden["logits"], golden["labels"]
    logits = np.asarray(jitted(params, image.astype(np.float32) / 255))
    seen = np.moveaxis(logits[::4, ::4], -1, 0)
    np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert np.linalg.norm(seen - expected) < 1e-5 * np.linalg.norm(expected)
    assert np.mean(np.argmax(logits, axis=-1) == labels) >= 0.999
    assert len(np.unique(labels)) > 4


def test_the_published_layout_is_covered(reference_data):
    listed = json.loads((reference_data / "bisenet" / "state_dict_shapes.json").read_text())
    used = {
        key: tuple(shape)
        for key, shape in listed.items()
        if not key.endswith("num_batches_tracked") and not key.startswith(("conv_out16", "conv_out32"))
    }
    assert list(used.items()) == list(shapes().items())


def test_what_the_result_does_not_need_may_be_there(state, params):
    more = state | {"conv_out16.conv_out.weight": np.zeros(3), "cp.resnet.bn1.num_batches_tracked": np.array(1)}
    jax.tree.map(np.testing.assert_array_equal, params_from_checkpoint(more, source="face.pth"), params)


@pytest.mark.parametrize("key", ["cp.resnet.conv1.weight", "cp.arm16.bn_atten.running_var", "ffm.conv2.weight"])
def test_a_missing_entry_is_named(state, key):
    with pytest.raises(FaceError, match=rf"face\.pth: there is no entry {key};"):
        params_from_checkpoint({name: value for name, value in state.items() if name != key}, source="face.pth")


def test_the_first_fault_is_named(state):
    faulty = state | {"ffm.conv2.weight": np.zeros(3, np.float32), "cp.resnet.bn1.bias": np.zeros(3, np.float32)}
    with pytest.raises(FaceError, match=r"cp\.resnet\.bn1\.bias has shape \(3,\), not \(64\)"):
        params_from_checkpoint(faulty, source="face.pth")


def test_another_number_of_classes_is_refused(state):
    with pytest.raises(FaceError, match=r"conv_out\.conv_out\.weight has shape \(11, .*19 classes"):
        params_from_checkpoint(state | {"conv_out.conv_out.weight": np.zeros((11, 256, 1, 1))}, source="face.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "finite"), (np.inf, "finite"), (-1e30, "absurdly large"), (-0.5, "negative")],
)
def test_unusable_numbers_are_refused(state, value, message):
    variance = state["cp.conv_avg.bn.running_var"].copy()
    variance[5] = value
    with pytest.raises(FaceError, match=rf"cp\.conv_avg\.bn\.running_var holds .*{message}"):
        params_from_checkpoint(state | {"cp.conv_avg.bn.running_var": variance}, source="face.pth")


@pytest.mark.parametrize("kind", [np.int64, object, "S4", bool])
def test_other_kinds_of_numbers_are_refused(state, kind):
    with pytest.raises(FaceError, match=r"bn1\.bias holds .*, not floating-point"):
        params_from_checkpoint(state | {"cp.resnet.bn1.bias": np.zeros(64, kind)}, source="face.pth")


def test_folding_stays_finite_at_the_limits(state):
    extreme = {key: np.full_like(state[key], 9e11) for key in ("cp.resnet.conv1.weight", "cp.resnet.bn1.weight")}
    extreme |= {"cp.resnet.bn1.running_mean": np.full(64, -9e11), "cp.resnet.bn1.running_var": np.zeros(64)}
    folded = params_from_checkpoint(state | extreme, source="face.pth")["cp_resnet_conv1"]
    assert all(np.all(np.isfinite(part)) and part.dtype == np.float32 for part in folded.values())


@settings(max_examples=40, deadline=None)
@given(key=st.sampled_from(sorted(norm_shapes("cp.resnet.bn1", 64))), data=st.binary(min_size=256, max_size=256))
def test_random_bytes_raise_nothing_else(key, data):
    state = {name: entry(name, shape) for name, shape in list(shapes().items())[:5]}
    state[key] = np.frombuffer(data, np.float32)
    with pytest.raises(FaceError) as caught:
        params_from_checkpoint(state, source="face.pth")
    where_it_ends = "there is no entry cp.resnet.layer1.0.conv1.weight"
    assert key in str(caught.value) or where_it_ends in str(caught.value)
