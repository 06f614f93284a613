"""What happens in the video: head movement, blinks, speech and light, frame by frame at 25 frames a second."""

from typing import NamedTuple

import numpy as np

from jaxface.synthetic import preset_light

FRAMES_PER_SECOND = 25.0
YAW_DEGREES, PITCH_DEGREES, ROLL_DEGREES = 25.0, 6.0, 4.0
BLINKS = (0.3, 0.7)  # places in the clip
_LIDS = (0.0, 0.4, 0.85, 1.0, 0.8, 0.45, 0.15, 0.0)  # shut three frames after the lid starts, open in four more
_SYLLABLES_HZ, _SYLLABLES_SPREAD_HZ = 4.0, 1.0
# Shape: its resting share, how much speech adds, and syllables a cycle and phase (turns) of that.
_SPEECH = {
    "jawOpen": (0.02, 0.18, 1, 0.0),
    "mouthLowerDownLeft": (0.0, 0.20, 1, 0.05),
    "mouthLowerDownRight": (0.0, 0.20, 1, 0.05),
    "mouthUpperUpLeft": (0.0, 0.15, 1, 0.1),
    "mouthUpperUpRight": (0.0, 0.15, 1, 0.1),
    "mouthFunnel": (0.0, 0.25, 2, 0.25),
    "mouthStretchLeft": (0.0, 0.20, 2, 0.75),
    "mouthStretchRight": (0.0, 0.20, 2, 0.75),
}
_MOODS = {"browInnerUp": 0.35, "mouthSmileLeft": 0.25, "mouthSmileRight": 0.2}


class Script(NamedTuple):
    """A row for each frame. Turns are yaw, pitch and roll; yaw is positive towards the subject's left. The head's
    pivot moves by `drift` sides of the picture and grows by the factor `growth`; `weights` are blendshapes by name."""

    turns: np.ndarray
    drift: np.ndarray
    growth: np.ndarray
    weights: dict[str, np.ndarray]
    light: np.ndarray

    @property
    def num_frames(self) -> int:
        return len(self.turns)


def speaking(num_frames: int) -> Script:
    """One sweep from right to left with nods, two blinks, speech throughout and a light that comes round from the
    side to the front and on to the top."""
    along = np.linspace(0.0, 1.0, num_frames)
    turns = np.radians(
        np.stack(
            [
                -YAW_DEGREES * np.cos(np.pi * along),
                PITCH_DEGREES * np.sin(2.0 * np.pi * along),
                ROLL_DEGREES * np.sin(1.6 * np.pi * along + 1.0),
            ],
            axis=1,
        )
    )
    drift = np.stack([0.015 * np.sin(2.0 * np.pi * along), 0.01 * np.cos(2.0 * np.pi * along)], axis=1)
    weights = _speech(num_frames) | {name: most * np.sin(np.pi * along) ** 2 for name, most in _MOODS.items()}
    lids = _blinks(num_frames)
    weights |= {"eyeBlinkLeft": lids, "eyeBlinkRight": lids}
    return Script(turns, drift, 1.0 + 0.03 * np.sin(np.pi * along), weights, _lights(along))


def still(num_frames: int, *, script: Script) -> Script:
    """The script's middle frame, held: only the camera's noise goes on."""

    def hold(rows):
        return np.repeat(rows[len(rows) // 2][None], num_frames, axis=0)

    weights = {name: hold(rows) for name, rows in script.weights.items()}
    return Script(hold(script.turns), hold(script.drift), hold(script.growth), weights, hold(script.light))


def blink_frames(num_frames: int) -> list[int]:
    """Frames in which the eyes are shut."""
    return [round(place * (num_frames - 1)) for place in BLINKS]


def _blinks(num_frames):
    lids = np.zeros(num_frames)
    for shut in blink_frames(num_frames):
        frames = shut - _LIDS.index(1.0) + np.arange(len(_LIDS))
        inside = (frames >= 0) & (frames < num_frames)
        lids[frames[inside]] = np.maximum(lids[frames[inside]], np.array(_LIDS)[inside])
    return lids


def _speech(num_frames):
    """Weights by name; the rate of syllables varies between 3 and 5 Hz."""
    times_s = np.arange(num_frames) / FRAMES_PER_SECOND
    syllables = _SYLLABLES_HZ * times_s + _SYLLABLES_SPREAD_HZ / (2.0 * np.pi) * (1.0 - np.cos(2.0 * np.pi * times_s))
    loudness = 0.75 + 0.25 * np.sin(2.0 * np.pi * 0.9 * times_s)
    return {
        name: rest + most * loudness * 0.5 * (1.0 - np.cos(2.0 * np.pi * (syllables / cycle + phase)))
        for name, (rest, most, cycle, phase) in _SPEECH.items()
    }


def _lights(along):
    """Mixtures of neighbouring preset lights: direction and strength change together."""
    side, soft, top = (np.asarray(preset_light(name), np.float64) for name in ("side", "soft", "top"))
    first, last = np.maximum(1.0 - 2.0 * along, 0.0), np.maximum(2.0 * along - 1.0, 0.0)
    shares = np.stack([first, 1.0 - first - last, last], axis=1)
    strength = 1.0 + 0.12 * np.sin(2.0 * np.pi * along)
    return strength[:, None, None] * np.einsum("fl,lbc->fbc", shares, np.stack([side, soft, top]))
