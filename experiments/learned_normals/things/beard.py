"""Hair on the lower face: stubble, beards and moustaches."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from jaxface.types import Region
from learned_normals.head import Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import hair_shades, smoothstep
from learned_normals.things.shapes import combined, sheet, strand
from learned_normals.things.surface import Surface, filled, surface_of, unit

SKIN_REGIONS = (Region.SKIN, Region.BORDER, Region.OUTSIDE, Region.NECK)
STYLES = {  # length in mm, lowest and highest
    "stubble": (0.8, 2.5),
    "short": (3.0, 7.0),
    "full": (8.0, 20.0),
    "goatee": (3.0, 15.0),
    "moustache": (3.0, 9.0),
    "chinstrap": (2.0, 7.0),
}


class Field(NamedTuple):
    """Places on the lower face: points, normals, and how deep inside the beard's outline they lie (mm)."""

    points: np.ndarray
    normals: np.ndarray
    depth: np.ndarray


def beard(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A beard or moustache, of strands and, where it is thick, a noisy shell below them."""
    del skin
    surface = surface_of(head)
    style = str(rng.choice(list(STYLES)))
    length = rng.uniform(*STYLES[style]) * surface.unit
    seed = int(rng.integers(2**31))
    span = (1.9, surface.marks[454, 1] + 14.0, surface.marks[152, 1] - 22.0)
    count = 14000 if style in ("goatee", "moustache", "chinstrap") else 9000
    angles = rng.uniform(-span[0], span[0], count)
    heights = rng.uniform(span[2], span[1], count)
    roots = _field(surface, angles, heights, style, seed)
    things = [_hairs(surface, roots, style, length, hair, rng)]
    if length > 4.0:
        things.append(_shell(surface, span, style, seed, length, hair, rng))
    return combined(things)


def _field(surface: Surface, angles: np.ndarray, heights: np.ndarray, style: str, seed: int) -> Field:
    outwards = surface.cylinder(angles, heights, 400.0)
    directions = unit(surface.on_axis(np.broadcast_to(heights, outwards.shape[:-1])) - outwards)
    distance, triangle, barycentrics = surface.cast(outwards, directions)
    places = surface.at(surface.head.places_mm, triangle, barycentrics)
    regions = surface.head.regions[surface.head.triangles[:, 0]][triangle]
    depth = outline(places, surface.head.landmark_places_mm, style, np.random.default_rng(seed))
    depth = np.where(np.isnan(distance) | ~np.isin(regions, SKIN_REGIONS), -5.0, depth)
    points = outwards + np.nan_to_num(distance, nan=400.0)[..., None] * directions
    return Field(points, surface.normals(triangle, barycentrics), depth)


def outline(places: np.ndarray, marks: np.ndarray, style: str, rng: np.random.Generator) -> np.ndarray:
    """How deep places of the mean head lie inside a style of beard, in millimetres; negative outside."""
    x, y, z = np.abs(places[..., 0]), places[..., 1], places[..., 2]
    mouth, nose, chin, ear = marks[61, 1], marks[2, 1], marks[152, 1], marks[454]
    fullness = rng.uniform(-4.0, 8.0)
    cheek = np.interp(x, [26.0, 45.0, 66.0], [mouth + 6.0, mouth + 8.0 + fullness, ear[1] + 8.0]) - y
    lip = np.minimum(nose - 1.5 - y, rng.uniform(22.0, 32.0) - x)
    under = np.minimum(z - ear[2] + 6.0, y - chin + rng.uniform(5.0, 20.0))
    if style == "moustache":
        depth = np.minimum(lip, y - mouth + rng.uniform(-2.0, 9.0))
    elif style == "goatee":
        below = np.minimum(rng.uniform(18.0, 30.0) - x, mouth - 5.0 - y)
        depth = np.minimum(np.maximum(below, lip if rng.random() < 0.7 else -5.0), np.minimum(under, y - chin + 7.0))
    elif style == "chinstrap":
        jaw = np.interp(x, [0.0, 30.0, 55.0, 66.0], [chin + 14.0, chin + 18.0, mouth + 2.0, ear[1] + 8.0])
        depth = np.minimum(np.minimum(jaw - y, under), cheek)
    else:
        depth = np.minimum(np.maximum(cheek, lip), under)
    return depth + rng.uniform(0.8, 2.5) * waves(places, 12.0, rng)


def _hairs(surface: Surface, roots: Field, style: str, length: float, hair, rng: np.random.Generator) -> Thing:
    """Hairs that lean along the skin, down and outward from the lip's middle, and droop."""
    steps = 3 if style == "stubble" else 5
    limit = 3000 if style == "stubble" else 1500
    keep = rng.random(len(roots.depth)) < smoothstep(0.3 + roots.depth / 5.0) * (roots.depth > -1.0)
    chosen = np.flatnonzero(keep)
    if len(chosen) == 0:
        chosen = np.array([int(np.argmax(roots.depth))])
    chosen = chosen[:limit]
    points, normals = roots.points[chosen], roots.normals[chosen]
    aside = np.sign(points[:, :1] - surface.marks[2, 0]) * (points[:, 1:2] > surface.marks[61, 1])
    flow = np.concatenate([0.7 * aside, np.full_like(aside, -1.0), np.zeros_like(aside)], axis=1)
    flow = flow + 0.35 * rng.normal(size=flow.shape)
    flow = unit(flow - normals * np.sum(flow * normals, axis=1, keepdims=True))
    lean = rng.uniform(0.2, 0.6) * rng.uniform(0.5, 1.5, (len(chosen), 1, 1))
    along = np.linspace(0.0, 1.0, steps)[None, :, None]
    size = (length * rng.uniform(0.5, 1.15, len(chosen)))[:, None, None]
    curl = 0.06 * size * np.cumsum(rng.normal(size=(len(chosen), steps, 3)), axis=1) * along
    rise = lean * (along - 0.45 * along**2)
    paths = points[:, None] + size * (flow[:, None] * along + normals[:, None] * rise) + curl
    paths = paths + normals[:, None] * np.where(along > 0, 0.2, -0.3)
    radius = rng.uniform(0.08, 0.14, len(chosen)) if style == "stubble" else rng.uniform(0.14, 0.32, len(chosen))
    return strand(paths, radius, hair_shades(hair, len(chosen), rng), rng.uniform(0.4, 1.2))


def _shell(surface: Surface, span: tuple, style: str, seed: int, length: float, hair, rng) -> Thing:
    """A rough layer over the beard's area; cells outside it are left out."""
    angles = np.linspace(-span[0], span[0], 130)
    heights = np.linspace(span[1], span[2], 70)[:, None]
    field = _field(surface, *np.broadcast_arrays(angles, heights), style, seed)
    radius = filled(surface.around(angles, heights))
    radius = np.maximum(radius, ndimage.gaussian_filter(radius, 1.5))
    depth = ndimage.gaussian_filter(field.depth, 0.7)
    flow = np.stack(np.broadcast_arrays(80.0 * angles, heights), axis=-1)
    rough = 0.6 * waves(flow, np.array([4.0, 18.0]), rng) + 0.6 * waves(flow, np.array([10.0, 30.0]), rng)
    rough = rough + 0.3 * rng.normal(size=rough.shape)
    share = smoothstep(depth / (4.0 + 0.4 * length))
    lift = share * 0.55 * length * (1.0 + 0.22 * rough) - 0.8 * (1.0 - share)
    points = surface.cylinder(angles, heights, radius + lift)
    colours = hair * np.exp(0.3 * rough)[..., None] * (0.7 + 0.3 * share[..., None])
    whole = sheet(points, colours, rng.uniform(0.3, 1.0), surface.axis, grain=0.3)
    inside = (depth > 0.0).reshape(-1)
    triangles = whole.triangles[inside[whole.triangles].any(axis=1)]
    return whole._replace(triangles=triangles)
