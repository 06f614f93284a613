"""What PyTorch convolutional networks have in common: checked entries of a state_dict, and layers with folded norms."""

import haiku as hk
import jax
import numpy as np
from jaxtyping import Array, Float

from jaxface.types import FaceError

_NORM_EPSILON = 1e-5  # PyTorch's default, which both of our networks keep
_LARGEST = 1e12  # what no trained weight reaches; below it, folding stays within float32


def entry(
    state: dict[str, np.ndarray], key: str, shape: tuple[int | None, ...], *, source: str, hint: str
) -> Float[np.ndarray, "..."]:
    """The weights under `key`, in double precision for folding; None in `shape` stands for any length but 0.

    Raises FaceError, with the file's name `source` and the advice `hint`, if they are missing, misshapen or unusable.
    """
    if key not in state:
        raise FaceError(f"{source}: there is no entry {key}; {hint}.")
    array = state[key]
    matches = len(array.shape) == len(shape) and all(
        found == wanted if wanted is not None else found > 0 for found, wanted in zip(array.shape, shape, strict=True)
    )
    if not matches:
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        raise FaceError(f"{source}: entry {key} has shape {array.shape}, not ({expected}); {hint}.")
    if array.dtype.kind != "f":
        raise FaceError(f"{source}: entry {key} holds {array.dtype}, not floating-point numbers; {hint}.")
    with np.errstate(invalid="ignore"):  # signalling NaNs
        array = array.astype(np.float64)
    if not np.all(np.abs(array) < _LARGEST):
        raise FaceError(f"{source}: entry {key} holds values that are not finite or absurdly large; get a sound copy.")
    return array


def folded_convolution(
    state: dict[str, np.ndarray],
    names: tuple[str, str],
    shape: tuple[int | None, ...],
    *,
    source: str,
    hint: str,
) -> dict[str, Float[np.ndarray, "..."]]:
    """A convolution without bias and the batch normalisation after it (its `names`) as one, in haiku's layout.

    `shape` is PyTorch's (outputs, inputs per group, height, width). Errors as for `entry`.
    """
    convolution, norm = names
    kernel = entry(state, f"{convolution}.weight", shape, source=source, hint=hint)
    parts = ("weight", "bias", "running_mean", "running_var")
    weight, bias, mean, variance = (
        entry(state, f"{norm}.{part}", kernel.shape[:1], source=source, hint=hint) for part in parts
    )
    if np.any(variance < 0.0):
        raise FaceError(f"{source}: entry {norm}.running_var holds negative values; get a sound copy.")
    scale = weight / np.sqrt(variance + _NORM_EPSILON)
    folded = {"w": kernel.transpose(2, 3, 1, 0) * scale, "b": bias - mean * scale}
    return {name: array.astype(np.float32) for name, array in folded.items()}


def convolve(
    name: str, x: Float[Array, "height width inputs"], *, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> Float[Array, "new_height new_width {outputs}"]:
    """Convolution with bias and PyTorch's symmetric zero padding, in full float32; inside a haiku transform."""
    padding = ((size // 2, size // 2),) * 2
    module = hk.Conv2D(outputs, size, stride=stride, padding=padding, feature_group_count=groups, name=name)
    return module(x, precision=jax.lax.Precision.HIGHEST)
