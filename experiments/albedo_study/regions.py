"""Skin, brows and lips as Eq. 6 takes them, by the fitted mesh or by a network. Parts of segmentation.py."""

from typing import NamedTuple

import numpy as np
from common import faces, program, report
from common.runner import Setup

from albedo_study import scenes
from jaxface.detection.sources import find_landmarks
from jaxface.execution import run_timed
from jaxface.geometry.normals import depth_normals
from jaxface.models import tools
from jaxface.networks import bisenet
from jaxface.presets import PRESETS
from jaxface.rendering.appearance import fill_outside
from jaxface.types import FaceError, FineInputs, MorphableModel

REGIONS = ("skin", "eyebrow", "mouth")  # in the order of `FineInputs.indicators`
COLOURS = np.array([[0.95, 0.75, 0.55], [0.25, 0.55, 0.95], [0.90, 0.25, 0.35]])
_PAINT = 0.6  # how much of the picture the colours cover


class Parsers(NamedTuple):
    """What tells the regions: the mesh always (None), the network where it is installed, else why it is not used."""

    found: dict[str, bisenet.Params | None]
    reason: str


def find_parsers() -> Parsers:
    """The fitted mesh, and the network bisenet if it can be used."""
    mesh = {"mesh": None}
    try:
        return Parsers(mesh | {"bisenet": tools.choose(model="default", parsing="bisenet").parser}, "")
    except FaceError as error:
        return Parsers(mesh, str(error))


def observe_all(
    image: np.ndarray, model: MorphableModel, parsers: Parsers, *, size: int, whole: bool = False
) -> dict[tuple[str, str], FineInputs]:
    """What the fine stage sees, by preset and parser. Raises FaceError where MediaPipe finds no face."""
    landmarks, found = find_landmarks(image)[0], {}
    for preset in PRESETS:
        scene = scenes.fit_scene(image, landmarks, model, preset=preset, size=size, whole=whole)
        for name, params in parsers.found.items():
            found[preset, name] = scene.inputs
            if params is not None:
                parsing = program.parse(scene.shapes.face, image, params)
                found[preset, name] = program.see(scene.shapes.face, scene.base_mm, model, parsing=parsing)
    return found


def to_labels(inputs: FineInputs) -> dict[str, np.ndarray]:
    """Where each region is the likeliest on the covered pixels (bool, by name); none where all are below one half."""
    indicators = np.asarray(inputs.indicators)
    covered = (np.asarray(inputs.covered) > 0.5) & (indicators.max(axis=-1) > 0.5)
    return {name: covered & (indicators.argmax(axis=-1) == k) for k, name in enumerate(REGIONS)}


def overlap(found: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> dict[str, float]:
    """Intersection over union of each region; eyes and open mouths, which have no region in Eq. 6, do not count."""
    figures = {}
    for name in REGIONS:
        ours, truth = (maps[name] & ~true["openings"] for maps in (found, true))
        figures[name] = float(np.sum(ours & truth) / max(np.sum(ours | truth), 1))
    return figures


def draw(image: np.ndarray, setup: Setup, *, parsers: Parsers) -> tuple[dict, dict, list]:
    """A row for each preset and parser. Raises FaceError without a face."""
    seen = observe_all(image, setup.model, parsers, size=setup.size)
    return {", ".join(names): pictures(inputs, preset=names[0]) for names, inputs in seen.items()}, {}, []


def measure(case: faces.Case, setup: Setup, *, parsers: Parsers) -> list[dict]:
    """By preset and parser, with MediaPipe's landmarks. Raises FaceError where it finds no face."""
    true = scenes.true_regions(case, size=setup.size, seed=setup.seed)
    image = np.asarray(faces.photograph(case, size=setup.size, seed=setup.seed).image)
    seen = observe_all(image, setup.model, parsers, size=setup.size, whole=True)
    return [
        {"preset": preset, "parser": parser} | overlap(to_labels(inputs), true)
        for (preset, parser), inputs in seen.items()
    ]


def summarise(records: list[dict]) -> list[dict]:
    """Means for each preset and parser."""
    return report.means(records, "preset", "parser")


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    columns = {"preset": ("preset", ""), "regions by": ("parser", ""), "cases": ("cases", "")}
    return report.table(rows, columns | {f"IoU, {name}": (name, ".3f") for name in REGIONS})


def pictures(inputs: FineInputs, *, preset: str) -> dict[str, np.ndarray]:
    """One row of the figure: the crop, its regions, and gamma_avg of Eq. 6."""
    window, labels = np.asarray(inputs.image), to_labels(inputs)
    painted = window.copy()
    for colour, name in zip(COLOURS, REGIONS, strict=True):
        painted[labels[name]] = (1.0 - _PAINT) * window[labels[name]] + _PAINT * colour
    estimate = PRESETS[preset](size=len(window)).fine.appearance
    mean = np.asarray(run_timed(_mean_albedo, inputs, estimate=estimate).value)
    covered = np.asarray(inputs.covered)[..., None] > 0.5
    return {"photo": window, "regions": painted, "mean colours": np.where(covered, np.clip(mean, 0.0, 1.0), 1.0)}


def _mean_albedo(inputs, *, estimate):
    normals = depth_normals(fill_outside(inputs.height_px, inputs.covered))
    return estimate(inputs, normals).mean_albedo
