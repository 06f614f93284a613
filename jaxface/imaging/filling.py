"""Smooth completion of pictures that are known in parts; weights in [0, 1] tell how well a pixel is known."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def pull_push(
    values: Float[Array, "height width channels"], weight: Float[Array, "height width"]
) -> Float[Array, "height width channels"]:
    """Smooth field through the weighted values: averages in ever larger squares, used where finer ones are empty."""
    height, width = weight.shape
    if max(height, width) == 1:
        return values
    both = jnp.concatenate([values * weight[..., None], weight[..., None]], axis=-1)
    padded = jnp.pad(both, ((0, height % 2), (0, width % 2), (0, 0)))
    sums = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, -1).sum(axis=(1, 3))
    coarse = sums[..., :-1] / jnp.maximum(sums[..., -1:], 1e-6)
    coarse = pull_push(coarse, jnp.minimum(sums[..., -1], 1.0))
    smooth = _double(_double(coarse, axis=0), axis=1)[:height, :width]
    return values * weight[..., None] + smooth * (1.0 - weight[..., None])


def spread(
    values: Float[Array, "height width channels"], covered: Float[Array, "height width"]
) -> Float[Array, "height width channels"]:
    """Covered pixels as they are; the others continue them, so that filtering at the border finds no edge."""
    known = covered[..., None]
    return values * known + pull_push(values, covered) * (1.0 - known)


def complete(
    values: Float[Array, "height width channels"],
    weight: Float[Array, "height width"],
    filling: Float[Array, "height width channels"],
) -> Float[Array, "height width channels"]:
    """The values where they are known, elsewhere `filling`, shifted smoothly to meet them without a step."""
    known = weight[..., None]
    filling = filling + pull_push(values - filling, weight)
    return values * known + filling * (1.0 - known)


def complete_skin(
    values: Float[Array, "height width channels"],
    weight: Float[Array, "height width"],
    filling: Float[Array, "height width channels"],
    *,
    skin: Float[Array, "height width"],
) -> Float[Array, "height width channels"]:
    """`complete` where `skin` is 1; elsewhere `filling` is not shifted, for teeth must not take on the colour of the
    skin beside them in a texture, nor the other way round."""
    apart = filling + weight[..., None] * (values - filling)
    return apart + skin[..., None] * (complete(values, skin * weight, filling) - apart)


def _double(values: Array, *, axis: int) -> Array:
    """Twice as many samples along an axis, linear between the old ones (which lie at quarter points)."""
    ends = [(1, 1) if k == axis else (0, 0) for k in range(values.ndim)]
    padded, size = jnp.pad(values, ends, mode="edge"), values.shape[axis]
    before, after = (jax.lax.slice_in_dim(padded, k, k + size, axis=axis) for k in (0, 2))
    pairs = jnp.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], axis=axis + 1)
    return pairs.reshape(*values.shape[:axis], 2 * size, *values.shape[axis + 1 :])
