"""Face++ dense landmarks: the saved JSON answer of `thousandlandmark`, 973 points or 845 without eyelids (host side).

Points are integer pixels. "Left" in their names is the image's left, the subject's right. Outlines of brows, eyes and
lips are closed: they begin at the outer (lips: image-left) end, and half of their points later comes the other end.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxface.detection import chains
from jaxface.types import NUM_LANDMARKS, FaceError, Landmarks

_LARGEST_BYTES = 4_000_000  # An answer has some 60 000.
_SIDES = {"left": chains.RIGHT, "right": chains.LEFT}
_GUESSED = 0.3  # confidence of points that are sure across a curve only: nothing on the nose's ridge marks its tip

Points = Float[np.ndarray, "points 2"]


def read_facepp(path: str | os.PathLike) -> Landmarks:
    """Landmarks of one face in pixels from the whole JSON answer of Face++ `thousandlandmark`.

    There is no published map from these points to a mesh. Both follow the same curves, so each of MediaPipe's points
    on lips, lids, brows, contour and nose lies at the share of the curve's length that it has on the embedded model
    (`chains`); pupils are the irises' centres. Points without a counterpart get confidence 0; the hairline is none
    of them, since MediaPipe's oval ends on the forehead. Raises FaceError for anything but such an answer.
    """
    path = pathlib.Path(path)
    groups = _groups(_load(path), path)
    full = np.zeros((NUM_LANDMARKS, 3), np.float64)
    for chain, curve in _curves(groups, path):
        full[list(chain.landmarks), :2] = _along(curve, chain.places, path)
        full[list(chain.landmarks), 2] = _GUESSED if chain is chains.NOSE_RIDGE else 1.0
    for name, side in _SIDES.items():
        pupil = f"{name}_eye_pupil_center"
        full[side.iris] = *_point(_group(groups, f"{name}_eye", path).get(pupil), pupil, path), 1.0
    full = full.astype(np.float32)
    return Landmarks(jnp.asarray(full[:, :2]), jnp.zeros(NUM_LANDMARKS), jnp.asarray(full[:, 2]))


def _load(path: pathlib.Path) -> object:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError(f"it is larger than {_LARGEST_BYTES // 10**6} MB")
        return json.loads(path.read_bytes(), object_pairs_hook=_without_repeats)
    except (ValueError, OSError, RecursionError) as error:
        raise FaceError(f"{path} is not the JSON answer of Face++ ({error}): save the whole answer again.") from error


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise ValueError("a name stands in it twice")
    return unique


def _groups(answer: object, path: pathlib.Path) -> dict[str, object]:
    """The groups of named points in an answer."""
    if isinstance(answer, dict) and "error_message" in answer:
        reason = str(answer["error_message"])[:100]
        raise FaceError(f"{path} holds no points but the error {reason!r} of Face++: send the photo again.")
    face = answer.get("face") if isinstance(answer, dict) else None
    if face == {}:
        raise FaceError(f"{path} says that Face++ found no face: use a photo that shows one clearly.")
    groups = face.get("landmark") if isinstance(face, dict) else None
    if not isinstance(groups, dict):
        raise FaceError(f"{path} has no points under face, landmark: save the whole answer of thousandlandmark.")
    return groups


def _curves(groups: dict[str, object], path: pathlib.Path) -> Iterator[tuple[chains.Chain, Points]]:
    """The curves that MediaPipe's mesh has too, each in the direction of its chain."""
    inner_corners = []
    for name, side in _SIDES.items():
        upper, lower = _halves(_eye(groups, name, path))
        inner_corners.append(upper[-1])
        yield side.upper_lid, upper
        yield side.lower_lid, lower
        upper, lower = _halves(_curve(groups, f"{name}_eyebrow", f"{name}_eyebrow", 64, path))
        yield side.upper_brow, upper
        yield side.lower_brow, lower
    yield from _lips(groups, path)
    yield from _nose(groups, inner_corners, path)
    halves = {name: _curve(groups, "face", f"face_contour_{name}", 64, path) for name in _SIDES}
    chin = np.mean([half[0] for half in halves.values()], axis=0)
    for name, side in _SIDES.items():
        yield side.contour, np.concatenate([halves[name][::-1], chin[None]])


def _eye(groups: dict[str, object], name: str, path: pathlib.Path) -> Points:
    """The rim of the lids with both corners; where an older answer lacks it, the white of the eye."""
    if f"{name}_eye_eyelid" in groups:
        return _curve(groups, f"{name}_eye_eyelid", f"{name}_eye_eyelid", 64, path)
    return _curve(groups, f"{name}_eye", f"{name}_eye", 63, path)


def _lips(groups: dict[str, object], path: pathlib.Path) -> Iterator[tuple[chains.Chain, Points]]:
    """All four edges run between the upper lip's two corners: the lower lip's own ends differ a little."""
    upper, lower = (_curve(groups, "mouth", f"{name}_lip", 64, path) for name in ("upper", "lower"))
    first, last = upper[:1], upper[32:33]
    yield chains.UPPER_OUTER_LIP, upper[:33]
    yield chains.UPPER_INNER_LIP, np.concatenate([first, upper[:31:-1]])
    yield chains.LOWER_INNER_LIP, np.concatenate([first, lower[:31:-1], last])
    yield chains.LOWER_OUTER_LIP, np.concatenate([first, lower[:32], last])


def _nose(
    groups: dict[str, object], inner_corners: list[np.ndarray], path: pathlib.Path
) -> Iterator[tuple[chains.Chain, Points]]:
    """The base from each wing's corner to the middle, and the ridge from between the inner corners of the eyes."""
    wings = {name: _curve(groups, "nose", f"nose_{name}", 63, path) for name in _SIDES}
    base = np.mean([wing[-1] for wing in wings.values()], axis=0)
    for name, side in _SIDES.items():
        yield side.nose_base, np.concatenate([wings[name][_corner(wings[name]) :], base[None]])
    ridge = _curve(groups, "nose", "nose_midline", 60, path)
    first, last = (_nearest(ridge, place) for place in (np.mean(inner_corners, axis=0), base))
    yield chains.NOSE_RIDGE, ridge[first : last + 1]


def _corner(curve: Points) -> int:
    """Where a hook bends: farthest from the line between its ends, which holds for a stretched or turned hook, too."""
    across = (curve[-1] - curve[0])[::-1] * np.array([1.0, -1.0])
    return int(np.argmax(np.abs((curve - curve[0]) @ across)))


def _nearest(curve: Points, place: Float[np.ndarray, "2"]) -> int:
    return int(np.argmin(np.linalg.norm(curve - place, axis=1)))


def _halves(outline: Points) -> tuple[Points, Points]:
    """Upper and lower edge, both from the outer end to the inner, of a closed outline that sets out on the upper."""
    middle = len(outline) // 2
    return outline[: middle + 1], np.concatenate([outline[:1], outline[: middle - 1 : -1]])


def _along(curve: Points, places: tuple[float, ...], path: pathlib.Path) -> Points:
    """Points at shares of a polyline's length."""
    travelled = np.cumsum([0.0, *np.linalg.norm(np.diff(curve, axis=0), axis=1)])
    if travelled[-1] == 0.0:
        raise FaceError(f"{path} has a curve whose points all coincide: save the answer again.")
    wanted = travelled[-1] * np.array(places)
    return np.stack([np.interp(wanted, travelled, axis) for axis in curve.T], axis=1)


def _group(groups: dict[str, object], name: str, path: pathlib.Path) -> dict[str, object]:
    group = groups.get(name)
    if not isinstance(group, dict):
        raise FaceError(f"{path} lacks the points of {name}: ask Face++ for return_landmark=all.")
    return group


def _curve(groups: dict[str, object], group: str, name: str, count: int, path: pathlib.Path) -> Points:
    """The points `name`_0, `name`_1, ... of a group; exactly `count` must be there."""
    points = _group(groups, group, path)
    expected = [f"{name}_{place}" for place in range(count)]
    found = {key for key in points if re.fullmatch(rf"{name}_[0-9]+", key)}
    if odd := sorted(found.symmetric_difference(expected)):
        problem = "lacks" if odd[0] in expected else "has an unknown"
        raise FaceError(f"{path} {problem} point {odd[0][:40]}: {name} must have the points 0 to {count - 1}.")
    return np.array([_point(points[key], key, path) for key in expected], np.float64)


def _point(value: object, name: str, path: pathlib.Path) -> tuple[float, float]:
    pair: tuple[Any, ...] = (value.get("x"), value.get("y")) if isinstance(value, dict) else ()
    # Numbers only, no booleans, and within any picture's size: that leaves out NaN and infinity, too.
    if not pair or any(type(number) not in (int, float) or not abs(number) < 1e6 for number in pair):
        raise FaceError(f"{path} must give {name} as numbers x and y in pixels: save the answer again.")
    return pair
