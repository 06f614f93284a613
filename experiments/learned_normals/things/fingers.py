"""One finger along a middle line: joints, creases and a nail."""

from typing import NamedTuple

import numpy as np

from learned_normals.head import Thing
from learned_normals.noise import waves
from learned_normals.things.colours import smoothstep
from learned_normals.things.shapes import tube

STEPS, SIDES = 64, 22


class Cover(NamedTuple):
    """What a hand's surface looks like; a glove has no nails."""

    colour: np.ndarray
    nail: np.ndarray | None
    gloss: float
    grain: float


def finger(path: np.ndarray, radius: float, up: np.ndarray, cover: Cover, rng: np.random.Generator) -> Thing:
    """Skin along a middle line (STEPS, 3) that ends at the tip; `up` is the way the nail faces."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    left = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])  # millimetres to the tip
    size = radius / 8.0
    joints = left[0] * np.array([0.27, 0.58])
    bulge = np.exp(-(((left[:, None] - joints) / (6.0 * size)) ** 2)).sum(axis=1)
    slim = radius * (0.82 + 0.18 * smoothstep(left / left[0]) + 0.07 * bulge)
    slim = slim * np.sqrt(1.0 - (1.0 - np.minimum(left / (1.1 * radius), 1.0)) ** 2)
    slim = slim * np.interp(np.arange(STEPS), [0, 9], [0.5, 1.0])  # sunk into the hand
    turn = 2 * np.pi * np.arange(SIDES) / SIDES  # the back is at a quarter turn, the pad at three
    colours = _painted(left, joints, size, turn, cover, rng)
    return tube(path[None], slim[None], colours[None], cover.gloss, sides=SIDES, up=up, grain=cover.grain)


def _painted(left: np.ndarray, joints: np.ndarray, size: float, turn: np.ndarray, cover: Cover, rng) -> np.ndarray:
    """Colours (STEPS, SIDES, 3): creased and warmer at the joints, warm at the tip, with a nail."""
    off = (left[:, None] - joints) / size
    folds = (np.exp(-((((off + 1.3) % 2.6 - 1.3) / 0.7) ** 2)) * np.exp(-((off / 4.5) ** 2))).sum(axis=1)
    bulge = np.exp(-((off / 6.0) ** 2)).sum(axis=1)
    flat = np.stack(np.broadcast_arrays(left[:, None], 8.0 * np.cos(turn), 8.0 * np.sin(turn)), axis=-1)
    shade = 1.0 - 0.3 * np.minimum(folds, 1.0)[:, None] * (0.5 + 0.5 * np.sin(turn)) + 0.05 * waves(flat, 18.0, rng)
    warm = np.exp(-((left / (8.0 * size)) ** 2)) + 0.6 * bulge
    colours = cover.colour * shade[..., None] * (1.0 + 0.1 * warm[:, None, None] * np.array([1.0, -1.0, -0.8]))
    if cover.nail is None:
        return colours
    rim = np.hypot((left[:, None] - 7.0 * size) / (5.5 * size), np.cos(turn) / 0.72)
    nail = (smoothstep((1.05 - rim) / 0.15) * (np.sin(turn) > 0))[..., None]
    fold = (np.exp(-(((rim - 1.05) / 0.1) ** 2)) * (np.sin(turn) > 0))[..., None]
    return (colours + nail * (cover.nail - colours)) * (1.0 - 0.35 * fold)
