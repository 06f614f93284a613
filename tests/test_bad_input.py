"""Real portraits in every disguise, through MediaPipe and the pipeline: a face comes out, or one sentence does."""

import pathlib

import matplotlib
import numpy as np
import pytest
from PIL import Image

from jaxface import __main__ as cli
from jaxface import commands, pipeline
from jaxface.io.images import read_image
from jaxface.types import FaceError

pytest.importorskip("mediapipe")

SIZE = 128  # small and the same everywhere, so that all cases share one compile


def hopper() -> Image.Image:
    path = pathlib.Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(path) as picture:
        return picture.convert("RGB")


def astronaut() -> Image.Image:
    """Head and shoulders, so that the face is nearly as large as in the other portrait."""
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut()).crop((94, 0, 354, 300)).resize((416, 480), Image.Resampling.LANCZOS)


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "grey")
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def to_array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255.0)


def eye_distance(rec) -> float:
    points = np.asarray(rec.landmarks.points_px)
    return float(np.linalg.norm(points[33] - points[263]))


@pytest.fixture(scope="module")
def plain_result():
    return pipeline.reconstruct(to_array(hopper()), size=SIZE)


def save_grey(picture, path):
    picture.convert("L").save(path)


def save_rgba(picture, path):
    picture.convert("RGBA").save(path)


def save_sixteen_bit(picture, path):
    Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257).save(path)


def save_rotated(picture, path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side; readers turn the picture clockwise
    picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


@pytest.mark.parametrize("save", [save_grey, save_rgba, save_sixteen_bit, save_rotated])
def test_unusual_files_give_the_same_face(tmp_path, plain_result, save):
    save(hopper(), tmp_path / "a.png")
    rec = pipeline.reconstruct(read_image(tmp_path / "a.png"), size=SIZE)
    gaps = np.asarray(rec.landmarks.points_px) - np.asarray(plain_result.landmarks.points_px)
    assert np.sqrt(np.mean(gaps**2)) < 0.03 * eye_distance(plain_result)
    offsets_mm = rec.coarse.vertices_mm - plain_result.coarse.vertices_mm
    assert np.sqrt(np.mean(offsets_mm**2)) < 2.0


def test_of_two_faces_the_largest_or_the_one_asked_for():
    picture = beside(hopper(), astronaut())
    image = to_array(picture)
    largest = pipeline.reconstruct(image, size=SIZE)
    other = pipeline.reconstruct(image, size=SIZE, face=1)
    assert eye_distance(largest) > eye_distance(other)
    sides = [np.asarray(rec.landmarks.points_px)[:, 0].mean() > hopper().width for rec in (largest, other)]
    assert sides[0] != sides[1]
    with pytest.raises(FaceError) as caught:
        pipeline.reconstruct(image, size=SIZE, face=5)
    assert "2" in str(caught.value)


def tiny_face() -> Image.Image:
    """The portrait shrunk until the face, about 190 px wide at first, is 20 px wide, in a large empty picture."""
    portrait = hopper()
    small = portrait.resize((portrait.width // 9, portrait.height // 9), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (400, 300), (120, 130, 140))
    picture.paste(small, (150, 100))
    return picture


def landscape() -> Image.Image:
    y, x = np.mgrid[:240, :320]
    hills = 120 + 40 * np.sin(x / 30.0) + 60 * (y > 120 + 20 * np.sin(x / 47.0))
    return Image.fromarray(np.stack([0.7 * hills, hills, 0.5 * hills + 40], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("make", [tiny_face, landscape])
def test_what_cannot_be_used_is_told_in_one_sentence(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands, "_keep_compiled_code", lambda: None)
    make().save(tmp_path / "a.png")
    with pytest.raises(FaceError) as caught:
        pipeline.reconstruct(to_array(make()), size=SIZE)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    arguments = ["reconstruct", str(tmp_path / "a.png"), f"--output_dir={tmp_path / 'out'}", f"--size={SIZE}"]
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("jaxface: ") == 1 and "Traceback" not in error and "Error:" not in error
    assert list((tmp_path / "out").iterdir()) == []
