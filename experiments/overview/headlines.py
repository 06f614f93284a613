"""The figures that the top README may quote: sentences, and where in the results their numbers stand."""

import json
import pathlib
from typing import NamedTuple


class Headline(NamedTuple):
    """A sentence with a place for each number, the file that has them, and their paths in it, steps parted by slashes.

    In a list a step is a place, or tells which element: "stage=fine&preset=paper" is the first that has both.
    """

    sentence: str
    file: str
    paths: tuple[str, ...]


def _stages(photographs: str, world: str, model: str) -> Headline:
    """Normal error and RMSE at every stage."""
    stages = {
        "MediaPipe's mesh": "MediaPipe mesh",
        "coarse by landmarks alone": f"coarse, landmarks, {model}",
        "coarse": f"coarse, {model}",
        "medium": f"medium, {model}",
        "fine": f"fine, {model}",
    }
    table = f"summary/tables/{world}"
    parts = ", ".join(f"{label} {{:.2f}} / {{:.2f}}" for label in stages)
    sentence = f"{{:d}} photographs of {photographs}, normal error (deg) / RMSE (mm) with the model {model}: {parts}."
    errors = [f"{table}/{row}/{metric}" for row in stages.values() for metric in ("normal_degrees", "rmse_mm")]
    return Headline(sentence, "accuracy.json", (f"{table}/fine, {model}/cases", *errors))


def _fine(photographs: str, world: str, model: str) -> Headline:
    """How often and at what price the fine stage helps."""
    sentence = (
        f"On {photographs} with the model {model} fine has less normal error than medium in a share of {{:.2f}} of the"
        " photographs, and its RMSE changes by {:+.1f} % at worst; the relief found on frontal ones"
        " correlates with the true one at {:.2f} (2 mm high-pass)."
    )
    names = ("fine_beats_medium", "worst_rmse_change_percent", "frontal_relief_hp2")
    return Headline(sentence, "accuracy.json", tuple(f"summary/comparisons/{world}/{model}/{name}" for name in names))


def _synthetic_micc(condition: str, model: str) -> Headline:
    """Distances and normal errors of the person of each video, fitted to all frames at once."""
    rows = f"protocols/micc-deng2019/{{}}/model={model}&preset=default&fuse=bundle&stage={{}}/{condition}"
    sentence = (
        f"Synthetic videos in MICC's layout (synthetic, not MICC), {condition}, {{:d}} videos, by micc-deng2019 in mm "
        f"with the model {model}: coarse {{:.3f}}, medium {{:.3f}}, fine {{:.3f}}; normal errors: coarse {{:.2f}}, "
        "medium {:.2f}, fine {:.2f} degrees."
    )
    means = [rows.format(table, stage) + "/mean" for table in ("rows", "normals") for stage in _STAGES]
    return Headline(sentence, "synthetic_micc.json", (rows.format("rows", "fine") + "/meshes", *means))


def _no_worse(figure: str, name: str, model: str) -> Headline:
    """In how many of the synthetic videos a later stage is no worse."""
    rows = f"protocols/micc-deng2019/stages/model={model}&preset=default&fuse=bundle&figure={figure}"
    sentence = (
        f"There, with the model {model}, in {name} fine is no worse than medium in a share of {{:.2f}} of the videos, "
        "medium than coarse"
    )
    steps = (("fine", "medium"), ("medium", "coarse"))
    paths = [f"{rows}&after={after}&before={before}/share" for after, before in steps]
    return Headline(f"{sentence} in {{:.2f}}.", "synthetic_micc.json", tuple(paths))


def _medium(landmarks: str) -> Headline:
    """What the medium stage does with landmarks of that source."""
    row = f"summary/landmarks={landmarks}&preset=default"
    sentence = (
        f"{{:d}} rendered faces with {_LANDMARKS[landmarks]}, normal error (deg): coarse {{:.2f}}, medium {{:.2f}}, "
        "lower in a share of {:.2f}; the pipeline's check keeps it in {:.2f}."
    )
    parts = ("cases", *(f"normal_degrees/{name}" for name in ("coarse", "medium", "lower_share")), "kept_share")
    return Headline(sentence, "medium_vs_coarse.json", tuple(f"{row}/{part}" for part in parts))


def _scales(preset: str) -> Headline:
    """Normal error after each phase of the fine stage."""
    meshes = ("medium", "fine, phase 1", "fine, phase 2")
    errors = ", ".join(f"{mesh} {{:.2f}}" for mesh in meshes)
    rows = [f"summary/preset={preset}&stage={mesh}" for mesh in meshes]
    paths = (f"{rows[0]}/cases", *(f"{row}/normal_degrees" for row in rows))
    return Headline(f"{{:d}} rendered faces, preset {preset}, normal error (deg): {errors}.", "multi_scale.json", paths)


def _video(world: str) -> list[Headline]:
    """The person of a clip, how steady it is, and its blinks."""
    rows = f"worlds/world={world}"
    clip = f"A rendered clip of {_CLIPS[world]}"
    people = ("clip", "single_frames_mean", "mean_of_frames")
    jitter = [f"{rows}/still/{track}/jitter_mm_per_frame2" for track in ("off", "on")]
    for name in ("error_jitter_mm_per_frame2", "frame_rmse_mm"):
        jitter += [f"{rows}/tracks/{track}/{name}" for track in ("off", "on")]
    blinks = [f"{rows}/tracks/{name}/blink_mm" for name in ("truth", "on")]
    return [
        Headline(
            clip + ": its person is off by {:.2f} mm, single frames by {:.2f} mm on average, the mean of the frames'"
            " shapes by {:.2f} mm.",
            "accuracy_video.json",
            tuple(f"{rows}/identity_rmse_mm/{name}" for name in people),
        ),
        Headline(
            clip + ": the temporal term takes the jitter of a still clip from {:.3f} to {:.3f} mm/frame², that of the"
            " moving clip's error from {:.3f} to {:.3f}, and the frames' RMSE from {:.3f} to {:.3f} mm.",
            "accuracy_video.json",
            tuple(jitter),
        ),
        Headline(
            clip + ": blinks close the lids by {:.2f} mm, tracked ones by {:.2f} mm, the detector's by {:.2f} mm.",
            "accuracy_video.json",
            (*blinks, f"{rows}/detected_blink_mm"),
        ),
    ]


_LANDMARKS = {"true": "true landmarks", "detected": "MediaPipe's landmarks"}
_TERMS = ("colour", "colour + Laplacian", "colour + RTV")
_ABLATED = "summary/preset=default&term="
_CLIPS = {"default": "the embedded model's face", "ict": "an ICT-FaceKit face"}
_STAGES = ("coarse", "medium", "fine")
_WORLDS = {"default": "the embedded model's faces", "ict off": "ICT-FaceKit faces bent by off-basis fields"}
_MODELS = ("default", "ict")
_FITTED = [(world, model) for world in _WORLDS for model in _MODELS]
_FIGURES = {"headline_mm": "distance", "normal_degrees": "normal error"}
HEADLINES = (
    *(_synthetic_micc(condition, model) for model in _MODELS for condition in ("cooperative", "indoor", "outdoor")),
    *(_no_worse(figure, name, model) for model in _MODELS for figure, name in _FIGURES.items()),
    *map(_medium, _LANDMARKS),
    *map(_scales, ("default", "paper")),
    Headline(
        "{:d} rendered faces, normal error (deg) after the fine stage, by the terms of Eq. 6: "
        + ", ".join(f"{term} {{:.2f}}" for term in _TERMS)
        + ".",
        "albedo_ablation.json",
        (f"{_ABLATED}colour/cases", *(f"{_ABLATED}{term}/normal_degrees" for term in _TERMS)),
    ),
    *(
        Headline(
            f"No other value of a weight of the preset {preset}, from a tenth to ten times its own, lowers the normal"
            " error by more than {:.1f} %.",
            "sensitivity.json",
            (f"largest_gain/{preset}",),
        )
        for preset in ("default", "paper")
    ),
    *(_stages(_WORLDS[world], world, model) for world, model in _FITTED),
    *(_fine(_WORLDS[world], world, model) for world, model in _FITTED),
    *(headline for world in _CLIPS for headline in _video(world)),
    Headline(
        "A portrait becomes a GLB in {:.0f} s when nothing is compiled yet, with at most {:.0f} MiB, and in {:.0f} s in"
        " a later process.",
        "benchmark_cpu.json",
        ("photo/0/seconds", "photo/0/peak_mib", "photo/1/seconds"),
    ),
)


def lines(folder: pathlib.Path, headlines: tuple[Headline, ...] = HEADLINES) -> list[str]:
    """A line a sentence, with its file; what is not there yet is said once."""
    stored = {name: _read(folder / name) for name in dict.fromkeys(headline.file for headline in headlines)}
    return list(dict.fromkeys(f"- {_fill(headline, stored[headline.file])}" for headline in headlines))


def _read(path: pathlib.Path) -> dict | None:
    return json.loads(path.read_text()) if path.exists() else None


def _fill(headline: Headline, stored: dict | None) -> str:
    if stored is None:
        return f"Not measured yet: there is no `{headline.file}`."
    values = []
    for path in headline.paths:
        value = stored
        try:
            for step in path.split("/"):
                value = _choose(value, step) if isinstance(value, list) else value[step]
            values.append(value)
        except (LookupError, TypeError, ValueError):
            return f"Not measured yet: `{headline.file}` has no `{path}`."
    return f"{headline.sentence.format(*values)} ([{headline.file}]({headline.file}))"


def _choose(values: list, step: str):
    if "=" not in step:
        return values[int(step)]
    wanted = dict(each.split("=") for each in step.split("&"))
    fitting = [value for value in values if all(str(value.get(key)) == each for key, each in wanted.items())]
    return fitting[0]
