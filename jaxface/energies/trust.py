"""How far a landmark is trusted: by the detector's confidence, by where on the face it lies, and by how the surface is
turned there. The coarse fit and the medium stage ask the same function with numbers of their own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.numerics import smoothstep
from jaxface.types import Region

Scalar = Float[Array, ""] | float


class LandmarkTrust(NamedTuple):
    """A landmark's weight by the region it lies in, and the fade where its surface turns away from the viewer.

    The fade is a ramp over the cosine to the viewer, from `turned_away` to `facing`; `softness` bends it from a
    straight line (0) to a cubic without kinks (1). Less than `least` of the weight is never left.
    """

    skin: Scalar
    nose: Scalar
    eye: Scalar
    eyebrow: Scalar
    mouth: Scalar
    border: Scalar
    iris: Scalar
    turned_away: Scalar
    facing: Scalar
    softness: Scalar
    least: Scalar


def landmark_trust(
    confidence: Float[Array, "landmarks"],
    cosines: Float[Array, "landmarks"],
    *,
    regions: Int[Array, "landmarks"],
    trust: LandmarkTrust,
) -> Float[Array, "landmarks"]:
    """Weights of landmarks; `cosines` are those of the angle between the surface there and the line of sight."""
    return confidence * region_trust(regions, trust=trust) * _fade(cosines, trust)


def region_trust(regions: Int[Array, "landmarks"], *, trust: LandmarkTrust) -> Float[Array, "landmarks"]:
    """The part of the weight that depends on where on the face a landmark lies."""
    by_region = {
        Region.SKIN: trust.skin,
        Region.EYEBROW: trust.eyebrow,
        Region.MOUTH: trust.mouth,
        Region.NOSE: trust.nose,
        Region.EYE: trust.eye,
        Region.EYE_OPENING: trust.iris,
        Region.MOUTH_OPENING: trust.mouth,
        Region.BORDER: trust.border,
    }
    # No landmark lies beyond the face.
    return jnp.stack([jnp.asarray(by_region.get(region, 0.0), jnp.float32) for region in Region])[regions]


def _fade(cosines: Array, trust: LandmarkTrust) -> Float[Array, "landmarks"]:
    ramp = jnp.clip((cosines - trust.turned_away) / (trust.facing - trust.turned_away), 0.0, 1.0)
    bent = ramp + trust.softness * (smoothstep(ramp, between=(0.0, 1.0)) - ramp)
    return jnp.maximum(bent, trust.least)
