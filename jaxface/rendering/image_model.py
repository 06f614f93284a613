"""The image model, Jin et al. (2021) Eq. 4."""

from jaxtyping import Array, Float


def render(
    albedo: Float[Array, "*pixels 3"],
    shading: Float[Array, "*pixels 3"],
    specular: Float[Array, "*pixels"] | Float[Array, "*pixels 3"] | float = 0.0,
) -> Float[Array, "*pixels 3"]:
    """I = gamma S(n) + epsilon beta, Eq. 4, with epsilon folded into `specular` (grey or one map a channel)."""
    if not isinstance(specular, float) and specular.ndim == albedo.ndim - 1:
        specular = specular[..., None]
    return albedo * shading + specular
