"""Records of a tracked clip (host side); frames, axes and units as in `jaxface.types`."""

import dataclasses

import numpy as np

from jaxface.types import FaceError, Mesh, Pose

FRAME_STATES = ("ok", "bridged", "lost")


@dataclasses.dataclass(frozen=True)
class TrackSettings:
    """What a user may choose about a clip; all of it is in the manifest, and other settings refuse to go on.

    `fuse` is "bundle" (one identity fitted to all frames) or "mean" (the mean of the frames' own, as printed); `smooth`
    the strength of the temporal terms, 0 none; `ordered` whether neighbours in time are alike (a video) or not
    (photos of one person); `meshes` "", "ply" or "obj" for a detailed mesh a frame; `chunk` frames at a time, None: as
    many as the device holds. `coarse` and `parsing` name networks as for photos (`pipeline.reconstruct`).
    """

    model: str | None = None
    coarse: str = "landmarks"
    parsing: str = "landmarks"
    preset: str = "default"
    size: int = 512
    fuse: str = "bundle"
    smooth: float = 1.0
    ordered: bool = True
    start: int = 0
    stop: int | None = None
    stride: int = 1
    max_frames: int | None = None
    chunk: int | None = None
    meshes: str = ""
    focal_px: float | None = None

    def __post_init__(self):
        if self.fuse not in ("bundle", "mean"):
            raise FaceError(f'Shapes are fused by "bundle" or "mean", not {self.fuse!r}.')
        if self.meshes not in ("", "ply", "obj"):
            raise FaceError(f'Meshes are written as "ply" or "obj", not {self.meshes!r}.')
        if not self.smooth >= 0.0:
            raise FaceError(f"The temporal strength must be 0 or more, not {self.smooth}.")


@dataclasses.dataclass(frozen=True)
class Track:
    """A clip after tracking. Arrays have a row for each frame; rows of frames that are not "ok" are bridged from their
    neighbours ("bridged"), or hold the nearest tracked frame ("lost").

    `pose` and `expression` are smoothed, `raw_pose` and `raw_expression` each frame's own with the shared identity;
    `single_identity` is what each frame alone would say. `residual_px` is the rms landmark residual (pixels of the
    frame), `shading_residual` the median |I' - I| over skin, `confidence` the landmarks' mean confidence; NaN
    where there is none. `jitter` holds the figures of `evaluation.motion`. `neutral` is the person,
    `detector` the name of what found the landmarks.
    """

    name: str
    frames_per_second: float
    frame_names: tuple[str, ...]
    times_s: np.ndarray
    status: tuple[str, ...]
    reason: tuple[str, ...]
    confidence: np.ndarray
    residual_px: np.ndarray
    shading_residual: np.ndarray
    pose: Pose
    expression: np.ndarray
    raw_pose: Pose
    raw_expression: np.ndarray
    light: np.ndarray
    identity: np.ndarray
    single_identity: np.ndarray
    neutral: Mesh
    jitter: dict[str, float]
    notes: tuple[str, ...]
    settings: TrackSettings
    detector: str
    model_name: str
    model_licence: str
    expression_names: tuple[str, ...]
