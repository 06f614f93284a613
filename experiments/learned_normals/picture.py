"""One picture of a head, by ray casting, with the exact surface that it shows."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from jaxface.types import Part
from learned_normals import noise
from learned_normals.camera import View
from learned_normals.head import Head, Thing
from learned_normals.light import Light, spread
from learned_normals.paint import Paint, colours
from learned_normals.rays import Rays, interpolate, vertex_normals
from learned_normals.things.surface import surface_of

_ASIDE = ((-0.25, -0.25), (0.25, 0.25))
_SKY = spread(72)
_HARMONICS = 9
_FALL = np.array([np.pi, *[2 * np.pi / 3] * 3, *[np.pi / 4] * 5]) / np.pi  # a cosine lobe's, by degree


class Picture(NamedTuple):
    """Linear colours (size, size, 3) and what they show: normals of the bare head in the image frame (x right, y down,
    z toward the viewer), its depth (mm), where the head's skin is on the ray at all, and where that skin is seen."""

    linear: np.ndarray
    normals: np.ndarray
    depth_mm: np.ndarray
    head: np.ndarray
    skin: np.ndarray


class _Scene(NamedTuple):
    """Head and things as one mesh; vertices of the head come first."""

    rays: Rays
    triangles: np.ndarray
    normals: np.ndarray
    sky: np.ndarray  # (vertices, 9, 3): what comes in past all that stands in the way
    split: int  # triangles before it are the head's


def _basis(directions: np.ndarray) -> np.ndarray:
    """Real spherical harmonics (n, 9), orthonormal."""
    x, y, z = directions.T
    return np.stack(
        [
            np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y, 1.092548 * y * z,
            0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
        ],
        axis=1,
    )  # fmt: skip


def take(head: Head, paint: Paint, thing: Thing | None, light: Light, view: View, *, pores: float) -> Picture:
    """The picture; `pores` is the depth of the finest relief, in mm, which only bends normals."""
    scene = _scene(head, thing, light, view, paint)
    bare = scene.rays if thing is None else surface_of(head).rays
    behind = _background(view, light, paint.seed)
    shots = [_shot(head, paint, thing, light, view, scene, behind, k, pores) for k in range(len(_ASIDE))]
    linear = np.mean([shot[0] for shot in shots], axis=0)
    seen = np.mean([shot[1] for shot in shots], axis=0)
    linear = _through_glass(linear, thing, light, view, scene)
    normals, depth, on_head = _truth(head, bare, view, pores, paint.seed)
    return Picture(linear, normals, depth, on_head, seen)


def _scene(head: Head, thing: Thing | None, light: Light, view: View, paint: Paint) -> _Scene:
    vertices, triangles, normals = head.vertices_mm, head.triangles, head.normals
    if thing is not None:
        triangles = np.concatenate([triangles, thing.triangles + len(vertices)])
        normals = np.concatenate([normals, vertex_normals(thing.vertices_mm, thing.triangles)])
        vertices = np.concatenate([vertices, thing.vertices_mm])
    rays = Rays(vertices, triangles)
    sky = _incoming(rays, vertices, normals, light, view, paint)
    return _Scene(rays, triangles, normals, sky, len(head.triangles))


def _incoming(rays, vertices, normals, light, view, paint) -> np.ndarray:
    """The environment as each vertex sees it, as spherical harmonics (vertices, 9, 3) in the camera frame; where
    something stands in the way, what that reflects. Found at every few vertices in view, taken over by the others."""
    directions = _SKY @ view.rotation  # to the object frame
    radiance, basis = light.environment(_SKY), _basis(_SKY) * (4 * np.pi / len(_SKY))
    near = np.linalg.norm(view.project(vertices)[0] - view.size / 2, axis=1) < 0.9 * view.size
    ahead = near & ((normals * (view.eye_mm - vertices)).sum(axis=1) > -0.3)
    asked = np.flatnonzero(ahead)[:: max(1, ahead.sum() // 5000)]
    origin = vertices[asked] + 0.4 * normals[asked]
    bounce = 0.35 * radiance.mean(axis=0) * paint.skin / max(paint.skin.max(), 0.25)
    free = np.zeros((len(asked), len(directions)), np.float32)
    for column, direction in enumerate(directions):
        toward = np.flatnonzero(normals[asked] @ direction > 0.0)
        along = np.tile(direction, (len(toward), 1))
        free[toward, column] = ~rays.blocked(origin[toward], along, within_mm=300.0)
    of_sky, of_things = ((basis[:, :, None] * colour).reshape(len(basis), -1) for colour in (radiance[:, None], bounce))
    coefficients = (free @ (of_sky - of_things) + of_things.sum(axis=0)).reshape(-1, _HARMONICS, 3)
    distance, nearest = cKDTree(vertices[asked]).query(vertices, k=3)
    weight = 1.0 / (distance + 0.3)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkbc->nbc", weight, coefficients[nearest])


def _shot(head, paint, thing, light, view, scene, behind, turn, pores):
    """Linear colours and share of skin for one point a pixel."""
    directions = view.rays(_ASIDE[turn])
    triangle, distance, bary = scene.rays.first(view.eye_mm, directions)
    hit = np.flatnonzero(triangle >= 0)
    triangle, bary = triangle[hit], bary[hit]
    points = view.eye_mm + distance[hit, None] * directions[hit]
    corners = scene.triangles[triangle]
    normals = interpolate(scene.normals, corners, bary)
    toward = view.eye_mm - points
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    of_head = triangle < scene.split
    normals = np.where(((normals * toward).sum(axis=1) < 0)[:, None] & ~of_head[:, None], -normals, normals)
    albedo, gloss, is_skin = np.zeros((len(hit), 3)), np.zeros(len(hit)), np.zeros(len(hit), bool)
    if of_head.any():
        at, where = corners[of_head], bary[of_head]
        parts = head.parts[at[:, 0]]
        places = interpolate(head.places_mm, at, where)
        normals[of_head] = _with_pores(normals[of_head], places, parts, pores, paint.seed)
        regions = head.regions[at[np.arange(len(at)), where.argmax(axis=1)]]
        albedo[of_head], gloss[of_head] = colours(paint, places, points[of_head], parts, regions, _eyes(head))
        is_skin[of_head] = parts == Part.SKIN
    if not of_head.all():
        at, where = corners[~of_head] - len(head.vertices_mm), bary[~of_head]
        grain = 1.0 + thing.grain * noise.field(points[~of_head], size_mm=1.5, seed=paint.seed + 9)
        albedo[~of_head] = interpolate(thing.colours, at, where) * np.clip(grain, 0.3, 1.7)[:, None]
        gloss[~of_head] = interpolate(thing.gloss, at, where)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    diffuse, shine = _lit(points, normals, toward, corners, bary, light, view, scene, thing, turn)
    colour = _with_scatter(diffuse, is_skin, hit, view) * albedo + shine * gloss[:, None]
    picture, skin = np.zeros((view.size**2, 3)), np.zeros(view.size**2)
    picture[:] = np.nan
    picture[hit], skin[hit] = colour, is_skin
    picture = np.where(np.isnan(picture), behind, picture)
    return picture.reshape(view.size, view.size, 3), skin.reshape(view.size, view.size)


def _with_pores(normals, places, parts, depth_mm, seed):
    """Normals tilted by the finest relief, fainter on parts that are not skin."""
    if depth_mm <= 0:
        return normals
    slope = depth_mm * noise.gradient(places, size_mm=1.3, seed=seed + 5) * (parts == Part.SKIN)[:, None]
    tilted = normals - (slope - (slope * normals).sum(axis=1, keepdims=True) * normals)
    return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)


def _lit(points, normals, toward, corners, bary, light, view, scene, thing, turn):
    """Irradiance (n, 3), with pi divided out, and highlights (n, 3) for unit gloss."""
    in_camera = normals @ view.rotation.T
    sky = interpolate(scene.sky, corners, bary)
    diffuse = np.clip(np.einsum("nb,nbc->nc", _basis(in_camera) * _FALL, sky), 0.0, None)
    facing = np.clip((normals * toward).sum(axis=1), 0.0, 1.0)
    mirrored = (2.0 * facing[:, None] * normals - toward) @ view.rotation.T
    fresnel = (0.02 + 0.25 * (1.0 - facing) ** 5)[:, None]
    shine = fresnel * np.clip(np.einsum("nb,nbc->nc", _basis(mirrored) * np.sqrt(_FALL), sky), 0.0, None)
    glass = None if thing is None or thing.glass is None else Rays(thing.glass.vertices_mm, thing.glass.triangles)
    for source in light.sources:
        samples = source.directions[turn :: len(_ASIDE)]
        for sample in samples @ view.rotation:
            cosine = normals @ sample
            lit = np.flatnonzero(cosine > 0)
            origins, along = points[lit] + 0.25 * normals[lit], np.tile(sample, (len(lit), 1))
            lit = lit[~scene.rays.blocked(origins, along, within_mm=600.0)]
            colour = np.tile(source.colour / len(samples), (len(lit), 1))
            if glass is not None:
                through = glass.blocked(points[lit] + 0.25 * normals[lit], along[: len(lit)], within_mm=150.0)
                colour[through] *= thing.glass.tint
            diffuse[lit] += cosine[lit, None] * colour
            half = toward[lit] + sample
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            peak = np.clip((normals[lit] * half).sum(axis=1), 0.0, 1.0)
            lobes = 0.08 * peak**14 + 0.12 * peak**60
            shine[lit] += (lobes * cosine[lit])[:, None] * colour
    return diffuse, shine


def _with_scatter(diffuse, is_skin, hit, view):
    """Light that travels under skin: irradiance blurred on the picture, red the widest."""
    flat = np.zeros((view.size**2, 3))
    share = np.zeros(view.size**2)
    flat[hit[is_skin]], share[hit[is_skin]] = diffuse[is_skin], 1.0
    px_per_mm = view.focal_px / np.linalg.norm(view.eye_mm)
    grid, share = flat.reshape(view.size, view.size, 3), share.reshape(view.size, view.size)
    result = diffuse.copy()
    for channel, reach_mm in enumerate((1.4, 0.6, 0.35)):
        sigma = reach_mm * px_per_mm
        blurred = gaussian_filter(grid[..., channel], sigma) / np.maximum(gaussian_filter(share, sigma), 1e-3)
        result[is_skin, channel] = 0.6 * blurred.ravel()[hit[is_skin]] + 0.4 * diffuse[is_skin, channel]
    return result


def _background(view, light, seed):
    """Something out of focus, about as bright as the light."""
    rng = np.random.default_rng(seed + 3)
    y, x = np.mgrid[0 : view.size, 0 : view.size] / view.size
    wall = np.ones((view.size, view.size, 3)) * rng.uniform(0.03, 1.0) * np.exp(rng.normal(size=3) * 0.2)
    for _ in range(rng.integers(0, 12)):
        centre, wide = rng.uniform(0, 1, 2), rng.uniform(0.02, 0.3)
        blob = np.exp(-((((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / wide**2) ** rng.choice([1.0, 3.0])))
        wall += blob[..., None] * (rng.uniform(0.0, 1.2, 3) - wall)
    return (wall * light.environment(_SKY).mean()).reshape(-1, 3)


def _eyes(head: Head) -> dict:
    """Middle of the iris and line of sight per eyeball."""
    found = {}
    for part, middle in ((Part.RIGHT_EYE, 468), (Part.LEFT_EYE, 473)):
        ball = head.vertices_mm[head.parts == part]
        if len(ball):
            iris = head.landmarks_mm[middle]
            axis = iris - (ball.min(axis=0) + ball.max(axis=0)) / 2
            found[part] = (iris, axis / np.linalg.norm(axis))
    return found


def _through_glass(linear, thing, light, view, scene):
    """Lenses: what is behind them is tinted, and they mirror the environment."""
    if thing is None or thing.glass is None:
        return linear
    glass = Rays(thing.glass.vertices_mm, thing.glass.triangles)
    directions = view.rays((0.0, 0.0))
    triangle, distance, bary = glass.first(view.eye_mm, directions)
    behind = scene.rays.first(view.eye_mm, directions)[1]
    met = np.flatnonzero((triangle >= 0) & (distance < behind))
    normals = interpolate(vertex_normals(glass.vertices_mm, glass.triangles), glass.triangles[triangle[met]], bary[met])
    toward = -directions[met] / np.linalg.norm(directions[met], axis=1, keepdims=True)
    cosine = (normals * toward).sum(axis=1, keepdims=True)
    mirrored = (2.0 * cosine * normals - toward) @ view.rotation.T
    mirror = 0.04 + 0.96 * (1.0 - np.abs(cosine)) ** 5
    flat = linear.reshape(-1, 3).copy()
    bright = light.environment(mirrored)
    for source in light.sources:
        near = np.clip(mirrored @ source.directions.mean(axis=0), 0.0, 1.0) ** 400
        bright = bright + 40.0 * near[:, None] * source.colour
    flat[met] = flat[met] * thing.glass.tint + mirror * bright
    return flat.reshape(linear.shape)


def _truth(head: Head, bare: Rays, view: View, pores: float, seed: int):
    """Normals in the image frame, depth, and where the bare head's skin is, through the pixels' centres."""
    directions = view.rays((0.0, 0.0))
    triangle, distance, bary = bare.first(view.eye_mm, directions)
    hit = np.flatnonzero((triangle >= 0) & (triangle < len(head.triangles)))
    corners = head.triangles[triangle[hit]]
    normals = interpolate(head.normals, corners, bary[hit])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    parts = head.parts[corners[:, 0]]
    normals = _with_pores(normals, interpolate(head.places_mm, corners, bary[hit]), parts, pores, seed)
    image = np.zeros((view.size**2, 3))
    image[:, 2] = 1.0
    image[hit] = (normals @ view.rotation.T) * [1.0, -1.0, 1.0]
    depth, skin = np.full(view.size**2, np.nan), np.zeros(view.size**2, bool)
    depth[hit], skin[hit] = distance[hit], parts == Part.SKIN
    square = (view.size, view.size)
    return image.reshape(*square, 3), depth.reshape(square), skin.reshape(square)
