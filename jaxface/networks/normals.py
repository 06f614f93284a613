"""How skin is inclined: a small convolutional network that sees the photo beside a smooth surface (ours).

Shape from shading tells paint from relief badly and breaks at shadows; this network learned both from ray-traced heads
(`experiments/train_normals.py`). It sees what the smooth surface does not explain, and says how its slopes must change,
how sure it is, and where bare skin is seen at all. Fully convolutional, in pixels of any size.
"""

import functools
import pathlib

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import luminance
from jaxface.numerics import matmul
from jaxface.rendering.lighting import NUM_BANDS, sh_basis, shading
from jaxface.types import LearnedNormals

WIDTHS = (32, 48, 72, 96, 96)  # channels at 1/2, 1/4, ... of the size
NUM_PLANES = 13
MULTIPLE = 2 ** len(WIDTHS)  # sizes are padded to it
SIDE = 384  # it looks at no larger pictures: what they show more of is no clearer to it

_DARK = 0.03  # below it logarithms of colours say nothing
_LIGHT_STRIDE = 4  # every so manieth pixel finds the light
_LIGHT_STEPS = 5
_LIGHT_SPREAD = 0.12  # of brightness about its shading, as a share; beyond it a pixel counts for less
_FACE_MM = 150.0  # a face's width, by which the scale is told
_BOLD = 1.5  # a robust loss makes it ask for less than there is: so many times as much is nearest on held-out heads
_SPREADS = (0.03, 1.2)  # radians between which the network says how sure it is

Params = dict[str, dict[str, Array]]

_WEIGHTS = pathlib.Path(__file__).parent / "data" / "normals.npz"


@functools.lru_cache(maxsize=1)
def load() -> Params:
    """The weights that ship with the package, in single precision; the file also holds their `recipe`."""
    params: Params = {}
    with np.load(_WEIGHTS, allow_pickle=False) as stored:
        for path in stored.files:
            module, _, name = path.rpartition("/")
            if module:
                params.setdefault(module, {})[name] = jnp.asarray(stored[path], jnp.float32)
    return params


def predict(
    params: Params,
    image: Float[Array, "height width 3"],
    height_px: Float[Array, "height width"],
    covered: Float[Array, "height width"],
    px_per_mm: Float[Array, ""] | float,
) -> LearnedNormals:
    """What the network makes of an RGB image in [0, 1] and a smooth surface, whose `height_px` toward the viewer is
    continued beyond where it is `covered`; pure, for jit and vmap.
    """
    full = height_px.shape
    share = min(1.0, SIDE / max(full))
    if share < 1.0:
        small = tuple(max(1, round(share * length)) for length in full)
        image, height_px, covered = (_resized(values, small) for values in (image, share * height_px, covered))
        covered, px_per_mm = jnp.round(covered), share * px_per_mm
    normals = depth_normals(height_px)
    seen = planes(image, normals, covered, px_per_mm)
    answer = 0.5 * (apply(params, seen) + _mirrored(apply(params, _mirrored(seen))))
    told = read(answer, normals)
    told = told._replace(slope_change=_BOLD * told.slope_change)
    return told if share == 1.0 else jax.tree.map(lambda values: _resized(values, full), told)


def _resized(values: Array, shape: tuple[int, ...]) -> Array:
    return jax.image.resize(values, (*shape, *values.shape[2:]), "linear")


def read(answer: Float[Array, "height width 4"], normals: Float[Array, "height width 3"]) -> LearnedNormals:
    """The network's numbers as slopes, radians and a probability."""
    change = answer[..., :2] / jnp.maximum(normals[..., 2:], 0.1)
    least, most = _SPREADS
    spread = least * (most / least) ** jax.nn.sigmoid(answer[..., 2])
    return LearnedNormals(slope_change=change, spread=spread, skin=jax.nn.sigmoid(answer[..., 3]))


def apply(params: Params, seen: Float[Array, "height width planes"]) -> Float[Array, "height width 4"]:
    """The network's raw numbers: changes of slope times the cosine to the viewer, then logits of spread and skin."""
    height, width, _ = seen.shape
    padding = [(0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)]
    return NETWORK.apply(params, jnp.pad(seen, padding, mode="edge"))[:height, :width]


def planes(
    image: Float[Array, "height width 3"],
    normals: Float[Array, "height width 3"],
    covered: Float[Array, "height width"],
    px_per_mm: Float[Array, ""] | float,
) -> Float[Array, "height width {NUM_PLANES}"]:
    """What the network sees: brightness that the smooth surface's own shading leaves unexplained, colours against the
    skin's, that shading and its two derivatives by slope, the surface, and the scale. Slopes and derivatives that a
    mirrored picture turns round lie in planes of `_ODD`."""
    grey = luminance(image)
    light = find_light(grey, normals, covered)
    lit = jnp.maximum(shading(normals, jnp.tile(light[:, None], 3))[..., 0], _DARK)
    by_x, by_y = _derivatives(normals, light)
    logs = jnp.log(image + _DARK)
    colours = jnp.stack([logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]], axis=-1)
    usual = jnp.sum(colours * covered[..., None], axis=(0, 1)) / jnp.maximum(jnp.sum(covered), 1.0)
    scale = jnp.full_like(grey, jnp.log2(px_per_mm * _FACE_MM / 256.0))
    stacked = jnp.stack(
        [
            jnp.log(grey + _DARK) - jnp.log(lit + _DARK), jnp.log(grey + _DARK),
            *jnp.moveaxis(colours - usual[None, None], -1, 0),
            jnp.log(lit + _DARK), by_x / lit, by_y / lit, normals[..., 0], normals[..., 1], normals[..., 2],
            covered, scale, grey,
        ],
        axis=-1,
    )  # fmt: skip
    return jnp.clip(stacked, -4.0, 4.0)


_ODD = (5, 7)  # planes that change sign with left and right


def _mirrored(values: Float[Array, "height width channels"]) -> Float[Array, "height width channels"]:
    """Planes, or the network's numbers (4 of them), of the mirrored picture."""
    odd = _ODD if values.shape[-1] == NUM_PLANES else (0,)
    signs = jnp.array([-1.0 if channel in odd else 1.0 for channel in range(values.shape[-1])])
    return values[:, ::-1] * signs[None, None]


def find_light(
    grey: Float[Array, "height width"], normals: Float[Array, "height width 3"], covered: Float[Array, "height width"]
) -> Float[Array, "9"]:
    """Eq. 5's coefficients for brightness on skin of one colour: least squares on a coarse grid, reweighted (Cauchy) so
    that shadows, brows and what is in front count little."""
    every = (slice(None, None, _LIGHT_STRIDE),) * 2
    target, weights = grey[every].reshape(-1), covered[every].reshape(-1)
    rows = sh_basis(normals[every]).reshape(-1, NUM_BANDS)

    def step(counts, _):
        weighted = rows * counts[:, None]
        normal = matmul(weighted.T, rows)
        ridge = (1e-3 * jnp.trace(normal) / NUM_BANDS + 1e-6) * jnp.eye(NUM_BANDS)
        light = jnp.linalg.solve(normal + ridge, matmul(weighted.T, target))
        expected = matmul(rows, light)
        share = (target - expected) / (_LIGHT_SPREAD * jnp.maximum(expected, _DARK))
        return weights / (1.0 + share**2), light

    _, lights = jax.lax.scan(step, weights, length=_LIGHT_STEPS)
    return lights[-1]


def _derivatives(
    normals: Float[Array, "height width 3"], light: Float[Array, "9"]
) -> tuple[Float[Array, "height width"], Float[Array, "height width"]]:
    """Of the shading by the normal's x and y, the normal staying of unit length."""

    def lit(xy):
        z = jnp.sqrt(jnp.maximum(1.0 - jnp.sum(xy**2, axis=-1, keepdims=True), 1e-4))
        return shading(jnp.concatenate([xy, z], axis=-1), jnp.tile(light[:, None], 3))[..., 0]

    xy = normals[..., :2]
    along = [jax.jvp(lit, (xy,), (jnp.broadcast_to(jnp.eye(2)[axis], xy.shape),))[1] for axis in range(2)]
    return along[0], along[1]


def _network(seen: Array) -> Array:
    """A U-Net of residual blocks that begins and ends at half the size, four pixels to a place."""
    x = _convolve(_to_depth(seen), WIDTHS[0], name="entry")
    skips = []
    for level, width in enumerate(WIDTHS):
        if level:
            skips.append(x)
            x = _convolve(_halved(x), width, name=f"down{level}")
        x = _block(x, name=f"in{level}")
    for level in range(len(WIDTHS) - 2, -1, -1):
        joined = jnp.concatenate([_doubled(x), skips[level]], axis=-1)
        x = _block(_convolve(joined, WIDTHS[level], name=f"up{level}"), name=f"out{level}")
    return _to_space(hk.Conv2D(16, 3, w_init=hk.initializers.Constant(0.0), name="exit")(x[None])[0])


NETWORK: hk.Transformed = hk.without_apply_rng(hk.transform(_network))


def _convolve(x: Array, width: int, *, name: str) -> Array:
    scale = hk.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal")
    return jax.nn.silu(hk.Conv2D(width, 3, w_init=scale, name=name)(x[None])[0])


def _block(x: Array, *, name: str) -> Array:
    return x + _convolve(x, x.shape[-1], name=name)


def _to_depth(x: Array) -> Array:
    height, width, channels = x.shape
    quads = x.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 1, 3, 4)
    return quads.reshape(height // 2, width // 2, 4 * channels)


def _to_space(x: Array) -> Array:
    height, width, channels = x.shape
    quads = x.reshape(height, width, 2, 2, channels // 4).transpose(0, 2, 1, 3, 4)
    return quads.reshape(2 * height, 2 * width, channels // 4)


def _halved(x: Array) -> Array:
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (2, 2, 1), (2, 2, 1), "VALID") / 4.0


def _doubled(x: Array) -> Array:
    return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)
