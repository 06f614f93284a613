"""MobileNet-V1 of 3DDFA_V2 (Guo et al. 2020; code and weights MIT): a face crop to pose, identity and expression.

Departs from upstream: batch normalisation is folded into the convolution before it, and the head `fc_lm`, which serves
training only, is left out.
"""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.networks.layers import convolve, entry, folded_convolution

CROP_SIZE = 120
NUM_OUTPUTS = 62  # 12 pose, 40 identity, 10 expression

_STRIDES = {
    "dw2_1": 1,
    "dw2_2": 2,
    "dw3_1": 1,
    "dw3_2": 2,
    "dw4_1": 1,
    "dw4_2": 2,
    **{f"dw5_{place}": 1 for place in range(1, 6)},
    "dw5_6": 2,
    "dw6": 1,
}
_HINT = "give a checkpoint of 3DDFA_V2's MobileNet (mb1_120x120.pth or mb05_120x120.pth)"

Params = dict[str, dict[str, Array]]


def params_from_checkpoint(state: dict[str, np.ndarray], *, source: str) -> Params:
    """Parameters for `regress` from upstream's state_dict; the width of each layer is read from the shapes.

    `source` names the file in messages. Raises FaceError at the first entry that is missing, misshapen or unusable.
    """
    state = {key.removeprefix("module.").replace("fc_param.", "fc."): array for key, array in state.items()}
    told = {"source": source, "hint": _HINT}
    params = {"conv1": folded_convolution(state, ("conv1", "bn1"), (None, 3, 3, 3), **told)}
    width = params["conv1"]["b"].size
    for block in _STRIDES:
        names = {part: (f"{block}.conv_{part}", f"{block}.bn_{part}") for part in ("dw", "sep")}
        params[f"{block}_dw"] = folded_convolution(state, names["dw"], (width, 1, 3, 3), **told)
        params[f"{block}_sep"] = folded_convolution(state, names["sep"], (None, width, 1, 1), **told)
        width = params[f"{block}_sep"]["b"].size
    weight = entry(state, "fc.weight", (NUM_OUTPUTS, width), **told)
    params["fc"] = {"w": weight.T, "b": entry(state, "fc.bias", (NUM_OUTPUTS,), **told)}
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), params)


def regress(params: Params, crop: Float[Array, "120 120 3"]) -> Float[Array, "62"]:
    """The network's raw output for a BGR crop with values 0-255, before de-normalisation; pure, for jit and vmap."""
    return _NETWORK.apply(params, crop, widths={name: layer["b"].size for name, layer in params.items()})


def _network(crop: Array, *, widths: dict[str, int]) -> Array:
    x = (crop - 127.5) / 128.0
    x = jax.nn.relu(convolve("conv1", x, outputs=widths["conv1"], size=3, stride=2))
    for block, stride in _STRIDES.items():
        depthwise, separable = f"{block}_dw", f"{block}_sep"
        width = widths[depthwise]
        x = jax.nn.relu(convolve(depthwise, x, outputs=width, size=3, stride=stride, groups=width))
        x = jax.nn.relu(convolve(separable, x, outputs=widths[separable], size=1))
    return hk.Linear(NUM_OUTPUTS, name="fc")(jnp.mean(x, axis=(0, 1)), precision=jax.lax.Precision.HIGHEST)


_NETWORK: hk.Transformed = hk.without_apply_rng(hk.transform(_network))
