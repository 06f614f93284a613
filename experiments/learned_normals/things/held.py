"""Things held near a face: cups and bottles, microphones, phones."""

import numpy as np
from scipy import ndimage

from learned_normals.head import Glass, Head, Thing
from learned_normals.noise import waves
from learned_normals.things.colours import cloth, dye, metal
from learned_normals.things.shapes import ball, combined, sheet, slab, tube, turned
from learned_normals.things.surface import Surface, filled, surface_of, unit


def cup(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A cup, a drinking glass or a bottle at the mouth."""
    del skin, hair
    surface = surface_of(head)
    lip = surface.marks[14] + np.array([0.0, 0.0, 1.5])
    size = surface.unit * rng.uniform(0.9, 1.15)
    axis = unit(np.array([rng.normal(0.0, 0.25), rng.uniform(-1.0, -0.3), rng.uniform(0.35, 1.0)]))
    kind = rng.choice(["cup", "glass", "bottle"])
    if kind == "bottle":
        neck, body, shoulder = rng.uniform(11.0, 15.0), rng.uniform(28.0, 38.0), rng.uniform(50.0, 90.0)
        profile = np.array([[0, 1], [0, neck], [shoulder, neck + 2], [shoulder + 30, body], [230, body], [235, 1]])
        return _bottle(lip, axis, _rounded(profile * size), rng)
    rim, foot, tall = rng.uniform(33.0, 44.0), rng.uniform(24.0, 38.0), rng.uniform(80.0, 125.0)
    thick = rng.uniform(1.2, 3.5)
    profile = np.array([[0.85 * tall, 1], [0, rim - thick], [0, rim], [tall, foot], [tall, 1]]) * size
    toward = unit(np.array([0.0, -1.0, 0.0]) - axis * -axis[1])
    base = lip + toward * profile[2, 1] + axis * rng.uniform(-2.0, 2.0)
    base[2] += max(0.0, 3.0 - 0.3 * toward[2])
    base = _cleared(surface, base, axis, profile[:, 0].max(), profile[:, 1].max())
    if kind == "glass":
        return _drink(base, axis, profile, rng)
    things = [_painted(base, axis, _rounded(profile), rng)]
    if rng.random() < 0.5:
        things.append(_handle(base, axis, profile, dye(rng), rng))
    return combined(things)


def _cleared(surface: Surface, base: np.ndarray, axis: np.ndarray, tall: float, wide: float) -> np.ndarray:
    """The base moved forward until a cylinder from it along `axis` is in front of the face, but for the rim."""
    along = np.linspace(0.25, 1.0, 8)[:, None] * tall
    other = unit(np.cross(axis, np.array([1.0, 0.0, 0.0])))
    back = base + along * axis + np.array([[[-1.0]], [[0.0]], [[1.0]]]) * np.array([0.5 * wide, 0.0, 0.0])
    back = back - other * wide * 0.8 * np.sign(other[2])
    face = surface.relief(np.zeros(3), np.eye(3), back[..., 0], back[..., 1])
    short = np.nanmax(np.append(face - back[..., 2], 0.0))
    return base + np.array([0.0, 0.0, min(short, 40.0)])


def _rounded(profile: np.ndarray) -> np.ndarray:
    """A profile with many places and rounded corners."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], 80)
    fine = np.stack([np.interp(at, length, profile[:, axis]) for axis in range(2)], axis=-1)
    return ndimage.gaussian_filter1d(fine, 0.8, axis=0, mode="nearest")


def _painted(base: np.ndarray, axis: np.ndarray, profile: np.ndarray, rng: np.random.Generator) -> Thing:
    turn = 2 * np.pi * np.arange(64) / 64
    places = np.stack(np.broadcast_arrays(35.0 * np.sin(turn), profile[:, :1], 35.0 * np.cos(turn)), axis=-1)
    colours = cloth(places, rng, finest_mm=12.0)
    return turned(base, axis, profile, colours, rng.uniform(0.5, 4.0), sides=64)


def _bottle(lip: np.ndarray, axis: np.ndarray, profile: np.ndarray, rng: np.random.Generator) -> Thing:
    colour, label = dye(rng), dye(rng)
    on = ((profile[:, 0] > 110.0) & (profile[:, 0] < 190.0))[:, None, None]
    turn = 2 * np.pi * np.arange(48) / 48
    places = np.stack(np.broadcast_arrays(turn * 30.0, profile[:, :1]), axis=-1)
    paper = label * (1.0 + 0.5 * np.sign(waves(places, 12.0, rng)))[..., None]
    return turned(lip, axis, profile, np.where(on, paper, colour), rng.uniform(2.0, 5.0), sides=48)


def _drink(base: np.ndarray, axis: np.ndarray, profile: np.ndarray, rng: np.random.Generator) -> Thing:
    """A glass one sees through, with something in its lower part."""
    pane = turned(base, axis, profile[1:], np.ones(3), 5.0, sides=48)
    tint = np.clip(rng.uniform(0.75, 0.95) * rng.uniform(0.93, 1.0, 3), 0.0, 1.0)
    tall, foot = profile[:, 0].max(), profile[3, 1]
    inside = np.array([[rng.uniform(0.3, 0.8) * tall, 1.0], [0.0, 0.0], [0.98 * tall, foot - 1.5], [0.98 * tall, 1.0]])
    inside[1] = [inside[0, 0], np.interp(inside[0, 0], [0.0, tall], [profile[2, 1], foot]) - 1.5]
    liquid = turned(base, axis, inside, dye(rng), 4.0, sides=48)
    return liquid._replace(glass=Glass(pane.vertices_mm, pane.triangles, tint))


def _handle(base: np.ndarray, axis: np.ndarray, profile: np.ndarray, colour: np.ndarray, rng) -> Thing:
    out = unit(np.cross(axis, np.array([0.0, 0.0, 1.0]))) * rng.choice([-1.0, 1.0])
    turn = np.linspace(-0.5, 0.5, 24)[:, None] * np.pi
    tall = profile[:, 0].max()
    middle = base + 0.5 * tall * axis + out * (0.5 * (profile[2, 1] + profile[3, 1]) - 3.0)
    path = middle + np.sin(turn) * 0.33 * tall * axis + np.cos(turn) * 26.0 * out
    return tube(path[None], np.full((1, 24), 5.0), colour, 2.0, sides=12, up=np.cross(axis, out))


def microphone(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A stage microphone with a ball of wire mesh, one in a foam cover, or a headset's."""
    del skin, hair
    surface = surface_of(head)
    if rng.random() < 0.3:
        return _headset(surface, rng)
    foam = rng.random() < 0.3
    radius = rng.uniform(19.0, 28.0)
    axis = unit(np.array([rng.normal(0.0, 0.7), rng.uniform(-1.2, -0.2), rng.uniform(0.2, 1.0)]))
    mouth = surface.marks[13] + np.array([rng.normal(0.0, 10.0), rng.uniform(-30.0, 2.0), 0.0])
    turn = np.linspace(0.0, 2 * np.pi, 24)
    face = filled(surface.relief(mouth, np.eye(3), 0.6 * radius * np.cos(turn), 0.6 * radius * np.sin(turn)))
    centre = mouth + np.array([0.0, 0.0, face.max() + 0.75 * radius + rng.exponential(14.0)])
    polar = np.linspace(0.0, np.pi, 46)[:, None]
    azimuth = 2 * np.pi * np.arange(90) / 90
    cells = np.sin(30.0 * polar) * np.sin(30.0 * azimuth) if not foam else rng.normal(size=(46, 90)) * 0.3
    colour = dye(rng) if foam else metal(rng)
    profile = radius * np.concatenate([-np.cos(polar), np.sin(polar)], axis=1)
    colours = colour * (0.65 + 0.35 * cells)[..., None]
    top = turned(centre, axis, profile, colours, 0.1 if foam else 3.0, sides=90, grain=0.3)
    shaft = np.array([[0.8, 0.75], [0.85, 0.95], [1.05, 0.95], [1.1, 0.8], [4.0, 0.55], [8.0, 0.5], [8.0, 0.02]])
    stick = turned(centre, axis, _rounded(shaft * radius), dye(rng) * 0.5, rng.uniform(0.5, 3.0))
    return combined([top, stick])


def _headset(surface: Surface, rng: np.random.Generator) -> Thing:
    """A thin boom from an ear along the cheek to a small ball by the mouth."""
    side = rng.choice([-1.0, 1.0])
    top, lobe = surface.ear(side)
    corner = surface.marks[291 if side > 0 else 61] + np.array(
        [side * rng.uniform(-4.0, 14.0), rng.uniform(-8.0, 4.0), 0]
    )
    start = 0.5 * (top + lobe) + np.array([0.0, 0.0, 8.0])
    along = np.linspace(0.0, 1.0, 40)
    angles = surface.angle(start) + along * (surface.angle(corner) - surface.angle(start))
    heights = start[1] + along * (corner[1] - start[1]) - 6.0 * np.sin(np.pi * along)
    radius = filled(surface.around(angles, heights)) + 3.0 + 7.0 * along
    path = surface.cylinder(angles, heights, ndimage.gaussian_filter1d(radius, 3.0, mode="nearest"))
    colour = dye(rng) if rng.random() < 0.5 else np.array([0.02, 0.02, 0.02])
    boom = tube(path[None], np.full((1, 40), rng.uniform(0.8, 1.8)), colour, 2.0, sides=8)
    return combined([boom, ball(path[-1], rng.uniform(4.0, 9.0), colour, 0.3, grain=0.3)])


def phone(head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A phone at the ear and cheek, or held up in front of a part of the face."""
    del skin, hair
    surface = surface_of(head)
    size = np.array([rng.uniform(62.0, 80.0), rng.uniform(125.0, 165.0), rng.uniform(7.0, 12.0)])
    side = rng.choice([-1.0, 1.0])
    if rng.random() < 0.6:  # a call
        place = surface.marks[(454 if side > 0 else 234)] + np.array([side * 6.0, -30.0, 18.0])
        away = unit(np.array([side, rng.normal(0.0, 0.1), rng.uniform(0.0, 0.7)]))
        along = np.array([0.0, 1.0, -rng.uniform(0.0, 0.6)])
    else:
        place = surface.marks[rng.choice([1, 13, 50, 280, 159, 386])] + np.append(rng.normal(0.0, 10.0, 2), 0.0)
        place[1] -= rng.uniform(0.0, 60.0)
        away = unit(np.array([rng.normal(0.0, 0.15), rng.normal(0.0, 0.15), 1.0]))
        along = np.array([np.sin(turn := rng.normal(0.0, 0.3)), np.cos(turn), 0.0])
    along = unit(along - away * (along @ away))
    frame = np.stack([np.cross(along, away), along, away])
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, 14) * size[0], np.linspace(-0.5, 0.5, 24) * size[1])
    face = np.nanmax(np.append(surface.relief(place, frame, u, v), 0.0))
    middle = place + away * (face + 0.5 * size[2] + rng.exponential(3.0))
    points = slab(frame, middle, size, rng.uniform(4.0, 11.0))
    colours = np.broadcast_to(dye(rng), points.shape)
    things = [sheet(points, colours, rng.uniform(1.0, 5.0), middle, closed=True, grain=0.0)]
    lens = middle + 0.5 * size[2] * away + 0.42 * size[1] * along * 0.85
    for offset in 0.17 * np.arange(int(rng.integers(1, 4))) - 0.34:
        things.append(
            ball(lens + offset * size[0] * frame[0], 5.0 * np.array([0.3, 1.0]), 0.02, 4.0, steps=8, axis=away)
        )
    return combined(things)
