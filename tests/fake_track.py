"""A small made-up track of a clip: a head that nods and turns, with frames that were bridged or lost."""

import numpy as np
from fake_face import EXPRESSIONS, dome_mesh

from jaxface.tracking.records import Track, TrackSettings
from jaxface.types import Pose

JITTER = {"jitter_mm_per_frame2": 0.1234, "spread_mm": 5.0, "raw_jitter_mm_per_frame2": 0.8123}


def states(num_frames: int) -> tuple[str, ...]:
    """A tenth of the frames bridged in the middle, the last one lost."""
    found = ["ok"] * num_frames
    middle = num_frames // 2
    found[middle : middle + max(num_frames // 10, 1)] = ["bridged"] * max(num_frames // 10, 1)
    found[-1] = "lost"
    return tuple(found)


def poses(num_frames: int, *, noise: float) -> Pose:
    """Turned by up to 25 degrees to the sides, nodding a little; noise in radians."""
    random = np.random.default_rng(0)
    t = np.linspace(0.0, 2.0 * np.pi, num_frames)
    vectors = np.stack([0.1 * np.sin(3.0 * t), 0.43 * np.sin(t), 0.05 * np.cos(t)], axis=-1)
    vectors = vectors + noise * random.standard_normal(vectors.shape)
    places = np.stack([320.0 + 10.0 * np.sin(t), 240.0 + 0.0 * t], axis=-1)
    return Pose(vectors.astype(np.float32), places.astype(np.float32), np.full(num_frames, np.log(2.0), np.float32))


def make_track(*, num_frames: int = 10, **changes) -> Track:
    """The record; `changes` replace single fields."""
    random = np.random.default_rng(1)
    status = states(num_frames)
    seen = np.where(np.array(status) == "ok", 1.0, np.nan)
    expression = np.zeros((num_frames, len(EXPRESSIONS)), np.float32)
    identity = np.linspace(-1.0, 1.0, 5).astype(np.float32)
    fields = {
        "name": "clip",
        "frames_per_second": 25.0,
        "frame_names": tuple(f"frame {k}" for k in range(num_frames)),
        "times_s": np.arange(num_frames) / 25.0,
        "status": status,
        "reason": tuple("" if state == "ok" else "no face was found." for state in status),
        "confidence": seen * (0.8 + 0.1 * random.random(num_frames)),
        "residual_px": seen * (2.0 + 0.5 * random.random(num_frames)),
        "shading_residual": seen * (0.03 + 0.01 * random.random(num_frames)),
        "pose": poses(num_frames, noise=0.0),
        "expression": expression,
        "raw_pose": poses(num_frames, noise=0.01),
        "raw_expression": expression,
        "light": np.zeros((num_frames, 9, 3), np.float32),
        "identity": identity,
        "single_identity": np.tile(identity, (num_frames, 1)),
        "neutral": dome_mesh(),
        "jitter": JITTER,
        "notes": ("the file breaks off after frame 9; what was read is kept.",),
        "settings": TrackSettings(),
        "detector": "told",
        "model_name": "dome",
        "model_licence": "Apache-2.0",
        "expression_names": EXPRESSIONS,
    }
    return Track(**(fields | changes))
