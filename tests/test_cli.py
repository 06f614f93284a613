"""The command line: exit codes, one sentence a failure, nothing lost; the pipeline itself is replaced."""

import inspect
import os
import subprocess
import sys
import types

import fake_face
import jax
import numpy as np
import pytest
import tiny_model
import tiny_networks
from absl import logging
from PIL import Image

import jaxface
from jaxface import __main__ as cli
from jaxface import commands
from jaxface import pipeline as real_pipeline
from jaxface.models import store
from jaxface.types import FaceError


class FakePipeline:
    """Records its calls; raises what it is told to raise for a picture of that width."""

    def __init__(self):
        self.calls, self.errors = [], {}

    def reconstruct(self, image, **settings):
        settings.pop("progress")("fine")
        settings["landmarks"] = getattr(settings["landmarks"], "name", settings["landmarks"])
        self.calls.append(settings | {"width": image.shape[1]})
        if image.shape[1] in self.errors:
            raise self.errors[image.shape[1]]
        return fake_face.make_reconstruction()


@pytest.fixture
def pipeline(monkeypatch, tmp_path):
    fake = FakePipeline()
    module = types.SimpleNamespace(reconstruct=fake.reconstruct)
    monkeypatch.setitem(sys.modules, "jaxface.pipeline", module)
    monkeypatch.setattr(jaxface, "pipeline", module, raising=False)
    monkeypatch.setattr(commands, "_keep_compiled_code", lambda: None)
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return fake


def photo(path, *, width=20):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((10, width, 3), 99, np.uint8)).save(path)
    return str(path)


def results(folder) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/result.json"))


def test_two_photos_and_a_folder(pipeline, tmp_path, capsys):
    first, second = photo(tmp_path / "a.png"), photo(tmp_path / "b.png")
    photo(tmp_path / "more" / "c.jpg")
    assert cli.main(["reconstruct", first, second, str(tmp_path / "more"), "--output_dir=here"]) == 0
    assert results(tmp_path / "here") == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4 and "here/a" in out
    assert "default" in out.splitlines()[0] and "Apache-2.0" in out.splitlines()[0]
    told = next(line for line in err.splitlines() if line.startswith(f"jaxface: {first}: "))
    assert "fine left out" in told and "The image explains less than before." in told


def test_flags_reach_the_pipeline_wherever_they_stand(pipeline, tmp_path):
    (tmp_path / "points.npy").touch()
    tiny_networks.install_3ddfa()
    store.save_model(tiny_model.make_model(name="flame"), tiny_networks.path("flame"))
    given = (
        "--model=flame --coarse=3ddfa --preset=paper --size=256 --face=1 --landmarks=points.npy --focal_px=900 --seed=7"
    )
    assert cli.main(["reconstruct", *given.split(), photo(tmp_path / "a.png"), "--quiet"]) == 0
    expected = {
        "model": "flame",
        "coarse": "3ddfa",
        "parsing": "landmarks",
        "preset": "paper",
        "size": 256,
        "face": 1,
        "landmarks": "points.npy",
    }
    assert pipeline.calls == [expected | {"focal_px": 900.0, "seed": 7, "width": 20}]


def test_defaults_are_the_documented_ones(pipeline, tmp_path):
    assert cli.main(["reconstruct", photo(tmp_path / "a.png")]) == 0
    nothing = dict.fromkeys(("model", "face", "focal_px"))
    nothing |= dict.fromkeys(("coarse", "parsing"), "landmarks") | {"landmarks": "mediapipe"}
    assert pipeline.calls == [nothing | {"preset": "default", "size": 512, "seed": 0, "width": 20}]
    assert results(tmp_path / "out") == ["a"]


def test_one_detector_made_of_its_flag_sees_all_photos(pipeline, tmp_path, monkeypatch):
    (tmp_path / "net.task").touch()
    given = []
    monkeypatch.setattr(
        jaxface.pipeline, "reconstruct", lambda image, *, landmarks, **settings: given.append(landmarks)
    )
    photos = [photo(tmp_path / name) for name in ("a.png", "b.png")]
    cli.main(["reconstruct", *photos, "--landmarker_task=net.task"])
    assert given[0] is given[1] and given[0].name == "mediapipe (net.task)"


def test_bad_photos_do_not_stop_the_rest(pipeline, tmp_path, capsys):
    pipeline.errors = {30: FaceError("No face found; give --landmarks."), 31: ZeroDivisionError("by\nzero")}
    bad = [photo(tmp_path / "none.png", width=30), photo(tmp_path / "bug.png", width=31), "missing.png"]
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty").mkdir()
    bad += ["text.jpg", "empty"]
    assert cli.main(["reconstruct", *bad, photo(tmp_path / "good.png")]) == 1
    assert results(tmp_path / "out") == ["good"]
    lines = [line for line in capsys.readouterr().err.splitlines() if "stage" not in line]
    assert len(lines) == len(bad) and all(line.startswith("jaxface: ") for line in lines)
    for name in bad:
        assert sum(line.startswith(f"jaxface: {name}: ") and line.count(name) == 1 for line in lines) == 1
    assert "ZeroDivisionError: by zero." in "\n".join(lines)


def test_quiet_prints_errors_only(pipeline, tmp_path, capsys):
    assert cli.main(["reconstruct", photo(tmp_path / "a.png"), "nowhere.jpg", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("jaxface: nowhere.jpg: ") and len(err.splitlines()) == 1


def test_same_names_get_folders_of_their_own(pipeline, tmp_path):
    names = ["x/a.png", "y/a.png", "x/A.jpg", "x/a-2.png"]
    photos = [photo(tmp_path / name) for name in names]
    assert cli.main(["reconstruct", *photos, photos[0]]) == 0
    assert len(pipeline.calls) == 4  # the same file twice is one photo
    assert results(tmp_path / "out") == sorted(["a", "a-2", "A-3", "a-2-2"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "reconstruct"),
        (["restore"], "not a verb"),
        (["reconstruct"], "at least one photo"),
        (["reconstruct", "a.png", "--colour=red"], "colour"),
        (["reconstruct", "a.png", "--size=big"], "--size"),
        (["reconstruct", "a.png", "--size=0"], "--size"),
        (["reconstruct", "a.png", "--preset=best"], "--preset"),
        (["reconstruct", "a.png", "--face=-1"], "--face"),
        (["reconstruct", "a.png", "--focal_px=-5"], "--focal_px"),
        (["reconstruct", "a.png", "--landmarks=none.npy"], "none.npy"),
        (["reconstruct", "a.png", "--landmarker_task=none.task"], "none.task"),
        (["reconstruct", "a.png", "b.png", "--landmarks=points.npy"], "one photo"),
        (["reconstruct", "a.png", "--model=ikt"], "did you mean ict"),
        (["reconstruct", "a.png", "--model=ict"], "models install ict"),
        (["reconstruct", "a.png", "--model=bisenet"], "network"),
        (["reconstruct", "a.png", "--coarse=3ddfa"], "--from=PATH"),
        (["reconstruct", "a.png", "--coarse=cnn"], "--coarse"),
        (["reconstruct", "a.png", "--parsing=bisenet"], "79999_iter.pth"),
        (["reconstruct", "a.png", "--parsing=hair"], "--parsing"),
    ],
)
def test_wrong_use_is_told_and_exits_2(pipeline, tmp_path, capsys, arguments, words):
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "points.npy").touch()
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert words in err and "Traceback" not in err and out == "" and pipeline.calls == []


@pytest.mark.parametrize("flag", ["--model=ict", "--coarse=3ddfa", "--parsing=bisenet", "--size=256"])
def test_damaged_models_are_told_before_any_photo_is_read(pipeline, tmp_path, capsys, flag):
    """The last flag names none: an installed model that is better than the embedded one would be taken."""
    name = flag.partition("=")[2].replace("256", "ict")
    tiny_networks.path(name).parent.mkdir(parents=True)
    tiny_networks.path(name).write_bytes(b"PK")
    assert cli.main(["reconstruct", "no_such_photo.png", photo(tmp_path / "a.png"), flag]) == 2
    out, err = capsys.readouterr()
    assert f"models install {name}` again" in err and len(err.splitlines()) == 1 and "no_such_photo" not in err
    assert out == "" and pipeline.calls == []


def test_the_model_and_the_networks_are_told_once_with_their_licences(pipeline, tmp_path, capsys):
    store.save_model(tiny_model.make_model(name="ict"), tiny_networks.path("ict"))
    tiny_networks.install_3ddfa()
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png")]
    assert cli.main(["reconstruct", *photos, "--coarse=3ddfa"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "->" not in line]
    assert "ict (MIT, tested)" in line and "3ddfa (MIT)" in line


@pytest.mark.parametrize("output_dir", ["file", "file/deeper", "/proc/jaxface"])
def test_unwritable_output_exits_2_before_work(pipeline, tmp_path, capsys, output_dir):
    (tmp_path / "file").touch()
    assert cli.main(["reconstruct", photo(tmp_path / "a.png"), f"--output_dir={output_dir}"]) == 2
    assert "--output_dir" in capsys.readouterr().err and pipeline.calls == []


def test_foreign_folder_in_the_output_is_not_replaced(pipeline, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "diary.txt").touch()
    assert cli.main(["reconstruct", photo(tmp_path / "a.png"), "--output_dir=."]) == 1
    assert (tmp_path / "a" / "diary.txt").exists() and "choose another" in capsys.readouterr().err


def test_interrupt_keeps_what_is_finished(pipeline, tmp_path, capsys):
    pipeline.errors = {30: KeyboardInterrupt()}
    photos = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png", width=30), photo(tmp_path / "c.png")]
    assert cli.main(["reconstruct", *photos]) == 130
    assert results(tmp_path / "out") == ["a"] and "stopped" in capsys.readouterr().err


def test_unexpected_errors_show_their_place_on_demand(pipeline, tmp_path, capfd, monkeypatch):
    # Whatever ran before may have left another one there.
    monkeypatch.setattr(logging.get_absl_handler().python_handler, "stream", sys.stderr)
    pipeline.errors = {20: ZeroDivisionError("oops")}
    name = photo(tmp_path / "a.png")
    assert cli.main(["reconstruct", name, "--verbosity=1"]) == 1
    assert "Traceback" in capfd.readouterr().err
    assert cli.main(["reconstruct", name]) == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"]])
def test_help_lists_every_verb(capsys, arguments):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(verb.usage in out for verb in cli.VERBS.values())


@pytest.mark.parametrize("arguments", [["help", "reconstruct"], ["reconstruct", "a.png", "--help"]])
def test_help_of_a_verb_lists_its_flags(capsys, arguments):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert all(
        f"--{flag}:" in out
        for flag in ("output_dir", "model", "coarse", "parsing", "size", "face", "landmarks", "quiet", "seed")
    )


def test_version(capsys):
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("jaxface ")


def test_module_runs_as_a_command_and_help_is_instant():
    code = "import sys, jaxface.__main__ as m; m.main(['help']); print('jax' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"
    done = subprocess.run([sys.executable, "-m", "jaxface", "restore"], capture_output=True, text=True)
    assert done.returncode == 2 and "not a verb" in done.stderr


def kept(monkeypatch, *, cache, already=None):
    """What is changed of JAX's settings where the user's cache is there and `already` the folder in use."""
    changed = {}
    settings = types.SimpleNamespace(jax_compilation_cache_dir=already, update=changed.__setitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(jax, "config", settings)
    commands._keep_compiled_code()
    assert changed.pop("jax_persistent_cache_min_compile_time_secs") < 1.0
    return changed


def test_compiled_code_goes_to_the_users_cache(monkeypatch, tmp_path):
    folder = tmp_path / "jaxface" / "xla"
    assert kept(monkeypatch, cache=tmp_path) == {"jax_compilation_cache_dir": str(folder)} and folder.is_dir()


def test_compiled_code_stays_where_the_user_put_it(monkeypatch, tmp_path):
    assert kept(monkeypatch, cache=tmp_path, already="elsewhere") == {} and list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    assert kept(monkeypatch, cache=tmp_path / "file") == {}


def test_a_damaged_entry_of_the_cache_is_compiled_again_in_silence(tmp_path):
    """A process that is killed while it writes leaves a truncated entry behind, for good."""
    code = (
        "from jaxface import commands; commands._keep_compiled_code(); import jax; print(jax.numpy.arange(3).sum() + 1)"
    )
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.stdout.strip() == "4" and not done.stderr
        entries = list(tmp_path.glob("*-cache"))
        assert entries
        for entry in entries:
            entry.write_bytes(entry.read_bytes()[:40])


def test_the_real_pipeline_takes_what_the_command_gives():
    accepted = inspect.signature(real_pipeline.reconstruct).parameters
    given = {
        "model",
        "coarse",
        "parsing",
        "landmarks",
        "face",
        "preset",
        "size",
        "seed",
        "focal_px",
        "progress",
    }
    assert given <= accepted.keys()
