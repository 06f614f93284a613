"""`result.json`: what was done, how well it went, and every parameter of the face (host side)."""

import importlib.metadata
import json
import math
import os
import pathlib
import platform
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from jaxface.export.quality import expected_errors_degrees, overall
from jaxface.export.reconstruction import Reconstruction
from jaxface.io.atomic import new_file
from jaxface.types import Camera, Pose, StageReport

PACKAGES = ("jaxface", "jax", "jaxlib", "numpy", "mediapipe")


def write_result(path: str | os.PathLike, rec: Reconstruction) -> None:
    """Writes `result_json(rec)` to `path`."""
    with new_file(path) as fresh:
        fresh.write_text(json.dumps(result_json(rec), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def result_json(rec: Reconstruction) -> dict:
    """The report as plain JSON values: a verdict, status and figures of each stage, confidences, residuals, parameters,
    settings, versions. Lengths carry their unit in the name; what is not finite is null."""
    word, doubt = overall(rec.stages)
    return plain(
        {
            "verdict": {"word": word, "reason": doubt},
            "expected_normal_error_degrees": expected_errors_degrees(rec.stages),
            "stages": [_stage(stage) for stage in rec.stages],
            "confidence": _confidences(rec),
            "residuals": {
                "coarse_landmarks_px": rec.coarse_fit.residual_px,
                "photometric": photometric_residual(rec),
            },
            "parameters": {
                "identity": rec.coarse_fit.identity,
                "expression": dict(zip(rec.expression_names, np.asarray(rec.coarse_fit.expression), strict=True)),
                "pose": pose_json(rec.coarse_fit.pose),
                "camera": _camera(rec.camera),
                "crop": {
                    "offset_px": rec.crop.offset_px,
                    "zoom": rec.crop.zoom,
                    "size": rec.crop_image.shape[0],
                },
                "light": rec.maps.light,
            },
            "image": {"height": rec.image.shape[0], "width": rec.image.shape[1]},
            "model": {"name": rec.model_name, "licence": rec.model_licence},
            "settings": rec.settings,
            "versions": versions(),
        }
    )


def pose_json(pose: Pose) -> dict:
    """A pose as rotation vector, matrix and Euler angles (R = Ry(yaw) Rx(pitch) Rz(roll); positive yaw turns the
    face to image right, positive pitch down, positive roll anticlockwise), scale and translation."""
    rotation = Rotation.from_rotvec(np.asarray(pose.rotation_vector, np.float64))
    yaw, pitch, roll = rotation.as_euler("YXZ", degrees=True)
    return {
        "rotation_vector": pose.rotation_vector,
        "rotation_matrix": rotation.as_matrix(),
        "euler_degrees": {"yaw": yaw, "pitch": pitch, "roll": roll},
        "scale_px_per_mm": np.exp(np.asarray(pose.log_scale)),
        "translation_px": pose.translation_px,
    }


def photometric_residual(rec: Reconstruction) -> float:
    """Root mean square of image - (albedo * shading + specular) (Eq. 4) over the crop, weighted by confidence."""
    maps = rec.maps
    model = np.asarray(maps.albedo) * np.asarray(maps.shading) + np.asarray(maps.specular)
    weight = np.asarray(maps.confidence, np.float64)
    squares = np.mean((rec.crop_image - model) ** 2, axis=-1)
    return float(np.sqrt(np.sum(weight * squares) / max(weight.sum(), 1e-9)))


def versions() -> dict[str, str | None]:
    """Versions of what shaped the numbers; null for a package that is not installed."""
    device = jax.devices()[0]
    found = {name: _version(name) for name in PACKAGES}
    machine = {"python": platform.python_version(), "platform": platform.platform()}
    return found | machine | {"device": f"{device.platform}: {device.device_kind}"}


def plain(value: object) -> Any:
    """`value` in JSON's own types: records become dicts, arrays lists, what is not finite None, the rest text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return plain(_rounded(np.asarray(value)))
    return os.fspath(value) if isinstance(value, pathlib.PurePath) else str(value)


def _rounded(array: np.ndarray):
    """Python numbers; float32 in its shortest exact decimal form, not as 0.30000001192092896."""
    if array.dtype == np.float32:
        return np.asarray([float(str(entry)) for entry in array.ravel()]).reshape(array.shape).tolist()
    return array.tolist()


def _stage(stage: StageReport) -> dict:
    figures = dict(stage.figures)
    return {
        "name": stage.name,
        "status": stage.status,
        "reason": stage.reason,
        "seconds": stage.seconds,
        "compile_seconds": figures.pop("compile_seconds", None),
        "figures": figures,
    }


def _confidences(rec: Reconstruction) -> dict:
    """Means: of the landmarks, and of the fine stage's data mask over the face mask, and the mask's share."""
    mask = np.asarray(rec.maps.mask, np.float64)
    trusted = np.sum(mask * np.asarray(rec.maps.confidence)) / max(mask.sum(), 1e-9)
    return {
        "landmarks": np.mean(np.asarray(rec.landmarks.confidence)),
        "fine": trusted,
        "mask_share": mask.mean(),
    }


def _camera(camera: Camera) -> dict:
    inverse = float(np.asarray(camera.inverse_focal))
    kind = "perspective" if inverse else "scaled orthographic"
    return {
        "kind": kind,
        "focal_px": 1.0 / inverse if inverse else None,
        "principal_point_px": camera.principal_point_px,
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
