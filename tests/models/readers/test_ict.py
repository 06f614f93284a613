"""The ICT reader on a small model with the same layout, and on the real one where it is at hand."""

import json
import shutil

import numpy as np
import pytest
from models import tiny_models
from scipy.spatial import cKDTree

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.models.convert import convert
from jaxface.models.embedding import reprojection_errors
from jaxface.models.readers import ict
from jaxface.morphable.linear import landmark_positions
from jaxface.types import IBUG_68, FaceError, Part, Region


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A small FaceXModel and what was written; the reader's table holds its ranges."""
    written = tiny_models.write_ict(tmp_path / "FaceXModel", ict.PIECES)
    monkeypatch.setattr(ict, "PIECES", written.parts)
    return tmp_path / "FaceXModel", written


def kept_vertices(written, part):
    return np.concatenate([np.arange(*written.parts[name].vertices) for name in ict.CHOICES[part]])


@pytest.mark.parametrize("part", ict.CHOICES)
def test_the_parts_are_what_was_written(tiny, part):
    folder, written = tiny
    model = ict.read(folder, part=part)
    keep = kept_vertices(written, part)
    np.testing.assert_allclose(model.mean_mm, 10.0 * written.neutral[keep], atol=1e-3)
    np.testing.assert_allclose(model.identity_mm, 10.0 * written.identities[:, keep], atol=2e-3)
    np.testing.assert_allclose(model.expression_mm, 10.0 * written.expressions[:, keep], atol=2e-3)
    assert model.expression_names == written.names and model.expression_bounds == (0.0, 1.0)
    np.testing.assert_array_equal(model.ibug_vertices, written.ibug)
    assert np.unique(model.triangles).tolist() == list(range(len(keep)))
    assert model.mean_mm.dtype == model.uvs.dtype == np.float32
    assert model.triangles.dtype == model.uv_triangles.dtype == np.int32


def test_the_whole_head_comes_unasked_and_knows_its_parts(tiny):
    folder, written = tiny
    model = ict.read(folder)
    np.testing.assert_array_equal(model.mean_mm, ict.read(folder, part="head").mean_mm)
    keep = kept_vertices(written, "head")
    for name, part in (("face", Part.SKIN), ("head_neck", Part.SKIN), ("eyeball_left", Part.LEFT_EYE),
                       ("eyeball_right", Part.RIGHT_EYE), ("gums_tongue", Part.TONGUE)):  # fmt: skip
        first, end = written.parts[name].vertices
        assert np.all(model.parts[(keep >= first) & (keep < end)] == part)


def test_teeth_that_follow_the_jaw_are_lower_ones(tiny):
    folder, written = tiny
    first, end = written.parts["teeth"].vertices
    lines = (folder / "generic_neutral_mesh.obj").read_text().splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith("v ")]
    for vertex in range(first, end):
        x, y, z = written.neutral[vertex] - (0.0, 2.0 * (vertex >= first + 2), 0.0)
        lines[places[vertex]] = f"v {x} {y} {z}"
    (folder / "jawOpen.obj").write_text("\n".join(lines))
    parts = ict.read(folder).parts[np.isin(kept_vertices(written, "head"), np.arange(first, end))]
    assert parts.tolist() == 2 * [Part.UPPER_TEETH] + (end - first - 2) * [Part.LOWER_TEETH]


def test_looking_turns_the_eyes():
    """To the subject's left for out on the left and in on the right; up is up; the sphere is kept."""
    ball = np.random.default_rng(0).normal(size=(40, 3))
    ball = 12.0 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    mean_mm = np.concatenate([ball, ball * [-1, 1, 1], ball]) + np.repeat(
        [[30, 35, 60], [-30, 35, 60], [0, 0, 0]], 40, 0
    )
    parts = np.repeat([Part.LEFT_EYE, Part.RIGHT_EYE, Part.SKIN], 40)
    names = ("jawOpen", "eyeLookOut_L", "eyeLookIn_R", "eyeLookUp_L", "eyeLookDown_R")
    moves = ict._gaze_mm(mean_mm, parts, names)
    front = np.argmax(ball[:, 2])
    assert moves[1, front, 0] > 4.0 and moves[2, 40 + front, 0] > 4.0
    assert moves[3, front, 1] > 4.0 and moves[4, 40 + front, 1] < -4.0
    np.testing.assert_allclose(np.linalg.norm(ball + moves[1, :40], axis=1), 12.0, atol=1e-3)
    assert not moves[0].any() and not moves[:, 80:].any() and not moves[1, 40:].any()


def test_points_outside_of_the_part_are_unknown(tiny):
    folder, written = tiny
    lists = json.loads((folder / "vertex_indices.json").read_text())
    lists["idx_to_landmark_verts"][0] = len(written.neutral) - 1
    (folder / "vertex_indices.json").write_text(json.dumps(lists))
    assert ict.read(folder, part="face").ibug_vertices[0] == -1
    whole = ict.read(folder, part="all")
    np.testing.assert_allclose(whole.mean_mm[whole.ibug_vertices[0]], 10.0 * written.neutral[-1], atol=1e-3)


def test_the_face_keeps_its_own_uvs(tiny):
    face = tiny_models.tiny_face()
    model = ict.read(tiny[0], part="face")
    uvs = np.zeros((len(face.uvs), 2))
    uvs[model.triangles] = model.uvs[model.uv_triangles]
    np.testing.assert_allclose(uvs, face.uvs, atol=1e-5)


def test_tiles_lie_apart_in_the_atlas(tiny):
    model, written = ict.read(tiny[0], part="all"), tiny[1]
    owner = np.concatenate(
        [[place] * (p.vertices[1] - p.vertices[0]) for place, p in enumerate(written.parts.values())]
    )
    corners = model.uvs[model.uv_triangles]
    boxes = {}
    for number, part in enumerate(written.parts.values()):
        inside = corners[owner[model.triangles[:, 0]] == number].reshape(-1, 2)
        boxes.setdefault(part.place, []).append((inside.min(axis=0), inside.max(axis=0)))
    boxes = [(np.min([b[0] for b in found], axis=0), np.max([b[1] for b in found], axis=0)) for found in boxes.values()]
    assert len(boxes) == 15  # the sockets share the tile of head and neck
    for number, (low, high) in enumerate(boxes):
        assert np.all(low >= 0.0) and np.all(high <= 1.0)
        for other_low, other_high in boxes[:number]:
            assert np.any(high < other_low) or np.any(other_high < low)


def test_quads_are_cut_along_the_shorter_diagonal():
    """Each quad and its mirror image are cut alike, whatever corner they are listed from."""
    vertices = np.array([[0, 0, 0], [3, 0, 0], [4, 2, 0], [0, 1, 0]], float)
    for start in range(4):
        corners = np.stack([np.roll(np.arange(4), start)] * 2, axis=-1)[None]
        cut = ict._cut_quads(corners, vertices)
        assert {frozenset(triangle) for triangle in cut[..., 0].tolist()} == {
            frozenset({0, 1, 3}),
            frozenset({1, 2, 3}),
        }
        edges = vertices[cut[..., 0]]
        assert np.all(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])[:, 2] > 0)


def test_a_triangle_stays_one():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    faces = ict._parse_faces(b"f 1/3 2/2 3/1\n")
    assert ict._cut_quads(faces, vertices).tolist() == [[[0, 2], [1, 1], [2, 0]]]


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar", "xztar"])
def test_archives_are_read_in_place(tiny, tmp_path, kind):
    folder, written = tiny
    inner = tmp_path / "in" / "ICT-FaceKit-master"
    inner.mkdir(parents=True)
    shutil.move(folder, inner / "FaceXModel")
    (inner / "sample_data_out").mkdir()
    (inner / "sample_data_out" / "other.obj").write_text("not a mesh")
    path = shutil.make_archive(str(tmp_path / "download"), kind, tmp_path / "in")
    for place in (path, tmp_path / "in", inner / "FaceXModel"):
        np.testing.assert_allclose(ict.read(place, part="face").mean_mm, 10.0 * written.neutral[:609], atol=1e-3)


def refuse(path, **settings) -> str:
    with pytest.raises(FaceError) as caught:
        ict.read(path, **settings)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def test_an_unknown_part_says_so(tiny):
    assert "head, face, all" in refuse(tiny[0], part="nose")


@pytest.mark.parametrize(
    "name", ["generic_neutral_mesh.obj", "vertex_indices.json", "identity000.obj", "jawOpen.obj", "identity001.obj"]
)
def test_missing_files_are_named(tiny, name):
    folder = tiny[0]
    (folder / name).unlink()
    if name == "identity001.obj":
        assert ict.read(folder).identity_mm.shape[0] == 1
    else:
        assert name in refuse(folder)


def test_an_empty_folder_and_another_file_say_what_to_give(tmp_path):
    assert "FaceXModel" in refuse(tmp_path)
    assert "does not exist" in refuse(tmp_path / "none")
    (tmp_path / "a.zip").write_text("hello")
    assert "archive" in refuse(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["generic_neutral_mesh.obj", "identity001.obj", "eyeBlink_L.obj"])
@pytest.mark.parametrize(
    "old, new",
    [("v ", "w "), ("v ", "v x"), ("v ", "v 1 2 3 4 5\nw "), ("v ", "v nan 0 0\nw "), ("v ", "v inf 0 0\nw "),
     ("v ", "v 1 2\nw "), ("v ", "v 0 0 0\nv ")],
)  # fmt: skip
def test_vertex_lines_that_are_none_are_found(tiny, name, old, new):
    path = tiny[0] / name
    path.write_text(path.read_text().replace(old, new, 1))
    assert name in refuse(tiny[0]) and "vertices" in refuse(tiny[0])


@pytest.mark.parametrize(
    "old, new",
    [("f ", "g "), ("f ", "f 1/1 2/2\ng "), ("f ", "f 1 2 3\ng "), ("f ", "f 1/1/1 2/2/2 3/3/3\ng "),
     ("f ", "f 1/1 2/2 99999/3\ng "), ("f ", "f 1/1 2/2 3/99999\ng "), ("f ", "f 0/1 2/2 3/3\ng "),
     ("f ", "f 1/1 2/2 3/3 4/4 5/5\ng "), ("f ", "f 1/23/4 5/6\ng "), ("vt ", "vt x"), ("vt", "w")],
)  # fmt: skip
def test_faces_that_are_none_are_found(tiny, old, new):
    path = tiny[0] / "generic_neutral_mesh.obj"
    path.write_text(path.read_text().replace(old, new, 1))
    message = refuse(tiny[0])
    assert "faces" in message and "generic_neutral_mesh.obj" in message


@pytest.mark.parametrize(
    "lists",
    ["", "[]", "{}", '{"expressions": ["jawOpen"]}', '{"expressions": [], "idx_to_landmark_verts": POINTS}',
     '{"expressions": [1], "idx_to_landmark_verts": POINTS}', '{"expressions": 1, "idx_to_landmark_verts": POINTS}',
     '{"expressions": ["jawOpen", "jawOpen"], "idx_to_landmark_verts": POINTS}',
     '{"expressions": ["jawOpen"], "idx_to_landmark_verts": [1, 2]}',
     '{"expressions": ["jawOpen"], "idx_to_landmark_verts": [1, [2]]}',
     '{"expressions": ["jawOpen"], "idx_to_landmark_verts": HIGH}'],
)  # fmt: skip
def test_lists_that_are_none_are_found(tiny, lists):
    lists = lists.replace("POINTS", str([1] * 68)).replace("HIGH", str([10**7] * 68))
    (tiny[0] / "vertex_indices.json").write_text(lists)
    assert "vertex_indices.json" in refuse(tiny[0])


def test_other_units_are_found(tiny):
    path = tiny[0] / "generic_neutral_mesh.obj"
    lines = path.read_text().splitlines()
    scaled = [
        "v " + " ".join(str(10 * float(x)) for x in line.split()[1:]) if line[:2] == "v " else line for line in lines
    ]
    path.write_text("\n".join(scaled))
    assert "expected" in refuse(tiny[0])


def test_damage_raises_nothing_else(tiny):
    folder = tiny[0]
    rng = np.random.default_rng(0)
    names = ["generic_neutral_mesh.obj", "identity000.obj", "jawOpen.obj", "vertex_indices.json"]
    whole = {name: (folder / name).read_bytes() for name in names}
    refused = 0
    for turn in range(60):
        name = names[turn % len(names)]
        damaged = bytearray(whole[name][: rng.integers(0, len(whole[name]))] if turn % 3 == 0 else whole[name])
        for place in rng.integers(0, max(len(damaged), 1), 5 if damaged else 0):
            damaged[place] = rng.choice(list(b"\x00 \n-9e./vf\xff")) if turn % 2 else rng.integers(0, 256)
        (folder / name).write_bytes(damaged)
        try:
            ict.read(folder, part="all")
        except FaceError:
            refused += 1
        (folder / name).write_bytes(whole[name])
    assert refused > 20


@pytest.fixture(scope="module")
def real(reference_data, tmp_path_factory):
    """Faces and heads of the published model; read once from the archive, again from memory of the parsed files."""
    archive = reference_data / "ict-facekit.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    files = ict._read_files(archive)
    return {part: ict.check_source(ict._model(files, part, path=archive), path=archive) for part in ict.CHOICES}


@pytest.mark.slow
def test_the_published_model_has_its_known_measures(real):
    sizes = {"face": (9409, 18460), "head": (22991, 45644), "all": (26719, 52220)}
    for part, model in real.items():
        assert (len(model.mean_mm), len(model.triangles)) == sizes[part]
        assert model.identity_mm.shape == (100, sizes[part][0], 3) and model.expression_mm.shape[0] == 53
        corners = model.mean_mm[model.ibug_vertices[[36, 45]]]
        assert 85.0 < np.linalg.norm(corners[1] - corners[0]) < 95.0
        assert np.all(model.ibug_vertices >= 0)
        norms = np.linalg.norm(model.identity_mm.reshape(100, -1), axis=1) / 10.0
        if part == "all":
            np.testing.assert_allclose(norms[:4], [61.3, 38.0, 29.4, 26.3], atol=0.1)


@pytest.mark.slow
def test_the_published_model_is_cut_symmetrically(real):
    for part in ("face", "head"):
        model = real[part]
        order = {
            tuple(place): index for index, place in enumerate(np.round(model.mean_mm * 100.0).astype(int).tolist())
        }
        mirrored = np.round(model.mean_mm * np.float32([-100, 100, 100])).astype(int).tolist()
        pairs = np.array([order.get(tuple(place), -1) for place in mirrored])
        triangles = {frozenset(triangle) for triangle in model.triangles.tolist()}
        unpaired = np.any(pairs[model.triangles] < 0, axis=1)
        images = {frozenset(triangle) for triangle in pairs[model.triangles[~unpaired]].tolist()}
        assert unpaired.mean() < 0.05
        assert images <= triangles


@pytest.mark.slow
def test_jaw_left_moves_to_the_subjects_left_and_open_moves_down(real):
    model = real["face"]
    chin = model.ibug_vertices[8]
    moves = dict(zip(model.expression_names, model.expression_mm[:, chin], strict=True))
    assert moves["jawLeft"][0] > 1.0 and moves["jawRight"][0] < -1.0 and moves["jawOpen"][1] < -10.0


@pytest.fixture(scope="module")
def converted(real):
    pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    return convert(real["face"], name="ict", licence="MIT")


@pytest.mark.slow
def test_the_converted_model_is_a_face_in_our_frame(converted):
    mean_mm = np.asarray(converted.mean_mm, np.float64)
    landmarks_mm = np.asarray(landmark_positions(converted.mean_mm, model=converted))
    across = landmarks_mm[263] - landmarks_mm[33]
    assert 85.0 < np.linalg.norm(across) < 95.0 and across[0] > 0.99 * np.linalg.norm(across)
    a, b, c = np.moveaxis(mean_mm[np.asarray(converted.triangles)], 1, 0)
    normals = np.cross(b - a, c - a)
    on_landmarks = normals[np.asarray(converted.landmark_triangles)[:468]]
    # Around the nostrils and inside the lips some do not look to the front.
    assert np.mean(on_landmarks[:, 2] > 0.0) > 0.9 and normals.sum(axis=0)[2] > 0.0
    assert np.all(np.asarray(converted.landmark_barycentrics)[:468].sum(axis=1) > 0.99)


@pytest.mark.slow
def test_the_converted_models_landmarks_are_where_its_authors_have_them(converted, real):
    landmarks_mm = np.asarray(landmark_positions(converted.mean_mm, model=converted))
    theirs_mm = real["face"].mean_mm[real["face"].ibug_vertices]
    misses_mm = np.linalg.norm(landmarks_mm[list(IBUG_68)] - theirs_mm, axis=1)[27:]  # neither outline nor brows
    assert np.median(misses_mm) < 3.0


@pytest.mark.slow
def test_the_converted_models_landmarks_are_where_they_are_detected(converted):
    errors_px = reprojection_errors(converted, detect=MediaPipeDetector())
    assert np.mean(errors_px[np.isfinite(errors_px)] < 2.0) >= 0.95


@pytest.mark.slow
def test_the_converted_model_is_labelled_alike_on_both_sides(converted):
    mean_mm = np.asarray(converted.mean_mm)
    distance, twin = cKDTree(mean_mm).query(mean_mm * [[-1.0, 1.0, 1.0]])
    labels = np.asarray(converted.vertex_regions)
    assert np.mean((labels == labels[twin])[distance < 0.1]) > 0.97
    assert set(np.unique(labels)) == set(Region)
