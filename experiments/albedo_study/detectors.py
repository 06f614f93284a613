"""Detectors of detail on photographs, and how well they tell detail from contours. Parts of detail_detection.py."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from common import faces, report
from common.runner import Setup
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.stats import rankdata

from albedo_study import scenes
from jaxface.execution import run_timed
from jaxface.imaging.filters import gaussian_blur, laplace, luminance
from jaxface.imaging.rtv import relative_total_variation
from jaxface.presets import PRESETS
from jaxface.synthetic import FaceSettings, SyntheticFace

LAPLACE, LAPLACE_MEAN = "Laplace", "Laplace, averaged"
DETECTORS = (LAPLACE, LAPLACE_MEAN, *(f"RTV, {preset}" for preset in PRESETS))
STRONGEST = 0.05  # share of the face's pixels that count as relief, as texture, as contours: the steepest
FLAT = 0.5  # share that counts as flat: the least steep
_RIM = 0.01  # of the picture's side: the outline counts as a contour, detail beside it does not count
# Columns of the table: title, and which pixels should lie above which.
COMPARISONS = {
    "relief above contours": ("relief", "contours"),
    "texture above contours": ("texture", "contours"),
    "relief above flat skin": ("relief", "flat"),
    "texture above flat skin": ("texture", "flat"),
    "contours above flat skin": ("contours", "flat"),
}


class Sources(NamedTuple):
    """One face rendered without noise: how steeply the picture changes by relief alone, by texture alone, and where
    there is neither; `face` is 1 where it is."""

    relief: np.ndarray
    texture: np.ndarray
    plain: np.ndarray
    face: np.ndarray


def detect(image: np.ndarray) -> dict[str, np.ndarray]:
    """What each of `DETECTORS` sees on a square picture. "Laplace, averaged" is the mean over RTV's own window."""
    settings = {
        preset: PRESETS[preset](size=image.shape[0]).fine.albedo.unknowns[0].energy.keywords for preset in PRESETS
    }
    edges, means = run_timed(_laplace, jnp.asarray(image), sigma=settings["default"]["sigma"]).value
    found = {LAPLACE: edges, LAPLACE_MEAN: means}
    for preset, each in settings.items():
        found[f"RTV, {preset}"] = run_timed(_rtv, jnp.asarray(image), **each).value
    return {name: np.asarray(values) for name, values in found.items()}


def _laplace(image, *, sigma: float):
    edges = jnp.abs(laplace(luminance(image)))
    return edges, gaussian_blur(edges, sigma=sigma)


def _rtv(image, *, sigma: float, per_channel: bool):
    signal = image if per_channel else luminance(image)
    rtv = relative_total_variation(signal, jnp.ones(image.shape[:2]), sigma=sigma)
    return jnp.mean(rtv, axis=-1) if rtv.ndim == 3 else rtv


def find_sources(case: faces.Case, *, size: int, seed: int) -> Sources:
    """The case's face without noise, with relief alone, with texture alone, and with neither."""

    def render(**changes) -> SyntheticFace:
        settings = FaceSettings(noise=0.0, detail_mm=0.0, texture=0.0)._replace(**changes)
        return faces.photograph(case, size=size, seed=seed, settings=settings)

    plain, usual = render(), FaceSettings()
    grey = np.asarray(luminance(plain.image))
    relief, texture = (
        np.asarray(luminance(render(**change).image)) - grey
        for change in ({"detail_mm": usual.detail_mm}, {"texture": usual.texture})
    )
    return Sources(*(np.hypot(*np.gradient(x)) for x in (relief, texture, grey)), np.asarray(plain.mask) > 0.5)


def labels(sources: Sources, brows: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels (bool) of relief, texture, contours and flat skin; hairs within the brows are none of these."""
    rim = max(1, round(_RIM * len(brows)))
    inner = binary_erosion(sources.face, iterations=rim) & ~brows
    near = binary_dilation(sources.face, iterations=rim) & ~brows
    detail = np.maximum(sources.relief, sources.texture)
    steep = {
        name: values > _level(values[inner], 1.0 - STRONGEST)
        for name, values in (("relief", sources.relief), ("texture", sources.texture), ("plain", sources.plain))
    }
    calm = (detail < _level(detail[inner], FLAT)) & (sources.plain < _level(sources.plain[inner], FLAT))
    return {
        "relief": steep["relief"] & inner & (sources.relief > np.maximum(sources.plain, sources.texture)),
        "texture": steep["texture"] & inner & (sources.texture > np.maximum(sources.plain, sources.relief)),
        "contours": steep["plain"] & near & (sources.plain > detail),
        "flat": calm & inner,
    }


def _level(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share))


def separation(values: np.ndarray, above: np.ndarray, below: np.ndarray) -> float:
    """Probability that `values` is larger at a random pixel of `above` than at one of `below` (the area under the ROC
    curve): 0.5 tells nothing, 1 all; neither set may be empty."""
    high, low = values[above], values[below]
    ranks = rankdata(np.concatenate([high, low]))[: high.size]
    return float((ranks.sum() - high.size * (high.size + 1) / 2) / (high.size * low.size))


def true_labels(case: faces.Case, setup: Setup) -> dict[str, np.ndarray]:
    """Which pixels of a case are what."""
    brows = scenes.true_regions(case, size=setup.size, seed=setup.seed)["eyebrow"]
    return labels(find_sources(case, size=setup.size, seed=setup.seed), brows)


def measure(case: faces.Case, setup: Setup) -> list[dict]:
    """How well each detector does on the photograph as it is, with its noise, where there are pixels of both kinds."""
    marked = true_labels(case, setup)
    found = detect(np.asarray(faces.photograph(case, size=setup.size, seed=setup.seed).image))
    kinds = {title: pair for title, pair in COMPARISONS.items() if all(marked[kind].any() for kind in pair)}
    return [
        {"detector": name}
        | {title: separation(found[name], marked[above], marked[below]) for title, (above, below) in kinds.items()}
        for name in DETECTORS
    ]


def summarise(records: list[dict]) -> list[dict]:
    """Means over the cases."""
    return report.means(records, "detector")


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    return report.table(rows, {"detector": ("detector", "")} | {title: (title, ".3f") for title in COMPARISONS})


def draw(image: np.ndarray, setup: Setup) -> tuple[dict, dict, list]:
    """One row: the crop, and what the detectors see. Raises FaceError without a face."""
    return {"": pictures(scenes.crop_photo(image, setup.model, size=setup.size))}, {}, []


def draw_case(case: faces.Case, setup: Setup) -> tuple[dict, dict]:
    """A rendered face with its true relief in red, texture in green, contours in blue."""
    marked = true_labels(case, setup)
    picture = np.stack([marked[name] for name in ("relief", "texture", "contours")], axis=-1).astype(np.float32)
    image = np.asarray(faces.photograph(case, size=setup.size, seed=setup.seed).image)
    return pictures(image) | {"truth": picture}, {"truth": "red relief, green texture,\nblue contours"}


def pictures(image: np.ndarray) -> dict[str, np.ndarray]:
    """The picture, and what the detectors of Fig. 5 see, brighter where more."""
    found = {name: brightened(values) for name, values in detect(image).items() if name != LAPLACE_MEAN}
    return {"input": image} | found


def brightened(values: np.ndarray) -> np.ndarray:
    """Between black and white the square root, so that the faint is seen, of all but the largest hundredth."""
    return np.sqrt(np.clip(values / max(_level(values, 0.99), 1e-12), 0.0, 1.0))
