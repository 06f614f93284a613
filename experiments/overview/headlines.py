"""The figures that the top README may quote: sentences, and where in the results their numbers stand."""

import json
import pathlib
import re
from typing import NamedTuple

_PLACE = re.compile(r"<([^<>]+):([^<>]+)>")


class Headline(NamedTuple):
    """The file that has the numbers, and a sentence with <path:format> for each of them, steps of a path parted by
    slashes.

    In a list a step is a place, or tells which element: "stage=fine&preset=paper" is the first that has both.
    """

    file: str
    sentence: str


_STAGES = ("coarse", "medium", "fine")
_CLIPS = {"default": "the embedded model's face", "ict": "an ICT-FaceKit face"}
_WORLDS = {"default": "the embedded model's faces", "ict off": "ICT-FaceKit faces bent by off-basis fields"}
_FITTED = [(world, model) for world in _WORLDS for model in ("default", "ict")]


def _synthetic_micc(model: str, condition: str) -> Headline:
    """Distances and normal errors of the person of each video, fitted to all frames at once."""
    row = f"protocols/micc-deng2019/{{}}/model={model}&preset=default&fuse=bundle&stage={{}}/{condition}"
    distances, normals = (
        ", ".join(f"{stage} <{row.format(table, stage)}/mean:{style}>" for stage in _STAGES)
        for table, style in (("rows", ".3f"), ("normals", ".2f"))
    )
    return Headline(
        "synthetic_micc.json",
        f"Synthetic videos in MICC's layout (synthetic, not MICC), {condition}, <{row.format('rows', 'fine')}/meshes:d>"
        f" videos, by micc-deng2019 in mm with the model {model}: {distances}; normal errors: {normals} degrees.",
    )


def _no_worse(model: str, figure: str, name: str) -> Headline:
    """In how many of the synthetic videos a later stage is no worse."""
    row = f"protocols/micc-deng2019/stages/model={model}&preset=default&fuse=bundle&figure={figure}"
    fine, medium = (f"<{row}&after={a}&before={b}/share:.2f>" for a, b in (("fine", "medium"), ("medium", "coarse")))
    return Headline(
        "synthetic_micc.json",
        f"There, with the model {model}, in {name} fine is no worse than medium in a share of {fine} of the videos,"
        f" medium than coarse in {medium}.",
    )


def _medium(landmarks: str, whose: str) -> Headline:
    """What the medium stage does with landmarks of that source."""
    row = f"summary/landmarks={landmarks}&preset=default"
    return Headline(
        "medium_vs_coarse.json",
        f"<{row}/cases:d> rendered faces with {whose} landmarks, normal error (deg):"
        f" coarse <{row}/normal_degrees/coarse:.2f>, medium <{row}/normal_degrees/medium:.2f>, lower in a share of"
        f" <{row}/normal_degrees/lower_share:.2f>; the pipeline's check keeps it in <{row}/kept_share:.2f>.",
    )


def _rows(file: str, about: str, field: str, names: tuple[str, ...], preset: str = "default") -> Headline:
    """Normal errors of rows of a summary, and how many faces they are of."""
    row = f"summary/preset={preset}&{field}="
    errors = ", ".join(f"{name} <{row}{name}/normal_degrees:.2f>" for name in names)
    return Headline(file, f"<{row}{names[0]}/cases:d> rendered faces, {about}: {errors}.")


def _stages(world: str, model: str) -> Headline:
    """Normal error and RMSE at every stage."""
    stages = {"MediaPipe's mesh": "MediaPipe mesh", "coarse by landmarks alone": f"coarse, landmarks, {model}"}
    stages |= {stage: f"{stage}, {model}" for stage in _STAGES}
    table = f"summary/tables/{world}"
    errors = [
        f"{label} <{table}/{row}/normal_degrees:.2f> / <{table}/{row}/rmse_mm:.2f>" for label, row in stages.items()
    ]
    return Headline(
        "accuracy.json",
        f"<{table}/fine, {model}/cases:d> photographs of {_WORLDS[world]}, normal error (deg) / RMSE (mm) with the"
        f" model {model}: {', '.join(errors)}.",
    )


def _fine(world: str, model: str) -> Headline:
    """How often and at what price the fine stage helps."""
    row = f"summary/comparisons/{world}/{model}"
    return Headline(
        "accuracy.json",
        f"On {_WORLDS[world]} with the model {model} fine has less normal error than medium in a share of"
        f" <{row}/fine_beats_medium:.2f> of the photographs, and its RMSE changes by"
        f" <{row}/worst_rmse_change_percent:+.1f> % at worst; the relief found on frontal ones correlates with the true"
        f" one at <{row}/frontal_relief_hp2:.2f> (2 mm high-pass).",
    )


def _video(world: str) -> list[Headline]:
    """The person of a clip, how steady it is, and its blinks."""
    row, frames = f"worlds/world={world}", "frame_rmse_mm"
    still, moving = "jitter_mm_per_frame2", "error_jitter_mm_per_frame2"
    people, tracks = f"{row}/identity_rmse_mm", f"{row}/tracks"
    return [
        Headline("accuracy_video.json", f"A rendered clip of {_CLIPS[world]}: {sentence}")
        for sentence in (
            f"its person is off by <{people}/clip:.2f> mm, single frames by <{people}/single_frames_mean:.2f> mm on"
            f" average, the mean of the frames' shapes by <{people}/mean_of_frames:.2f> mm.",
            f"the temporal term takes the jitter of a still clip from <{row}/still/off/{still}:.3f> to"
            f" <{row}/still/on/{still}:.3f> mm/frame², that of the moving clip's error from"
            f" <{tracks}/off/{moving}:.3f> to <{tracks}/on/{moving}:.3f>, and the frames' RMSE from"
            f" <{tracks}/off/{frames}:.3f> to <{tracks}/on/{frames}:.3f> mm.",
            f"blinks close the lids by <{tracks}/truth/blink_mm:.2f> mm, tracked ones by <{tracks}/on/blink_mm:.2f> mm,"
            f" the detector's by <{row}/detected_blink_mm:.2f> mm.",
        )
    ]


HEADLINES = (
    *(_synthetic_micc(model, each) for model in ("default", "ict") for each in ("cooperative", "indoor", "outdoor")),
    *(
        _no_worse(model, figure, name)
        for model in ("default", "ict")
        for figure, name in (("headline_mm", "distance"), ("normal_degrees", "normal error"))
    ),
    _medium("true", "true"),
    _medium("detected", "MediaPipe's"),
    *(
        _rows(
            "multi_scale.json", f"preset {preset}, normal error (deg)", "stage",
            ("medium", "fine, phase 1", "fine, phase 2"), preset,
        )
        for preset in ("default", "paper")
    ),  # fmt: skip
    _rows(
        "albedo_ablation.json", "normal error (deg) after the fine stage, by the terms of Eq. 6", "term",
        ("colour", "colour + Laplacian", "colour + RTV"),
    ),
    *(
        Headline(
            "sensitivity.json",
            f"No other value of a weight of the preset {preset}, from a tenth to ten times its own, lowers the normal"
            f" error by more than <largest_gain/{preset}:.1f> %.",
        )
        for preset in ("default", "paper")
    ),
    *(_stages(*fitted) for fitted in _FITTED),
    *(_fine(*fitted) for fitted in _FITTED),
    *(headline for world in _CLIPS for headline in _video(world)),
    Headline(
        "benchmark_cpu.json",
        "A portrait becomes a GLB in <photo/0/seconds:.0f> s when nothing is compiled yet, with at most"
        " <photo/0/peak_mib:.0f> MiB, and in <photo/1/seconds:.0f> s in a later process.",
    ),
)  # fmt: skip


def lines(folder: pathlib.Path, headlines: tuple[Headline, ...] = HEADLINES) -> list[str]:
    """A line a sentence, with its file; what is not there yet is said once."""
    return list(dict.fromkeys(f"- {_fill(headline, folder)}" for headline in headlines))


def _fill(headline: Headline, folder: pathlib.Path) -> str:
    file = headline.file
    if not (folder / file).exists():
        return f"Not measured yet: there is no `{file}`."
    stored = json.loads((folder / file).read_text())
    for path, _ in _PLACE.findall(headline.sentence):
        if _value(stored, path) is None:
            return f"Not measured yet: `{file}` has no `{path}`."
    sentence = _PLACE.sub(lambda place: format(_value(stored, place[1]), place[2]), headline.sentence)
    return f"{sentence} ([{file}]({file}))"


def _value(value, path: str):
    """What stands at a path; None where there is nothing."""
    try:
        for step in path.split("/"):
            if isinstance(value, list) and "=" in step:
                wanted = dict(each.split("=") for each in step.split("&"))
                value = next(v for v in value if all(str(v.get(key)) == each for key, each in wanted.items()))
            else:
                value = value[int(step)] if isinstance(value, list) else value[step]
        return value
    except (LookupError, TypeError, ValueError, StopIteration):
        return None
