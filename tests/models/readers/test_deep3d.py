"""The Deep3DFaceReconstruction reader on small files with the documented keys, built and to be put together."""

import shutil

import numpy as np
import pytest
import scipy.io
from models import tiny_models

from jaxface.models.readers import deep3d
from jaxface.types import FaceError


def save(folder, **changes):
    """The small model with fields replaced; None leaves one out."""
    fields = tiny_models.deep3d_fields() | changes
    fields = {key: field for key, field in fields.items() if field is not None}
    scipy.io.savemat(folder / "BFM_model_front.mat", fields)
    return folder / "BFM_model_front.mat"


def check(model):
    fields = tiny_models.deep3d_fields()
    mean = 100.0 * fields["meanshape"].reshape(-1, 3)
    np.testing.assert_allclose(model.mean_mm, mean - mean.mean(axis=0), atol=1e-3)
    for basis, key in ((model.identity_mm, "idBase"), (model.expression_mm, "exBase")):
        np.testing.assert_allclose(basis, 100.0 * fields[key].T.reshape(len(basis), -1, 3), atol=1e-4)
    np.testing.assert_allclose(model.colours, fields["meantex"].reshape(-1, 3) / 255.0, atol=1e-6)
    np.testing.assert_array_equal(model.triangles, fields["tri"] - 1)
    np.testing.assert_array_equal(model.ibug_vertices, fields["keypoints"][0] - 1)
    assert model.expression_names == ("exp_0", "exp_1", "exp_2") and model.expression_bounds == (-3.0, 3.0)
    assert model.mean_mm.dtype == model.colours.dtype == np.float32
    assert model.uvs is None and model.articulation is None


def test_the_file_is_what_was_written(tmp_path):
    check(deep3d.read(save(tmp_path)))


def test_a_folder_or_archive_that_holds_it_will_do(tmp_path):
    (tmp_path / "in" / "BFM").mkdir(parents=True)
    save(tmp_path / "in" / "BFM")
    check(deep3d.read(tmp_path / "in"))
    check(deep3d.read(str(tmp_path / "in" / "BFM")))
    check(deep3d.read(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "in")))


def test_the_model_is_put_together(tmp_path):
    tiny_models.write_deep3d_parts(tmp_path / "BFM")
    check(deep3d.read(tmp_path / "BFM"))


def test_the_built_file_is_preferred(tmp_path):
    tiny_models.write_deep3d_parts(tmp_path)
    save(tmp_path)
    (tmp_path / "Exp_Pca.bin").write_bytes(b"damaged")
    check(deep3d.read(tmp_path))


def test_only_the_first_components_are_taken(tmp_path, monkeypatch):
    tiny_models.write_deep3d_parts(tmp_path)
    monkeypatch.setattr(deep3d, "NUM_IDENTITY", 2)
    monkeypatch.setattr(deep3d, "NUM_EXPRESSION", 1)
    model = deep3d.read(tmp_path)
    full = tiny_models.deep3d_fields()
    np.testing.assert_allclose(model.identity_mm.reshape(2, -1), 100.0 * full["idBase"].T[:2], atol=1e-4)
    np.testing.assert_allclose(model.expression_mm.reshape(1, -1), 100.0 * full["exBase"].T[:1], atol=1e-4)


def refuse(path) -> str:
    with pytest.raises(FaceError) as caught:
        deep3d.read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and message[-1] in ".?" and "\n" not in message
    return message


@pytest.mark.parametrize("key", ["meanshape", "meantex", "idBase", "exBase", "tri", "keypoints"])
def test_missing_and_cut_fields_are_named(tmp_path, key):
    assert key in refuse(save(tmp_path, **{key: None}))
    assert key in refuse(save(tmp_path, **{key: np.array(["text"])}))
    field = tiny_models.deep3d_fields()[key]
    if key in ("idBase", "exBase"):
        assert key in refuse(save(tmp_path, **{key: field[:-1]}))
    elif key != "meanshape":  # the others are held against the mean
        assert key in refuse(save(tmp_path, **{key: field[:, :-1]}))


@pytest.mark.parametrize("key", ["meanshape", "meantex", "idBase", "exBase"])
def test_numbers_that_are_not_finite_are_found(tmp_path, key):
    field = tiny_models.deep3d_fields()[key].copy()
    field.flat[5] = np.inf
    assert key in refuse(save(tmp_path, **{key: field}))


@pytest.mark.parametrize("key", ["tri", "keypoints"])
@pytest.mark.parametrize("value", [0, 610, 1.5])
def test_indices_count_from_one(tmp_path, key, value):
    field = tiny_models.deep3d_fields()[key].copy()
    field.flat[5] = value
    assert key in refuse(save(tmp_path, **{key: field}))


def test_other_units_and_winding_are_found(tmp_path):
    fields = tiny_models.deep3d_fields()
    assert "mm wide" in refuse(save(tmp_path, meanshape=1e5 * fields["meanshape"]))
    assert "inwards" in refuse(save(tmp_path, tri=fields["tri"][:, ::-1]))


def test_the_mean_must_have_whole_vertices(tmp_path):
    assert "three for each vertex" in refuse(save(tmp_path, meanshape=tiny_models.deep3d_fields()["meanshape"][:, :-1]))


@pytest.mark.parametrize("name", deep3d.PARTS)
def test_parts_that_are_missing_or_damaged_are_named(tmp_path, name):
    tiny_models.write_deep3d_parts(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    assert name in refuse(tmp_path)
    (tmp_path / name).unlink()
    message = refuse(tmp_path)
    assert name in message and "BFM_model_front.mat" in message


@pytest.mark.parametrize("name, content", [("std_exp.txt", b"1 2 x"), ("Exp_Pca.bin", b""), ("Exp_Pca.bin", bytes(4))])
def test_plain_files_that_do_not_fit_are_named(tmp_path, name, content):
    tiny_models.write_deep3d_parts(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert name in refuse(tmp_path)


def test_other_files_say_what_to_give(tmp_path):
    assert "BFM_model_front.mat" in refuse(tmp_path)
    assert "does not exist" in refuse(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("hello")
    assert "MATLAB 5" in refuse(tmp_path / "text.mat")


def test_damage_raises_nothing_else(tmp_path):
    whole = save(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for turn in range(90):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if turn % 3 == 0 else whole)
        last = 400 if turn % 3 == 1 else len(damaged)  # the headers, which a flip anywhere hardly hits
        for place in rng.integers(0, min(last, len(damaged)), 4):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "damaged.mat").write_bytes(damaged)
        try:
            deep3d.read(tmp_path / "damaged.mat")
        except FaceError:
            refused += 1
    assert refused > 40


def test_damaged_parts_raise_nothing_else(tmp_path):
    tiny_models.write_deep3d_parts(tmp_path)
    rng = np.random.default_rng(1)
    refused = 0
    for turn in range(60):
        name = deep3d.PARTS[turn % len(deep3d.PARTS)]
        whole = (tmp_path / name).read_bytes()
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 300), 4):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(damaged)
        try:
            deep3d.read(tmp_path)
        except FaceError:
            refused += 1
        (tmp_path / name).write_bytes(whole)
    assert refused > 20
