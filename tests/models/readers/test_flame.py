"""FLAME on small files in its layout: the published skinning in float64, every fault a sentence."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from models.tiny_bfm import damaged, flame_fields, tiny_face, write_flame, write_pickle
from morphable.test_skinning import slow_rotation

from jaxface.models.readers.flame import EMBEDDING, JAW, JOINTS, NUM_IDENTITY, read
from jaxface.morphable.linear import face_shape
from jaxface.morphable.skinning import posed_shape
from jaxface.types import FaceError, MorphableModel

FACE = tiny_face()
FIELDS = flame_fields(FACE)
NUM_EXPRESSION = FIELDS["shapedirs"].shape[2] - NUM_IDENTITY


def model_of(source) -> MorphableModel:
    """The record that the shape functions take; what they do not look at is empty."""
    vertices = len(source.mean_mm)
    return MorphableModel(
        mean_mm=jnp.asarray(source.mean_mm),
        identity_basis_mm=jnp.asarray(source.identity_mm),
        expression_basis_mm=jnp.asarray(source.expression_mm),
        triangles=jnp.asarray(source.triangles),
        uvs=jnp.zeros((1, 2)),
        uv_triangles=jnp.zeros_like(jnp.asarray(source.triangles)),
        landmark_triangles=jnp.zeros(1, jnp.int32),
        landmark_barycentrics=jnp.zeros((1, 3)),
        landmark_regions=jnp.zeros(1, jnp.int32),
        vertex_regions=jnp.zeros(vertices, jnp.int32),
        vertex_parts=jnp.zeros(vertices, jnp.int32),
        ibug_vertices=jnp.asarray(source.ibug_vertices),
        albedo=jnp.zeros((vertices, 3)),
        name="tiny flame",
        licence="none",
        expression_names=source.expression_names,
        expression_bounds=source.expression_bounds,
        articulation=source.articulation,
    )


def published_shape(fields, betas, pose):
    """FLAME in metres: `betas` for all of shapedirs, `pose` axis-angle of the five joints; float64."""
    shaped = fields["v_template"] + fields["shapedirs"] @ betas
    joints = fields["J_regressor"] @ shaped
    turns = [slow_rotation(rotation) for rotation in pose]
    entries = np.concatenate([(turn - np.eye(3)).reshape(-1) for turn in turns[1:]])
    posed = shaped + fields["posedirs"] @ entries
    parents = [None, 0, 1, 1, 1]
    world_turns, world_places = [], []
    for joint, parent in enumerate(parents):
        if parent is None:
            world_turns.append(turns[0])
            world_places.append(joints[0])
        else:
            world_turns.append(world_turns[parent] @ turns[joint])
            world_places.append(world_turns[parent] @ (joints[joint] - joints[parent]) + world_places[parent])
    moved = [
        (posed - joint) @ turn.T + place for joint, turn, place in zip(joints, world_turns, world_places, strict=True)
    ]
    return np.einsum("vj,jva->va", fields["weights"], np.stack(moved))


@pytest.mark.parametrize("name", ["generic_model.pkl", "flame2023.npz"])
def test_posed_shapes_are_those_of_the_published_formula(tmp_path, name):
    source = read(write_flame(tmp_path / name, FIELDS))
    model, centre = model_of(source), FIELDS["v_template"].mean(axis=0)
    rng = np.random.default_rng(3)
    betas, pose = rng.normal(size=NUM_IDENTITY + NUM_EXPRESSION), 0.3 * rng.normal(size=(5, 3))
    identity = jnp.asarray(betas[:NUM_IDENTITY], jnp.float32)
    expression = jnp.asarray(np.concatenate([betas[NUM_IDENTITY:], pose[JAW] / 0.1]), jnp.float32)
    expected = 1e3 * (published_shape(FIELDS, betas, pose) - centre)
    posed = jax.jit(posed_shape)(identity, expression, jnp.asarray(pose, jnp.float32), model=model)
    np.testing.assert_allclose(posed, expected, atol=1e-3)
    jaw_only = np.zeros((5, 3))
    jaw_only[JAW] = pose[JAW]
    expected = 1e3 * (published_shape(FIELDS, betas, jaw_only) - centre)
    np.testing.assert_allclose(jax.jit(face_shape)(identity, expression, model=model), expected, atol=1e-3)


def test_the_record_is_what_the_reader_promises(tmp_path):
    source = read(write_flame(tmp_path / "generic_model.pkl", FIELDS))
    np.testing.assert_allclose(source.mean_mm, FACE.mean_mm - FACE.mean_mm.mean(axis=0), atol=1e-3)
    np.testing.assert_array_equal(source.triangles, FACE.triangles)
    assert source.identity_mm.shape == (NUM_IDENTITY, len(FACE.mean_mm), 3)
    assert source.expression_names == ("exp_0", "exp_1", "exp_2", "exp_3", "jaw_x", "jaw_y", "jaw_z")
    assert source.expression_mm.shape[0] == 7 and source.expression_bounds == (-3.0, 3.0)
    assert source.uvs is None and source.colours is None and set(source.ibug_vertices) == {-1}
    joints = source.articulation
    assert joints.names == JOINTS and joints.parents == (-1, 0, 1, 1, 1) and joints.free == (JAW,)
    assert {array.dtype for array in (source.mean_mm, source.identity_mm, source.expression_mm)} == {np.dtype("f4")}


def test_the_jaw_rows_are_the_shape_to_first_order(tmp_path):
    source = read(write_flame(tmp_path / "generic_model.pkl", FIELDS))
    model, neutral = model_of(source), jnp.zeros(NUM_IDENTITY)
    jacobian = jax.jit(jax.jacobian(lambda b: face_shape(neutral, b, model=model)))(jnp.zeros(7))
    np.testing.assert_allclose(jnp.moveaxis(jacobian, -1, 0), source.expression_mm, atol=1e-4)
    assert np.abs(source.expression_mm[-3:]).max() > 0.5


def test_a_jaw_without_weights_is_no_expression(tmp_path):
    weights = FIELDS["weights"].copy()
    weights[:, 0] += weights[:, JAW]
    weights[:, JAW] = 0.0
    source = read(write_flame(tmp_path / "no_jaw.pkl", FIELDS | {"weights": weights}))
    assert source.articulation.free == () and len(source.expression_mm) == NUM_EXPRESSION


def test_fewer_components_are_taken(tmp_path):
    source = read(write_flame(tmp_path / "short.pkl", FIELDS | {"shapedirs": 4 * FIELDS["shapedirs"][:, :, :12]}))
    assert len(source.identity_mm) == 12 and source.expression_names == ("jaw_x", "jaw_y", "jaw_z")


def embedding(**changes):
    """The 51 points as centres of gravity near a corner of some triangle that has it."""
    rows = [int(np.flatnonzero((FACE.triangles == vertex).any(axis=1))[0]) for vertex in FACE.ibug[17:]]
    corners = FACE.triangles[rows] == FACE.ibug[17:, None]
    return {"lmk_face_idx": np.array(rows, np.uint32), "lmk_b_coords": np.where(corners, 0.8, 0.1), **changes}


def test_the_embedding_beside_it_names_the_points(tmp_path):
    write_pickle(tmp_path / EMBEDDING, embedding())
    points = read(write_flame(tmp_path / "generic_model.pkl", FIELDS)).ibug_vertices
    assert set(points[:17]) == {-1}
    np.testing.assert_array_equal(points[17:], FACE.ibug[17:])


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (embedding(lmk_face_idx=np.arange(50)), "50 triangles, expected 51"),
        (embedding(lmk_face_idx=np.full(51, 10**6)), "whole numbers"),
        (embedding(lmk_b_coords=np.ones((51, 2))), "lmk_b_coords has shape"),
        ({}, "lmk_face_idx is missing"),
        ([1], "a dictionary, not list"),
    ],
)
def test_a_faulty_embedding_says_so(tmp_path, stored, message):
    write_pickle(tmp_path / EMBEDDING, stored)
    with pytest.raises(FaceError, match=f"{EMBEDDING}: .*{message}"):
        read(write_flame(tmp_path / "generic_model.pkl", FIELDS))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("v_template", None, "v_template is missing"),
        ("v_template", np.zeros((192, 2)), "v_template has shape 192 x 2, expected n x 3"),
        ("v_template", 5 * FIELDS["v_template"], "mm wide"),
        ("shapedirs", np.zeros((191, 3, 400)), "shapedirs has shape 191 x 3 x 400, expected 192 x 3 x n"),
        ("shapedirs", np.full((192, 3, 2), np.nan), "not finite"),
        ("shapedirs", np.zeros((192, 3, 301)), "identity basis moves"),
        ("f", FACE.triangles + 1, "f must hold whole numbers from 0 to 191"),
        ("f", FACE.triangles[:, ::-1], "inwards"),
        ("weights", np.ones((192, 24)), "weights has shape 192 x 24, expected 192 x 5"),
        ("weights", np.ones((192, 5)), "weights of a vertex sum up to 5"),
        ("posedirs", np.zeros((192, 3, 207)), "posedirs has shape"),
        ("J_regressor", np.zeros((24, 192)), "J_regressor"),
        ("J_regressor", np.zeros(192), "J_regressor has shape 192, expected 5 x 192"),
        ("J_regressor", scipy.sparse.csc_matrix(np.ones((5, 191))), "J_regressor"),
        ("kintree_table", np.zeros((2, 24)), "kintree_table has shape"),
        ("kintree_table", np.array([[0, 0, 3, 1, 1], [0, 1, 2, 3, 4]]), "parents before their children"),
        ("kintree_table", np.array([[0, 0, -1, 1, 1], [0, 1, 2, 3, 4]]), "parents before their children"),
    ],
)
def test_faults_say_so(tmp_path, key, value, message):
    fields = {name: array for name, array in (FIELDS | {key: value}).items() if array is not None}
    path = write_flame(tmp_path / "bad.pkl", fields)
    with pytest.raises(FaceError, match=message) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_other_files_say_so(tmp_path):
    with pytest.raises(FaceError, match="does not exist"):
        read(tmp_path / "none.pkl")
    with pytest.raises(FaceError, match="folder"):
        read(tmp_path)
    with pytest.raises(FaceError, match="a dictionary, not list"):
        read(write_pickle(tmp_path / "list.pkl", [1]))
    (tmp_path / "text.npz").write_bytes(b"text")
    with pytest.raises(FaceError, match="not a readable .npz"):
        read(tmp_path / "text.npz")
    np.savez(tmp_path / "objects.npz", **FIELDS | {"J_regressor": np.array([{}])})
    with pytest.raises(FaceError, match="npz of plain arrays"):
        read(tmp_path / "objects.npz")


class Malicious:
    """Unpickled plainly, it would make a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_malicious_pickle_does_nothing(tmp_path):
    path = write_pickle(tmp_path / "generic_model.pkl", FIELDS | {"extra": Malicious(tmp_path / "owned")})
    with pytest.raises(FaceError, match="mkdir"):
        read(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["model.pkl", "model.npz"])
def test_damaged_files_raise_nothing_else(tmp_path, name):
    fields = FIELDS | {"shapedirs": np.float32(4 * FIELDS["shapedirs"][:, :, :12])}
    content = write_flame(tmp_path / name, fields).read_bytes()
    faults = 0
    for copy in damaged(content, count=60):
        (tmp_path / name).write_bytes(copy)
        try:
            read(tmp_path / name)
        except FaceError:
            faults += 1
    assert faults > 20
