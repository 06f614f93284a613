"""Delicate numerics in one drawer, each with its reason. Arrays of any shape; float32 in, float32 out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def sum_squares(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Sum of squares over all entries; sums, not means, keep gradients far above Adam's epsilon."""
    return jnp.sum(x * x)


def smooth_abs(x: Float[Array, "*shape"], *, eta: float = 1e-6) -> Float[Array, "*shape"]:
    """sqrt(x^2 + eta^2) - eta: zero value and zero gradient at 0, where the gradient of |x| is arbitrary."""
    return jnp.sqrt(x * x + eta * eta) - eta


def safe_norm(x: Float[Array, "... n"], *, eps: float = 1e-12) -> Float[Array, "..."]:
    """Euclidean norm over the last axis; clamped before the root, so that its gradient at 0 is 0, not NaN."""
    return jnp.sqrt(jnp.maximum(jnp.sum(x * x, axis=-1), eps))


def normalise(x: Float[Array, "... n"], *, eps: float = 1e-12) -> Float[Array, "... n"]:
    """Unit vectors along the last axis; a zero vector stays zero."""
    return x / safe_norm(x, eps=eps)[..., None]


def matmul(a: Array, b: Array) -> Array:
    """Matrix product in full float32; accelerators may otherwise round the factors to TF32 or bfloat16."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def smoothstep(x: Float[Array, "*shape"], *, between: tuple[float, float]) -> Float[Array, "*shape"]:
    """0 below the first number, 1 above the second, a cubic without kinks between them."""
    low, high = between
    t = jnp.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def masked_median(values: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Median of the values in the mask, without those that are not numbers; not a number where none is left.

    Exact, by bisection on the floats' bits: 32 passes, where sorting takes ten times as long.
    """
    mask = mask & ~jnp.isnan(values)
    bits = jax.lax.bitcast_convert_type(values.astype(jnp.float32), jnp.uint32)
    sign = jnp.uint32(1 << 31)
    keys = jnp.where(bits >= sign, ~bits, bits | sign)  # in the order of the floats
    count = jnp.sum(mask)
    place = (count - 1) // 2

    def set_bit(step, key):
        trial = key | (sign >> step.astype(jnp.uint32))
        return jnp.where(jnp.sum(mask & (keys < trial)) <= place, trial, key)

    low = jax.lax.fori_loop(0, 32, set_bit, jnp.uint32(0))
    above = jnp.min(jnp.where(mask & (keys > low), keys, jnp.uint32(0xFFFFFFFF)))
    high = jnp.where(jnp.sum(mask & (keys <= low)) > count // 2, low, above)
    ends = jnp.stack([low, high])
    ends = jax.lax.bitcast_convert_type(jnp.where(ends >= sign, ends & ~sign, ~ends), jnp.float32)
    return jnp.where(count > 0, 0.5 * ends[0] + 0.5 * ends[1], jnp.nan)
