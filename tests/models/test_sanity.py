"""Every promise of a reader, broken one at a time."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from models.tiny_models import quads_to_triangles, tiny_face, tiny_modes

from jaxface.models.sanity import check_source
from jaxface.models.source import SourceModel
from jaxface.types import Articulation, FaceError


def mask() -> SourceModel:
    face = tiny_face()
    triangles = quads_to_triangles(face.quads).astype(np.int32)
    return SourceModel(
        mean_mm=face.vertices_mm.astype(np.float32),
        identity_mm=tiny_modes(face.vertices_mm, 4, seed=0).astype(np.float32),
        expression_mm=tiny_modes(face.vertices_mm, 2, seed=1).astype(np.float32),
        expression_names=("open", "smile"),
        expression_bounds=(0.0, 1.0),
        triangles=triangles,
        uvs=face.uvs.astype(np.float32),
        uv_triangles=triangles,
        colours=np.full((len(face.uvs), 3), 0.5, np.float32),
        ibug_vertices=face.ibug.astype(np.int32),
        note="made up",
    )


def without_points(model):
    return change(model, ibug_vertices=np.full(68, -1, np.int32))


def change(model, **parts):
    return dataclasses.replace(model, **parts)


def refuse(model) -> str:
    with pytest.raises(FaceError) as caught:
        check_source(model, path="folder/face.mat")
    message = str(caught.value)
    assert message.startswith("folder/face.mat: ") and message.endswith(".") and "\n" not in message
    return message


def closed_head():
    """An ellipsoid with a hole below, as the neck leaves it."""
    up, around = np.meshgrid(np.linspace(-1.2, 1.55, 20), np.linspace(0, 2 * np.pi, 30, endpoint=False), indexing="ij")
    points = np.stack([np.cos(up) * np.sin(around) * 75, np.sin(up) * 110, np.cos(up) * np.cos(around) * 90], axis=-1)
    index = np.arange(600).reshape(20, 30)
    right = np.roll(index, -1, axis=1)
    quads = np.stack([index[:-1], right[:-1], right[1:], index[1:]], axis=-1).reshape(-1, 4)
    model = mask()
    points = points.reshape(-1, 3).astype(np.float32)
    bases = {name: tiny_modes(points, 2, seed=2).astype(np.float32) for name in ("identity_mm", "expression_mm")}
    nothing = dict(uvs=None, uv_triangles=None, colours=None)
    model = change(model, mean_mm=points, triangles=quads_to_triangles(quads).astype(np.int32), **bases, **nothing)
    return without_points(model)


@pytest.mark.parametrize("make", [mask, lambda: without_points(mask()), closed_head])
def test_a_sound_model_comes_back_as_it_is(make):
    model = make()
    assert check_source(model, path="a") is model


def test_expressions_textures_and_points_may_be_absent():
    model = change(mask(), expression_mm=np.zeros((0, 609, 3), np.float32), expression_names=(), colours=None)
    check_source(change(without_points(model), uvs=None, uv_triangles=None), path="a")


@pytest.mark.parametrize("scale", [0.001, 0.01, 0.1, 10.0, 1000.0])
@pytest.mark.parametrize("make", [mask, closed_head])
def test_other_units_are_found_without_points(make, scale):
    model = without_points(make())
    assert "mm wide" in refuse(change(model, mean_mm=model.mean_mm * np.float32(scale)))


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_a_face_slightly_too_small_or_large_is_found_by_its_eyes(scale):
    model = mask()
    model = change(model, mean_mm=model.mean_mm * np.float32(scale))
    assert "outer corners of the eyes" in refuse(model)
    check_source(without_points(model), path="a")


@pytest.mark.parametrize("basis", ["identity_mm", "expression_mm"])
@pytest.mark.parametrize("scale", [0.0, 0.001, 100.0])
def test_bases_in_other_units_or_empty_are_found(basis, scale):
    model = mask()
    message = refuse(change(model, **{basis: getattr(model, basis) * np.float32(scale)}))
    assert "basis moves" in message and basis[:-3] in message


@pytest.mark.parametrize("make", [mask, closed_head])
def test_a_face_turned_inside_out_is_found(make):
    model = without_points(make())
    assert "inwards" in refuse(change(model, triangles=model.triangles[:, ::-1]))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("make", [mask, closed_head])
def test_a_mirrored_axis_is_found_by_the_winding(make, axis):
    signs = np.ones(3, np.float32)
    signs[axis] = -1.0
    model = without_points(make())
    assert "inwards" in refuse(change(model, mean_mm=model.mean_mm * signs))


def test_a_mirrored_face_is_found_by_its_eyes():
    model = mask()
    mirrored = change(model, mean_mm=model.mean_mm * np.float32([-1, 1, 1]), triangles=model.triangles[:, ::-1])
    assert "left eye" in refuse(mirrored)
    check_source(without_points(mirrored), path="a")


@pytest.mark.parametrize(
    "rotation, message",
    [
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], "left eye"),  # upside down
        ([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], "looks along"),  # from behind
        ([[1, 0, 0], [0, 0, -1], [0, 1, 0]], "looks along"),  # z up
        ([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], "looks along"),  # in profile
    ],
)
def test_a_rotated_face_is_found(rotation, message):
    deep = mask().mean_mm * np.float32([1.0, 1.0, 1.3])
    assert message in refuse(change(mask(), mean_mm=deep @ np.float32(rotation).T))


def test_a_swapped_mouth_and_a_flat_nose_are_found():
    model = mask()
    points = model.ibug_vertices.copy()
    points[[48, 54]] = points[[19, 24]]
    assert "above the mouth" in refuse(change(model, ibug_vertices=points))
    flat = model.mean_mm.copy()
    flat[model.ibug_vertices[30], 2] = 0.0
    assert "nose" in refuse(change(model, mean_mm=flat))


@pytest.mark.parametrize("name", ["mean_mm", "identity_mm", "expression_mm", "colours", "uvs"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_found(name, value):
    broken = getattr(mask(), name).copy()
    broken.flat[5] = value
    assert "finite" in refuse(change(mask(), **{name: broken}))


@pytest.mark.parametrize(
    "parts",
    [
        {"mean_mm": np.zeros((0, 3), np.float32)},
        {"mean_mm": mask().mean_mm[:-1]},
        {"identity_mm": mask().identity_mm[:0]},
        {"identity_mm": mask().identity_mm[:, :-1]},
        {"identity_mm": mask().identity_mm.reshape(4, -1)},
        {"expression_mm": mask().expression_mm[:1]},
        {"expression_names": ("open",)},
        {"triangles": np.zeros((0, 3), np.int32), "uv_triangles": np.zeros((0, 3), np.int32)},
        {"triangles": np.zeros((5, 4), np.int32)},
        {"uv_triangles": mask().uv_triangles[1:]},
        {"uvs": np.zeros((0, 2), np.float32)},
        {"colours": mask().colours[:, :1]},
        {"ibug_vertices": np.zeros(51, np.int32)},
    ],
)
def test_shapes_that_disagree_are_found(parts):
    assert "shape" in refuse(change(mask(), **parts))


@pytest.mark.parametrize("name, count", [("triangles", 609), ("uv_triangles", 609), ("ibug_vertices", 609)])
def test_indices_out_of_range_are_found(name, count):
    for value in (-2, count):
        broken = getattr(mask(), name).copy()
        broken.flat[7] = value
        message = refuse(change(mask(), **{name: broken}))
        assert "indices" in message and str(value) in message


@pytest.mark.parametrize("parts", [{"colours": mask().colours * 255}, {"uvs": mask().uvs + 1}, {"uvs": -mask().uvs}])
def test_colours_and_uvs_out_of_range_are_found(parts):
    assert "expected [0, 1]" in refuse(change(mask(), **parts))


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (0.5, 1.0), (-np.inf, 3.0), (np.nan, 1.0)])
def test_bounds_that_are_none_are_found(bounds):
    assert "bounds" in refuse(change(mask(), expression_bounds=bounds))


def test_a_mesh_without_area_is_found():
    line = mask().mean_mm[:, [0, 0, 0]]
    assert "no area" in refuse(change(without_points(mask()), mean_mm=line))


def rig(**parts) -> Articulation:
    fields = dict(
        joints_mm=np.zeros((2, 3)),
        joint_identity_mm=np.zeros((4, 2, 3)),
        joint_expression_mm=np.zeros((2, 2, 3)),
        weights=np.full((609, 2), 0.5),
        correctives_mm=np.zeros((9, 609, 3)),
    )
    plain = dict(corrected=(1,), parents=(-1, 0), names=("root", "jaw"), free=(), spread=0.1)
    plain |= {name: parts.pop(name) for name in list(parts) if name in plain}
    return Articulation(**{k: jnp.asarray(v, jnp.float32) for k, v in (fields | parts).items()}, **plain)


def test_sound_joints_pass():
    check_source(change(mask(), articulation=rig()), path="a")


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"weights": np.full((609, 2), 0.6)}, "sum up to"),
        ({"weights": np.tile([[1.5, -0.5]], (609, 1))}, "weights"),
        ({"joint_identity_mm": np.zeros((3, 2, 3))}, "identity basis"),
        ({"joint_expression_mm": np.zeros((1, 2, 3))}, "expression basis"),
        ({"correctives_mm": np.zeros((18, 609, 3))}, "correctives"),
        ({"joints_mm": np.full((2, 3), np.nan)}, "positions"),
        ({"parents": (1, -1)}, "parents"),
        ({"parents": (-1,)}, "parents"),
        ({"corrected": (2,)}, "corrected"),
        ({"free": (2,)}, "free"),
    ],
)
def test_joints_that_do_not_fit_are_found(parts, message):
    assert message in refuse(change(mask(), articulation=rig(**parts)))
