"""Face parsing: BiSeNet on ResNet-18 with 19 classes, after zllrunning/face-parsing.PyTorch (MIT code).

Departs from upstream: batch normalisation is folded into the convolution before it, and the two auxiliary heads, which
serve training only, are left out. There is no separate spatial path: the feature at 1/8 takes its place.
"""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.networks.layers import convolve, entry, folded_convolution

NUM_CLASSES = 19

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB, as in training
_WIDTHS = (64, 128, 256, 512)  # channels of ResNet-18's four layers
_CONTEXT = 128  # channels of the context path
_HINT = "give the checkpoint of the face-parsing BiSeNet with 19 classes (79999_iter.pth)"

Params = dict[str, dict[str, Array]]


class _Convolution(NamedTuple):
    """A convolution of the checkpoint; `norm` is the batch normalisation after it, None if there is none."""

    norm: str | None
    inputs: int
    outputs: int
    size: int


def _block(stage: int, place: int) -> str:
    """Checkpoint name of a basic block; layers count from 1, blocks from 0."""
    return f"cp.resnet.layer{stage}.{place}"


def _unit(name: str, inputs: int, outputs: int, size: int) -> dict[str, _Convolution]:
    """Upstream's ConvBNReLU."""
    return {f"{name}.conv": _Convolution(f"{name}.bn", inputs, outputs, size)}


def _convolutions() -> dict[str, _Convolution]:
    """All convolutions by their names in the checkpoint, in its order."""
    table = {"cp.resnet.conv1": _Convolution("cp.resnet.bn1", 3, 64, 7)}
    inputs = 64
    for stage, width in enumerate(_WIDTHS, start=1):
        for name in (_block(stage, 0), _block(stage, 1)):
            table[f"{name}.conv1"] = _Convolution(f"{name}.bn1", inputs, width, 3)
            table[f"{name}.conv2"] = _Convolution(f"{name}.bn2", width, width, 3)
            if inputs != width:
                table[f"{name}.downsample.0"] = _Convolution(f"{name}.downsample.1", inputs, width, 1)
            inputs = width
    for name, inputs in (("cp.arm16", 256), ("cp.arm32", 512)):
        table |= _unit(f"{name}.conv", inputs, _CONTEXT, 3)
        table[f"{name}.conv_atten"] = _Convolution(f"{name}.bn_atten", _CONTEXT, _CONTEXT, 1)
    table |= _unit("cp.conv_head32", _CONTEXT, _CONTEXT, 3) | _unit("cp.conv_head16", _CONTEXT, _CONTEXT, 3)
    table |= _unit("cp.conv_avg", 512, _CONTEXT, 1) | _unit("ffm.convblk", 256, 256, 1)
    table["ffm.conv1"] = _Convolution(None, 256, 64, 1)
    table["ffm.conv2"] = _Convolution(None, 64, 256, 1)
    table |= _unit("conv_out.conv", 256, 256, 3)
    table["conv_out.conv_out"] = _Convolution(None, 256, NUM_CLASSES, 1)
    return table


_CONVOLUTIONS = _convolutions()


def _module_name(name: str) -> str:
    return name.replace(".", "_")


def params_from_checkpoint(state: dict[str, np.ndarray], *, source: str) -> Params:
    """Parameters for `parse_logits` from upstream's state_dict (`79999_iter.pth`); other entries are left alone.

    `source` names the file in messages. Raises FaceError at the first entry that is missing, misshapen or unusable.
    """
    params = {}
    for name, layer in _CONVOLUTIONS.items():
        shape = (layer.outputs, layer.inputs, layer.size, layer.size)
        if layer.norm is not None:
            folded = folded_convolution(state, (name, layer.norm), shape, source=source, hint=_HINT)
        else:
            kernel = entry(state, f"{name}.weight", shape, source=source, hint=_HINT)
            folded = {"w": kernel.transpose(2, 3, 1, 0), "b": np.zeros(layer.outputs)}
        params[_module_name(name)] = {key: jnp.asarray(value, jnp.float32) for key, value in folded.items()}
    return params


def parse_logits(params: Params, image: Float[Array, "height width 3"]) -> Float[Array, "height width 19"]:
    """Class scores per pixel of an RGB image in [0, 1], before softmax; pure, for jit and vmap.

    Any size; the network was trained on portraits of 512 x 512. Class order: `detection.parsing.FacePart`.
    """
    return _NETWORK.apply(params, image)


def _network(image: Array) -> Array:
    mean, std = (jnp.array(colour, jnp.float32).reshape(1, 1, 3) for colour in (_MEAN, _STD))
    x = (image - mean) / std
    feature8, context8 = _context(x)
    x = _convolve("ffm.convblk.conv", jnp.concatenate([feature8, context8], axis=-1), relu=True)
    attention = _convolve("ffm.conv1", _average(x), relu=True)
    x = x + x * jax.nn.sigmoid(_convolve("ffm.conv2", attention))
    x = _convolve("conv_out.conv_out", _convolve("conv_out.conv.conv", x, relu=True))
    return _upsample_linear(x, *image.shape[:2])


_NETWORK: hk.Transformed = hk.without_apply_rng(hk.transform(_network))


def _context(image: Array) -> tuple[Array, Array]:
    """The backbone's feature at 1/8, and the context of 1/16, 1/32 and the whole image brought to 1/8."""
    feature8, feature16, feature32 = _resnet(image)
    context = _refine("cp.arm32", feature32) + _convolve("cp.conv_avg.conv", _average(feature32), relu=True)
    context = _convolve("cp.conv_head32.conv", _upsample_nearest(context, *feature16.shape[:2]), relu=True)
    context = _refine("cp.arm16", feature16) + context
    context = _convolve("cp.conv_head16.conv", _upsample_nearest(context, *feature8.shape[:2]), relu=True)
    return feature8, context


def _resnet(x: Array) -> list[Array]:
    """ResNet-18's features at 1/8, 1/16 and 1/32 of the image's size, rounded up."""
    x = _convolve("cp.resnet.conv1", x, stride=2, relu=True)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (3, 3, 1), (2, 2, 1), ((1, 1), (1, 1), (0, 0)))
    features = []
    for stage in range(1, len(_WIDTHS) + 1):
        for name in (_block(stage, 0), _block(stage, 1)):
            x = _basic_block(name, x)
        features.append(x)
    return features[1:]


def _basic_block(name: str, x: Array) -> Array:
    """Two convolutions and a shortcut; the shortcut is a convolution where the width doubles and the size halves."""
    shortcut, stride = x, 1
    if f"{name}.downsample.0" in _CONVOLUTIONS:
        shortcut, stride = _convolve(f"{name}.downsample.0", x, stride=2), 2
    x = _convolve(f"{name}.conv1", x, stride=stride, relu=True)
    return jax.nn.relu(_convolve(f"{name}.conv2", x) + shortcut)


def _refine(name: str, x: Array) -> Array:
    """Attention refinement: channels weighted by what the whole feature map holds."""
    x = _convolve(f"{name}.conv.conv", x, relu=True)
    return x * jax.nn.sigmoid(_convolve(f"{name}.conv_atten", _average(x)))


def _convolve(name: str, x: Array, *, stride: int = 1, relu: bool = False) -> Array:
    """A convolution of the table; its normalisation is in the weights."""
    layer = _CONVOLUTIONS[name]
    x = convolve(_module_name(name), x, outputs=layer.outputs, size=layer.size, stride=stride)
    return jax.nn.relu(x) if relu else x


def _average(x: Array) -> Array:
    return jnp.mean(x, axis=(0, 1), keepdims=True)


def _upsample_nearest(x: Array, height: int, width: int) -> Array:
    """PyTorch's nearest neighbour: the source index is rounded down."""
    rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), x.shape[:2], strict=True))
    return x[rows[:, None], columns[None, :]]


def _upsample_linear(x: Array, height: int, width: int) -> Array:
    """Bilinear with the corner pixels' centres on each other (align_corners=True)."""
    rows, columns = _lerp(x.shape[0], height), _lerp(x.shape[1], width)
    precision = jax.lax.Precision.HIGHEST
    x = jnp.einsum("xj,ijc->ixc", columns, x, precision=precision)
    return jnp.einsum("yi,ixc->yxc", rows, x, precision=precision)


def _lerp(old: int, new: int) -> Float[np.ndarray, "{new} {old}"]:
    """Linear interpolation from `old` to `new` samples, first on first and last on last, as a matrix."""
    places = np.linspace(0.0, old - 1.0, new)
    hats = np.maximum(1.0 - np.abs(places[:, None] - np.arange(old)[None, :]), 0.0)
    return hats.astype(np.float32)
