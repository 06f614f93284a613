"""The whole pipeline on rendered faces with given landmarks; MediaPipe is not needed."""

import contextlib
import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_networks
from resampling import crop_image

import jaxface
from jaxface import network_outputs, photos, pipeline, presets, program, templates
from jaxface.detection import face_regressor
from jaxface.detection.face_regressor import TddfaWeights
from jaxface.execution import num_compiled
from jaxface.export.overview import render_shapes
from jaxface.export.reconstruction import Reconstruction
from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.geometry.subdivision import subdivide
from jaxface.models import tools
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import project
from jaxface.stage_log import StageLog
from jaxface.state import Shared, State, View
from jaxface.synthetic import preset_light, synthetic_face
from jaxface.types import IBUG_68, CoarseFit, Crop, FaceError, Landmarks, Parsing, Region
from jaxface.verdicts import reason

SIZE = 128
STAGES = ["landmarks", "templates", "coarse", "coarse shading", "coarse normals", "medium", "learned normals",
          "fine phase 1", "fine phase 2", "light and albedo", "detail", "textures"]  # fmt: skip


@functools.cache
def photograph(seed=0, yaw=0.15):
    """A face on a picture that is not square, its landmarks, and all that is true of it."""
    light = preset_light("side")
    face = synthetic_face(jax.random.key(seed + 1), model=load_default(), size=200, yaw=yaw, light=light, levels=1)
    image = np.pad(np.array(face.image), ((5, 11), (20, 3), (0, 0)), mode="edge")
    landmarks = face.landmarks._replace(points_px=face.landmarks.points_px + jnp.array([[20.0, 5.0]]))
    return image, landmarks, face


def reconstruct(image, landmarks, **settings) -> Reconstruction:
    return pipeline.reconstruct(image, landmarks=landmarks, size=SIZE, **settings)


@pytest.fixture(scope="session")
def rec() -> Reconstruction:
    image, landmarks, _ = photograph()
    return reconstruct(image, landmarks)


@contextlib.contextmanager
def compiled_programs():
    """Names of everything that XLA compiles meanwhile, small programs between the stages included."""
    names = []

    class Listener(logging.Handler):
        def emit(self, record):
            if "Finished XLA compilation" in record.getMessage():
                names.append(record.getMessage())

    listener, logger = Listener(), logging.getLogger("jax")
    logger.addHandler(listener)
    try:
        with jax.log_compiles():
            yield names
    finally:
        logger.removeHandler(listener)


def arrays(rec):
    """Everything in the record that numbers are in, without the seconds."""
    fields = {f.name: getattr(rec, f.name) for f in dataclasses.fields(rec) if f.name not in ("stages", "settings")}
    meshes = {name: vars(fields.pop(name)) for name in ("neutral", "coarse", "medium", "phase1", "fine")}
    return [np.asarray(leaf) for leaf in jax.tree.leaves((fields, meshes)) if not isinstance(leaf, str)]


def face_normals(vertices, triangles):
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def status(rec, name):
    (stage,) = [stage for stage in rec.stages if stage.name == name]
    return stage


def test_every_stage_reports(rec):
    assert [stage.name for stage in rec.stages] == STAGES
    assert [(stage.status, stage.reason) for stage in rec.stages] == [("ok", "")] * len(STAGES)
    assert all(stage.seconds >= 0.0 and np.isfinite(list(stage.figures.values())).all() for stage in rec.stages)
    assert {"residual_px", "compile_seconds"} <= status(rec, "coarse").figures.keys()
    phase = status(rec, "fine phase 2").figures
    assert phase["residual"] < phase["residual_medium"]


def test_the_record_is_full_and_finite(rec):
    image = photograph()[0]
    np.testing.assert_allclose(rec.image, image, atol=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in arrays(rec) if leaf.dtype.kind == "f")
    assert rec.crop_image.shape == rec.relit.shape == (SIZE, SIZE, 3)
    assert rec.settings == dict(
        preset="default",
        size=SIZE,
        seed=0,
        focal_px=None,
        face=None,
        coarse="landmarks",
        parsing="landmarks",
        landmarks="given",
    )
    assert rec.model_name and rec.model_licence and len(rec.expression_names) == rec.coarse_fit.expression.shape[0]
    for mesh in (rec.neutral, rec.coarse, rec.medium, rec.phase1, rec.fine):
        assert mesh.triangles.max() < len(mesh.vertices_mm) and mesh.uv_triangles.max() < len(mesh.uvs)
        assert mesh.triangles.shape == mesh.uv_triangles.shape and mesh.uvs.min() >= 0.0 and mesh.uvs.max() <= 1.0
    neutral = face_shape(rec.coarse_fit.identity, 0.0 * rec.coarse_fit.expression, model=load_default())
    np.testing.assert_allclose(rec.neutral.vertices_mm, neutral, atol=1e-3)
    assert np.abs(rec.neutral.vertices_mm - rec.coarse.vertices_mm).max() > 0.1
    assert rec.fine_normals.shape == rec.fine_colours.shape == rec.fine.vertices_mm.shape
    np.testing.assert_allclose(np.linalg.norm(rec.fine_normals, axis=1), 1.0, atol=1e-3)


def base_normals(rec):
    """Of the subdivided medium mesh."""
    subdivision = templates.prepare(load_default()).detail.subdivision
    base_mm = subdivide(jnp.asarray(rec.medium.vertices_mm), subdivision=subdivision)
    return np.asarray(vertex_normals(base_mm, subdivision.triangles))


def test_fine_meshes_have_detail_and_no_flipped_triangle(rec):
    triangles, subdivision = rec.fine.triangles, templates.prepare(load_default()).detail.subdivision
    base = np.asarray(subdivide(jnp.asarray(rec.medium.vertices_mm), subdivision=subdivision))
    assert len(base) > 3 * len(rec.medium.vertices_mm)
    for mesh in (rec.phase1, rec.fine):
        moved = np.linalg.norm(mesh.vertices_mm - base, axis=1)
        assert 0.1 < moved.max() < 4.0
        assert (np.sum(face_normals(mesh.vertices_mm, triangles) * face_normals(base, triangles), axis=1) > 0.0).all()
    assert np.abs(rec.fine.vertices_mm - rec.phase1.vertices_mm).max() > 1e-2
    turned = np.sum(rec.fine_normals * base_normals(rec), axis=1)
    assert turned.min() > 0.0 and np.mean(turned < 0.999) > 0.004  # a smooth face has little


def test_a_function_of_the_image_finds_the_landmarks(rec):
    image, landmarks, _ = photograph()

    def look(pixels):
        assert pixels.dtype == np.uint8 and np.abs(pixels / 255.0 - image).max() < 0.01
        return [landmarks, landmarks._replace(points_px=landmarks.points_px + 1e4)]

    found = reconstruct(image, look)
    assert found.settings == rec.settings | {"landmarks": "look"} and status(found, "landmarks").figures["faces"] == 2.0
    np.testing.assert_array_equal(found.fine.vertices_mm, rec.fine.vertices_mm)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda image: None, "The detector <lambda> must return a list with the Landmarks of each face"),
        (lambda image: photograph()[1], "must return a list"),
        (lambda image: [photograph()[1]._replace(confidence=np.zeros(478))], "some must be"),
        (lambda image: [], "No face was found"),
        (photograph()[1].points_px, "by a function of an image, not by ArrayImpl"),
    ],
)
def test_what_finds_no_landmarks_says_so(source, words):
    with pytest.raises(FaceError, match=words):
        reconstruct(photograph()[0], source)


def test_the_face_is_found_where_it_is(rec):
    _, landmarks, face = photograph()
    on_face = np.asarray(load_default().vertex_regions) < Region.OUTSIDE
    points = np.asarray(project(jnp.asarray(rec.medium.vertices_mm[on_face]), rec.coarse_fit.pose, camera=rec.camera))
    true = np.asarray(project(face.vertices_mm, face.pose, camera=face.camera)) + [20.0, 5.0, 0.0]
    for axis in (0, 1):
        assert np.abs(points[:, axis].min() - true[:, axis].min()) < 8.0
        assert np.abs(points[:, axis].max() - true[:, axis].max()) < 8.0
    confident = np.asarray(landmarks.confidence) > 0
    middle = np.asarray(landmarks.points_px)[confident].mean(axis=0)
    centre = (np.asarray(rec.crop.offset_px) + 0.5 * SIZE / float(rec.crop.zoom)) - middle
    assert np.abs(centre).max() < 15.0
    expected = crop_image(rec.image, rec.crop, size=SIZE)
    assert np.sqrt(np.mean((rec.crop_image - expected) ** 2)) < 0.02


def test_maps_agree_with_the_image(rec):
    skin = rec.maps.confidence > 0.5
    assert 0.1 < skin.mean() < 0.7
    rendered = rec.maps.albedo * rec.maps.shading + rec.maps.specular
    assert np.sqrt(np.mean((rendered - rec.crop_image)[skin] ** 2)) < 0.05


def test_a_second_photo_compiles_nothing(rec):
    image, landmarks, _ = photograph(seed=1, yaw=-0.1)
    image, shifted = image[3:, 6:], landmarks._replace(points_px=landmarks.points_px - jnp.array([[6.0, 3.0]]))
    before = num_compiled()
    with compiled_programs() as names:
        again = pipeline.reconstruct(np.ascontiguousarray(image), landmarks=shifted, size=SIZE, focal_px=900.0)
    assert num_compiled() == before and names == []
    assert all(stage.figures["compile_seconds"] < 0.2 for stage in again.stages)  # looking it up on a busy machine
    assert again.image.shape != rec.image.shape and again.settings["focal_px"] == 900.0
    assert np.abs(again.coarse.vertices_mm - rec.coarse.vertices_mm).max() > 1.0


def test_the_listener_hears_compiles():
    with compiled_programs() as names:
        jax.jit(lambda x: x * 3.0 + len(names))(jnp.zeros(3))
    assert any("<lambda>" in name for name in names)


def test_the_same_photo_gives_the_same_bits(rec):
    image, landmarks, _ = photograph()
    again = reconstruct(image, landmarks)
    for first, second in zip(arrays(rec), arrays(again), strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_input_is_left_alone_and_its_type_does_not_matter(rec):
    image, landmarks, _ = photograph()
    bytes_ = np.round(image * 255.0).astype(np.uint8)
    kept, stages = bytes_.copy(), []
    again = reconstruct(bytes_, landmarks, progress=stages.append)
    np.testing.assert_array_equal(bytes_, kept)
    assert stages == STAGES
    change_px = np.abs(again.maps.height_px - rec.maps.height_px)  # at outlines a pixel may see another surface
    assert np.median(change_px) < 0.2 and np.percentile(change_px, 95.0) < 2.0


def test_landmarks_may_come_from_a_file(rec, tmp_path):
    image, landmarks, _ = photograph()
    seen = np.asarray(landmarks.confidence)[:468] > 0
    points = np.asarray(landmarks.points_px)[:468]
    assert seen.mean() > 0.7
    np.save(tmp_path / "points.npy", points)
    again = reconstruct(image, str(tmp_path / "points.npy"))
    assert np.sqrt(np.mean((again.coarse.vertices_mm - rec.coarse.vertices_mm) ** 2)) < 3.0


def test_the_package_offers_the_same_function():
    assert jaxface.reconstruct is pipeline.reconstruct and jaxface.reconstruct_many is pipeline.reconstruct_many
    with pytest.raises(AttributeError, match="no_such_thing"):
        jaxface.no_such_thing  # noqa: B018


def test_clay_pictures_of_every_shape(rec):
    pictures = render_shapes(rec)
    assert list(pictures) == ["coarse", "medium", "phase1", "fine"]
    for picture in pictures.values():
        assert picture.shape == (SIZE, SIZE, 3) and picture.min() >= 0.0 and picture.max() <= 1.0
        drawn = np.any(picture < 1.0, axis=-1)
        on_face = rec.maps.mask > 0
        assert np.mean(drawn[on_face]) > 0.98 and drawn.mean() > 1.1 * on_face.mean()
    assert np.abs(pictures["fine"] - pictures["medium"]).max() > 0.02


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"preset": "best"}, "paper, default"),
        ({"size": 32}, "between 64 and 4096"),
        ({"size": 10000}, "between 64 and 4096"),
        ({"face": 1}, "--face"),
        ({"image": np.zeros((5, 7, 2))}, "shape"),
        ({"image": np.full((50, 70, 3), 200.0)}, "[0, 1]"),
        ({"landmarks": "nowhere.npy"}, "nowhere.npy"),
        ({"model": "ict", "image": np.zeros((5, 7, 2))}, "models install ict"),  # before the photo is looked at
        ({"coarse": "3ddfa", "image": np.zeros((5, 7, 2))}, "3ddfa is not installed"),
        ({"parsing": "bisenet", "image": np.zeros((5, 7, 2))}, "bisenet is not installed"),
        ({"parsing": "3ddfa"}, "landmarks, bisenet"),
    ],
)
def test_wrong_arguments_are_told(settings, word):
    image, landmarks, _ = photograph()
    with pytest.raises(FaceError) as caught:
        pipeline.reconstruct(**({"image": image, "landmarks": landmarks, "size": SIZE} | settings))
    assert word in str(caught.value) and "\n" not in str(caught.value)


def landmarks_of(points, confidence=None) -> Landmarks:
    confidence = np.ones(len(points)) if confidence is None else confidence
    return Landmarks(*(jnp.asarray(part, jnp.float32) for part in (points, np.zeros(len(points)), confidence)))


def scattered():
    return landmarks_of(np.random.default_rng(0).uniform(20, 180, (478, 2)))


def shuffled():
    landmarks = photograph()[1]
    return landmarks_of(np.random.default_rng(0).permutation(np.asarray(landmarks.points_px)))


def with_nan():
    points = np.asarray(photograph()[1].points_px).copy()
    points[30] = np.nan
    return landmarks_of(points)


@pytest.mark.parametrize(
    ("landmarks", "word"),
    [
        (scattered, "do not look like a face"),
        (shuffled, "do not look like a face"),
        (with_nan, "finite"),
        (lambda: landmarks_of(np.full((478, 2), 50.0)), "0 pixels"),
        (lambda: landmarks_of(np.zeros((478, 2)), np.zeros(478)), "confidence"),
        (lambda: landmarks_of(np.random.default_rng(0).uniform(20, 180, (68, 2))), "478 points"),
    ],
)
def test_landmarks_that_are_no_face_are_told(rec, landmarks, word):
    before = num_compiled()
    with pytest.raises(FaceError) as caught:
        reconstruct(photograph()[0], landmarks())
    assert word in str(caught.value) and str(caught.value).endswith(".") and num_compiled() == before


def reconstruct_with(**changes):
    """The usual photo, with parts of the preset exchanged."""
    image, landmarks, _ = photograph()
    return reconstruct(image, landmarks, preset=dataclasses.replace(PRESET, **changes))


PRESET = presets.default(size=SIZE)


def with_rate(fine, *phases, rate=float("nan")):
    """The first unknown of each phase gets another rate, which compiles nothing."""
    changed = {}
    for name in phases:
        phase = getattr(fine, name)
        first, *rest = phase.unknowns
        changed[name] = dataclasses.replace(phase, unknowns=(dataclasses.replace(first, rate=rate), *rest))
    return dataclasses.replace(fine, **changed)


def test_without_phase_2_the_face_is_that_of_phase_1(rec):
    left = reconstruct_with(learned_normals=with_rate(PRESET.learned_normals, "phase2"))
    assert status(left, "fine phase 1").status == "ok"
    assert status(left, "fine phase 2").status == "left out" and "finite" in status(left, "fine phase 2").reason
    np.testing.assert_allclose(left.fine.vertices_mm, rec.phase1.vertices_mm, atol=1e-4)  # by another program
    np.testing.assert_array_equal(left.phase1.vertices_mm, rec.phase1.vertices_mm)
    np.testing.assert_array_equal(left.maps.height_px, rec.maps.phase1_height_px)
    np.testing.assert_allclose(left.maps.normals_image, depth_normals(jnp.asarray(left.maps.height_px)), atol=1e-6)


def test_without_phase_1_the_second_starts_from_the_medium_shape(rec):
    left = reconstruct_with(learned_normals=with_rate(PRESET.learned_normals, "phase1"))
    assert (status(left, "fine phase 1").status, status(left, "fine phase 2").status) == ("left out", "ok")
    np.testing.assert_array_equal(left.maps.phase1_height_px, rec.maps.medium_height_px)
    still = reconstruct_with(learned_normals=with_rate(PRESET.learned_normals, "phase1", rate=0.0))
    np.testing.assert_array_equal(left.fine.vertices_mm, still.fine.vertices_mm)
    assert np.abs(left.maps.height_px - rec.maps.height_px).max() > 0.01
    assert left.settings["preset"] == "own" and rec.settings["preset"] == "default"


def test_without_either_phase_the_face_is_the_medium_one(rec):
    left = reconstruct_with(learned_normals=with_rate(PRESET.learned_normals, "phase1", "phase2"))
    assert [status(left, f"fine phase {k}").status for k in (1, 2)] == ["left out"] * 2
    np.testing.assert_array_equal(left.maps.height_px, rec.maps.medium_height_px)
    np.testing.assert_array_equal(left.fine.vertices_mm, left.phase1.vertices_mm)
    np.testing.assert_allclose(left.fine_normals, base_normals(left), atol=1e-5)
    np.testing.assert_allclose(left.textures.displacement_mm, 0.0, atol=1e-6)


def test_a_fine_stage_that_breaks_down_leaves_the_medium_face(rec):
    left = reconstruct_with(fine=with_rate(PRESET.fine, "albedo"), learned_normals=None)
    assert "finite" in status(left, "light and albedo").reason
    assert [status(left, f"fine phase {k}").status for k in (1, 2)] == ["left out"] * 2
    assert all(np.isfinite(leaf).all() for leaf in arrays(left) if leaf.dtype.kind == "f" and leaf.size > 100)
    np.testing.assert_allclose(left.fine_normals, base_normals(left), atol=1e-5)
    np.testing.assert_allclose(left.maps.shading, 1.0, atol=1e-5)


def test_where_no_light_is_found_the_surface_that_the_network_led_stays(rec):
    left = reconstruct_with(learned_normals=with_rate(PRESET.learned_normals, "albedo"))
    assert "finite" in status(left, "light and albedo").reason
    np.testing.assert_array_equal(left.maps.height_px, rec.maps.height_px)
    np.testing.assert_allclose(left.fine.vertices_mm, rec.fine.vertices_mm, atol=1e-4)
    np.testing.assert_allclose(left.maps.shading, 1.0, atol=1e-5)


def test_a_medium_stage_that_breaks_down_leaves_the_coarse_face(rec):
    left = reconstruct_with(medium=PRESET.medium._replace(stiffness=float("nan")))
    assert status(left, "medium").status == "left out" and "finite" in status(left, "medium").reason
    np.testing.assert_array_equal(left.medium.vertices_mm, left.coarse.vertices_mm)
    np.testing.assert_array_equal(left.coarse.vertices_mm, rec.coarse.vertices_mm)
    assert status(left, "fine phase 2").status == "ok" and np.isfinite(left.fine.vertices_mm).all()


@pytest.mark.parametrize("weight", ["skin_spread", "normal_least"])
def test_where_the_skin_leads_astray_the_coarse_face_is_that_of_the_landmarks(rec, weight):
    broken = PRESET.coarse._replace(**{name: float("nan") for name in ("skin_spread", weight)})
    left = reconstruct_with(coarse=broken, **({"learned_normals": None} if weight == "skin_spread" else {}))
    assert status(left, "coarse").status == "ok" and status(left, "coarse shading").status == "left out"
    assert weight == "skin_spread" or status(left, "coarse normals").status == "left out"
    plain = fit_landmarks(State(), view_of(left))
    np.testing.assert_allclose(left.coarse.vertices_mm, plain.vertices_mm, atol=0.05)
    assert np.abs(left.coarse.vertices_mm - rec.coarse.vertices_mm).max() > 0.1


def fit_landmarks(state, view) -> CoarseFit:
    """The coarse stage alone, by the program of a photo."""
    frames = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (state, view))
    after, _ = program.mapped(program.COARSE)(*frames, shared=shared_by(load_default()))
    return jax.tree.map(lambda leaf: leaf[0], after.fit)


def view_of(rec) -> View:
    return View(rec.landmarks, rec.camera, jnp.array(rec.image.shape[1::-1], jnp.float32), jnp.float32(1.0))


def shared_by(model) -> Shared:
    return Shared(templates.prepare(model), presets.default(size=SIZE))


def shifted(seed, *, yaw, top, left):
    image, landmarks, _ = photograph(seed, yaw)
    points_px = landmarks.points_px - jnp.array([[float(left), float(top)]])
    return np.ascontiguousarray(image[top:, left:]), landmarks._replace(points_px=points_px)


@pytest.fixture(scope="module")
def album():
    """Photos of three sizes with their landmarks; the middle one is no face."""
    image, landmarks, _ = photograph()
    other, their_landmarks = shifted(1, yaw=-0.1, top=3, left=6)
    return [image, image[:150], other], [landmarks, scattered(), their_landmarks]


def test_many_photos_are_single_photos_and_a_bad_one_says_why(rec, album):
    images, each = album
    first, second, third = pipeline.reconstruct_many(images, landmarks=each, size=SIZE)
    assert isinstance(second, FaceError) and "do not look like a face" in str(second)
    for found, alone in ((first, rec), (third, reconstruct(images[2], each[2]))):
        assert [stage.name for stage in found.stages] == STAGES and found.settings == alone.settings
        jax.tree.map(np.testing.assert_array_equal, arrays(found), arrays(alone))


@pytest.mark.slow  # compiles the stages for two photos at a time
def test_photos_two_at_a_time_are_single_photos(rec, album, monkeypatch):
    images, each = album
    monkeypatch.setattr(pipeline, "batch_length", lambda **_: 2)
    first, second, third = pipeline.reconstruct_many(images, landmarks=each, size=SIZE)
    assert isinstance(second, FaceError)
    for found, alone in ((first, rec), (third, reconstruct(images[2], each[2]))):
        assert [stage.status for stage in found.stages] == [stage.status for stage in alone.stages]
        for name in ("coarse", "medium", "fine"):
            gap = getattr(found, name).vertices_mm - getattr(alone, name).vertices_mm
            assert np.sqrt(np.mean(gap**2)) < 0.02, name
        assert np.sqrt(np.mean((found.maps.albedo - alone.maps.albedo) ** 2)) < 0.01


def test_many_photos_need_a_source_each_and_may_be_none():
    image, landmarks, _ = photograph()
    with pytest.raises(FaceError, match="2 photos but landmarks for 1"):
        pipeline.reconstruct_many([image, image], landmarks=[landmarks])
    with pytest.raises(FaceError, match="paper, default"):  # at once, not when the first is asked for
        pipeline.reconstruct_many([image], landmarks=landmarks, preset="best")
    assert list(pipeline.reconstruct_many([])) == []


def test_the_record_saves_tells_and_converts_itself(rec, tmp_path):
    rec.save(tmp_path / "face")
    files = {path.name for path in (tmp_path / "face").iterdir()}
    assert files >= {
        "mesh.glb",
        "mesh.obj",
        "coarse.ply",
        "medium.ply",
        "fine.ply",
        "maps",
        "overview.png",
        "result.json",
    }
    assert len(repr(rec).splitlines()) <= 5 and "left out: none" in repr(rec) and rec.model_name in repr(rec)
    mesh = rec.fine.to_trimesh()
    np.testing.assert_allclose(mesh.vertices, rec.fine.vertices_mm, atol=1e-5)
    np.testing.assert_array_equal(mesh.faces, rec.fine.triangles)
    assert mesh.visual.uv.shape == (len(rec.fine.vertices_mm), 2)


# The embedded model's first components under the name of the network's own model.
OWN = dataclasses.replace(
    load_default(), name="3ddfa_v2", identity_basis_mm=load_default().identity_basis_mm[:40],
    expression_basis_mm=load_default().expression_basis_mm[:10], expression_names=load_default().expression_names[:10],
)  # fmt: skip


def regressor(seed=0, *, coefficients=None) -> TddfaWeights:
    """A network that knows the pose of `photograph(seed)`, whose crop is the square around the points of iBUG."""
    _, landmarks, face = photograph(seed)
    shift = np.array([20.0, 5.0])
    left, top, right, _ = face_regressor.roi_from_landmarks(np.asarray(landmarks.points_px)[list(IBUG_68)])
    zoom = (right - left) / 120.0
    scale = np.exp(float(face.pose.log_scale)) / zoom / 1000.0
    x, y = (np.asarray(face.pose.translation_px) + shift - [left, top]) / zoom
    rows = scale * np.asarray(rotation_matrix(face.pose.rotation_vector))
    pose = np.concatenate([rows, np.array([[x + 1.0], [120.0 - y], [0.0]])], axis=1)
    std, mean = tiny_networks.STD, tiny_networks.MEAN
    coefficients = np.zeros(50) if coefficients is None else coefficients
    parameters = np.concatenate([pose.ravel(), coefficients * std[12:]])
    return TddfaWeights(tiny_networks.mobilenet_params(parameters), mean, std)


def regress(model, weights):
    """The state and the views after the network, and its report."""
    image, landmarks, _ = photograph()
    log, used = StageLog(None, rows=1), tools.Tools(model, weights, None)
    seen = [photos.Photo(0, image, landmarks, landmarks)]
    views = photos.look(seen, focal_px=None, length=1)
    state, views = photos.run_regression(seen, views, used, shared_by(model), log)
    (report,) = log.reports[0]
    return state, views, report


def test_in_its_own_model_the_network_gives_the_coarse_fit():
    coefficients = np.concatenate([np.linspace(-1.0, 1.0, 40), np.linspace(0.0, 0.5, 10)]).astype(np.float32)
    state, _, report = regress(OWN, regressor(coefficients=coefficients))
    fit = jax.tree.map(lambda leaf: leaf[0], state.fit)
    assert fit.finite and (report.name, report.status, report.reason) == ("regression", "ok", "")
    np.testing.assert_allclose(fit.identity, coefficients[:40], atol=1e-5)
    np.testing.assert_allclose(fit.expression, coefficients[40:], atol=1e-5)
    shape = face_shape(jnp.asarray(coefficients[:40]), jnp.asarray(coefficients[40:]), model=OWN)
    np.testing.assert_allclose(fit.vertices_mm, shape, atol=1e-3)
    pose = photograph()[2].pose
    np.testing.assert_allclose(fit.pose.rotation_vector, pose.rotation_vector, atol=1e-4)
    np.testing.assert_allclose(fit.pose.translation_px, pose.translation_px + jnp.array([20.0, 5.0]), atol=2.5)
    assert 0.0 < report.figures["residual_px"] < 8.0 and "compile_seconds" in report.figures


def test_a_regressed_face_that_is_far_from_the_landmarks_is_left_out():
    state, _, report = regress(OWN, regressor(coefficients=np.full(50, 20.0, np.float32)))
    assert not state.fit.finite[0] and report.status == "left out" and report.reason


def test_in_another_model_only_the_pose_is_used_and_that_is_told():
    state, views, report = regress(load_default(), regressor())
    assert state.fit is None and views.regression.identity is None and report.status == "ok"
    assert "only the pose" in report.reason and load_default().name in report.reason
    pose = photograph()[2].pose
    np.testing.assert_allclose(views.regression.pose.rotation_vector[0], pose.rotation_vector, atol=1e-4)


def test_where_the_network_sees_no_face_the_landmarks_do_alone(rec):
    weights = regressor()._replace(params=tiny_networks.mobilenet_params(np.zeros(62)))
    _, views, report = regress(load_default(), weights)
    assert report.status == "left out" and "no face" in report.reason
    view = view_of(rec)._replace(regression=jax.tree.map(lambda leaf: leaf[0], views.regression))
    found, plain = (fit_landmarks(State(), each) for each in (view, view_of(rec)))
    np.testing.assert_allclose(found.vertices_mm, plain.vertices_mm, atol=0.05)


def test_a_ready_coarse_fit_is_taken_as_it_is(rec):
    state = State(fit=jax.tree.map(jnp.asarray, rec.coarse_fit))
    np.testing.assert_array_equal(fit_landmarks(state, view_of(rec)).vertices_mm, rec.coarse.vertices_mm)


def parse_half(portrait, params, *, run):
    """Bare skin everywhere, and something in front of it in the left half."""
    is_right = np.broadcast_to(np.arange(len(portrait))[None] >= len(portrait) // 2, portrait.shape[:2])
    skin = np.stack([np.ones(portrait.shape[:2])] + 2 * [np.zeros(portrait.shape[:2])], axis=-1)
    return Parsing(skin.astype(np.float32), is_right.astype(np.float32))


@pytest.fixture(scope="module")
def with_networks(rec):
    """Both networks in one run, which also compiles their programs."""
    image, landmarks, _ = photograph()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "choose", lambda **_: tools.Tools(load_default(), regressor(), {}))
        patch.setattr(tools, "parse_face", parse_half)
        settings = dict(coarse="3ddfa", parsing="bisenet")
        first = reconstruct(image, landmarks, **settings)
        with compiled_programs() as names:
            reconstruct(image, landmarks, **settings)
    return first, names


def test_networks_are_stages_of_their_own(with_networks, rec):
    found, names = with_networks
    assert [stage.name for stage in found.stages] == [*STAGES[:2], "regression", "coarse", "parsing", *STAGES[3:]]
    assert {stage.status for stage in found.stages if not stage.name.startswith("fine")} == {"ok"} and names == []
    assert found.settings["coarse"] == "3ddfa" and found.settings["parsing"] == "bisenet"
    assert np.sqrt(np.mean((found.coarse.vertices_mm - rec.coarse.vertices_mm) ** 2)) < 1.0


def test_what_the_parser_sees_in_front_of_the_face_is_not_trusted(with_networks, rec):
    confidence = with_networks[0].maps.confidence
    left, right = slice(None, SIZE // 2), slice(SIZE // 2, None)
    assert np.mean(rec.maps.confidence[:, left]) > 0.1 and np.max(confidence[:, left]) < 1e-3
    assert np.mean(confidence[:, right]) > 0.5 * np.mean(rec.maps.confidence[:, right])


def test_a_parser_that_sees_no_skin_is_left_out(monkeypatch):
    def nothing(portrait, params, *, run):
        return Parsing(np.zeros_like(portrait), np.zeros_like(portrait[..., 0]))

    monkeypatch.setattr(tools, "parse_face", nothing)
    used, crop = tools.Tools(load_default(), None, {}), Crop(jnp.zeros(2), jnp.ones(()))
    parsing, (verdict,) = network_outputs.parse_each([photograph()[0]], [crop], used, size=SIZE, run=None)
    assert "no skin" in reason("parsing", verdict)
    assert not parsing.indicators.any() and (parsing.visible == 1.0).all()  # which changes nothing
