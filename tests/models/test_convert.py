"""From an author's file to a model that every stage takes: by a detector that knows, and by MediaPipe itself."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from models import known_face, tiny_bfm

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.models import install, store
from jaxface.models.convert import convert
from jaxface.models.embedding import reprojection_errors
from jaxface.models.readers import flame
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.presets import COARSE
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import coarse
from jaxface.types import IBUG_68, FaceError, Landmarks, Part, Pose, Region


@pytest.fixture
def witness(monkeypatch):
    return known_face.Witness(monkeypatch)


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def landmarks_of(model, vertices_mm, *, scale=2.0, turn=(0.05, -0.1, 0.02)):
    """Where the landmarks of a shape appear, and the pose."""
    pose = Pose(jnp.array(turn), jnp.array([250.0, 260.0]), jnp.log(jnp.float32(scale)))
    points = project(landmark_positions(vertices_mm, model=model), pose, camera=orthographic())
    exists = (model.landmark_barycentrics.sum(axis=1) > 0.0).astype(jnp.float32)
    return Landmarks(points[:, :2], points[:, 2], exists), pose


def agreement(labels):
    """Share of right labels on skin and eyes: teeth and tongue are not told from other pieces of the inside."""
    known = known_face.the_model()
    told = np.asarray(known.vertex_parts) <= Part.LEFT_EYE
    return np.mean(labels[told] == np.asarray(known.vertex_regions)[told])


def test_the_record_is_filled(witness):
    source = known_face.make_source(uvs=None, uv_triangles=None)
    model = convert(source, name="known", licence="none", detect=witness)
    assert (model.name, model.licence, model.expression_names) == ("known", "none", source.expression_names)
    np.testing.assert_array_equal(model.mean_mm, source.mean_mm)
    np.testing.assert_array_equal(model.identity_basis_mm, source.identity_mm)
    np.testing.assert_array_equal(model.albedo, source.colours)
    assert model.uv_triangles.shape == model.triangles.shape
    assert float(model.uvs.min()) >= 0.0 and float(model.uvs.max()) <= 1.0
    assert agreement(np.asarray(model.vertex_regions)) > 0.97
    np.testing.assert_array_equal(model.landmark_regions, load_default().landmark_regions)
    misses = np.linalg.norm(model.mean_mm[model.ibug_vertices] - model.mean_mm[np.array(IBUG_68)], axis=1)
    assert np.median(misses) < 0.5  # the nearest vertices to the landmarks


def test_the_files_own_points_are_kept(witness):
    points = np.full(68, -1, np.int32)
    points[30] = 4
    model = convert(known_face.make_source(ibug_vertices=points), name="known", licence="none", detect=witness)
    assert model.ibug_vertices[30] == 4 and np.all(np.asarray(model.ibug_vertices) >= 0)


def test_eyeballs_and_the_inside_are_told_apart(witness):
    source = known_face.make_source()
    model = known_face.the_model()
    eye_mm = source.mean_mm[[33, 133]].mean(axis=0)
    quad = np.array([[-9, -5, -6], [9, -5, -6], [9, 5, -6], [-9, 5, -6]], np.float32)
    plates_mm = np.concatenate([quad + eye_mm, quad * [4, 1, 1] + source.mean_mm[13] + [[0, 0, -60]]])
    corners = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32) + len(source.mean_mm)
    pieces = dataclasses.replace(
        source,
        mean_mm=np.concatenate([source.mean_mm, plates_mm]).astype(np.float32),
        identity_mm=np.pad(source.identity_mm, ((0, 0), (0, 8), (0, 0))),
        expression_mm=np.pad(source.expression_mm, ((0, 0), (0, 8), (0, 0))),
        triangles=np.concatenate([source.triangles, corners]),
        colours=np.concatenate([source.colours, np.full((8, 3), 0.5, np.float32)]),
        uvs=None,
        uv_triangles=None,
    )
    found = convert(pieces, name="pieces", licence="none", detect=witness)
    labels, parts = np.asarray(found.vertex_regions), np.asarray(found.vertex_parts)
    np.testing.assert_array_equal(parts[:-8] == Part.SKIN, np.asarray(model.vertex_parts) == Part.SKIN)
    assert parts[-8:].tolist() == 4 * [Part.RIGHT_EYE] + 4 * [Part.INSIDE]
    assert np.all(labels[-8:-4] == Region.EYE_OPENING) and np.all(labels[-4:] == Region.OUTSIDE)
    assert agreement(labels[:-8]) > 0.97


def test_parts_that_the_file_names_have_their_regions(witness):
    source = known_face.make_source()
    parts = np.zeros(len(source.mean_mm), np.int32)
    parts[-3:] = Part.LEFT_EYE, Part.LOWER_TEETH, Part.INSIDE
    found = convert(dataclasses.replace(source, parts=parts), name="told", licence="none", detect=witness)
    np.testing.assert_array_equal(found.vertex_parts, parts)
    assert found.vertex_regions[-3:].tolist() == [Region.EYE_OPENING, Region.MOUTH_OPENING, Region.OUTSIDE]


def test_a_bfm_file_is_installed_and_fits(witness, home, tmp_path):
    """HDF5 in the layout of 2017, through the door that users take, to the coarse stage."""
    path = tiny_bfm.write_bfm2017(tmp_path / "model2017-1_bfm_nomouth.h5", known_face.as_bfm())
    report = install.install("bfm2017", source=path, detect=witness)
    model = store.resolve("bfm2017")
    assert report.path.is_file() and "of these landmarks lie within 2 px" in " ".join(report.sentences)
    assert int((np.asarray(model.landmark_barycentrics).sum(axis=1) > 0)[:468].sum()) == 468
    _check_fit(model, np.array([0.0, 0.4]))


def _check_fit(model, last):
    """The coarse stage finds a shape whose landmarks it is shown; `last` are its last expression coefficients."""
    random = np.random.default_rng(0)
    identity = jnp.asarray(np.where(np.arange(len(model.identity_basis_mm)) < 8, random.normal(size=8).mean(), 0.0))
    expression = jnp.zeros(len(model.expression_basis_mm)).at[-len(last) :].set(jnp.asarray(last, jnp.float32))
    shape_mm = face_shape(identity.astype(jnp.float32), expression, model=model)
    landmarks, pose = landmarks_of(model, shape_mm)
    fit = coarse.run(landmarks, model=model, camera=orthographic(), weights=COARSE)
    assert bool(fit.finite) and float(fit.residual_px) < 1.5
    seen = project(fit.vertices_mm, fit.pose, camera=orthographic())
    truth = project(shape_mm, pose, camera=orthographic())
    assert float(jnp.median(jnp.linalg.norm((seen - truth)[:, :2], axis=1))) < 1.5  # 0.75 mm
    return fit


@pytest.mark.slow
def test_a_flame_file_is_converted_and_its_jaw_turns(witness, tmp_path):
    face = known_face.as_bfm()
    fields = tiny_bfm.flame_fields(face)
    basis = np.zeros((len(face.mean_mm), 3, 304))
    known = known_face.make_source()
    basis[:, :, :80] = 1e-3 * np.moveaxis(known.identity_mm, 0, 2)
    basis[:, :, 300:] = 1e-3 * np.moveaxis(known.expression_mm[:4], 0, 2)
    below = np.clip((-20.0 - face.mean_mm[:, 1]) / 30.0, 0.0, 1.0)
    fields["weights"] = np.stack([1.0 - below, 0.0 * below, below, 0.0 * below, 0.0 * below], axis=1)
    fields |= {"shapedirs": basis, "posedirs": np.zeros_like(fields["posedirs"])}
    fields["J_regressor"] = np.full((5, len(below)), 1.0 / len(below))
    source = flame.read(tiny_bfm.write_flame(tmp_path / "generic_model.npz", fields))
    model = convert(source, name="flame", licence="none", detect=witness)
    assert model.articulation.names[2] == "jaw" and model.expression_names[-3:] == ("jaw_x", "jaw_y", "jaw_z")
    fit = _check_fit(model, np.array([1.5, 0.0, 0.0]))
    assert float(fit.expression[-3]) > 0.7


def test_nothing_is_installed_where_no_face_is_found(witness, home, tmp_path):
    path = tiny_bfm.write_bfm2017(tmp_path / "a.h5", known_face.as_bfm())
    with pytest.raises(FaceError, match="No face was found on the mean shape of bfm2017"):
        install.install("bfm2017", source=path, detect=lambda image: [])
    witness.moved_px[250:, 0] = 4000.0
    with pytest.raises(FaceError, match="bfm2017"):
        install.install("bfm2017", source=path, detect=witness)
    assert not list(home.rglob("*.npz"))


@pytest.fixture(scope="module")
def found():
    """The embedded model without its eyes, mouth and colours, as MediaPipe sees it."""
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    source = known_face.cut_open(known_face.make_source(colours=None, uvs=None, uv_triangles=None))
    return convert(source, name="blind", licence="none", detect=MediaPipeDetector())


def test_mediapipe_finds_the_landmarks_of_a_bare_face(found):
    truth_mm = np.asarray(known_face.the_model().mean_mm)[:468]
    placed_mm = np.asarray(landmark_positions(found.mean_mm, model=found))[:468]
    exists = np.asarray(found.landmark_barycentrics)[:468].sum(axis=1) > 0.0
    misses_mm = np.linalg.norm(placed_mm - truth_mm, axis=1)[exists]
    print(f"{exists.sum()} landmarks, median {np.median(misses_mm):.2f} mm, 95 % {np.percentile(misses_mm, 95):.2f} mm")
    assert exists.sum() >= 460 and np.median(misses_mm) < 3.0 and np.percentile(misses_mm, 95) < 9.0


def test_its_regions_agree_mostly(found):
    model = known_face.the_model()
    inside = np.isin(np.asarray(model.vertex_regions), (Region.EYE_OPENING, Region.MOUTH_OPENING))
    distance = np.linalg.norm(np.asarray(found.mean_mm)[None, ::7] - np.asarray(model.mean_mm)[:, None], axis=-1)
    nearest = np.argmin(distance, axis=0)
    same = np.asarray(found.vertex_regions)[::7] == np.asarray(model.vertex_regions)[nearest]
    kept = (distance.min(axis=0) < 0.01) & ~inside[nearest]
    assert kept.mean() > 0.8 and same[kept].mean() > 0.85
    labels = np.asarray(found.vertex_regions)
    assert (labels == Region.EYE_OPENING).sum() > 30 and (labels == Region.MOUTH_OPENING).sum() > 10


def test_its_landmarks_reproject(found):
    errors_px = reprojection_errors(found, detect=MediaPipeDetector())
    assert np.mean(errors_px[np.isfinite(errors_px)] < 2.0) >= 0.9
