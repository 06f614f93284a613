"""From shards to what a training step sees: windows of pictures at any scale, with smooth surfaces that are wrong in
the ways of the product's own."""

import pathlib
from typing import NamedTuple

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, zoom

from learned_normals.pictures import HEIGHT_STEPS, NORMAL_STEPS, fits_path

SIDE = 192  # pixels of a window
_SCALES = (0.55, 1.8)  # of a window's pixels against a picture's
_MARGIN = 6  # pixels beside a window which its blur asks for
_NOTHING = 1e-3
_HELD_OUT = 16  # one shard of so many judges


class Window(NamedTuple):
    """`height_px` is the smooth surface, `covered` where it is; `weight` is how much the truth, `normals`, counts."""

    image: np.ndarray
    height_px: np.ndarray
    covered: np.ndarray
    px_per_mm: np.ndarray
    normals: np.ndarray
    weight: np.ndarray
    skin: np.ndarray


class Pictures:
    """All shards of a folder in memory, or those of some persons: `keep(family, bent)` chooses."""

    def __init__(self, folder: pathlib.Path, *, keep=lambda family, bent: True, held_out: bool = False):
        paths = sorted(folder.glob("pictures_*.npz"))
        learned = len(paths) - max(1, len(paths) // _HELD_OUT)
        self.rows = []
        for path in paths[learned:] if held_out else paths[:learned]:
            with np.load(path) as pictures, np.load(fits_path(path)) as fits:
                arrays = dict(pictures) | {"fit": fits["height"], "covered": fits["covered"], "usable": fits["usable"]}
            self.rows += [
                {name: values[row] for name, values in arrays.items()}
                for row in range(len(arrays["image"]))
                if arrays["usable"][row] and keep(arrays["family"][row], arrays["bent"][row])
            ]

    def window(self, rng: np.random.Generator) -> Window:
        """A random window of a random picture, mirrored every second time."""
        row = self.rows[rng.integers(len(self.rows))]
        scale = np.exp(rng.uniform(*np.log(_SCALES)))
        covered = row["covered"]
        corner = _corner(covered, SIDE / scale, rng)
        cut = _Cut(corner, scale, flip=rng.random() < 0.5)
        inside = cut(np.ones(covered.shape, np.float32))
        on_face, head = cut(covered.astype(np.float32)) > 0.5, cut(row["head"].astype(np.float32)) > 0.99
        xy = np.stack([cut(row["normals_xy"][..., axis] / NORMAL_STEPS) for axis in range(2)], axis=-1)
        xy[..., 0] *= -1.0 if cut.flip else 1.0
        xy /= np.maximum(1.0, np.linalg.norm(xy, axis=-1, keepdims=True) / 0.999)
        normals = np.concatenate([xy, np.sqrt(1.0 - (xy**2).sum(axis=-1, keepdims=True))], axis=-1)
        skin = cut(row["skin"] / 255.0)
        fit, truth = (cut(row[name] / HEIGHT_STEPS) * scale for name in ("fit", "height"))
        start = smooth_start(fit, truth, on_face, head, rng)
        image = np.stack([cut(row["image"][..., channel].astype(np.float32)) for channel in range(3)], axis=-1) / 255.0
        weight = np.where(on_face & head, 0.25 + 0.75 * skin, 0.0) * inside
        scaled = np.float32(row["px_per_mm"] * scale)
        seen = photographed(image, rng), start, on_face * (inside > 0.5), scaled, normals, weight, skin * head
        return Window(*(values.astype(np.float32) for values in seen))


def _corner(covered: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Of a window (pixels of the picture) that holds some of the face."""
    rows, columns = np.nonzero(covered[::4, ::4])
    room = np.array(covered.shape) - side
    if not len(rows):
        return room / 2
    which = rng.integers(len(rows))
    middle = 4.0 * np.array([rows[which], columns[which]])
    wanted = middle - side * rng.uniform(0.3, 0.7, 2)
    return np.where(room > 0, np.clip(wanted, 0, np.maximum(room, 0)), room / 2 + rng.uniform(-0.1, 0.1, 2) * side)


class _Cut(NamedTuple):
    """Resamples a map into the window; what lies beyond the picture is 0."""

    corner: np.ndarray
    scale: float
    flip: bool

    def __call__(self, values: np.ndarray) -> np.ndarray:
        around = [
            slice(max(0, int(low) - _MARGIN), max(1, int(low + SIDE / self.scale) + _MARGIN)) for low in self.corner
        ]
        values = np.asarray(values[tuple(around)], np.float32)
        if self.scale < 0.9:
            values = gaussian_filter(values, 0.4 / self.scale)
        first = self.corner - [axis.start for axis in around] + 0.5 / self.scale - 0.5
        cut = affine_transform(values, np.full(2, 1.0 / self.scale), first, (SIDE, SIDE), order=1, cval=0.0)
        return cut[:, ::-1] if self.flip else cut


def smooth_start(fit: np.ndarray, truth: np.ndarray, on_face: np.ndarray, head: np.ndarray, rng) -> np.ndarray:
    """The product's fit, the truth made smooth and wrong, or a surface between the two."""
    share = rng.choice([0.0, 1.0, rng.uniform()], p=[0.45, 0.3, 0.25])  # of the truth
    if share == 0.0 or (on_face & head).sum() < 200:
        return fit
    sigma = np.exp(rng.uniform(np.log(2.0), np.log(14.0)))
    known = head.astype(np.float32)
    blurred = gaussian_filter(truth * known, sigma) / np.maximum(gaussian_filter(known, sigma), _NOTHING)
    degraded = np.roll(blurred, np.round(rng.normal(size=2) * 1.2).astype(int), axis=(0, 1))
    for size, slope in ((rng.uniform(14, 40), 0.06), (rng.uniform(6, 14), 0.03)):
        wave = _waves(size, rng)
        degraded = degraded + rng.uniform(0.0, 2.0) * slope * size / 2.0 * wave
    between = on_face & head
    apart = np.median((degraded - fit)[between])
    return fit + share * (np.where(between, degraded - apart, fit) - fit)


def _waves(size: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth field of unit spread whose features are about `size` pixels wide."""
    few = rng.normal(size=(int(SIDE / size) + 4,) * 2)
    field = zoom(few, size, order=3)[:SIDE, :SIDE]
    return field / field.std()


def photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another exposure, colour cast, contrast, blur and noise."""
    image = np.clip(image, 0.0, 1.0) ** np.exp(rng.normal() * 0.15)
    image = image * np.exp(rng.normal() * 0.12 + rng.normal(size=3) * 0.05)
    if rng.random() < 0.25:
        image = gaussian_filter(image, (*[rng.uniform(0.3, 1.2)] * 2, 0))
    image = image + rng.normal(size=image.shape) * rng.choice([0.0, 0.0, 0.01, 0.025])
    return np.clip(image, 0.0, 1.0)


def batch(pictures: Pictures, rng: np.random.Generator, *, count: int) -> Window:
    """`count` windows, stacked."""
    return Window(*(np.stack(values) for values in zip(*(pictures.window(rng) for _ in range(count)), strict=True)))
