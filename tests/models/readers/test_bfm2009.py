"""BFM 2009 on small files in its layout: the published formula, every fault a sentence, no other exception."""

import numpy as np
import pytest
from models.tiny_bfm import damaged, tiny_face, write_bfm2009, write_bfm2017, write_face3d

from jaxface.models.readers.bfm2009 import IBUG, NUM_VERTICES, read
from jaxface.types import FaceError

FACE = tiny_face()


def shape_of(model, identity, expression):
    """The model as `SourceModel` means it."""
    return (
        model.mean_mm.astype(np.float64)
        + np.tensordot(identity, model.identity_mm, 1)
        + np.tensordot(expression, model.expression_mm, 1)
    )


def test_the_mean_and_deviations_are_those_of_the_file(tmp_path):
    model = read(write_bfm2009(tmp_path / "01_MorphableModel.mat", FACE))
    identity = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(shape_of(model, identity, []), FACE.shape_mm(identity, [0, 0]), atol=1e-4)
    assert model.expression_mm.shape == (0, len(FACE.mean_mm), 3) and model.expression_names == ()
    np.testing.assert_allclose(model.colours, FACE.colours, atol=1e-6)
    assert {tuple(np.roll(t, -np.argmin(t))) for t in model.triangles} == {
        tuple(np.roll(t, -np.argmin(t))) for t in FACE.triangles
    }
    assert set(model.ibug_vertices) == {-1}
    for array in (model.mean_mm, model.identity_mm, model.colours):
        assert array.dtype == np.float32
    assert model.triangles.dtype == model.ibug_vertices.dtype == np.int32


def test_known_points_of_the_full_mesh(tmp_path):
    table = {point - 1: vertex for point, vertex in IBUG.items()}
    face = tiny_face(NUM_VERTICES, num_identity=1, table=table)
    points = read(write_bfm2009(tmp_path / "full.mat", face)).ibug_vertices
    known = np.flatnonzero(points >= 0)
    assert known.tolist() == sorted(table)
    np.testing.assert_array_equal(points[known], face.ibug[known])


def test_face3d_brings_expressions(tmp_path):
    model = read(write_face3d(tmp_path / "BFM.mat", FACE))
    identity, expression = np.array([1.0, -2.0, 0.5]), np.array([-1.0, 2.0])
    np.testing.assert_allclose(shape_of(model, identity, expression), FACE.shape_mm(identity, expression), atol=1e-4)
    assert model.expression_names == ("exp_0", "exp_1") and model.expression_bounds == (-3.0, 3.0)
    np.testing.assert_array_equal(model.ibug_vertices, FACE.ibug)


NAN = np.full((FACE.mean_mm.size, 1), np.nan)
FAULTS = [
    ({"shapePC": None}, "shapePC is missing"),
    ({"tl": None}, "tl is missing"),
    ({"shapeMU": np.zeros((7, 1))}, "three for each vertex"),
    ({"shapeMU": NAN}, "not finite"),
    ({"shapePC": np.zeros((9, 3))}, "shapePC has shape 9 x 3, expected 576 x n"),
    ({"shapePC": np.zeros(FACE.identity.shape)}, "identity basis moves"),
    ({"shapeEV": np.ones((4, 1))}, "shapeEV has shape 4, expected 3"),
    ({"shapeEV": np.full((3, 1), 1e38)}, "finite|identity basis moves"),
    ({"texMU": "red"}, "texMU is missing"),
    ({"texMU": np.zeros((3, 1))}, "texMU has shape"),
    ({"tl": FACE.triangles}, "tl must hold whole numbers from 1 to 192"),
    ({"tl": FACE.triangles + 0.5}, "whole numbers"),
    ({"tl": np.ones((5, 4))}, "triangles"),
    ({"tl": FACE.triangles + 1}, "inwards"),
    ({"shapeMU": FACE.mean_mm.reshape(-1, 1)}, "mm wide"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_faults_say_so(tmp_path, changes, message):
    path = write_bfm2009(tmp_path / "bad.mat", FACE, **changes)
    with pytest.raises(FaceError, match=message) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expPC": None}, "expPC is missing"),
        ({"expMU": np.zeros((3, 1))}, "expMU has shape"),
        ({"kpt_ind": np.ones((1, 12))}, "12 points, expected 68"),
        ({"kpt_ind": np.full((1, 68), 193)}, "whole numbers from 1 to 192"),
        ({"kpt_ind": FACE.ibug[None, ::-1] + 1}, "outer corners|mouth|left eye"),
    ],
)
def test_faults_of_face3d_say_so(tmp_path, changes, message):
    with pytest.raises(FaceError, match=message):
        read(write_face3d(tmp_path / "bad.mat", FACE, **changes))


def test_other_files_say_so(tmp_path):
    with pytest.raises(FaceError, match="does not exist"):
        read(tmp_path / "none.mat")
    with pytest.raises(FaceError, match="folder"):
        read(tmp_path)
    with pytest.raises(FaceError, match="not a complete MATLAB 5 file"):
        read(write_bfm2017(tmp_path / "other.h5", FACE))


@pytest.mark.parametrize("write", [write_bfm2009, write_face3d])
def test_damaged_files_raise_nothing_else(tmp_path, write):
    content = write(tmp_path / "good.mat", FACE).read_bytes()
    faults = 0
    for copy in damaged(content, count=90, head=1500):
        (tmp_path / "bad.mat").write_bytes(copy)
        try:
            read(tmp_path / "bad.mat")
        except FaceError:
            faults += 1
    assert faults > 30
