"""Videos written: readable, the same every time, all or nothing."""

from fractions import Fraction

import av
import numpy as np
import pytest

from jaxface.export.clip import write_clip
from jaxface.io import video
from jaxface.types import FaceError


def moving(num: int, *, height: int, width: int) -> list[np.ndarray]:
    """Soft coloured waves that drift."""
    y, x = np.mgrid[:height, :width]
    waves = (
        [(x + 2 * t) / 17 for t in range(num)],
        [(y - t) / 13 for t in range(num)],
        [(x + y + t) / 23 for t in range(num)],
    )
    return [(128 + 90 * np.sin(np.stack(wave, axis=-1))).astype(np.uint8) for wave in zip(*waves, strict=True)]


def read(path) -> np.ndarray:
    return np.stack([frame.image for frame in video.read_frames(video.open_clip(path))])


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 29), (37, 30), (1, 1)])
def test_what_is_written_can_be_read(tmp_path, height, width):
    frames = moving(12, height=height, width=width)
    write_clip(tmp_path / "a.mp4", iter(frames), frames_per_second=30.0)
    found = read(tmp_path / "a.mp4")
    assert found.shape == (12, height + height % 2, width + width % 2, 3)
    error = found[:, :height, :width] - np.stack(frames).astype(float)
    assert np.abs(error).mean() < 5.0
    np.testing.assert_allclose(error.mean((0, 1, 2)), 0.0, atol=2.0)


def test_odd_sizes_grow_by_the_last_row_and_column(tmp_path):
    frame = np.zeros((33, 31, 3), np.uint8)
    frame[-1:], frame[:, -1:] = 200, 200
    write_clip(tmp_path / "a.mp4", [frame] * 3, frames_per_second=25.0)
    found = read(tmp_path / "a.mp4")[0]
    assert np.abs(found[-1, :].astype(float) - 200.0).max() < 25.0
    assert np.abs(found[:, -1].astype(float) - 200.0).max() < 25.0
    assert found[:24, :24].max() < 40


@pytest.mark.parametrize("colour", [(200, 60, 40), (60, 180, 90), (224, 172, 150), (255, 255, 255), (0, 0, 0)])
def test_colours_survive(tmp_path, colour):
    frame = np.full((32, 32, 3), colour, np.uint8)
    write_clip(tmp_path / "a.mp4", [frame] * 3, frames_per_second=25.0)
    np.testing.assert_allclose(read(tmp_path / "a.mp4")[1, 16, 16].astype(float), colour, atol=4.0)


@pytest.mark.parametrize(
    ("rate", "stored"), [(25.0, Fraction(25)), (30000 / 1001, Fraction(30000, 1001)), (0.5, Fraction(1, 2))]
)
def test_players_get_what_they_need(tmp_path, rate, stored):
    write_clip(tmp_path / "a.mp4", moving(6, height=32, width=48), frames_per_second=rate)
    with av.open(tmp_path / "a.mp4") as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == stored and stream.frames == 6
        assert stream.codec_context.colorspace == 1  # BT.709
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path, capfd):
    written = set()
    for _ in range(30):  # what depends on where memory lies shows in one of ten
        write_clip(tmp_path / "a.mp4", moving(20, height=64, width=96), frames_per_second=25.0)
        written.add((tmp_path / "a.mp4").read_bytes())
    assert len(written) == 1
    assert capfd.readouterr() == ("", "")


def test_frames_are_taken_one_at_a_time_and_a_failure_leaves_the_old_file(tmp_path):
    def breaks():
        yield from moving(3, height=32, width=32)
        raise RuntimeError("decoder died")

    (tmp_path / "a.mp4").write_bytes(b"older")
    with pytest.raises(RuntimeError, match="died"):
        write_clip(tmp_path / "a.mp4", breaks(), frames_per_second=25.0)
    assert (tmp_path / "a.mp4").read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("frames", "rate", "words"),
    [
        ([], 25.0, "at least one frame"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 12, 3), np.uint8)], 25.0, "one size"),
        ([np.zeros((8, 8, 3), np.uint8)], 0.0, "frames per second"),
        ([np.zeros((8, 8, 3), np.uint8)], float("nan"), "frames per second"),
        ([np.zeros((8, 8, 3), np.uint8)], 5000.0, "frames per second"),
    ],
)
def test_what_cannot_be_a_clip_is_refused(tmp_path, frames, rate, words):
    with pytest.raises(FaceError, match=words):
        write_clip(tmp_path / "a.mp4", frames, frames_per_second=rate)
    assert list(tmp_path.iterdir()) == []
