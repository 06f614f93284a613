"""Building blocks of things: tubes, sheets, turned bodies and boxes, each as a `Thing`."""

import numpy as np

from learned_normals.head import Glass, Thing
from learned_normals.things.surface import unit


def solid(vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray, gloss: float, grain: float = 0.0) -> Thing:
    """A thing of one gloss; colours broadcast to the vertices and are clipped."""
    colours = np.array(np.broadcast_to(np.clip(colours, 0.0, 1.0), vertices.shape), float)
    return Thing(vertices, triangles, colours, np.full(len(vertices), float(gloss)), grain)


def combined(things: list[Thing]) -> Thing:
    """One mesh of several; the grain is the vertices' mean, and so is the tint of several glasses."""
    sizes = np.array([len(thing.vertices_mm) for thing in things])
    starts = np.cumsum(sizes) - sizes
    triangles = np.concatenate([thing.triangles + start for thing, start in zip(things, starts, strict=True)])
    glasses = [thing.glass for thing in things if thing.glass is not None]
    grain = float(np.sum([thing.grain for thing in things] * sizes) / max(sizes.sum(), 1))
    return Thing(
        np.concatenate([thing.vertices_mm for thing in things]),
        triangles,
        np.concatenate([thing.colours for thing in things]),
        np.concatenate([thing.gloss for thing in things]),
        grain,
        combined_glass(glasses) if glasses else None,
    )


def combined_glass(glasses: list[Glass]) -> Glass:
    sizes = np.array([len(glass.vertices_mm) for glass in glasses])
    starts = np.cumsum(sizes) - sizes
    return Glass(
        np.concatenate([glass.vertices_mm for glass in glasses]),
        np.concatenate([glass.triangles + start for glass, start in zip(glasses, starts, strict=True)]),
        np.average([glass.tint for glass in glasses], axis=0, weights=sizes),
    )


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> np.ndarray:
    """Triangles of a grid of vertices, row after row; `closed` joins the last column to the first."""
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    return np.stack([a, b, c, c, b, d], axis=-1).reshape(-1, 3)


def tubes(paths: np.ndarray, radii: np.ndarray, *, sides: int, up: np.ndarray | None = None):
    """Vertices (n, k, sides, 3) and triangles of tubes along paths (n, k, 3), open at the ends.

    Radii (n, k) or (n, k, 2): sideways and along `up`, which a quarter of the way round the vertices point to.
    """
    count, steps = paths.shape[:2]
    tangents = unit(np.gradient(paths, axis=1))
    if up is None:
        up = np.eye(3)[np.argmin(np.abs(unit(paths[:, -1] - paths[:, 0])), axis=1)][:, None]
    sideways = unit(np.cross(tangents, np.broadcast_to(up, tangents.shape)))
    upwards = np.cross(sideways, tangents)
    radii = np.broadcast_to(radii if np.ndim(radii) == 3 else np.asarray(radii)[..., None], (count, steps, 2))
    turn = 2 * np.pi * np.arange(sides) / sides
    across = (radii[..., :1] * np.cos(turn))[..., None] * sideways[:, :, None]
    along = (radii[..., 1:] * np.sin(turn))[..., None] * upwards[:, :, None]
    one = grid_triangles(steps, sides, closed=True)
    triangles = (np.arange(count)[:, None, None] * (steps * sides) + one).reshape(-1, 3)
    return paths[:, :, None] + across + along, triangles


def tube(paths, radii, colours, gloss, *, sides: int = 3, grain: float = 0.0, up=None) -> Thing:
    """Tubes as a thing; colours broadcast to (n, k, sides, 3)."""
    vertices, triangles = tubes(paths, radii, sides=sides, up=up)
    colours = np.broadcast_to(colours, vertices.shape).reshape(-1, 3)
    return solid(vertices.reshape(-1, 3), triangles, colours, gloss, grain)


def strand(paths, radius_mm, colours, gloss: float = 1.0) -> Thing:
    """Hairs along paths (n, k, 3) that thin out to a point; radius (n,), colours (n, 3)."""
    steps = paths.shape[1]
    thinning = np.sqrt(1.0 - np.linspace(0.0, 0.98, steps) ** 2)
    light = np.linspace(0.85, 1.15, steps)[:, None]
    return tube(paths, radius_mm[:, None] * thinning, (colours[:, None] * light)[:, :, None], gloss, grain=0.1)


def sheet(points: np.ndarray, colours, gloss, centre: np.ndarray, *, closed: bool = False, grain: float = 0.1) -> Thing:
    """A grid (rows, columns, 3) as a thing that faces away from `centre`."""
    vertices, triangles = points.reshape(-1, 3), grid_triangles(*points.shape[:2], closed=closed)
    corners = vertices[triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if np.sum(facing * (corners.mean(axis=1) - centre)) < 0:
        triangles = triangles[:, ::-1]
    colours = np.broadcast_to(colours, points.shape).reshape(-1, 3)
    return solid(vertices, triangles, colours, gloss, grain)


def turned(base: np.ndarray, axis: np.ndarray, profile: np.ndarray, colours, gloss, *, sides=40, grain=0.02) -> Thing:
    """A body turned on a lathe: `profile` (n, 2) of distances along the axis and radii; colours as for `tube`."""
    axis = unit(axis)
    other = unit(np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))]))
    frame = np.stack([other, np.cross(axis, other)])
    turn = 2 * np.pi * np.arange(sides) / sides
    spokes = np.stack([np.cos(turn), np.sin(turn)], axis=1) @ frame
    points = base + profile[:, None, :1] * axis + profile[:, None, 1:] * spokes
    middle = base + profile[:, 0].mean() * axis
    return sheet(points, colours, gloss, middle, closed=True, grain=grain)


def ball(centre: np.ndarray, radius, colours, gloss, *, steps: int = 14, grain: float = 0.02, axis=(0, 1, 0)) -> Thing:
    polar = np.linspace(0.0, np.pi, steps)
    profile = radius * np.stack([-np.cos(polar), np.sin(polar)], axis=1)
    return turned(centre, np.asarray(axis, float), profile, colours, gloss, sides=2 * steps, grain=grain)


def ring(centre: np.ndarray, axis: np.ndarray, radius: float, thickness: float, colours, gloss) -> Thing:
    axis = unit(axis)
    other = unit(np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))]))
    turn = np.linspace(0.0, 2 * np.pi, 41)[:, None]
    path = centre + radius * (np.cos(turn) * other + np.sin(turn) * np.cross(axis, other))
    return tube(path[None], np.full((1, 41), thickness), colours, gloss, sides=8, up=axis, grain=0.02)


def slab(frame: np.ndarray, centre: np.ndarray, size: np.ndarray, corner: float, *, steps: int = 48) -> np.ndarray:
    """A box of three sizes along the rows of `frame`, with round corners in the plane of the first two, as rings
    (7, 4 * steps, 3) from the middle of its back to that of its front."""
    turn = 2 * np.pi * (np.arange(4 * steps) + 0.5) / (4 * steps)
    rim = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    rim = np.sign(rim) * (0.5 * size[:2] - corner) + corner * rim
    shrink = np.array([0.0, 0.6, 0.985, 1.0, 0.985, 0.6, 0.0])[:, None, None]
    depth = 0.5 * size[2] * np.array([-1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0])[:, None, None]
    return centre + shrink * rim @ frame[:2] + depth * frame[2]
