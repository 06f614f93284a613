"""`jaxface track`: exit codes, one sentence a failure, nothing lost; the tracker itself is replaced."""

import inspect
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import types

import fake_track
import pytest
import tiny_model
import tiny_networks
from absl import flags
from tqdm import tqdm

from jaxface import __main__ as cli
from jaxface import commands, track_commands
from jaxface.models import store, tools
from jaxface.tracking import reports
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.track import track as real_track
from jaxface.types import FaceError

README = (pathlib.Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


class FakeTracker:
    """Records its calls; raises what it is told to raise for a source, else leaves a result in the folder."""

    def __init__(self):
        self.calls, self.errors, self.changes = [], {}, {}

    def track(self, source, folder, *, settings, landmarks, overwrite, progress):
        progress("look", 1, None)
        progress("look", 8, 10)
        progress("face", 10, 10)
        call = {"source": source, "folder": folder, "settings": settings, "overwrite": overwrite}
        self.calls.append(call | {"landmarks": landmarks.name})
        if source in self.errors:
            raise self.errors[source]
        found = fake_track.make_track(settings=settings, **self.changes)
        folder.mkdir(exist_ok=True)
        reports.write_track_result(folder / "result.json", found)
        return found


@pytest.fixture
def tracker(monkeypatch, tmp_path):
    fake = FakeTracker()
    monkeypatch.setitem(sys.modules, "jaxface.tracking.track", types.SimpleNamespace(track=fake.track))
    monkeypatch.setattr(commands, "_keep_compiled_code", lambda: None)
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return fake


def folders(fake) -> list[str]:
    return [os.fspath(call["folder"]) for call in fake.calls]


def results(folder) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/result.json"))


def flag_values(arguments=()) -> flags.FlagValues:
    values = flags.FlagValues()
    track_commands.define_track_flags(values)
    values(["jaxface", *arguments])
    return values


def test_each_clip_gets_its_folder_and_its_line(tracker, tmp_path, capsys):
    (tmp_path / "photos.d").mkdir()
    sources = ["a.mp4", "b.avi", "photos.d/", "scenes/one/img_*.png"]
    assert cli.main(["track", *sources, "--output_dir=here"]) == 0
    assert [call["source"] for call in tracker.calls] == sources
    assert folders(tracker) == ["here/a", "here/b", "here/photos.d", "here/one"]
    assert results(tmp_path / "here") == ["a", "b", "one", "photos.d"]
    out, err = capsys.readouterr()
    first, *lines = out.splitlines()
    assert "default (Apache-2.0)" in first and len(lines) == 4
    for words in ("a.mp4 -> here/a", "10 frames", "8 ok", "1 bridged", "1 lost", "jitter 0.123 mm/frame^2"):
        assert words in lines[0]
    assert err.startswith("jaxface: a.mp4: ") and "after frame 9" in err.splitlines()[0]


def test_flags_reach_the_tracker_wherever_they_stand(tracker, tmp_path):
    (tmp_path / "net.task").touch()
    store.save_model(tiny_model.make_model(name="flame"), tiny_networks.path("flame"))
    given = (
        "--model=flame --preset=paper --size=256 --fuse=mean --smooth=0.5 --start=3 --stop=90 --stride=2 "
        "--max_frames=20 --chunk=4 --meshes=obj --focal_px=900 --landmarker_task=net.task --overwrite"
    )
    assert cli.main(["track", *given.split(), "a.mp4", "--quiet"]) == 0
    settings = TrackSettings(
        model="flame", preset="paper", size=256, fuse="mean", smooth=0.5, start=3, stop=90, stride=2, max_frames=20,
        chunk=4, meshes="obj", focal_px=900.0,
    )  # fmt: skip
    folder = pathlib.Path("out/a")
    expected = {"source": "a.mp4", "folder": folder, "settings": settings, "overwrite": True}
    assert tracker.calls == [expected | {"landmarks": "mediapipe (net.task)"}]


def test_defaults_are_those_of_the_records(tracker):
    assert cli.main(["track", "a.mp4"]) == 0
    assert cli.main(["track", "a.mp4", "--unordered"]) == 0
    assert cli.main(["track", "a.mp4", "--unordered", "--smooth=0"]) == 0
    expected = [TrackSettings(), TrackSettings(ordered=False), TrackSettings(ordered=False, smooth=0.0)]
    assert [call["settings"] for call in tracker.calls] == expected
    assert not any(call["overwrite"] for call in tracker.calls) and folders(tracker) == ["out/a"] * 3


def test_bad_clips_do_not_stop_the_rest(tracker, tmp_path, capsys):
    tracker.errors = {
        "none.mp4": FaceError("none.mp4: it does not exist; check the path."),
        "bug.mp4": ZeroDivisionError("by\nzero"),
        "full.mp4": OSError(28, "No space left on device"),
    }
    tracker.changes = {"notes": ()}
    assert cli.main(["track", *tracker.errors, "good.mp4"]) == 1
    assert results(tmp_path / "out") == ["good"]
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "jaxface: none.mp4: it does not exist; check the path." and len(lines) == 3
    assert "ZeroDivisionError: by zero." in lines[1] and "No space left on device." in lines[2]
    assert "Traceback" not in err and "good.mp4 -> " in out and "none" not in out


def test_quiet_prints_errors_only(tracker, capsys):
    tracker.errors = {"bad.mp4": FaceError("No frame shows a face; name another clip.")}
    assert cli.main(["track", "a.mp4", "bad.mp4", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == "jaxface: bad.mp4: No frame shows a face; name another clip.\n"


def test_same_names_get_folders_of_their_own(tracker):
    assert cli.main(["track", "x/a.mp4", "y/a.mp4", "x/A.avi", "x/a-2.mp4", "y/../x/a.mp4"]) == 0
    assert folders(tracker) == ["out/a", "out/a-2", "out/A-3", "out/a-2-2"]  # the same file twice is one clip


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (".", "here"),
        ("..", "above"),
        ("../here/frames/", "frames"),
        ("*.png", "here"),
        ("frames/*.png", "frames"),
        ("shot[12]/*/img.png", "here"),
        ("a.b.mp4", "a.b"),
        ("what?.mp4", "what?"),  # a file of that name
        ("/*.png", "clip"),
        ("/", "clip"),
    ],
)
def test_results_are_named_after_the_video_or_the_folder(tracker, tmp_path, monkeypatch, source, name):
    (tmp_path / "above" / "here" / "frames").mkdir(parents=True)
    (tmp_path / "above" / "here" / "what?.mp4").touch()
    monkeypatch.chdir(tmp_path / "above" / "here")
    assert cli.main(["track", source, f"--output_dir={tmp_path / 'out'}"]) == 0
    assert [call["folder"] for call in tracker.calls] == [tmp_path / "out" / name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "at least one video"),
        (["a.mp4", "--colour=red"], "colour"),
        (["a.mp4", "--coarse=guess"], "--coarse"),
        (["a.mp4", "--coarse=3ddfa"], "3ddfa is not installed"),
        (["a.mp4", "--parsing=bisenet"], "bisenet is not installed"),
        (["a.mp4", "--start=-1"], "--start"),
        (["a.mp4", "--start=ten"], "--start"),
        (["a.mp4", "--stop=0"], "--stop"),
        (["a.mp4", "--start=9", "--stop=9"], "--stop=9 leaves no frame"),
        (["a.mp4", "--stride=0"], "--stride"),
        (["a.mp4", "--max_frames=0"], "--max_frames"),
        (["a.mp4", "--chunk=0"], "--chunk"),
        (["a.mp4", "--fuse=median"], "--fuse"),
        (["a.mp4", "--smooth=-1"], "--smooth"),
        (["a.mp4", "--smooth=nan"], "temporal strength"),
        (["a.mp4", "--unordered", "--smooth=2"], "--unordered"),
        (["a.mp4", "--meshes=stl"], "--meshes"),
        (["a.mp4", "--size=64"], "--size"),
        (["a.mp4", "--preset=best"], "--preset"),
        (["a.mp4", "--focal_px=0"], "--focal_px"),
        (["a.mp4", "--landmarker_task=none.task"], "none.task"),
        (["a.mp4", "--model=ikt"], "did you mean ict"),
        (["a.mp4", "--model=ict"], "models install ict"),
        (["a.mp4", "--output_dir=file"], "--output_dir"),
    ],
)
def test_wrong_use_is_told_and_exits_2(tracker, tmp_path, capsys, arguments, words):
    (tmp_path / "file").touch()
    assert cli.main(["track", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err and "jaxface help track" in err and len(err.splitlines()) <= 2
    assert "Traceback" not in err and out == "" and tracker.calls == []


def test_a_pattern_that_the_shell_took_apart_is_told(tracker, tmp_path, capsys):
    for name in ("a.png", "b.JPG"):
        (tmp_path / name).touch()
    assert cli.main(["track", "a.png", "b.JPG"]) == 2
    assert "quote the pattern" in capsys.readouterr().err and tracker.calls == []
    assert cli.main(["track", "a.png", "clip.mp4"]) == 0


def test_the_model_is_told_once_with_its_licence(tracker, capsys):
    store.save_model(tiny_model.make_model(name="ict"), tiny_networks.path("ict"))
    assert cli.main(["track", "a.mp4", "b.mp4"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "->" not in line]
    assert "ict (MIT, tested)" in line


def test_networks_are_asked_for_as_for_photos_and_told(tracker, monkeypatch, capsys):
    asked, used = {}, tools.Tools(tiny_model.make_model(name="ict"), None, None)
    monkeypatch.setattr(tools, "choose", lambda **chosen: asked.update(chosen) or used)
    networks = {"coarse": "3ddfa", "parsing": "bisenet"}
    assert cli.main(["track", "a.mp4", "--coarse=3ddfa", "--parsing=bisenet"]) == 0
    assert asked == networks | {"model": None} and tracker.calls[0]["settings"] == TrackSettings(**networks)
    assert capsys.readouterr().out.startswith("Face model: ict (MIT, tested); networks: 3ddfa (MIT), bisenet (")


def test_the_bar_follows_the_steps_and_forgets_the_last_total():
    screen = io.StringIO()
    with tqdm(file=screen, unit="frame", mininterval=0.0, leave=False) as bar:
        show = track_commands._Progress(bar, "clip")
        show("look", 8, 10)
        assert (bar.n, bar.total, bar.desc) == (8, 10, "clip: look")
        show("look", 9, 12)  # a video's own count of its frames is an estimate
        assert (bar.n, bar.total) == (9, 12)
        show("bundle", 2, None)
        assert (bar.n, bar.total, bar.desc) == (2, None, "clip: bundle")
        show("bundle", 1, 3)  # rounds go over the frames again
        assert (bar.n, bar.total) == (1, 3)
    assert "clip: look:" in screen.getvalue() and "8/10" in screen.getvalue()


def test_a_terminal_sees_the_bar_and_a_pipe_does_not(tracker, monkeypatch):
    for is_terminal in (True, False):
        screen = io.StringIO()
        screen.isatty = lambda is_terminal=is_terminal: is_terminal
        monkeypatch.setattr(sys, "stderr", screen)
        assert cli.main(["track", "a.mp4"]) == 0
        steps = [f"a: {step}:" in screen.getvalue() for step in ("look", "face")]
        assert steps == [is_terminal] * 2


def test_help_lists_the_flags_at_once(capsys):
    assert cli.main(["help", "track"]) == 0
    out = capsys.readouterr().out
    assert (
        all(f"--{name}:" in out for name in set(flag_values()) - {"flagfile", "undefok"}) and "one folder a clip" in out
    )
    code = "import sys, jaxface.__main__ as m; m.main(['help', 'track']); print('jax' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"


def test_the_readme_names_every_flag_and_its_default():
    section = README.partition("\n## A video\n")[2].partition("\n## ")[0]
    values = flag_values()
    own = set(values) - {"flagfile", "undefok"}
    assert set(re.findall(r"--(\w+)", section)) == own
    rows = re.findall(r"^\| (`--.*?`) \| (.*?) \|", section, re.M)
    for names, defaults in rows:
        for name, told in zip(re.findall(r"--(\w+)", names), defaults.split(", "), strict=True):
            default = values[name].default
            if default not in (None, False):
                assert told.strip("`") == str(default), name


def test_the_result_is_as_the_settings_were(tracker, tmp_path):
    assert cli.main(["track", "a.mp4", "--smooth=0.25"]) == 0
    assert json.loads((tmp_path / "out" / "a" / "result.json").read_text())["settings"]["smooth"] == 0.25


def test_the_real_tracker_takes_what_the_command_gives():
    accepted = inspect.signature(real_track).parameters
    assert list(accepted)[:2] == ["source", "folder"]
    assert {"settings", "landmarks", "overwrite", "progress"} <= accepted.keys()
