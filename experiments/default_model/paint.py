"""Mean colours, sRGB, assumed rather than measured: skin with lips, cheeks and brows, eyes, teeth and tongue."""

import numpy as np

from default_model import contours
from jaxface.types import Part

SKIN, LIPS, BROW = (0.72, 0.56, 0.48), (0.62, 0.36, 0.34), (0.30, 0.22, 0.18)
CHEEK, SCLERA, IRIS, PUPIL = (0.74, 0.50, 0.43), (0.86, 0.83, 0.80), (0.30, 0.22, 0.16), (0.05, 0.04, 0.04)
NOSTRIL, CAVITY, TEETH, TONGUE = (0.25, 0.13, 0.10), (0.20, 0.08, 0.08), (0.86, 0.82, 0.74), (0.62, 0.32, 0.32)
LASHES = (0.20, 0.14, 0.12)
IRIS_RADIUS_MM, PUPIL_RADIUS_MM = 5.9, 2.0  # iris diameter 11.7 mm (Hashemi et al. 2015)
DENSE = 60


def plain(vertices_mm: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Skin of one colour, eyes, teeth and tongue: enough for a first look."""
    colour = np.tile(np.array(SKIN), (len(vertices_mm), 1))
    colour[np.isin(parts, (Part.UPPER_TEETH, Part.LOWER_TEETH))] = TEETH
    colour[parts == Part.TONGUE] = TONGUE
    for eye in (Part.RIGHT_EYE, Part.LEFT_EYE):
        ball = vertices_mm[parts == eye]
        aside = np.linalg.norm(ball[:, :2] - front(ball)[:2], axis=1)
        inside = (ball[:, 2] > ball[:, 2].mean()).astype(float)
        tint = np.tile(np.array(SCLERA), (len(ball), 1))
        for other, size in ((IRIS, IRIS_RADIUS_MM), (PUPIL, PUPIL_RADIUS_MM)):
            tint = _mix(tint, other, inside / (1 + np.exp((aside - size) / 0.35)))
        colour[parts == eye] = tint
    return colour


def front(ball_mm: np.ndarray) -> np.ndarray:
    """The foremost point of an eyeball that looks ahead."""
    return ball_mm[ball_mm[:, 2].argmax()]


def painted(vertices_mm: np.ndarray, parts: np.ndarray, points_mm: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The same with lips, cheeks, brows, lashes and nostrils at the landmarks `points_mm`; `inside` the mouth it is
    dark."""
    colour = plain(vertices_mm, parts)
    skin = parts == Part.SKIN
    seen, tint = vertices_mm[skin], colour[skin]
    for cheek in (50, 280, 4):
        tint = _mix(tint, CHEEK, 0.55 * _blob(seen, points_mm[cheek], 10 if cheek == 4 else 17))
    for nostril in (contours.RIGHT_NOSTRIL, contours.LEFT_NOSTRIL):
        tint = _mix(tint, NOSTRIL, 0.75 * _blob(seen, points_mm[list(nostril)].mean(axis=0), 3.2))
    for lids, brow in ((contours.RIGHT_LIDS, contours.RIGHT_BROW), (contours.LEFT_LIDS, contours.LEFT_BROW)):
        tint = _mix(tint, BROW, 0.8 * _brow(seen, points_mm[list(brow)]))
        tint = _mix(tint, LASHES, 0.6 * np.exp(-((_distance(seen, points_mm[list(lids[0][1:-1])]) / 1.1) ** 2)))
    tint = _mix(tint, LIPS, 0.75 * lips(seen, points_mm))
    colour[skin] = tint
    return np.clip(_mix(colour, CAVITY, inside.astype(float)), 0.0, 1.0)


def lips(vertices_mm: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """1 between the outer contours of the lips and 0 beyond them, soft over a millimetre."""
    ring = contours.OUTER_LIPS[0] + contours.OUTER_LIPS[1][-2:0:-1]
    return 1.0 / (1.0 + np.exp(contours.outside_mm(vertices_mm, points_mm[list(ring)]) / 0.6))


def _mix(colour, other, amount):
    return colour + amount[:, None] * (np.array(other) - colour)


def _blob(vertices, centre, radius):
    return np.exp(-((np.linalg.norm(vertices - centre, axis=1) / radius) ** 2))


def _brow(vertices, line):
    """A tapered strip along the middle between both contours of a brow."""
    middle = 0.45 * line[:5] + 0.55 * line[5:]
    distance = np.linalg.norm(vertices[:, None] - _dense(middle)[None], axis=2)
    along = distance.argmin(axis=1) / (DENSE - 1)
    width = 1.5 + 3.0 * np.sqrt(along)
    return np.exp(-((distance.min(axis=1) / width) ** 2.5)) * (1 - 0.35 * along)


def _distance(vertices, line):
    return np.linalg.norm(vertices[:, None] - _dense(line)[None], axis=2).min(axis=1)


def _dense(line):
    """A polyline sampled finely."""
    t, knots = np.linspace(0, 1, DENSE), np.linspace(0, 1, len(line))
    return np.stack([np.interp(t, knots, line[:, k]) for k in range(3)], axis=1)
