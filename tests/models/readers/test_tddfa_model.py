"""3DDFA_V2's model on small files in its layout: raw coefficients against whitened ones, every fault a sentence."""

import os

import numpy as np
import pytest
from models.tiny_bfm import damaged, tiny_face, write_pickle, write_tddfa

from jaxface.io.pickles import load_pickle
from jaxface.models.readers.tddfa import DEVIATIONS, MODEL, TRIANGLES, read, whitened
from jaxface.types import FaceError

FACE = tiny_face(num_identity=40, num_expression=10)


def test_raw_coefficients_give_the_face_of_the_published_formula(tmp_path):
    path = write_tddfa(tmp_path, FACE)
    model, fields, std = read(path), load_pickle(path), load_pickle(tmp_path / DEVIATIONS)["std"]
    raw = (np.random.default_rng(1).normal(size=62) * std).astype(np.float32)
    shape_um = fields["u"].astype(np.float64) + fields["w_shp"] @ raw[12:52, None] + fields["w_exp"] @ raw[52:, None]
    identity, expression = whitened(raw, std)
    assert np.std(identity) < 2.0
    shape = (
        model.mean_mm + np.tensordot(identity, model.identity_mm, 1) + np.tensordot(expression, model.expression_mm, 1)
    )
    np.testing.assert_allclose(shape, 1e-3 * shape_um.reshape(-1, 3), atol=1e-3)
    np.testing.assert_allclose(shape, FACE.shape_mm(identity, expression), atol=1e-3)
    np.testing.assert_array_equal(model.ibug_vertices, FACE.ibug)
    np.testing.assert_array_equal(model.triangles, FACE.triangles)
    assert model.expression_names == tuple(f"exp_{i}" for i in range(10)) and model.expression_bounds == (-3.0, 3.0)
    assert {array.dtype for array in (model.mean_mm, model.identity_mm, model.expression_mm)} == {np.dtype("f4")}


def test_the_folder_will_do_and_tri_pkl_has_the_last_word(tmp_path):
    write_tddfa(tmp_path, FACE, tri=FACE.triangles.T)
    with pytest.raises(FaceError, match="inwards"):
        read(tmp_path)
    (tmp_path / "ncc_code.npy").write_bytes(b"not read")
    write_pickle(tmp_path / TRIANGLES, np.asfortranarray(FACE.triangles[:, [0, 2, 1]].T.astype(np.int32)))
    np.testing.assert_array_equal(read(tmp_path).triangles, FACE.triangles)


def test_the_published_deviations_are_taken(tmp_path, reference_data):
    write_tddfa(tmp_path, FACE)
    (tmp_path / DEVIATIONS).write_bytes((reference_data / "3ddfa_v2" / DEVIATIONS).read_bytes())
    std = load_pickle(tmp_path / DEVIATIONS)["std"]
    fields = load_pickle(tmp_path / MODEL)
    small = 40 / np.linalg.norm(fields["w_shp"] * std[12:52])  # the tiny file has deviations of its own
    write_tddfa(tmp_path, FACE, w_shp=np.float32(1e3 * small) * fields["w_shp"])
    (tmp_path / DEVIATIONS).write_bytes((reference_data / "3ddfa_v2" / DEVIATIONS).read_bytes())
    expected = small * (fields["w_shp"] * std[12:52]).T.reshape(40, -1, 3)
    np.testing.assert_allclose(read(tmp_path).identity_mm, expected, rtol=1e-5)


def test_missing_deviations_say_what_to_copy(tmp_path):
    path = write_tddfa(tmp_path, FACE)
    (tmp_path / DEVIATIONS).unlink()
    with pytest.raises(FaceError, match=f"copy {DEVIATIONS}"):
        read(path)


@pytest.mark.parametrize(
    ("std", "message"),
    [
        (np.ones(50), "std has shape 50, expected 62"),
        (np.zeros(62), "above 0"),
        (np.full(62, np.inf), "not finite"),
        (None, "std is missing"),
    ],
)
def test_faulty_deviations_say_so(tmp_path, std, message):
    path = write_tddfa(tmp_path, FACE)
    write_pickle(tmp_path / DEVIATIONS, {} if std is None else {"std": std})
    with pytest.raises(FaceError, match=message):
        read(path)


SHUFFLED = np.arange(204)[::-1].copy()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"u": None}, "u is missing"),
        ({"u": np.zeros((7, 1))}, "three for each vertex"),
        ({"u": np.full((576, 1), np.nan)}, "not finite"),
        ({"u": [1.0, 2.0]}, "u must be an array of real numbers"),
        ({"u": np.float32(FACE.mean_mm.reshape(-1, 1))}, "mm wide"),
        ({"w_shp": np.zeros((576, 39))}, "w_shp has shape 576 x 39, expected 576 x 40"),
        ({"w_exp": np.zeros((9, 10))}, "w_exp has shape"),
        ({"w_exp": np.zeros((576, 10))}, "expression basis moves"),
        ({"tri": FACE.triangles.T}, "inwards"),
        ({"tri": FACE.triangles.T + 1}, "whole numbers from 0 to 191"),
        ({"keypoints": np.arange(0, 204 * 2)}, "68 vertices"),
        ({"keypoints": SHUFFLED}, "68 vertices"),
        ({"keypoints": np.arange(1, 205)}, "68 vertices"),
        ({"keypoints": np.full(204, 576)}, "whole numbers from 0 to 575"),
    ],
)
def test_faults_say_so(tmp_path, changes, message):
    with pytest.raises(FaceError, match=message):
        read(write_tddfa(tmp_path, FACE, **changes))


def test_other_files_say_so(tmp_path):
    with pytest.raises(FaceError, match="does not exist"):
        read(tmp_path)
    write_tddfa(tmp_path, FACE)
    write_pickle(tmp_path / MODEL, [1, 2])
    with pytest.raises(FaceError, match="a dictionary, not list"):
        read(tmp_path)
    write_tddfa(tmp_path, FACE)
    write_pickle(tmp_path / TRIANGLES, {"tri": 1})
    with pytest.raises(FaceError, match="tri must be an array"):
        read(tmp_path)


class Malicious:
    """Unpickled plainly, it would make a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", [MODEL, DEVIATIONS, TRIANGLES])
def test_a_malicious_pickle_does_nothing(tmp_path, name):
    write_tddfa(tmp_path, FACE)
    write_pickle(tmp_path / name, {"u": Malicious(tmp_path / "owned")})
    with pytest.raises(FaceError, match="mkdir"):
        read(tmp_path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", [MODEL, DEVIATIONS])
def test_damaged_files_raise_nothing_else(tmp_path, name):
    write_tddfa(tmp_path, FACE)
    content = (tmp_path / name).read_bytes()
    faults = 0
    for copy in damaged(content, count=90, head=400):
        (tmp_path / name).write_bytes(copy)
        try:
            read(tmp_path)
        except FaceError:
            faults += 1
    assert faults > 30
