"""One weight of the coarse fit at a time: fits, scores, table and curves. Parts of fit_sweep.py."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import faces, report, truth
from matplotlib.figure import Figure
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.energies.face import CoarseWeights
from jaxface.energies.skin import SkinPatches, skin_patches
from jaxface.presets import COARSE
from jaxface.rendering.camera import orthographic
from jaxface.stages import coarse
from jaxface.types import CoarseFit, Crop, FaceError, Landmarks, MorphableModel

FACTORS = (0.25, 0.5, 2.0, 4.0)
NUM_POINTS = 1000  # of the truth, for ICP: a third of accuracy.py's, for speed
SEED = 1  # accuracy.py has 0: what is tuned here is not judged on the same faces there
METRICS = dict(sorted(truth.METRICS.items(), reverse=True))
VIEWS = ("frontal", "yaw 30")


class Subject(NamedTuple):
    """A face model, and the triangles that stand for its skin."""

    model: MorphableModel
    patches: SkinPatches


class Ground(NamedTuple):
    """A photograph with its landmarks, and the truth that fits to them are judged by."""

    yaw: int
    image: np.ndarray
    landmarks: Landmarks
    field: truth.Field


class Setting(NamedTuple):
    """One field of the weights at a multiple of its default; or else a name, and nothing is changed."""

    field: str
    factor: float
    value: float


DEFAULTS = Setting("defaults", 1.0, 0.0)
LANDMARKS_ALONE = Setting("without shading", 1.0, 0.0)


def defaults() -> dict[str, float]:
    """The weights that are swept: every positive number."""
    fields = COARSE._asdict() | {"border": COARSE.trust.border}
    return {name: value for name, value in fields.items() if isinstance(value, float) and value > 0.0}


def settings() -> list[Setting]:
    """The defaults, the same on landmarks alone, then every weight at all factors."""
    changed = [Setting(name, factor, factor * value) for name, value in defaults().items() for factor in FACTORS]
    return [DEFAULTS, LANDMARKS_ALONE, *changed]


# Weights are traced, so that their values do not compile anew.
@jax.jit
def _fit_landmarks(landmarks: Landmarks, changes: dict[str, jax.Array], model: MorphableModel) -> CoarseFit:
    weights = _changed(changes)
    return coarse.run(landmarks, model=model, camera=orthographic(), weights=weights)


@jax.jit
def _fit_shading(
    fit: CoarseFit, landmarks: Landmarks, image: jax.Array, changes: dict[str, jax.Array], subject: Subject
) -> CoarseFit:
    weights, whole = _changed(changes), Crop(jnp.zeros(2), jnp.float32(1.0))
    shared = dict(model=subject.model, patches=subject.patches, camera=orthographic(), weights=weights)
    return coarse.fit_skin(fit, landmarks, image, whole, **shared)


def _changed(changes: dict[str, jax.Array]) -> CoarseWeights:
    trust = COARSE.trust._replace(border=changes["border"])
    return COARSE._replace(**{name: value for name, value in changes.items() if name != "border"}, trust=trust)


def fit_with(setting: Setting, landmarks: Landmarks, image: np.ndarray, subject: Subject) -> CoarseFit:
    """The coarse fit at one setting: landmarks, then shading."""
    changes = defaults()
    changes |= {setting.field: setting.value} if setting.field in changes else {}
    fit = _fit_landmarks(landmarks, changes, subject.model)
    return fit if setting == LANDMARKS_ALONE else _fit_shading(fit, landmarks, image, changes, subject)


def draw_fit(result: CoarseFit, model: MorphableModel, *, size: int) -> truth.Shape:
    """The face as the photograph's camera sees it."""
    return truth.place(result.vertices_mm, truth.face_triangles(model), result.pose, orthographic(), size=size)


def make_grounds(
    world: str, photograph: Callable[..., faces.Truth], subject: Subject, *, count: int, size: int
) -> list[Ground]:
    """Photographs with a face found; judged is what the fit with the default weights covers."""
    grounds = []
    for case in tqdm(faces.make_cases(world, count=count), desc=f"photographs, {world}"):
        face = photograph(case, size=size, seed=SEED)
        try:
            landmarks, _ = find_landmarks(face.image)
        except FaceError as error:
            tqdm.write(f"{case.name} is left out: {error}")
            continue
        shape = draw_fit(fit_with(DEFAULTS, landmarks, face.image, subject), subject.model, size=size)
        field = truth.judge(face, [shape.view.covered], size=size)
        grounds.append(Ground(case.yaw, face.image, landmarks, field))
    return grounds


def score(grounds: list[Ground], setting: Setting, subject: Subject, *, size: int) -> dict[str, dict[str, float]]:
    """Mean errors by view and metric; NaN where a fit broke down."""
    errors = {view: [] for view in VIEWS}
    for ground in grounds:
        result = fit_with(setting, ground.landmarks, ground.image, subject)
        found = dict.fromkeys(METRICS, float("nan"))
        if result.finite:
            shape = draw_fit(result, subject.model, size=size)
            found = truth.shape_errors(ground.field, shape, num_points=NUM_POINTS)
        errors[VIEWS[ground.yaw != 0]].append(found)
    return {
        view: {metric: float(np.mean([found[metric] for found in each])) for metric in METRICS}
        for view, each in errors.items()
        if each
    }


def sweep(
    name: str, model: MorphableModel, world: str, photograph: Callable[..., faces.Truth], *, count: int, size: int
) -> list[dict]:
    """A row a setting."""
    subject = Subject(model, skin_patches(model))
    grounds = make_grounds(world, photograph, subject, count=count, size=size)
    rows = []
    for setting in tqdm(settings(), desc=f"settings, {name}"):
        errors = score(grounds, setting, subject, size=size)
        rows.append({"model": name, "world": world, "cases": len(grounds)} | setting._asdict() | {"errors": errors})
    return rows


def lines(rows: list[dict]) -> list[str]:
    """A table a model."""
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        views = list(mine[0]["errors"])
        cells = [["weight", "factor", "value", *(f"{METRICS[m]}, {view}" for m in METRICS for view in views)]]
        for row in mine:
            changed = [f"{row['factor']:g}", f"{row['value']:.4g}"] if row["field"] in defaults() else ["", ""]
            errors = [f"{row['errors'][view][m]:.3f}" for m in METRICS for view in views]
            cells.append([row["field"], *changed, *errors])
        title = f"## Model {model} on {mine[0]['cases']} photographs of the world {mine[0]['world']}"
        lines += [title, "", *report.format_table(cells), ""]
    return lines


def draw_curves(rows: list[dict]) -> Figure:
    """Errors over the factor: a row of panels for each model and metric, a column for each weight; dotted, the errors
    without shading."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    fields = list(defaults())
    figure = Figure(figsize=(2.2 * len(fields) + 1, 2.2 * len(models) * len(METRICS) + 1), layout="constrained")
    panels = figure.subplots(len(models) * len(METRICS), len(fields), sharex=True, sharey="row", squeeze=False)
    for line, (model, metric) in enumerate((model, metric) for model in models for metric in METRICS):
        mine = [row for row in rows if row["model"] == model]
        for panel, field in zip(panels[line], fields, strict=True):
            shown = [row for row in mine if row["field"] in (DEFAULTS.field, field)]
            shown = sorted(shown, key=lambda row: row["factor"])
            (alone,) = (row for row in mine if row["field"] == LANDMARKS_ALONE.field)
            for view, colour in zip(alone["errors"], ("C0", "C1"), strict=False):
                errors = [row["errors"][view][metric] for row in shown]
                panel.plot([row["factor"] for row in shown], errors, "o-", color=colour, label=view)
                panel.axhline(alone["errors"][view][metric], color=colour, linestyle=":")
            panel.set_xscale("log", base=2)
            panel.grid(alpha=0.3)
            if line == 0:
                panel.set_title(field)
        panels[line, 0].set_ylabel(f"{model}\n{METRICS[metric]}")
    panels[0, 0].legend()
    figure.supxlabel("factor on the default")
    return figure
