"""Hair as a shell over the scalp, with short strands that soften its edge."""

import numpy as np
from scipy import ndimage

from jaxface.types import Region
from learned_normals.head import Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import hair_shades, smoothstep
from learned_normals.things.shapes import combined, sheet, strand
from learned_normals.things.surface import Surface, filled, sphere, surface_of, taut

COLUMNS, ROWS = 230, 56
STYLES = {  # thickness in mm, lowest and highest
    "cropped": (2.5, 5.0),
    "short": (5.0, 10.0),
    "medium": (8.0, 16.0),
    "big": (15.0, 25.0),
    "afro": (20.0, 40.0),
    "receding": (3.0, 9.0),
}


def cap_of_hair(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A head of hair: short, medium, big, an afro or receding."""
    del skin
    surface = surface_of(head)
    style = str(rng.choice(list(STYLES)))
    thickness = rng.uniform(*STYLES[style]) * surface.unit
    curly = style == "afro" or rng.random() < 0.2
    over_ears = style in ("medium", "big", "afro")
    azimuth = 2 * np.pi * np.arange(COLUMNS) / COLUMNS
    edge = _styled(hairline(surface, azimuth, over_ears=over_ears), azimuth, style, rng)
    share = np.linspace(0.0, 1.0, ROWS)[:, None] ** 0.8
    polar = share * edge
    base = filled(surface.outward(sphere(polar, azimuth), ears=over_ears))
    if style not in ("cropped", "receding"):
        base = taut(base, 6, mode=("nearest", "wrap"))
    streaks = _streaks(polar, azimuth, curly, rng)
    rim = smoothstep((1.0 - share) * edge * 90.0 / (0.9 * thickness + rng.uniform(3.0, 10.0)))
    uneven = 1.0 + 0.12 * waves(80.0 * sphere(polar, azimuth), 45.0, rng)
    ridge = (0.08 if curly else 0.05) * thickness + 0.35
    radius = base + rim * (thickness * uneven + ridge * streaks) - 0.6 * (1.0 - rim)
    shade = np.exp(rng.uniform(0.12, 0.3) * streaks + rng.uniform(0.05, 0.2) * rng.normal(size=streaks.shape))
    points = surface.centre + radius[..., None] * sphere(polar, azimuth)
    shell = sheet(points, hair * shade[..., None], rng.uniform(0.5, 1.8), surface.centre, closed=True, grain=0.3)
    return combined([shell, _fringe(surface, azimuth, edge, thickness, curly, hair, rng)])


def hairline(surface: Surface, azimuth: np.ndarray, *, over_ears: bool) -> np.ndarray:
    """The polar angle down to which the scalp reaches, per azimuth."""
    polar = np.linspace(0.15, 2.5, 110)[:, None]
    directions = sphere(polar, azimuth)
    _, triangle, _ = surface.cast(surface.centre + 400.0 * directions, -directions)
    regions = surface.head.regions[surface.head.triangles[:, 0]][triangle]
    covered = (triangle >= 0) & ((regions == Region.SCALP) | ((regions == Region.EAR) & over_ears))
    covered[:20] = True
    ends = np.where(covered.all(axis=0), len(polar) - 1, np.argmin(covered, axis=0))
    edge = ndimage.median_filter(polar[ends, 0], 9, mode="wrap")
    return ndimage.gaussian_filter1d(edge, 3.0, mode="wrap")


def _styled(edge: np.ndarray, azimuth: np.ndarray, style: str, rng: np.random.Generator) -> np.ndarray:
    """A hairline of a style, jagged lock by lock and hair by hair."""
    angle = np.angle(np.exp(1j * azimuth))
    front = np.exp(-((angle / 0.7) ** 2))
    if style == "receding":
        temples = np.exp(-(((np.abs(angle) - rng.uniform(0.35, 0.6)) / 0.3) ** 2))
        edge = edge - rng.uniform(0.1, 0.35) * temples - rng.uniform(0.0, 0.35) * front
    elif style in ("medium", "big"):
        edge = edge + rng.uniform(-0.05, 0.25) * front + rng.uniform(0.0, 0.15) * (1.0 - front)
    else:
        edge = edge + rng.uniform(-0.06, 0.06)
    locks = waves(azimuth[:, None] * 80.0, rng.uniform(8.0, 25.0), rng)
    hairs = rng.normal(size=len(edge))
    return np.clip(edge + rng.uniform(0.005, 0.03) * locks + rng.uniform(0.005, 0.025) * hairs, 0.3, 2.4)


def _streaks(polar: np.ndarray, azimuth: np.ndarray, curly: bool, rng: np.random.Generator) -> np.ndarray:
    """How light and how raised the hair is, about unit variance: along its flow, or in curls."""
    directions = sphere(polar, azimuth)
    if curly:
        return waves(80.0 * directions, rng.uniform(7.0, 14.0), rng, count=30)
    combed = rng.uniform(-1.0, 1.0)
    flow = azimuth + combed * polar + 0.05 * waves(80.0 * directions, 50.0, rng)
    around = np.stack([80.0 * np.sin(flow), 80.0 * np.cos(flow), np.broadcast_to(80.0 * polar, flow.shape)], axis=-1)
    wide = waves(around, np.array([14.0, 14.0, 140.0]), rng)
    return 0.6 * wide + 0.8 * waves(around, np.array([5.0, 5.0, 90.0]), rng)


def _fringe(surface, azimuth, edge, thickness, curly, hair, rng) -> Thing:
    """Single hairs that leave the shell's edge."""
    count, steps = 380, 7
    start = rng.uniform(0.0, 2 * np.pi, count)
    height = np.interp(start, azimuth, edge, period=2 * np.pi)
    length = rng.uniform(0.4, 1.2, count) * np.clip(1.2 * thickness, 6.0, 22.0)
    along = np.linspace(0.0, 1.0, steps)
    drift = np.cumsum(rng.normal(0.0, 1.0, (count, 1)) + (1.5 if curly else 0.3) * rng.normal(size=(count, steps)), 1)
    inside = rng.uniform(0.0, 0.08, (count, 1))
    polar = height[:, None] - inside + length[:, None] * along / 90.0
    turn = start[:, None] + 0.25 * length[:, None] / 90.0 * drift / steps
    directions = sphere(polar, turn)
    base = filled(surface.outward(directions))
    lift = (
        0.3 + thickness * rng.uniform(0.1, 0.5, (count, 1)) * (1.0 - along) + rng.uniform(0.0, 2.5, (count, 1)) * along
    )
    paths = surface.centre + (base + lift)[..., None] * directions
    return strand(paths, rng.uniform(0.12, 0.35, count), hair_shades(hair, count, rng))
