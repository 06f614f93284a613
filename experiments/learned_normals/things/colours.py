"""Linear colours for things."""

import colorsys

import numpy as np

from learned_normals.noise import waves

METALS = np.array([[0.75, 0.75, 0.77], [0.25, 0.25, 0.27], [0.80, 0.55, 0.22], [0.72, 0.45, 0.35], [0.05, 0.05, 0.06]])


def smoothstep(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 0.0, 1.0)
    return values * values * (3.0 - 2.0 * values)


def dye(rng: np.random.Generator) -> np.ndarray:
    """The colour of some cloth or plastic: greys, whites and blacks are as common as colours."""
    if rng.random() < 0.4:
        return np.full(3, rng.choice([0.02, 0.05, 0.2, 0.5, 0.8])) * rng.uniform(0.85, 1.15, 3)
    return linear(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.95), rng.uniform(0.15, 0.95)))


def metal(rng: np.random.Generator) -> np.ndarray:
    return METALS[rng.integers(len(METALS))] * rng.uniform(0.85, 1.1)


def linear(colour) -> np.ndarray:
    return np.asarray(colour, float) ** 2.2


def other_skin(rng: np.random.Generator) -> np.ndarray:
    """Somebody's skin, from dark to light."""
    dark, light = np.array([0.07, 0.035, 0.02]), np.array([0.72, 0.46, 0.35])
    return dark * (light / dark) ** rng.random() * rng.uniform(0.95, 1.05, 3)


def hair_shades(hair: np.ndarray, count: int, rng: np.random.Generator, spread: float = 0.3) -> np.ndarray:
    """Colours of single hairs (count, 3) around `hair`; some people have grey among them."""
    shades = hair * np.exp(spread * rng.normal(size=(count, 1))) * rng.uniform(0.92, 1.08, (count, 3))
    grey = rng.random() < 0.2
    turned = rng.random((count, 1)) < (rng.uniform(0.05, 0.5) if grey else 0.0)
    return np.clip(np.where(turned, 0.45, shades), 0.004, 1.0)


def cloth(places_mm: np.ndarray, rng: np.random.Generator, *, finest_mm: float = 10.0) -> np.ndarray:
    """Colours of a fabric at its own coordinates (..., 2): plain, stripes, checks, dots, blotches or a gradient."""
    first, second = dye(rng), dye(rng)
    u, v = places_mm[..., 0], places_mm[..., 1]
    pitch = rng.uniform(1.0, 3.5) * finest_mm
    wave_u, wave_v = np.sin(2 * np.pi * u / pitch), np.sin(2 * np.pi * v / pitch)
    kind = rng.choice(
        ["plain", "stripes", "checks", "dots", "blotches", "gradient"], p=[0.4, 0.15, 0.15, 0.1, 0.1, 0.1]
    )
    if kind == "stripes":
        share = smoothstep(0.5 + 2.0 * (wave_u if rng.random() < 0.5 else wave_v))
    elif kind == "checks":
        share = 0.5 * smoothstep(0.5 + 2.0 * wave_u) + 0.5 * smoothstep(0.5 + 2.0 * wave_v)
    elif kind == "dots":
        share = smoothstep(3.0 * (wave_u * wave_v - 0.35))
    elif kind == "blotches":
        share = smoothstep(0.5 + 2.0 * waves(places_mm, 2.0 * pitch, rng))
    elif kind == "gradient":
        share = smoothstep((v - v.min()) / max(float(np.ptp(v)), 1e-6))
    else:
        share = np.zeros_like(u)
    shade = 1.0 + 0.06 * waves(places_mm, 15.0, rng)
    return np.clip((first + share[..., None] * (second - first)) * shade[..., None], 0.0, 1.0)
