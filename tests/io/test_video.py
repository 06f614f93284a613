"""Every kind of clip a user may bring: whole, cut off, bent, or none at all."""

import hashlib
import json
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from jaxface.export.clip import write_clip
from jaxface.io import decoding, video
from jaxface.types import FaceError

HEIGHT, WIDTH = 48, 64

# Container's name for ffmpeg, encoder and layout of its pixels.
KINDS = {
    "mp4": ("mp4", "libx264", "yuv420p"),
    "mov": ("mov", "libx264", "yuv420p"),
    "avi": ("avi", "mpeg4", "yuv420p"),
    "mjpg": ("mjpeg", "mjpeg", "yuvj420p"),
    "mpg": ("mpeg", "mpeg2video", "yuv420p"),
    "webm": ("webm", "libvpx", "yuv420p"),
}


def picture(number: int, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A soft picture whose brightness tells its number; red grows to the right, green downwards."""
    y, x = np.mgrid[:height, :width]
    level = 40.0 + 150.0 * (number % 10) / 10.0
    return np.stack([level + 0.5 * x, level + 0.5 * y, np.full(x.shape, level)], axis=-1).astype(np.uint8)


def pictures(num: int, **size) -> list[np.ndarray]:
    return [picture(number, **size) for number in range(num)]


def save_clip(folder, kind="mp4", *, frames, stamps=None, rotation=0, aspect=1):
    """A video by plain ffmpeg, as cameras and other programs write it."""
    container_name, codec, layout = KINDS[kind]
    path = folder / f"clip.{kind}"
    with av.open(path, "w", format=container_name, options={"movflags": "+faststart"} if kind == "mp4" else {}) as file:
        stream = file.add_stream(codec, rate=25, options={"crf": "10"} if codec == "libx264" else {"b": "2M"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], layout
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        if rotation:
            stream.set_display_rotation(rotation)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (stamps[number] if stamps else number), Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def read(source, *, first=0, **selection) -> tuple[list[video.Frame], str]:
    reader = video.read_frames(video.open_clip(source, **selection), first=first)
    return list(reader), reader.complaint


def test_a_stream_of_jpegs_whatever_they_show(tmp_path):
    """ffmpeg alone takes this one for a single picture."""
    frames, complaint = read(save_clip(tmp_path, "mjpg", frames=[noisy(number) for number in range(12)]))
    assert len(frames) == 12 and complaint == ""


def refuse(source, **selection) -> str:
    with pytest.raises(FaceError) as caught:
        read(source, **selection)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_video_gives_all_frames_in_order(tmp_path, kind):
    path = save_clip(tmp_path, kind, frames=pictures(30))
    clip = video.open_clip(str(path))
    assert (clip.name, clip.num_frames, clip.frames_per_second) == ("clip", 30, 25.0)
    frames, complaint = read(path)
    assert complaint == ""
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.name for frame in frames] == [f"{number:06d}" for number in range(30)]
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 25.0, atol=1e-3)
    for number, frame in enumerate(frames):
        assert frame.image.dtype == np.uint8 and frame.image.shape == (HEIGHT, WIDTH, 3) and frame.reason == ""
        assert np.abs(frame.image - picture(number).astype(float)).mean() < 5.0  # neighbours differ by 15


def test_selection_counts_source_frames(tmp_path):
    path = save_clip(tmp_path, frames=pictures(30))
    clip = video.open_clip(path, start=4, stop=25, stride=3, max_frames=5)
    frames, _ = read(path, start=4, stop=25, stride=3, max_frames=5)
    assert clip.num_frames == 5
    assert clip.frames_per_second == pytest.approx(25.0 / 3.0)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [int(frame.name) for frame in frames] == [4, 7, 10, 13, 16]
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array([4, 7, 10, 13, 16]) / 25.0, atol=1e-3)
    assert (
        video.open_clip(path, start=4, stop=25, stride=3).num_frames
        == 7
        == len(read(path, start=4, stop=25, stride=3)[0])
    )
    assert video.open_clip(path, start=28, stop=99).num_frames == 2 == len(read(path, start=28, stop=99)[0])


@pytest.mark.parametrize("kind", ["mp4", "webm", "mjpg"])
def test_reading_on_gives_the_same_frames_as_reading_through(tmp_path, kind):
    path = save_clip(tmp_path, kind, frames=pictures(24))
    whole, _ = read(path, start=1, stride=2)
    for first in (0, 1, 7, 11, 12):
        rest, _ = read(path, start=1, stride=2, first=first)
        assert len(rest) == len(whole) - first
        for ours, theirs in zip(rest, whole[first:], strict=True):
            assert (ours.index, ours.name, ours.time_s) == (theirs.index, theirs.name, theirs.time_s)
            np.testing.assert_array_equal(ours.image, theirs.image)


def test_frames_passed_over_are_not_converted(tmp_path, monkeypatch):
    converted = []
    plain = decoding.Video.to_rgb
    monkeypatch.setattr(decoding.Video, "to_rgb", lambda self, frame: converted.append(1) or plain(self, frame))
    frames, _ = read(save_clip(tmp_path, frames=pictures(24)), start=2, stride=3, first=4)
    assert len(converted) == len(frames) == 4


def test_a_long_clip_is_streamed(tmp_path):
    path = tmp_path / "long.mp4"
    write_clip(path, (picture(number) for number in range(300)), frames_per_second=25.0)
    reader = video.read_frames(video.open_clip(path))
    next(reader)
    tracemalloc.start()
    assert sum(1 for _ in reader) == 299
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * HEIGHT * WIDTH * 3


def test_close_ends_a_reader(tmp_path):
    reader = video.read_frames(video.open_clip(save_clip(tmp_path, frames=pictures(9))))
    next(reader)
    reader.close()
    assert list(reader) == []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_applied(tmp_path, turns):
    upright = picture(3)
    stored = np.ascontiguousarray(np.rot90(upright, -turns))
    degrees = {1: 90, 2: 180, 3: -90}[turns]
    frames, _ = read(save_clip(tmp_path, frames=[stored] * 3, rotation=degrees))
    assert frames[0].image.shape == upright.shape
    assert np.abs(frames[0].image - upright.astype(float)).mean() < 3.0


def test_pixels_become_square(tmp_path):
    frames, _ = read(save_clip(tmp_path, frames=pictures(3), aspect=Fraction(3, 2)))
    assert frames[0].image.shape == (HEIGHT, WIDTH * 3 // 2, 3)


def test_times_come_from_the_stream(tmp_path):
    stamps = [0, 1, 2, 7, 8, 20, 21]
    frames, complaint = read(save_clip(tmp_path, frames=pictures(7), stamps=stamps))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(stamps) / 25.0, atol=1e-3)
    assert complaint == ""


def test_a_video_that_breaks_off_keeps_what_was_decoded(tmp_path):
    whole = save_clip(tmp_path, frames=[noisy(number) for number in range(30)])
    complete, _ = read(whole)
    short = tmp_path / "short.mp4"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    frames, complaint = read(short)
    assert 5 < len(frames) < 25
    assert complaint == f"short.mp4 breaks off after {len(frames)} frames; what came before was kept."
    for ours, theirs in zip(frames, complete, strict=False):
        np.testing.assert_array_equal(ours.image, theirs.image)
    assert read(short, stop=3)[1] == ""  # the part asked for is whole


def noisy(number: int) -> np.ndarray:
    """A picture that takes many bytes, so that files are mostly pictures."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def damaged_read(path) -> tuple[str, int]:
    """What a user sees of a file that may be broken: the complaint and how many frames came."""
    try:
        frames, complaint = read(path)
    except FaceError as error:
        assert path.name in str(error) and str(error).endswith(".")
        return str(error), 0
    assert all((frame.image is None) == bool(frame.reason) for frame in frames)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert np.all(np.diff([frame.time_s for frame in frames]) > 0)
    return complaint, len(frames)


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_anywhere(tmp_path, kind, capfd):
    data = save_clip(tmp_path, kind, frames=[noisy(number) for number in range(20)]).read_bytes()
    short = tmp_path / f"short.{kind}"
    counts = []
    for share in (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.43, 0.57, 0.7, 0.8):
        short.write_bytes(data[: int(share * len(data))])
        complaint, num_frames = damaged_read(short)
        counts.append(num_frames)
        assert complaint or kind in ("mjpg", "mpg")  # streams without a header do not say how long they are
    assert counts == sorted(counts) and counts[-1] < 21
    assert (counts[-1] == 0) == (kind == "mov")  # its index comes last
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_bent_bytes_give_an_error_or_frames(tmp_path, kind, capfd):
    data = save_clip(tmp_path, kind, frames=pictures(12)).read_bytes()
    rng = np.random.default_rng(5)
    bent = tmp_path / f"bent.{kind}"
    complaints = 0
    for trial in range(24):
        bytes_ = bytearray(data)
        reach = len(data) if trial % 2 else min(len(data), 1500)
        for place in rng.integers(0, reach, 6):
            bytes_[place] = rng.integers(256)
        bent.write_bytes(bytes_)
        first_time = damaged_read(bent)
        assert damaged_read(bent) == first_time
        complaints += bool(first_time[0])
    assert complaints > 0
    assert capfd.readouterr() == ("", "")


def test_damaged_frames_are_marked_or_counted(tmp_path):
    path = save_clip(tmp_path, "avi", frames=[noisy(number) for number in range(20)])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    frames, complaint = read(path)
    marked = [frame for frame in frames if frame.image is None]
    assert marked and all(frame.reason == "The video is damaged here." for frame in marked)
    assert complaint == f"clip.avi is damaged; frames left out: {len(marked)}."


def test_sound_may_outlast_the_pictures(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as file:
        seen = file.add_stream("libx264", rate=25)
        seen.height, seen.width, seen.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        heard = file.add_stream("aac", rate=8000, layout="mono")
        for number in range(10):
            file.mux(seen.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        for number in range(24):
            file.mux(heard.encode(silence(number * 1024)))
        file.mux(seen.encode(None))
        file.mux(heard.encode(None))
    frames, complaint = read(tmp_path / "a.mp4")
    assert len(frames) == 10 and complaint == ""


def silence(start: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 8000, start
    return frame


def test_a_recording_without_its_index(tmp_path):
    path = save_clip(tmp_path, "mov", frames=pictures(9))
    path.write_bytes(path.read_bytes()[:-800])
    assert "index is missing" in refuse(path)


@pytest.mark.parametrize(
    "text",
    ["A shopping list.\n" * 99, "#EXTM3U\n#EXTINF:1,\nclip.mp4\n", "ffconcat version 1.0\nfile clip.mp4\n"],
    ids=["prose", "hls", "concat"],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.m3u8"])
def test_text_is_no_video(tmp_path, text, name):
    save_clip(tmp_path, frames=pictures(3))
    (tmp_path / name).write_text(text)
    assert "not a video" in refuse(tmp_path / name)


def test_pictures_too_large_are_not_decoded(tmp_path, monkeypatch):
    path = save_clip(tmp_path, frames=pictures(3))
    monkeypatch.setattr(decoding, "MAX_PIXELS", HEIGHT * WIDTH // 2)
    assert "none of its frames" in refuse(path)


def test_sound_is_no_video(tmp_path):
    with av.open(tmp_path / "a.mp4", "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        file.mux(stream.encode(silence(0)))
        file.mux(stream.encode(None))
    assert "sound" in refuse(tmp_path / "a.mp4")


def test_missing_and_empty_sources(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    assert "does not exist" in refuse(tmp_path / "missing.mp4")
    assert "empty" in refuse(tmp_path / "empty.mp4")
    assert "no pictures in this folder" in refuse(tmp_path / "folder")
    assert "no file matches" in refuse(str(tmp_path / "*.png"))
    assert "name one video" in refuse(str(tmp_path / "*.mp4"))


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"start": 12}, "12 frames, 0 to 11"),
        ({"start": -1}, "0 or later"),
        ({"start": 3, "stop": 3}, "No frame is chosen"),
        ({"stop": 0}, "No frame is chosen"),
        ({"stride": 0}, "stride"),
        ({"max_frames": 0}, "At least 1"),
    ],
)
def test_selections_of_nothing_are_refused(tmp_path, selection, words):
    assert words in refuse(save_clip(tmp_path, frames=pictures(12)), **selection)
    save_photos(tmp_path / "photos", [f"{number}.png" for number in range(12)])
    assert words in refuse(tmp_path / "photos", **selection)


def test_start_beyond_the_frames_that_decode(tmp_path):
    """The index of a file cut off promises more than there is."""
    path = save_clip(tmp_path, frames=[noisy(number) for number in range(20)])
    clip = video.open_clip(path, start=15)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FaceError, match="is beyond"):
        list(video.read_frames(clip))


def save_photos(folder, names):
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(number)).save(folder / name)
    return folder


NATURAL = ["a.png", "frame1.png", "frame2.png", "frame10.png", "frame10b.png", "z01.png", "z1.png"]


def test_photos_come_in_natural_order(tmp_path):
    folder = save_photos(tmp_path / "ann.b", NATURAL)
    (folder / "notes.txt").touch()
    clip = video.open_clip(folder)
    assert (clip.name, clip.num_frames, clip.frames_per_second) == ("ann.b", 7, 25.0)
    frames, complaint = read(folder)
    assert [frame.name for frame in frames] == NATURAL and complaint == ""
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(7) / 25.0)
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(number))


def test_globs_and_single_photos(tmp_path, monkeypatch):
    folder = save_photos(tmp_path / "ann", NATURAL)
    frames, _ = read(str(folder / "frame*"), stride=2)
    assert [frame.name for frame in frames] == ["frame1.png", "frame10.png"]
    np.testing.assert_array_equal(frames[1].image, picture(3))
    assert video.open_clip(str(folder / "frame*")).name == "ann"
    assert video.open_clip(folder / "a.png").name == "a"
    monkeypatch.chdir(folder)
    assert [frame.name for frame in read("*1*.png")[0]] == NATURAL[1:2] + NATURAL[3:]
    assert video.open_clip(".").name == "ann"


def test_globs_over_folders_keep_names_apart(tmp_path):
    save_photos(tmp_path / "all", ["ann/1.png", "bob/1.png"])
    frames, _ = read(str(tmp_path / "all" / "*" / "1.png"))
    assert [frame.name for frame in frames] == ["ann/1.png", "bob/1.png"]
    assert video.open_clip(str(tmp_path / "all" / "**" / "*.png")).name == "all"


def test_a_folder_named_like_a_glob(tmp_path):
    folder = save_photos(tmp_path / "takes [1]", ["1.png"])
    assert video.open_clip(folder).name == "takes [1]"


def test_photos_of_any_depth_become_eight_bit_rgb(tmp_path):
    ramp = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp).save(tmp_path / "1.png")
    Image.fromarray(picture(2)[..., 0]).save(tmp_path / "2.png")
    frames, _ = read(tmp_path)
    np.testing.assert_array_equal(frames[0].image[..., 1], np.round(ramp / 257.0))
    np.testing.assert_array_equal(frames[1].image, np.repeat(picture(2)[..., :1], 3, axis=-1))


def test_an_unreadable_photo_is_a_frame_with_a_reason(tmp_path):
    folder = save_photos(tmp_path / "ann", ["1.png", "2.png", "3.png"])
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:90])
    frames, complaint = read(folder)
    assert [frame.image is None for frame in frames] == [False, True, False] and complaint == ""
    assert frames[1].reason.startswith("The picture is damaged") and str(tmp_path) not in frames[1].reason
    rest, _ = read(folder, first=1)
    assert [frame.index for frame in rest] == [1, 2]


def test_fingerprints_follow_the_content(tmp_path):
    path = save_clip(tmp_path, frames=pictures(5))
    print_ = video.fingerprint(video.open_clip(path))
    assert print_["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (print_["name"], print_["files"], print_["bytes"]) == ("clip", 1, path.stat().st_size)
    assert video.fingerprint(video.open_clip(path, start=2)) == print_ == json.loads(json.dumps(print_))
    here = save_photos(tmp_path / "1" / "ann", ["1.png", "2.png"])
    there = save_photos(tmp_path / "2" / "ann", ["1.png", "2.png"])
    assert video.fingerprint(video.open_clip(here)) == video.fingerprint(video.open_clip(there))
    (there / "2.png").rename(there / "3.png")
    renamed = video.fingerprint(video.open_clip(there))
    assert renamed["sha256"] != video.fingerprint(video.open_clip(here))["sha256"]
    clip = video.open_clip(there)
    (there / "3.png").unlink()
    with pytest.raises(FaceError, match="still there"):
        video.fingerprint(clip)
