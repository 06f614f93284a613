"""BFM 2017 and 2019 on small files in their layout: both means, both layouts, every fault a sentence."""

import h5py
import numpy as np
import pytest
from models.tiny_bfm import damaged, tiny_face, write_bfm2009, write_bfm2017

from jaxface.models.readers.bfm2017 import IBUG, NUM_VERTICES, read
from jaxface.types import FaceError

FACE = tiny_face()


@pytest.mark.parametrize("minor", [8, 9])
def test_both_layouts_give_the_same_face(tmp_path, minor):
    model = read(write_bfm2017(tmp_path / "model.h5", FACE, minor=minor))
    identity, expression = np.array([1.0, -2.0, 0.5]), np.array([-1.0, 2.0])
    shape = (
        model.mean_mm + np.tensordot(identity, model.identity_mm, 1) + np.tensordot(expression, model.expression_mm, 1)
    )
    np.testing.assert_allclose(shape, FACE.shape_mm(identity, expression), atol=1e-4)
    np.testing.assert_array_equal(model.triangles, FACE.triangles)
    np.testing.assert_allclose(model.colours, FACE.colours, atol=1e-6)
    assert model.expression_names == ("exp_0", "exp_1") and model.expression_bounds == (-3.0, 3.0)
    assert set(model.ibug_vertices) == {-1}
    assert {array.dtype for array in (model.mean_mm, model.identity_mm, model.expression_mm)} == {np.dtype("f4")}


def test_known_points_of_the_full_mesh(tmp_path):
    table = {point - 1: vertex for point, vertex in IBUG.items()}
    face = tiny_face(NUM_VERTICES, num_identity=1, num_expression=1, table=table)
    points = read(write_bfm2017(tmp_path / "full.h5", face)).ibug_vertices
    known = np.flatnonzero(points >= 0)
    assert known.tolist() == sorted(table)
    np.testing.assert_array_equal(points[known], face.ibug[known])


def test_expressions_and_colours_may_be_missing(tmp_path):
    path = write_bfm2017(tmp_path / "model.h5", FACE)
    with h5py.File(path, "r+") as file:
        del file["expression"], file["color"]
    model = read(path)
    assert model.expression_mm.shape == (0, len(FACE.mean_mm), 3) and model.colours is None
    offset = np.tile([0.5, -0.25, 0.125], (len(FACE.mean_mm), 1))
    np.testing.assert_allclose(model.mean_mm, FACE.mean_mm - offset, atol=1e-4)


FAULTS = [
    ({"shape__model__mean": None}, "shape/model/mean is missing"),
    ({"shape__model__mean": np.zeros(7)}, "three for each vertex"),
    ({"shape__model__mean": np.full(576, np.nan)}, "not finite"),
    ({"shape__model__pcaBasis": np.zeros((9, 3))}, "pcaBasis has shape 9 x 3, expected 576 x n"),
    ({"shape__model__pcaVariance": np.ones(4)}, "pcaVariance has shape 4, expected 3"),
    ({"shape__model__pcaVariance": -np.ones(3)}, "negative"),
    ({"shape__model__pcaVariance": np.full(3, 1e38)}, "identity basis moves"),
    ({"expression__model__mean": np.zeros(3)}, "expression/model/mean has shape"),
    ({"expression__model__pcaBasis": None}, "expression/model/pcaBasis is missing"),
    ({"color__model__mean": np.zeros(3)}, "color/model/mean has shape"),
    ({"shape__representer__cells": FACE.triangles + 1}, "whole numbers from 0 to 191"),
    ({"shape__representer__cells": FACE.triangles[:, ::-1]}, "inwards"),
    ({"shape__representer__cells": "triangles"}, "real numbers"),
    ({"version__minorVersion": None}, "minorVersion is missing"),
    ({"version__minorVersion": 7}, "layout 0.7, expected 0.8 or 0.9"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_faults_say_so(tmp_path, changes, message):
    path = write_bfm2017(tmp_path / "bad.h5", FACE, **changes)
    with pytest.raises(FaceError, match=message) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_other_files_say_so(tmp_path):
    with pytest.raises(FaceError, match="does not exist"):
        read(tmp_path / "none.h5")
    with pytest.raises(FaceError, match="folder"):
        read(tmp_path)
    with pytest.raises(FaceError, match="not a readable HDF5"):
        read(write_bfm2009(tmp_path / "other.mat", FACE))
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("shape/model/mean", shape=(10**12,), dtype="f4", chunks=(1024,))
    with pytest.raises(FaceError, match="plausible size"):
        read(tmp_path / "huge.h5")


def test_damaged_files_raise_nothing_else(tmp_path):
    content = write_bfm2017(tmp_path / "good.h5", FACE).read_bytes()
    faults = 0
    for copy in damaged(content, count=90):
        (tmp_path / "bad.h5").write_bytes(copy)
        try:
            read(tmp_path / "bad.h5")
        except FaceError:
            faults += 1
    assert faults > 30
