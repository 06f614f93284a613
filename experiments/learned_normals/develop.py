"""From light to a file: exposure, white balance, tone curve, lens blur, noise, JPEG."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

_USUAL, _ANY = (0.14, 0.45), (0.05, 0.55)  # linear brightness of skin in a picture


def develop(linear: np.ndarray, skin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An 8-bit picture (size, size, 3) of linear colours, exposed for the skin (size, size) more or less."""
    on_skin = linear[skin > 0.5]
    mean = np.median(on_skin.mean(axis=1)) if len(on_skin) else linear.mean()
    wanted = np.exp(rng.uniform(*np.log(_USUAL if rng.random() < 0.8 else _ANY)))
    light = linear * wanted / max(mean, 1e-5) * np.exp(rng.normal(size=3) * [0.08, 0.03, 0.10])
    if rng.random() < 0.6:
        light = gaussian_filter(light, (*[rng.uniform(0.3, 1.1)] * 2, 0))
    light = _noisy(light, rng)
    picture = _tone(np.clip(light, 0.0, 1.5), rng)
    picture = np.clip(np.round(255.0 * picture), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, "JPEG", quality=int(rng.integers(35, 96)))
        picture = np.asarray(Image.open(memory))
    return picture


def _noisy(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photons and read-out; now and then smoothed away, as phones do."""
    strength = rng.choice([0.0, 0.003, 0.008, 0.025], p=[0.3, 0.35, 0.25, 0.1])
    grain = rng.normal(size=light.shape) * strength * np.sqrt(np.clip(light, 0.0, 1.0) + 0.02)
    if rng.random() < 0.3:
        grain = gaussian_filter(grain, (0.7, 0.7, 0)) * 1.6
    return light + grain


def _tone(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """sRGB, often with a shoulder, more or less contrast and colour."""
    if rng.random() < 0.5:  # a shoulder in place of a hard end
        light = np.where(light > 0.6, 0.6 + 0.4 * np.tanh((light - 0.6) / 0.4), light)
    light = np.clip(light, 0.0, 1.0)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    shown = shown ** np.exp(rng.normal() * 0.12)
    bend = np.clip(rng.normal() * 0.3, -0.4, 0.7)
    shown = shown + bend * (shown * shown * (3 - 2 * shown) - shown)
    grey = shown.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 0.04 else np.exp(rng.normal() * 0.15)
    return np.clip(grey + saturation * (shown - grey), 0.0, 1.0)
