"""Random smooth fields, creases and skin textures for synthetic faces; millimetres on the mean face.

All are functions of a point of the mean face ("reference"), so they move with the skin. Creases and paint live in the
frontal (x, y) plane of the mean face.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxface.types import MorphableModel

# Rows of MediaPipe landmarks, from the subject's right to left, that creases follow.
_BROW_ROW = (70, 63, 105, 66, 9, 296, 334, 293, 300)
_FOREHEAD_ROW = (68, 104, 69, 108, 151, 337, 299, 333, 298)
_HAIRLINE_ROW = (54, 103, 67, 109, 10, 338, 297, 332, 284)
_CREASES = (  # right side; mirrored below
    (129, 203, 206, 216, 212),  # nasolabial fold
    (228, 229, 230, 231, 232),  # under the eye
    (108, 107, 55, 8, 8),  # frown
)
_MIRRORED = ((358, 423, 426, 436, 432), (448, 449, 450, 451, 452), (337, 336, 285, 8, 8))
_OUTER_EYE = (33, 263)
_CREASE_POINTS = 9
_FRECKLES = 90


def fourier_field(
    key: PRNGKeyArray,
    points_mm: Float[Array, "points 3"],
    *,
    wavelength_mm: Float[Array, ""] | float,
    features: int = 32,
) -> Float[Array, "points"]:
    """A smooth random field of unit variance whose waves measure about `wavelength_mm`."""
    # One draw for all random numbers: each costs a good part of a second to compile.
    u = jax.random.uniform(key, (4, features))
    up, around = 2.0 * u[0] - 1.0, 2.0 * jnp.pi * u[1]
    level = jnp.sqrt(1.0 - up * up)
    directions = jnp.stack([level * jnp.cos(around), level * jnp.sin(around), up], axis=1)
    lengths = wavelength_mm * (0.7 + 0.8 * u[2, :, None])
    phases = 2.0 * jnp.pi * u[3]
    x, y, z = points_mm.T  # One array an axis: the sums below then vectorise.

    def add(total, wave):
        frequency, phase = wave
        return total + jnp.cos(x * frequency[0] + y * frequency[1] + z * frequency[2] + phase), None

    start = jnp.zeros(points_mm.shape[0])
    total, _ = jax.lax.scan(add, start, (2.0 * jnp.pi * directions / lengths, phases))
    return total * jnp.sqrt(2.0 / features)


def off_basis_field(key: PRNGKeyArray, *, model: MorphableModel) -> Float[Array, "vertices 3"]:
    """A smooth displacement of rms 1 mm that no identity or expression coefficients can explain."""
    shapes_mm = jnp.concatenate([model.identity_basis_mm, model.expression_basis_mm])
    return unexplained_field(key, model.mean_mm, shapes_mm)


def unexplained_field(
    key: PRNGKeyArray, points_mm: Float[Array, "points 3"], shapes_mm: Float[Array, "shapes points 3"]
) -> Float[Array, "points 3"]:
    """A smooth displacement of rms 1 mm that no sum of the shapes can explain."""
    keys = jax.random.split(key, 6)
    lengths = jnp.array([80.0, 80.0, 80.0, 40.0, 40.0, 40.0])
    waves = jax.vmap(lambda k, length: fourier_field(k, points_mm, wavelength_mm=length))(keys, lengths)
    field = (waves[:3] + 0.4 * waves[3:]).T.reshape(-1)
    basis = shapes_mm.reshape(-1, field.size)
    normal = jnp.matmul(basis, basis.T, precision="highest")
    ridge = 1e-6 * jnp.trace(normal) / basis.shape[0] * jnp.eye(basis.shape[0])
    coefficients = jnp.linalg.solve(normal + ridge, jnp.matmul(basis, field, precision="highest"))
    field = (field - jnp.matmul(coefficients, basis, precision="highest")).reshape(-1, 3)
    return field / jnp.sqrt(jnp.mean(jnp.sum(field * field, axis=1)))


def relief(
    key: PRNGKeyArray, reference_mm: Float[Array, "points 3"], landmarks_mm: Float[Array, "landmarks 3"]
) -> Float[Array, "points"]:
    """Wrinkles, folds, lumps and pores along the normal; the deepest creases measure about 1.

    Scaled by 0.5 mm this gives forehead creases of 0.15 to 0.5 mm, lumps of 0.1 mm and pores of 0.03 mm.
    """
    crease_key, lump_key, bump_key, pore_key = jax.random.split(key, 4)
    curves, widths, depths = _crease_curves(crease_key, landmarks_mm[:, :2])
    lumps = fourier_field(lump_key, reference_mm, wavelength_mm=14.0)
    bumps = fourier_field(bump_key, reference_mm, wavelength_mm=5.0)
    pores = jnp.maximum(fourier_field(pore_key, reference_mm, wavelength_mm=2.5) - 0.8, 0.0)
    creases = _creases(reference_mm[:, :2], curves, widths, depths)
    return 0.12 * lumps + 0.05 * bumps - 0.08 * pores - creases


def _crease_curves(key, landmarks):
    """Polylines (curves, points, 2), their half widths and their depths."""
    u = jax.random.uniform(key, (4, 3 * _CREASE_POINTS), minval=-1.0)
    rows = [landmarks[jnp.array(row)] for row in (_BROW_ROW, _FOREHEAD_ROW, _HAIRLINE_ROW)]
    wavy = jnp.array([[0.75], [1.15], [1.55]]) + 0.12 * u[0, :3, None] + 0.08 * u[1].reshape(3, -1)
    low, high = jnp.clip(1.0 - wavy, 0.0, 1.0)[..., None], jnp.clip(wavy - 1.0, 0.0, 1.0)[..., None]
    forehead = low * rows[0][None] + (1.0 - low - high) * rows[1][None] + high * rows[2][None]
    folds = jnp.stack([_resample(landmarks[jnp.array(row)]) for row in _CREASES + _MIRRORED])
    feet = jnp.concatenate([_crows_feet(landmarks, side) for side in (0, 1)])
    curves = jnp.concatenate([forehead, folds, feet])
    widths = jnp.array([1.3] * 3 + [2.2, 1.3, 1.2] * 2 + [0.9] * 6)
    strongest = jnp.array([0.9] * 3 + [1.0, 0.6, 0.6] * 2 + [0.6] * 6)
    count = widths.size
    return curves, widths * (1.0 + 0.2 * u[2, :count]), strongest * (0.675 + 0.325 * u[3, :count])


def _crows_feet(landmarks, side):
    """Three short lines that fan out from the outer corner of an eye."""
    corner, outward = landmarks[_OUTER_EYE[side]], (-1.0, 1.0)[side]
    angles = jnp.array([-0.55, -0.05, 0.45])[:, None]
    along = jnp.linspace(5.0, 19.0, _CREASE_POINTS)[None, :]
    bent = angles + 0.012 * (along - 5.0)
    return corner[None, None] + jnp.stack([outward * along * jnp.cos(bent), along * jnp.sin(bent)], axis=-1)


def _resample(points: Float[Array, "knots 2"]) -> Float[Array, "points 2"]:
    knots, places = jnp.arange(points.shape[0]), jnp.linspace(0.0, points.shape[0] - 1.0, _CREASE_POINTS)
    return jnp.stack([jnp.interp(places, knots, points[:, axis]) for axis in (0, 1)], axis=1)


def _creases(points, curves, widths, depths):
    """Sum over curves of a valley with raised shoulders that fades out towards the curve's ends."""
    x, y = points.T

    def segment(state, ends):
        nearest, envelope = state
        (start, start_place), (stop, stop_place) = ends
        side = stop - start
        right, up = x - start[0], y - start[1]
        share = jnp.clip((right * side[0] + up * side[1]) / jnp.maximum(jnp.sum(side * side), 1e-6), 0.0, 1.0)
        distance = jnp.square(right - share * side[0]) + jnp.square(up - share * side[1])
        place = start_place + share * (stop_place - start_place)
        closer = distance < nearest
        return (jnp.where(closer, distance, nearest), jnp.where(closer, jnp.sin(jnp.pi * place), envelope)), None

    def add(total, crease):
        curve, width, depth = crease
        places = jnp.linspace(0.0, 1.0, curve.shape[0])
        start = (jnp.full(points.shape[0], jnp.inf), jnp.zeros(points.shape[0]))
        ends = ((curve[:-1], places[:-1]), (curve[1:], places[1:]))
        (squared, envelope), _ = jax.lax.scan(segment, start, ends)
        valley = jnp.exp(-squared / (2 * width**2)) - 0.4 * jnp.exp(-squared / (8 * width**2))
        return total + depth / 0.6 * valley * jnp.sqrt(jnp.maximum(envelope, 1e-6)), None

    return jax.lax.scan(add, jnp.zeros(points.shape[0]), (curves, widths, depths))[0]


def skin_texture(
    key: PRNGKeyArray, points_mm: Float[Array, "points 3"], *, spots_mm: Float[Array, "vertices 3"]
) -> Float[Array, "points 3"]:
    """Factors on the skin's albedo, about 1: mottling, freckles and a few moles, seated at random `spots_mm`."""
    keys = jax.random.split(key, 5)
    red, dark, fine = (
        size * fourier_field(k, points_mm, wavelength_mm=length)
        for k, size, length in zip(keys[:3], (0.025, 0.03, 0.015), (30.0, 9.0, 3.0), strict=True)
    )
    seats = spots_mm[jax.random.randint(keys[3], (_FRECKLES,), 0, spots_mm.shape[0])]
    sizes = jax.random.uniform(keys[4], (_FRECKLES, 2))
    x, y, z = points_mm.T

    def add(total, spot):
        seat, size = spot
        squared = jnp.square(x - seat[0]) + jnp.square(y - seat[1]) + jnp.square(z - seat[2])
        return total + (0.06 + 0.4 * size[0] ** 4) * jnp.exp(-squared / (2 * (0.6 + 0.9 * size[1]) ** 2)), None

    freckles, _ = jax.lax.scan(add, jnp.zeros(points_mm.shape[0]), (seats, sizes))
    brightness = (1.0 + dark + fine) * jnp.exp(-freckles)
    return brightness[:, None] * jnp.stack([1.0 + 0.3 * red, 1.0 - red, 1.0 - red], axis=1)
