"""A run of training from shards to weights, and the page that tells of it."""

import dataclasses
import json
import pathlib
import time
from typing import NamedTuple

import jax
import numpy as np
from common import panels, report
from matplotlib.figure import Figure
from tqdm import tqdm

from jaxface.geometry.normals import depth_normals
from jaxface.io.atomic import new_file
from jaxface.networks import normals as network
from jaxface.rendering.appearance import fill_outside
from learned_normals import training
from learned_normals.windows import Pictures, Window, batch

_EVERY = 100  # steps from one checkpoint to the next
_JUDGED = 48  # windows of heads that were held out
_SHOWN = 8
_WEIGHTS = pathlib.Path(network.__file__).parent / "data" / "normals.npz"


class Trained(NamedTuple):
    """The running mean of parameters, losses every so many steps, what it does for heads that were held out (mean
    losses, with `before` and `after` in degrees), windows of these to show, and hours of all calls."""

    params: network.Params
    curve: list[dict[str, float]]
    judged: dict[str, float]
    shown: Window
    hours: float


def name_of(recipe: training.Recipe, without: str | None) -> str:
    """Of a run's files in the cache."""
    return "_".join(["run", *(["blind"] if recipe.blind else []), *([f"without_{without}"] if without else [])])


def _keeps(without: str | None):
    def keep(family, bent):
        return {"default": family != 0, "ict": family != 1, "bent": not bent, None: True}[without]

    return keep


def train(cache: pathlib.Path, recipe: training.Recipe, *, without: str | None) -> Trained:
    """Goes on from the checkpoint to the last step. A family that is left out is left out of the judged ones as well:
    what is asked there is whether the network learned, and the bench asks how far that carries."""
    begun = time.time()
    checkpoint, log = (cache / f"{name_of(recipe, without)}.{kind}" for kind in ("npz", "jsonl"))
    if not checkpoint.exists():
        log.unlink(missing_ok=True)
    pictures = Pictures(cache / "pictures", keep=_keeps(without))
    state, done = training.restore(checkpoint, recipe)
    spent = _curve(log)[-1]["hours"] if done else 0.0
    with tqdm(total=recipe.steps, initial=done, desc="steps", mininterval=5.0) as bar:
        for done, state, losses in training.run(pictures, recipe, checkpoint, every=_EVERY):  # noqa: B007
            bar.update(done - bar.n)
            bar.set_postfix({name: f"{losses[name]:.2f}" for name in ("before", "after")})
            with open(log, "a") as lines:
                lines.write(json.dumps({"step": done, "hours": spent + (time.time() - begun) / 3600.0} | losses) + "\n")
    curve = _curve(log)
    held_out = Pictures(cache / "pictures", keep=_keeps(without), held_out=True)
    windows = batch(held_out, np.random.default_rng(1), count=_JUDGED)
    parts = [jax.tree.map(lambda leaf, at=at: leaf[at : at + 8], windows) for at in range(0, _JUDGED, 8)]
    found = [training.measure(state.mean, part, blind=recipe.blind) for part in parts]
    judged = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    shown = jax.tree.map(lambda leaf: leaf[:_SHOWN], windows)
    return Trained(state.mean, curve, judged, shown, curve[-1]["hours"])


def _curve(log: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def ship(params: network.Params, record: dict) -> None:
    """Writes the weights in half precision, with the recipe, to where the package reads them."""
    _WEIGHTS.parent.mkdir(exist_ok=True)
    arrays = {
        f"{module}/{name}": np.asarray(values, np.float16)
        for module, of in params.items()
        for name, values in of.items()
    }
    with new_file(_WEIGHTS) as fresh, fresh.open("wb") as stream:
        np.savez_compressed(stream, recipe=json.dumps(record, default=float), **arrays)


def told(trained: Trained, recipe: training.Recipe, facts: dict) -> tuple[list[str], dict, Figure]:
    """Lines, record and picture of a run."""
    judged = trained.judged
    lines = [
        f"{recipe.steps} steps of {recipe.count} windows took {trained.hours:.2f} h.",
        "",
        "On heads that were held out, mean angle between the surface's normals and the true ones on skin in view: "
        f"**{judged['before']:.2f} degrees before, {judged['after']:.2f} after**; skin's entropy {judged['skin']:.3f}.",
    ]
    lines += ["", *report.every_column(trained.curve[:: max(1, len(trained.curve) // 20)])]
    record = {"recipe": dataclasses.asdict(recipe), "facts": facts, "held_out": judged}
    record |= {"hours": trained.hours, "curve": trained.curve}
    return lines, record, _figure(trained, recipe)


def _figure(trained: Trained, recipe: training.Recipe) -> Figure:
    rows = {}
    for index in range(len(trained.shown.image)):
        window = jax.tree.map(lambda leaf, index=index: leaf[index], trained.shown)
        smooth_px = fill_outside(window.height_px, window.covered)
        image = np.full_like(window.image, 0.5) if recipe.blind else window.image
        seen = network.predict(trained.params, image, smooth_px, window.covered, window.px_per_mm)
        before = np.asarray(depth_normals(smooth_px))
        slopes = before[..., :2] / -before[..., 2:] + np.asarray(seen.slope_change)
        after = np.concatenate([-slopes, np.ones_like(slopes[..., :1])], axis=-1)
        after /= np.linalg.norm(after, axis=-1, keepdims=True)
        inside = window.covered[..., None]
        rows[f"{index}"] = {
            "picture": window.image, "smooth": _clay(before) * inside, "found": _clay(after) * inside,
            "truth": _clay(window.normals), "spread": _grey(seen.spread) * inside, "skin": _grey(seen.skin),
        }  # fmt: skip
    return panels.grid(rows)


def _clay(normals: np.ndarray) -> np.ndarray:
    """Grey clay under a light from the upper left."""
    light = np.array([-0.45, -0.55, 0.70])
    shade = np.clip(normals @ (light / np.linalg.norm(light)), 0.0, 1.0)
    return np.repeat((0.08 + 0.9 * shade)[..., None], 3, axis=2)


def _grey(values) -> np.ndarray:
    return np.clip(np.repeat(np.asarray(values)[..., None], 3, axis=2), 0.0, 1.0)
