"""The verb `evaluate` of the command line: how far a predicted face is from a scan, by a named protocol."""

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from absl import flags, logging

from jaxface import commands
from jaxface.commands import UsageError

if TYPE_CHECKING:
    from jaxface.evaluation.surfaces import FaceSurface

FILES = ("evaluation.json", "error_map.png", "error_map.ply", "error_map.glb")

_EYES_MM = (50.0, 150.0)  # outer corners apart: adults have 80 to 100 mm, other units are a factor of 10 away


class _Face(NamedTuple):
    """One of the two meshes, and where its landmarks are from, in words."""

    path: str
    surface: "FaceSurface"
    origin: str


def define_evaluate_flags(values: flags.FlagValues) -> None:
    """Adds the flags of `jaxface evaluate`."""
    where: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string(
        "protocol",
        "micc-deng2019",
        "How errors are measured: micc-deng2019, micc-ganfit or now; results say it.",
        **where,
    )
    flags.DEFINE_enum(
        "scale",
        None,
        ["similarity", "rigid"],
        "Whether the prediction's size is fitted; else as the protocol.",
        **where,
    )
    for role in ("prediction", "scan"):
        flags.DEFINE_string(
            f"{role}_landmarks",
            None,
            f"Landmarks of the {role}: .pp, .txt, .csv, .npy or .json with 68, 51 or 7 points, in the {role}'s unit; "
            "without it a file of its name beside it, else they are found.",
            **where,
        )
        flags.DEFINE_enum(
            f"{role}_unit", None, ["mm", "cm", "m"], f"Unit of the {role}; without it mm, for GLB m.", **where
        )
    flags.DEFINE_string("output_dir", "out", f"Folder for {', '.join(FILES)}; made if missing.", **where)
    flags.DEFINE_string("landmarker_task", None, "face_landmarker.task, which MediaPipe from 0.10.30 needs.", **where)
    flags.DEFINE_boolean("quiet", False, "Print errors only.", **where)
    flags.DEFINE_integer("verbosity", -1, "absl's log level; 1 shows where an unexpected error came from.", **where)


def evaluate(arguments: list[str], values: flags.FlagValues) -> int:
    """Measures the prediction against the scan; returns 0, or 1 if it failed. Raises UsageError before any work."""
    logging.set_verbosity(values.verbosity)
    if len(arguments) != 2:
        raise UsageError("name two meshes, the prediction and the scan.")
    for flag in ("prediction_landmarks", "scan_landmarks", "landmarker_task"):
        path = getattr(values, flag)
        if path is not None and not pathlib.Path(path).is_file():
            raise UsageError(f"--{flag}: there is no file {path}.")
    protocol = _protocol(values)
    plan = [("evaluate", commands.writable_folder(values.output_dir))]
    prediction, scan = arguments
    return commands.attempt_all(plan, lambda name, folder: _evaluate_one(prediction, scan, folder, protocol, values))


def _protocol(values: flags.FlagValues):
    """The `Protocol` of that name, with the scale asked for."""
    from jaxface.evaluation.protocols import find_protocol
    from jaxface.types import FaceError

    try:
        protocol = find_protocol(values.protocol)
    except FaceError as error:
        raise UsageError(f"--protocol: {error}") from None
    return protocol if values.scale is None else dataclasses.replace(protocol, scale=values.scale)


def _evaluate_one(prediction: str, scan: str, folder: pathlib.Path, protocol, values: flags.FlagValues) -> None:
    from jaxface.evaluation.evaluate import evaluate

    detect = commands.make_detector(values)
    paths = {"prediction": prediction, "scan": scan}
    faces = {role: _read_face(path, role, values, detect) for role, path in paths.items()}
    _check_unit(faces["scan"])
    found = evaluate(faces["prediction"].surface, faces["scan"].surface, protocol=protocol)
    _write_error_map(folder, found, faces)
    _write_json(folder / FILES[0], protocol.label, found, faces)
    if not values.quiet:
        print("\n".join([*_table(found, faces), f"-> {folder}/: {', '.join(FILES)}"]))


def _read_face(path: str, role: str, values: flags.FlagValues, detect) -> _Face:
    from jaxface.evaluation.surfaces import FaceSurface
    from jaxface.io.surfaces import read_surface
    from jaxface.models.mesh_landmarks import mesh_landmarks
    from jaxface.types import FaceError

    unit, given = getattr(values, f"{role}_unit"), getattr(values, f"{role}_landmarks")
    vertices_mm, triangles = read_surface(path, unit=unit)
    try:
        landmarks_mm, origin = mesh_landmarks(path, vertices_mm, triangles, given=given, unit=unit, detect=detect)
    except FaceError as error:
        raise FaceError(f"{str(error).removesuffix('.')} (--{role}_landmarks).") from None
    return _Face(path, FaceSurface(vertices_mm, triangles, landmarks_mm), origin)


def _check_unit(scan: _Face) -> None:
    """Errors in millimetres mean nothing on a mesh in another unit."""
    from jaxface.evaluation.surfaces import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
    from jaxface.types import FaceError

    right, left = scan.surface.landmarks_mm[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER]]
    apart_mm = float(np.linalg.norm(left - right))
    if np.isfinite(apart_mm) and not _EYES_MM[0] < apart_mm < _EYES_MM[1]:
        raise FaceError(
            f"{scan.path}: the outer corners of its eyes are {apart_mm:.3g} mm apart, which no face has: say its unit "
            f"with --scan_unit, or check its landmarks ({scan.origin})."
        )


def _write_error_map(folder: pathlib.Path, found, faces: dict[str, _Face]) -> None:
    from jaxface.error_views import face_views
    from jaxface.export.error_map import error_colours, write_error_meshes, write_error_picture

    vertices_mm, triangles, landmarks_mm = faces["scan"].surface
    judged = found.kept_vertices
    colours = error_colours(found.errors_mm, judged, num_vertices=len(vertices_mm))
    views = face_views(vertices_mm, triangles, colours, landmarks_mm=landmarks_mm, shown=judged)
    prediction, scan = (pathlib.Path(faces[role].path).name for role in ("prediction", "scan"))
    title = f"{prediction}, measured on {scan}: {found.headline_mm:.3f} mm"
    write_error_meshes(folder / "error_map", vertices_mm, triangles, colours)
    write_error_picture(folder / "error_map.png", views, title=title, subtitle=found.protocol)


def _write_json(path: pathlib.Path, name: str, found, faces: dict[str, _Face]) -> None:
    from jaxface.export.report import plain, versions
    from jaxface.io.atomic import new_file

    report = {
        "protocol": {"name": name, "text": found.protocol},
        "headline_mm": found.headline_mm,
        "figures": found.figures,
        "similarity": found.similarity,
        **{role: _facts(face) for role, face in faces.items()},
        "versions": versions(),
    }
    with new_file(path) as fresh:
        fresh.write_text(json.dumps(plain(report), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _facts(face: _Face) -> dict:
    known = int(np.isfinite(face.surface.landmarks_mm).all(axis=1).sum())
    return {
        "file": face.path,
        "vertices": len(face.surface.vertices_mm),
        "triangles": len(face.surface.triangles),
        "landmarks": {"from": face.origin, "known": known},
    }


def _table(found, faces: dict[str, _Face]) -> list[str]:
    lines = [f"protocol    {found.protocol}"]
    for role, face in faces.items():
        facts = _facts(face)
        counts = f"{facts['vertices']} vertices, {facts['landmarks']['known']} landmarks from {face.origin}"
        lines.append(f"{role:<12}{face.path} ({counts})")
    lines += ["", f"{'error':<24}{found.headline_mm:.4f} mm (the protocol's figure)"]
    return [*lines, *(f"{name:<24}{_number(value)}" for name, value in found.figures.items())]


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4f}"
