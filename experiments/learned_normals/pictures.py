"""The set of training pictures: each is made from its number alone, so a set that was interrupted goes on where it was.

A shard holds the pictures of four persons. What a shard says of a picture: the picture as a file would hold it, the
bare head's normals and height, where the head's skin is on the ray and how much of a pixel shows it, and landmarks.
"""

import functools
import os
import pathlib
from typing import NamedTuple

import numpy as np

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from learned_normals import families, things
from learned_normals.camera import random_view
from learned_normals.develop import develop
from learned_normals.head import Head, Thing
from learned_normals.light import random_light
from learned_normals.paint import random_paint
from learned_normals.picture import take
from learned_normals.relief import relief_mm
from learned_normals.torso import torso

SIZE = 320
PERSONS, PICTURES = 4, 4  # a shard's persons, and pictures of each
NORMAL_STEPS, HEIGHT_STEPS = 32767.0, 64.0  # a unit of normals, a pixel of height
_SHARES = {"default": 0.4, "ict": 0.6}  # of the persons, by the mesh they have
_BENT = 0.5  # of either family


class Sample(NamedTuple):
    """One picture: `normals_xy` of the bare head in the image frame (int16, in NORMAL_STEPS), `height` towards the
    viewer (int32, in HEIGHT_STEPS of a pixel), `head` where it has skin on the ray, `skin` the share of the pixel that
    shows it (uint8), true `landmarks_px` with heights and those `found_px`; `family` is 0 for default, 1 for ict."""

    image: np.ndarray
    normals_xy: np.ndarray
    height: np.ndarray
    head: np.ndarray
    skin: np.ndarray
    landmarks_px: np.ndarray
    found_px: np.ndarray
    px_per_mm: np.float32
    family: np.int32
    bent: np.bool_
    thing: np.bool_


def make(person: int, turn: int, *, seed: int, families_used: tuple[str, ...]) -> Sample:
    """Picture number `turn` of a person; the same numbers give the same picture."""
    rng = np.random.default_rng([seed, person])
    there = [name for name in _SHARES if name in families_used]
    shares = np.array([_SHARES[name] for name in there])
    name = rng.choice(there, p=shares / shares.sum())
    bent = rng.random() < _BENT
    of = families.family(str(name))
    neutral = families.identity_mm(of, rng, bend_mm=rng.uniform(1.0, 2.5) if bent else 0.0)
    paint, age = random_paint(of, rng), rng.uniform()
    relief, pores = relief_mm(of, rng, age=age), rng.uniform(0.0, 0.06)

    rng = np.random.default_rng([seed, person, turn])
    head = families.head(of, neutral + families.expression_mm(of, rng), relief)
    thing, in_front = _things(head, paint, rng, neck=name == "default")
    view = random_view(head.landmarks_mm, rng, size=SIZE)
    picture = take(head, paint, thing, random_light(rng), view, pores=pores)
    image = develop(picture.linear, picture.skin, rng)
    landmarks, depth = view.project(head.landmarks_mm)
    middle = float(np.median(depth))
    px_per_mm = view.focal_px / middle
    height = (middle - np.nan_to_num(picture.depth_mm, nan=middle)) * px_per_mm
    return Sample(
        image=image,
        normals_xy=np.round(picture.normals[..., :2] * NORMAL_STEPS).astype(np.int16),
        height=np.round(height * HEIGHT_STEPS).astype(np.int32),
        head=picture.head,
        skin=np.round(255 * picture.skin).astype(np.uint8),
        landmarks_px=np.concatenate([landmarks, (middle - depth)[:, None] * px_per_mm], axis=1).astype(np.float32),
        found_px=_found(image, landmarks),
        px_per_mm=np.float32(px_per_mm),
        family=np.int32(name == "ict"),
        bent=np.bool_(bent),
        thing=np.bool_(in_front),
    )


def _things(head: Head, paint, rng: np.random.Generator, *, neck: bool) -> tuple[Thing | None, bool]:
    """What grows on the head or stands before it; two faces in three are free of the latter."""
    chosen = []
    hairy = (("cap_of_hair", 0.65), ("strands", 0.2), ("beard", 0.15), ("brows", 0.7))
    chosen += [kind for kind, chance in hairy if rng.random() < chance]
    in_front = [kind for kind in things.KINDS if kind not in dict(hairy)]
    before = rng.random() < 0.35
    if before:
        chosen += list(rng.choice(in_front, size=rng.choice([1, 2], p=[0.8, 0.2]), replace=False))
        if rng.random() < 0.3:
            chosen += ["glasses"] if "glasses" not in chosen else []
    if "hat" in chosen and "cap_of_hair" in chosen:  # hair would come through it
        chosen.remove("cap_of_hair")
    made = [things.make(kind, head, rng, skin=paint.skin, hair=paint.hair) for kind in chosen]
    if neck:
        made.append(torso(head, rng, skin=paint.skin))
    return (things.combined(made) if made else None), before or "strands" in chosen or "beard" in chosen


def _found(image: np.ndarray, truth_px: np.ndarray) -> np.ndarray:
    """The detector's landmarks (478, 3) with its own heights, NaN where it finds no face or another one."""
    faces = _detector()(np.ascontiguousarray(image))
    if not faces or np.median(np.linalg.norm(faces[0].points_px - truth_px, axis=1)) > 0.15 * np.ptp(truth_px):
        return np.full((478, 3), np.nan, np.float32)
    return np.concatenate([faces[0].points_px, faces[0].height_px[:, None]], axis=1).astype(np.float32)


@functools.cache
def _detector() -> MediaPipeDetector:
    return MediaPipeDetector()


def shard_path(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / f"pictures_{number:04d}.npz"


def fits_path(shard: pathlib.Path) -> pathlib.Path:
    """Where the product's fits on a shard's pictures lie."""
    return shard.with_name(shard.name.replace("pictures_", "fits_"))


def write_shard(folder: pathlib.Path, number: int, *, seed: int, families_used: tuple[str, ...]) -> pathlib.Path:
    """Makes a shard unless it is there; it appears under its name when it is whole."""
    path = shard_path(folder, number)
    if path.exists():
        return path
    samples = [
        make(PERSONS * number + person, turn, seed=seed, families_used=families_used)
        for person in range(PERSONS)
        for turn in range(PICTURES)
    ]
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez(
            file,
            **{name: np.stack(values) for name, values in zip(Sample._fields, zip(*samples, strict=True), strict=True)},
        )
    os.replace(partial, path)
    return path
