"""What each pixel of a crop shows, by a face-parsing network: soft maps of regions and of what hides the face."""

import enum
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from PIL import Image

from jaxface.networks.bisenet import Params, parse_logits
from jaxface.types import Parsing

_SIZE = 512  # the network's training size; a fixed one also means one compile a process


class FacePart(enum.IntEnum):
    """Classes of zllrunning/face-parsing.PyTorch, in its order, which is not CelebAMask-HQ's official one.

    Left and right are the subject's.
    """

    BACKGROUND = 0
    SKIN = 1
    LEFT_BROW = 2
    RIGHT_BROW = 3
    LEFT_EYE = 4
    RIGHT_EYE = 5
    GLASSES = 6
    LEFT_EAR = 7
    RIGHT_EAR = 8
    EARRING = 9
    NOSE = 10
    MOUTH_INTERIOR = 11
    UPPER_LIP = 12
    LOWER_LIP = 13
    NECK = 14
    NECKLACE = 15
    CLOTH = 16
    HAIR = 17
    HAT = 18


# In the order of `types.FineInputs.indicators`: skin, eyebrow, mouth.
REGIONS = (
    (FacePart.SKIN, FacePart.NOSE),
    (FacePart.LEFT_BROW, FacePart.RIGHT_BROW),
    (FacePart.UPPER_LIP, FacePart.LOWER_LIP),
)
# Where a face mesh meets one of these, something is in front of the face or the mesh's outline is wrong; either way the
# pixel tells nothing about the face's relief. Background stays for what has no class, such as hands; the neck is skin,
# but behind the jaw. Eyes and open mouths are left to the mesh, which knows where its own openings are.
OCCLUDERS = (
    FacePart.BACKGROUND, FacePart.GLASSES, FacePart.EARRING, FacePart.NECK, FacePart.NECKLACE, FacePart.CLOTH,
    FacePart.HAIR, FacePart.HAT,
)  # fmt: skip


def _run(function: Callable, *arrays, **static) -> Array:
    return jax.jit(function, static_argnames=tuple(static))(*arrays, **static)


def parse_face(
    image: Float[np.ndarray, "size size 3"],
    params: Params,
    *,
    parse: Callable[[Params, Array], Array] = parse_logits,
    run: Callable[..., Array] = _run,
) -> Parsing:
    """Parses a square crop around a face, RGB in [0, 1], at 512 x 512; the maps come back at the crop's own size.

    `params` are those of `networks.bisenet.params_from_checkpoint`; `parse` gives logits in the order of `FacePart`
    for an image and can be any jittable function; `run(function, *arrays, **static)` calls compiled code. It is
    compiled once a process, whatever the crop's size.
    """
    maps = run(_soft_maps, params, _resize(image, size=_SIZE), parse=parse)
    maps = np.clip(_resize(np.asarray(maps), size=image.shape[0]), 0.0, 1.0)
    return Parsing(indicators=maps[..., :-1], visible=1.0 - maps[..., -1])


def _soft_maps(params: Params, image: Array, *, parse: Callable) -> Float[Array, "height width 4"]:
    """Probabilities of the regions, then that of an occluder."""
    probabilities = jax.nn.softmax(parse(params, image), axis=-1)
    sets = (probabilities[..., jnp.array(parts)] for parts in (*REGIONS, OCCLUDERS))
    return jnp.stack([jnp.sum(chosen, axis=-1) for chosen in sets], axis=-1)


def _resize(
    maps: Float[np.ndarray, "height width channels"], *, size: int
) -> Float[np.ndarray, "{size} {size} channels"]:
    """Bilinear, channel by channel, averaging where it shrinks, as Pillow does and the network's training did."""
    channels = (Image.fromarray(np.ascontiguousarray(channel, np.float32)) for channel in np.moveaxis(maps, -1, 0))
    resized = [channel.resize((size, size), Image.Resampling.BILINEAR) for channel in channels]
    return np.stack([np.asarray(channel) for channel in resized], axis=-1)
