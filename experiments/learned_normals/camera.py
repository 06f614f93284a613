"""A camera before a head: perspective, square pictures, pixel centres at integers."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation


class View(NamedTuple):
    """Object axes to camera axes (x right, y up, z toward the viewer), where the camera stands (object frame, mm), its
    focal length in pixels, where the optical axis meets the picture, and the picture's side."""

    rotation: np.ndarray
    eye_mm: np.ndarray
    focal_px: float
    centre_px: np.ndarray
    size: int

    def rays(self, aside: tuple[float, float]) -> np.ndarray:
        """Directions (size * size, 3) in the object frame through points `aside` of the pixels' centres; along each the
        depth grows by 1 mm for a length of 1."""
        x, y = np.meshgrid(np.arange(self.size) + aside[0], np.arange(self.size) + aside[1])
        x, y = (x - self.centre_px[0]) / self.focal_px, (y - self.centre_px[1]) / self.focal_px
        return np.stack([x, -y, -np.ones_like(x)], axis=-1).reshape(-1, 3) @ self.rotation

    def project(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 2) and depth (n,) of points in the object frame."""
        seen = (points_mm - self.eye_mm) @ self.rotation.T
        return self.centre_px + self.focal_px * seen[:, :2] / -seen[:, 2:] * [1, -1], -seen[:, 2]


def random_view(landmarks_mm: np.ndarray, rng: np.random.Generator, *, size: int) -> View:
    """Faces from ahead mostly, turned up to 60 degrees, from a hand's to a lens's distance, whole or in part."""
    yaw = np.clip(rng.normal() * 25, -60, 60) if rng.random() < 0.8 else rng.uniform(-60, 60)
    angles = np.radians([np.clip(rng.normal() * 10, -28, 28), yaw, np.clip(rng.normal() * 9, -30, 30)])
    rotation = Rotation.from_euler("zyx", angles[::-1]).as_matrix()
    middle = landmarks_mm.mean(axis=0) + [0.0, 0.0, -15.0]
    width = np.ptp(landmarks_mm[:, 0]) + 0.35 * np.ptp(landmarks_mm[:, 1])
    share = rng.uniform(0.6, 1.05) if rng.random() < 0.85 else rng.uniform(1.05, 2.0)  # of the picture, by the face
    distance = width * np.exp(rng.uniform(np.log(1.8), np.log(9.0)))
    focal = share * size * distance / width
    eye = middle + distance * rotation[2]
    aside = rng.uniform(-0.5, 0.5, 2) * size * max(0.1, share - 0.8)
    return View(rotation, eye, float(focal), (size - 1) / 2 + aside, size)
