"""MediaPipe's newer API, which reads a face_landmarker.task file: one is put together from the older wheel's networks.

The assembled file differs from Google's in its landmark network only: that one refines the lips and lids as well.
"""

import contextlib
import gc
import importlib
import importlib.util
import pathlib
import types
import warnings
import zipfile

import imageio.v3 as iio
import matplotlib.cbook
import numpy as np
import pytest

from jaxface.detection import mediapipe_mesh
from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.types import NUM_LANDMARKS, FaceError

NUM_SURFACE, IRIS = 468, 5
LOWER_LIDS = (145, 374)  # of the right and the left eye: they lend their depth to the irises, which are flat


@pytest.fixture(scope="module")
def portrait():
    return iio.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


@pytest.fixture(scope="module")
def networks():
    """The older wheel's networks: detector, plain landmarks, landmarks with seven outputs."""
    mediapipe = pytest.importorskip("mediapipe")
    modules = pathlib.Path(mediapipe.__file__).parent / "modules"
    names = ("detection/face_detection_short_range", "landmark/face_landmark", "landmark/face_landmark_with_attention")
    files = [modules / f"face_{name}.tflite" for name in names]
    if not all(file.is_file() for file in files):
        pytest.skip("this MediaPipe has no networks inside its wheel")
    return [file.read_bytes() for file in files]


def with_metadata(network, *, mean, deviation):
    """The newer API asks the file how to scale pixels."""
    from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # It forgets to close its temporary files.
        writer = metadata_writer.MetadataWriter.create(bytearray(network))
        writer.add_image_input([mean], [deviation])
        labelled = bytes(writer.populate()[0])
        del writer
        gc.collect()
    return labelled


def with_one_output(network):
    """Of the seven outputs, surface and irises joined into 478 points, and the score, as the newer API expects."""
    import flatbuffers
    from mediapipe.tasks.metadata import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(network), 0))
    graph = model.subgraphs[0]
    outputs = {graph.tensors[place].name.decode(): int(place) for place in graph.outputs}

    def add_tensor(name, shape, kind, data=None):
        tensor, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = data
        model.buffers.append(buffer)
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, len(model.buffers) - 1
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def add_operator(name, inputs, output):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name.upper())
        code.version = 1
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, inputs, [output]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name}Options")
        operator.builtinOptions = getattr(schema, f"{name}OptionsT")()
        operator.builtinOptions.axis = 3
        graph.operators.append(operator)

    order = numbers_of_points()
    single, whole = schema.TensorType.FLOAT32, schema.TensorType.INT32
    indices = add_tensor("order", [order.size], whole, np.frombuffer(order.tobytes(), np.uint8))
    joined = add_tensor("joined", [1, 1, 1, 3 * NUM_SURFACE + 4 * IRIS], single)
    points = add_tensor("points", [1, 1, 1, order.size], single)
    parts = [outputs[f"output_{name}"] for name in ("mesh_identity", "left_iris", "right_iris")]
    add_operator("Concatenation", parts, joined)
    add_operator("Gather", [joined, indices], points)
    graph.outputs = [points, outputs["conv_faceflag"]]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def numbers_of_points():
    """Where x, y and z of the 478 points lie among surface (x, y, z) and irises (x, y)."""
    iris = 3 * NUM_SURFACE + np.arange(4 * IRIS).reshape(-1, 2)
    depth = np.repeat(3 * np.array(LOWER_LIDS) + 2, IRIS)[:, None]
    return np.concatenate([np.arange(3 * NUM_SURFACE), np.hstack([iris, depth]).ravel()]).astype(np.int32)


def write_task(path, detector, landmarks):
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("face_detector.tflite", with_metadata(detector, mean=127.5, deviation=127.5))
        bundle.writestr("face_landmarks_detector.tflite", landmarks)
    return path


@pytest.fixture(scope="module")
def task(networks, tmp_path_factory):
    landmarks = with_metadata(with_one_output(networks[2]), mean=0.0, deviation=255.0)
    return write_task(tmp_path_factory.mktemp("task") / "face_landmarker.task", networks[0], landmarks)


def test_a_task_file_gives_the_same_points_as_the_networks_in_the_wheel(portrait, task):
    mediapipe = pytest.importorskip("mediapipe")
    if not hasattr(mediapipe, "solutions"):
        pytest.skip("this MediaPipe has the newer API only")
    (older,) = MediaPipeDetector()(portrait)
    (newer,) = MediaPipeDetector(task_file=task)(portrait)
    misses = np.linalg.norm(np.asarray(older.points_px) - np.asarray(newer.points_px), axis=1)
    assert misses.mean() < 2.0 and misses.max() < 6.0  # of a face 200 pixels high
    assert misses[NUM_SURFACE:].max() < 1.5  # refined in both
    np.testing.assert_allclose(newer.height_px, older.height_px, atol=4.0)
    np.testing.assert_array_equal(newer.confidence, older.confidence)


def test_no_face_in_the_picture_is_an_empty_list(task):
    assert MediaPipeDetector(task_file=task)(np.full((301, 300, 3), 90, np.uint8)) == []


def test_networks_with_other_outputs_say_so(portrait, networks, tmp_path):
    """They load, and fail where the first face is seen."""
    wrong = write_task(tmp_path / "wrong.task", networks[0], with_metadata(networks[2], mean=0.0, deviation=255.0))
    with pytest.raises(FaceError, match="not a usable face_landmarker.task"):
        MediaPipeDetector(task_file=wrong)(portrait)


@pytest.mark.parametrize("damage", ["cut", "missing", "junk", "empty"])
def test_damaged_bundles_say_so(portrait, networks, tmp_path, damage):
    path = write_task(tmp_path / "face_landmarker.task", networks[0], b"junk")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100_000])
    elif damage == "missing":
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("face_detector.tflite", networks[0])
    elif damage == "empty":
        path.write_bytes(b"")
    with pytest.raises(FaceError, match="not a usable face_landmarker.task"):
        MediaPipeDetector(task_file=path)(portrait)


def stand_in(detect):
    """A MediaPipe of the newer kind whose landmarker runs `detect` on an image."""
    record = types.SimpleNamespace
    landmarker = contextlib.nullcontext()
    landmarker.detect = detect
    creator = record(create_from_options=lambda options: landmarker)
    vision = record(FaceLandmarkerOptions=record, FaceLandmarker=creator)
    return record(tasks=record(vision=vision, BaseOptions=record), Image=record, ImageFormat=record(SRGB="RGB"))


def open_stand_in(monkeypatch, detect, path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", lambda name: stand_in(detect))
    return mediapipe_mesh._open_network(path)


def test_fractions_of_the_picture_become_pixels(monkeypatch, tmp_path):
    """Fractions count from the picture's corner, pixels from the first centre; z points away and is as large as x."""
    (tmp_path / "face_landmarker.task").write_bytes(b"any")
    fractions = np.random.default_rng(0).uniform(-0.1, 1.1, (NUM_LANDMARKS, 3))

    def detect(image):
        assert image.data.shape == (50, 80, 3) and image.image_format == "RGB"
        face = [types.SimpleNamespace(x=x, y=y, z=z) for x, y, z in fractions]
        return types.SimpleNamespace(face_landmarks=[face])

    with open_stand_in(monkeypatch, detect, tmp_path / "face_landmarker.task") as network:
        (face,) = network(np.zeros((50, 80, 3), np.uint8))
    np.testing.assert_allclose(face[:, 0], 80 * fractions[:, 0] - 0.5)
    np.testing.assert_allclose(face[:, 1], 50 * fractions[:, 1] - 0.5)
    np.testing.assert_allclose(face[:, 2], -80 * fractions[:, 2])
