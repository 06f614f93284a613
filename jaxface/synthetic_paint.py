"""Colours of a synthetic face: what is painted on the skin, and a plain head, neck and wall behind it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxface.synthetic_fields import fourier_field, skin_texture
from jaxface.types import MorphableModel, Region

_HAIR = (0.16, 0.11, 0.08)
_LIPS = (0.93, 0.70, 0.70)  # factors on the skin
_MOUTH = (0.16, 0.06, 0.06)
_SCLERA = (0.64, 0.61, 0.59)
_IRISES = ((0.14, 0.08, 0.05), (0.22, 0.28, 0.33))  # dark brown to blue-grey
_PUPIL = (0.03, 0.03, 0.03)
_IRIS_MM, _PUPIL_MM = 5.9, 2.2  # radii
# MediaPipe: both corners and the middles of both lids, right eye then left; around each nostril.
_EYES = ((33, 133, 159, 145), (263, 362, 386, 374))
_NOSTRILS = ((79, 20, 242), (309, 250, 462))


def paint_face(
    key: PRNGKeyArray,
    reference_mm: Float[Array, "points 3"],
    regions: Float[Array, "points regions"],
    *,
    landmarks_mm: Float[Array, "landmarks 3"],
    model: MorphableModel,
    texture: Float[Array, ""] | float,
) -> Float[Array, "points 3"]:
    """Albedo at points of the mean face: tone, mottling, freckles, brows, lips, eyes, nostrils.

    `regions` is the share of each label, `texture` scales the mottling. Of the model's own albedo only the mean skin
    colour is used: who starts from that map must not start from the truth.
    """
    tone_key, texture_key, hair_key, iris_key = jax.random.split(key, 4)
    tone = jax.random.uniform(tone_key, (), minval=0.7, maxval=1.1)
    is_skin = (model.vertex_regions == Region.SKIN)[:, None]
    skin = jnp.sum(model.albedo * is_skin, axis=0) / jnp.maximum(jnp.sum(is_skin), 1)
    colour = (skin * jnp.stack([tone**0.7, tone, tone**1.2]))[None, :]
    factors = skin_texture(texture_key, reference_mm, spots_mm=model.mean_mm)
    colour = colour * (1.0 + texture * (factors - 1.0))
    colour = _mix(colour, colour * jnp.array([_LIPS]), regions[:, Region.MOUTH])
    hairs = 0.75 + 0.08 * fourier_field(hair_key, reference_mm, wavelength_mm=2.2)
    colour = _mix(colour, jnp.array([_HAIR]), regions[:, Region.EYEBROW] * jnp.clip(hairs, 0.3, 1.0))
    colour = _mix(colour, jnp.array([_MOUTH]), regions[:, Region.MOUTH_OPENING])
    for row in _NOSTRILS:
        colour = _mix(colour, jnp.array([_MOUTH]), _disc(reference_mm, landmarks_mm[jnp.array(row)], radius=1.8))
    eye = _eyes(iris_key, reference_mm, landmarks_mm)
    lashes = jnp.clip(4.0 * regions[:, Region.EYE_OPENING] * (1.0 - regions[:, Region.EYE_OPENING]), 0.0, 1.0)
    colour = _mix(colour, eye, regions[:, Region.EYE_OPENING])
    return jnp.clip(_mix(colour, jnp.array([_HAIR]), 0.5 * lashes), 0.02, 0.95)


def _eyes(key, reference_mm, landmarks_mm):
    """Eyeball colours: white with a brown to grey iris around the middle of each eye."""
    iris = _mix(jnp.array([_IRISES[0]]), jnp.array([_IRISES[1]]), jax.random.uniform(key, (1,)))
    colour = jnp.broadcast_to(jnp.array([_SCLERA]), reference_mm.shape)
    for row in _EYES:
        corners = landmarks_mm[jnp.array(row)]
        colour = _mix(colour, iris, _disc(reference_mm, corners, radius=_IRIS_MM))
        colour = _mix(colour, jnp.array([_PUPIL]), _disc(reference_mm, corners, radius=_PUPIL_MM))
    return colour


def _disc(points_mm, around_mm, *, radius):
    """Soft disc in the frontal plane about the middle of `around_mm`."""
    offset = points_mm[:, :2] - jnp.mean(around_mm, axis=0)[None, :2]
    return jax.nn.sigmoid(6.0 * (radius - jnp.sqrt(jnp.sum(offset * offset, axis=1) + 1e-6)))


def _mix(colour, other, share):
    return colour + share[..., None] * (other - colour)


def backdrop(
    key: PRNGKeyArray,
    *,
    size: int,
    centre_px: Float[Array, "2"],
    face_size_px: Float[Array, "2"],
    skin: Float[Array, "3"],
) -> Float[Array, "height width 3"]:
    """Wall, shoulders, neck and hair as flat shapes behind the face mask, so that detectors see a person."""
    y, x = jnp.meshgrid(jnp.arange(size, dtype=jnp.float32), jnp.arange(size, dtype=jnp.float32), indexing="ij")
    across, down = (x - centre_px[0]) / face_size_px[0], (y - centre_px[1]) / face_size_px[1]
    wall = jax.random.uniform(key, (3,), minval=0.35, maxval=0.6)
    picture = wall[None, None] * (1.1 - 0.3 * y / size)[..., None]
    soft = 0.03
    shoulders = jax.nn.sigmoid((down - 0.75 - 0.6 * across * across) / soft)
    picture = _mix(picture, jnp.array([[[0.22, 0.25, 0.32]]]), shoulders)
    hair = jax.nn.sigmoid((1.0 - (across / 0.62) ** 2 - ((down + 0.09) / 0.60) ** 2) / soft)
    picture = _mix(picture, jnp.array([[_HAIR]]), hair)
    neck = jax.nn.sigmoid((0.30 - jnp.abs(across)) / soft) * jax.nn.sigmoid((down - 0.1) / soft)
    neck = neck * jax.nn.sigmoid((0.82 - 0.35 * across * across - down) / soft)
    return _mix(picture, 0.55 * skin[None, None], neck)
