"""Neck and shoulders below a head that ends at its neck, bare or dressed."""

import numpy as np

from jaxface.types import Region
from learned_normals import noise
from learned_normals.head import Head, Thing

_AROUND, _DOWN = 72, 40


def torso(head: Head, rng: np.random.Generator, *, skin: np.ndarray) -> Thing:
    """A body that begins inside the neck."""
    neck = head.vertices_mm[head.regions == Region.NECK]
    low = neck[neck[:, 1] < np.quantile(neck[:, 1], 0.3)]
    middle, wide = low.mean(axis=0), np.ptp(low, axis=0) / 2
    turn, fall = np.meshgrid(np.linspace(0, 2 * np.pi, _AROUND, endpoint=False), np.linspace(0, 1, _DOWN))
    shoulders = np.array([rng.uniform(150, 230), rng.uniform(70, 120)])
    begin = np.array([0.86 * wide[0], 0.86 * wide[2]])
    grow = np.clip((fall - rng.uniform(0.12, 0.3)) / 0.4, 0.0, 1.0) ** rng.uniform(0.5, 1.2)
    radius = begin + (shoulders - begin) * grow[..., None]
    power = 2.0 / (2.0 + grow)
    x = radius[..., 0] * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    z = radius[..., 1] * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    y = low[:, 1].max() + 12.0 - fall * rng.uniform(220, 320)
    points = np.stack([middle[0] + x, np.broadcast_to(y, x.shape), middle[2] - 8.0 * grow + z], axis=-1).reshape(-1, 3)
    dressed = (fall > rng.uniform(0.05, 0.6)).ravel()
    cloth, other = rng.uniform(0.01, 0.8, 3), rng.uniform(0.01, 0.8, 3)
    stripes = np.sin(points @ rng.normal(size=3) * rng.uniform(0.1, 0.6)) > rng.choice([-1.5, 0.0, 0.6])
    folds = rng.uniform(0.0, 5.0) * noise.field(points, size_mm=[25.0, 60.0, 25.0], seed=int(rng.integers(2**31)))
    points[dressed, 2] += folds[dressed]
    colours = np.where(dressed[:, None], np.where(stripes[:, None], cloth, other), skin)
    row, column = np.meshgrid(np.arange(_DOWN - 1), np.arange(_AROUND), indexing="ij")
    a, b = (row * _AROUND + column).ravel(), (row * _AROUND + (column + 1) % _AROUND).ravel()
    faces = np.concatenate([np.stack([a, b, a + _AROUND], 1), np.stack([b, b + _AROUND, a + _AROUND], 1)])
    return Thing(points, faces, colours, np.where(dressed, 0.3, 0.8), rng.uniform(0.0, 0.15))
