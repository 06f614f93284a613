"""The GNM reader on files with the documented keys and shapes; the published file is not at hand."""

import numpy as np
import pytest
from models import tiny_models

from jaxface.models.readers import gnm
from jaxface.types import FaceError, Part


def save(folder, **changes):
    """The small model with fields replaced; None leaves one out."""
    fields = tiny_models.gnm_fields() | changes
    np.savez(folder / "gnm_head.npz", **{key: field for key, field in fields.items() if field is not None})
    return folder / "gnm_head.npz"


def kept(fields):
    """Vertices of the skin and of the outer shells of both eyes."""
    groups = dict(zip(fields["vertex_group_names"].tolist(), fields["vertex_groups"] > 0, strict=True))
    return np.flatnonzero((groups["skin"] | groups["left_eye"] | groups["right_eye"]) & ~groups["eye_interiors"])


def test_skin_and_eyes_are_what_was_written(tmp_path):
    fields = tiny_models.gnm_fields()
    model = gnm.read(save(tmp_path))
    keep = kept(fields)
    assert len(keep) == 609 + 8
    mean = 1e3 * fields["template_vertex_positions"][keep]
    np.testing.assert_allclose(model.mean_mm, mean - mean.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(model.identity_mm, 1e3 * fields["vertex_identity_basis"][:3, keep], atol=1e-4)
    np.testing.assert_allclose(model.expression_mm, 1e3 * fields["expression_basis"][:2, keep], atol=1e-4)
    assert model.expression_names == ("left_eye_0", "lower_face_0") and model.expression_bounds == (-3.0, 3.0)
    assert "3 of 4 identities and 2 of 3 expressions" in model.note
    assert np.all(model.ibug_vertices == -1) and model.colours is None
    assert np.all(model.parts[:609] == Part.SKIN)
    assert model.parts[609:].tolist() == 4 * [Part.LEFT_EYE] + 4 * [Part.RIGHT_EYE]


def test_triangles_and_uvs_follow_their_vertices(tmp_path):
    fields = tiny_models.gnm_fields()
    model = gnm.read(save(tmp_path))
    keep = kept(fields)
    whole = np.all(np.isin(fields["triangles"], keep), axis=1)
    np.testing.assert_array_equal(keep[model.triangles], fields["triangles"][whole])
    expected = fields["triangle_uvs"][whole]
    skin = model.triangles[:, 0] < 609
    corners = model.uvs[model.uv_triangles]
    np.testing.assert_allclose(corners[skin], 0.75 * expected[skin], atol=1e-6)
    np.testing.assert_allclose(corners[~skin][[0, 2]], 0.25 * expected[~skin][[0, 2]] + [0.0, 0.75], atol=1e-6)
    np.testing.assert_allclose(corners[~skin][[1, 3]], 0.25 * expected[~skin][[1, 3]] + [0.25, 0.75], atol=1e-6)
    assert len(np.unique(model.uvs, axis=0)) == len(model.uvs) == 617


def test_a_file_without_groups_is_kept_whole(tmp_path):
    fields = tiny_models.gnm_fields(groups=False)
    model = gnm.read(save(tmp_path, vertex_groups=None, vertex_group_names=None))
    assert len(model.mean_mm) == len(fields["template_vertex_positions"]) and "whole mesh" in model.note
    np.testing.assert_allclose(model.uvs[model.uv_triangles], fields["triangle_uvs"], atol=1e-6)
    assert len(model.identity_mm) == 4


def test_joints_are_what_was_written(tmp_path):
    fields = tiny_models.gnm_fields()
    rig = gnm.read(save(tmp_path)).articulation
    keep = kept(fields)
    centre = fields["template_vertex_positions"][keep].mean(axis=0)
    np.testing.assert_allclose(rig.joints_mm, 1e3 * (fields["template_joint_positions"] - centre), atol=1e-3)
    np.testing.assert_allclose(rig.joint_identity_mm, 1e3 * fields["joint_identity_basis"][:3], atol=1e-4)
    np.testing.assert_allclose(rig.weights, fields["skinning_weights"][:, keep].T, atol=1e-6)
    assert rig.parents == (-1, 0, 1, 1) and rig.names == ("root", "neck", "left_eye", "right_eye")
    assert rig.free == () and rig.corrected == (0, 1, 2, 3) and rig.joint_expression_mm.shape == (2, 4, 3)
    entries = np.random.default_rng(0).normal(size=36)
    written = (1e3 * entries @ fields["pose_correctives_regressor"]).reshape(-1, 3)[keep]
    read = np.einsum("r,rva->va", entries, np.asarray(rig.correctives_mm, np.float64))
    np.testing.assert_allclose(read, written, atol=1e-3)


def refuse(path) -> str:
    with pytest.raises(FaceError) as caught:
        gnm.read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and message[-1] in ".?" and "\n" not in message
    return message


OPTIONAL = {"version", "variant", "identity_names", "quads", "quad_uvs", "vertex_groups"}


@pytest.mark.parametrize("key", sorted(set(tiny_models.gnm_fields()) - OPTIONAL))
def test_missing_and_cut_fields_are_named(tmp_path, key):
    assert key in refuse(save(tmp_path, **{key: None}))
    field = tiny_models.gnm_fields()[key]
    message = refuse(save(tmp_path, **{key: field[..., :-1]}))
    related = {"template_vertex_positions": "template", "joint_names": "joint", "joint_parent_indices": "parents"}
    assert related.get(key, key) in message


@pytest.mark.parametrize(
    "key", ["template_vertex_positions", "vertex_identity_basis", "triangle_uvs", "skinning_weights"]
)
def test_numbers_that_are_not_finite_are_found(tmp_path, key):
    field = tiny_models.gnm_fields()[key].copy()
    field.flat[3] = np.nan
    assert key in refuse(save(tmp_path, **{key: field}))


def test_indices_out_of_range_are_found(tmp_path):
    triangles = tiny_models.gnm_fields()["triangles"].copy()
    triangles[0, 0] = 9999
    assert "triangles" in refuse(save(tmp_path, triangles=triangles))
    assert "joint_parent_indices" in refuse(save(tmp_path, joint_parent_indices=np.array([0, 0, 1, 7])))
    assert "parents" in refuse(save(tmp_path, joint_parent_indices=np.array([0, 2, 1, 1])))


def test_groups_by_other_names_say_which_there_are(tmp_path):
    names = np.array([f"group_{i}" for i in range(6)])
    assert "skin" in refuse(save(tmp_path, vertex_group_names=names))
    empty = np.zeros_like(tiny_models.gnm_fields()["vertex_groups"])
    assert "no vertex" in refuse(save(tmp_path, vertex_groups=empty))


def test_other_units_and_winding_are_found(tmp_path):
    fields = tiny_models.gnm_fields()
    assert "mm wide" in refuse(save(tmp_path, template_vertex_positions=100 * fields["template_vertex_positions"]))
    turned = {key: fields[key][:, ::-1] for key in ("triangles", "triangle_uvs")}
    assert "inwards" in refuse(save(tmp_path, **turned))


def test_pickles_are_not_opened(tmp_path):
    opened = []

    class Trap:
        def __reduce__(self):
            return (opened.append, (1,))

    names = np.array([Trap()], object)
    assert "plain arrays" in refuse(save(tmp_path, expression_names=names))
    names.dump(tmp_path / "pickle.npz")
    assert "plain arrays" in refuse(tmp_path / "pickle.npz")
    assert opened == []


def test_other_files_say_what_to_give(tmp_path):
    assert "does not exist" in refuse(tmp_path / "none.npz")
    assert "folder" in refuse(tmp_path)
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "gnm_head.npz" in refuse(tmp_path / "a.npy")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path)
    monkeypatch.setattr(gnm, "MAX_BYTES", 1000)
    assert "more than" in refuse(path)


def test_damage_raises_nothing_else(tmp_path):
    whole = save(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for turn in range(60):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if turn % 3 == 0 else whole)
        places = rng.integers(0, len(damaged), 4)
        if turn % 3 == 1:  # in the directory, which a flip anywhere else hardly hits
            places = len(damaged) - 1 - rng.integers(0, 1500, 4)
        for place in places:
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            gnm.read(tmp_path / "damaged.npz")
        except FaceError:
            refused += 1
    assert refused > 30


def test_fields_with_absurd_numbers_raise_nothing_else(tmp_path):
    """Past the checksums: every numeric field with one number changed."""
    rng = np.random.default_rng(1)
    fields = tiny_models.gnm_fields()
    refused = 0
    for key, field in fields.items():
        for value in (1e38, -1e300, np.inf, -5.0):
            if field.dtype.kind in "fi":
                broken = field.astype(np.float64)
                broken.flat[rng.integers(field.size)] = value
                try:
                    gnm.read(save(tmp_path, **{key: broken}))
                except FaceError:
                    refused += 1
    assert refused > 20
