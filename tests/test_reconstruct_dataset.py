"""Many videos at once: names, notes of what is finished, failures, and a real Ray cluster whose workers are killed."""

import collections
import csv
import importlib.util
import pathlib
import random
import shutil
import socket
import sys
import tempfile
import types

import pytest
from dataset_runs import (
    CHUNKS,
    DRIVER,
    EXPERIMENTS,
    add,
    assert_complete,
    finish,
    free_port,
    kill_workers,
    log_of,
    ray_processes,
    running_cluster,
    start,
    table,
    wait_for,
)

from jaxface import commands
from jaxface.tracking.records import TrackSettings
from jaxface.types import FaceError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='needs Ray: pip install "jaxface[cluster]"'
)


@pytest.fixture(autouse=True)
def path_to_experiments(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working folder with `clips`, and a temporary place for Ray whose path is short enough for its sockets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    monkeypatch.setenv("RAY_TMPDIR", place)
    yield tmp_path
    shutil.rmtree(place, ignore_errors=True)


def names(pattern: str) -> dict[str, str]:
    from dataset.clips import find_clips

    return {clip.shown: clip.folder.name for clip in find_clips(pattern, pathlib.Path("out"))}


def test_folders_are_named_after_the_clips(home):
    for name in ("anna.mp4", "b/ben.mp4", "b/cleo.v2.mp4"):
        add(name)
    (home / "clips/photos.of.dora").mkdir()
    assert list(names("clips/*.mp4").values()) == ["anna"]
    assert sorted(names("clips/**/*.mp4").values()) == ["anna", "ben", "cleo.v2"]
    assert names("clips/photos*") == {"clips/photos.of.dora": "photos.of.dora"}


def test_clips_of_one_name_get_folders_of_their_own_whatever_else_there_is(home):
    for name in ("a/take.mp4", "b/Take.mp4", "b/other.mp4"):
        add(name)
    first = names("clips/**/*.mp4")
    assert len(set(map(str.casefold, first.values()))) == 3 and first["clips/b/other.mp4"] == "other"
    assert first["clips/a/take.mp4"].startswith("take-") and first["clips/b/Take.mp4"].startswith("Take-")
    add("0/take.mp4")
    assert names("clips/**/*.mp4").items() > first.items()
    assert list(names(str(home / "clips/**/*.mp4")).values()) == list(names("clips/**/*.mp4").values())
    shutil.move("clips", "elsewhere")
    assert list(names("elsewhere/**/*.mp4").values())[1:] == list(first.values())


def test_results_are_no_clips_and_a_clip_counts_once(home):
    add("anna.mp4")
    (home / "clips/link.mp4").symlink_to("anna.mp4")
    (home / "out/anna").mkdir(parents=True)
    (home / "out/anna/overlay.mp4").write_text("")
    assert list(names("**/*.mp4").values()) == ["anna"]


def test_only_the_same_clip_with_the_same_settings_is_finished(home):
    from dataset import clips

    path = add("anna.mp4")
    (clip,) = clips.find_clips("clips/*", home / "out")
    clip.folder.mkdir(parents=True)
    assert clips.finished(clip, {"size": 512}) is None
    clips.note_finished(clip, {"size": 512}, stamped=clips.stamp(clip), result={"frames": {"ok": 3}})
    assert clips.finished(clip, {"size": 512}) is None  # the result itself is missing
    (clip.folder / clips.RESULT).write_text("{}")
    assert clips.finished(clip, {"size": 512}) == {"frames": {"ok": 3}}
    assert clips.finished(clip, {"size": 256}) is None
    path.write_text("another film")
    assert clips.finished(clip, {"size": 512}) is None
    (note,) = (home / "out/.finished").iterdir()
    for damaged in ("{", "[]", "{}"):
        note.write_text(damaged)
        assert clips.finished(clip, {"size": 512}) is None


def test_a_folder_of_pictures_is_finished_until_one_changes(home):
    from dataset import clips

    add("dora/1.png")
    (clip,) = clips.find_clips("clips/*", home / "out")
    before = clips.stamp(clip)
    assert clips.stamp(clip) == before
    add("dora/2.png")
    assert clips.stamp(clip) != before


def test_summary_says_what_is_known(tmp_path):
    from dataset import summary, work

    done = {"status": "done", "frames": {"ok": 5, "bridged": 2, "lost": 0}, "seconds": 12.34, "reason": ""}
    rows = [summary.to_row("a.mp4", "a", done), summary.to_row("b.mp4", "b", work.failure("one | two."))]
    text = summary.write(rows, tmp_path)
    lines = text.splitlines()
    assert len({len(line) for line in lines[:4]}) == 1 and text == (tmp_path / "summary.md").read_text()
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["a.mp4", "a", "done", "5", "2", "0", "12.3", ""]
    assert lines[3].endswith("one \\| two. |") and lines[-1] == "2 clips: 1 done, 0 skipped, 1 failed."
    with open(tmp_path / "summary.csv", newline="") as stream:
        assert [row[-1] for row in csv.reader(stream)] == ["reason", "", "one | two."]


def test_unexpected_errors_are_tried_again_and_faces_are_not(home):
    from dataset import clips, cluster

    tries = collections.Counter()

    def job(source, folder, progress):
        name = pathlib.Path(source).stem
        tries[name] += 1
        if name == "faceless":
            raise FaceError(f"{source}: film one.")
        if name == "broken" or (name == "flaky" and tries[name] < 3):
            raise OSError("the disk\nis full")
        return {"ok": 1, "bridged": 0, "lost": 0}, "cut short." if name == "zoe" else ""

    for name in ("anna", "broken", "faceless", "flaky", "zoe"):
        add(f"{name}.mp4")
    found = clips.find_clips("clips/*", home / "out")
    answers = {clip.folder.name: answer for clip, answer in cluster.work_here(found, job, retries=2, progress=print)}
    assert {name: answer["status"] for name, answer in answers.items()} == {
        "anna": "done", "broken": "failed", "faceless": "failed", "flaky": "done", "zoe": "done",
    }  # fmt: skip
    assert tries == {"anna": 1, "broken": 3, "faceless": 1, "flaky": 3, "zoe": 1}
    assert answers["broken"]["reason"] == "OSError: the disk is full." and answers["faceless"]["reason"] == "film one."
    assert answers["anna"]["reason"] == "" and answers["zoe"]["reason"] == "cut short."


def test_the_tracker_gets_settings_and_its_states_are_counted(monkeypatch):
    from dataset import work

    def track(source, folder, *, settings, landmarks, overwrite, progress):
        assert (source, folder, settings, overwrite) == ("a.mp4", "out/a", TrackSettings(size=256), True)
        assert landmarks.name == "mediapipe (net.task)"
        progress("look", 1, None)
        return types.SimpleNamespace(status=("ok", "bridged", "ok"), notes=("Cut short.", "Odd."))

    steps = []
    monkeypatch.setitem(sys.modules, "jaxface.tracking.track", types.SimpleNamespace(track=track))
    monkeypatch.setattr(commands, "_keep_compiled_code", lambda: None)
    settings = {"size": 256, "landmarker_task": "nets/net.task"}
    answer = work.track_clip("a.mp4", "out/a", lambda *step: steps.append(step), settings=settings, overwrite=True)
    assert answer == ({"ok": 2, "bridged": 1, "lost": 0}, "Cut short. Odd.") and steps == [("look", 1, None)]


def test_here_a_killed_run_goes_on_and_failures_do_not_stop_it(home):
    for name, kind in (("anna", "good"), ("broken", "broken"), ("faceless", "faceless"), ("zoe", "good")):
        add(f"{name}.mp4", kind, pause=0.0 if name == "anna" else 0.2)
    killed = start()
    assert kill_workers({"zoe": [2]}) == {"zoe": [killed.pid]}
    finish(killed)
    assert not pathlib.Path("out/zoe/result.json").exists() and not pathlib.Path("out/summary.csv").exists()
    code, printed, complaints = finish(start("--retries=1"))
    assert code == 1
    assert {name: row["status"] for name, row in table().items()} == {
        "anna": "skipped", "broken": "failed", "faceless": "failed", "zoe": "done",
    }  # fmt: skip
    assert complaints == [
        "jaxface: clips/broken.mp4: OSError: the disk is full.",
        "jaxface: clips/faceless.mp4: there is no face in it; film one.",
    ]
    assert_complete("anna")
    assert_complete("zoe")
    assert [event for _, event in log_of("anna")].count("start") == 1  # skipped without a look
    assert [event for _, event in log_of("broken")].count("start") == 3 + 2
    assert printed.endswith(pathlib.Path("out/summary.md").read_text())


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--input_glob=nothing/*"], "nothing matches --input_glob=nothing/*; check it, and quote its wildcards."),
        (["--landmarker_task=missing.task"], "--landmarker_task: there is no file missing.task."),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(home, options, sentence):
    add("anna.mp4")
    assert finish(start(*options)) == (2, "", [f"reconstruct_dataset: {sentence}"])


def test_without_ray_the_sentence_says_how_to_get_it(home, monkeypatch):
    from dataset import cluster

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(commands.UsageError, match=r"needs Ray: install it with pip install \"jaxface\[cluster\]\"\."):
        list(cluster.work_on_ray([], print, address=None, cpus=1, gpus=0, retries=0, log=home / "ray.log"))


@needs_ray
def test_an_address_where_no_ray_answers_is_told_in_time(monkeypatch):
    from dataset import cluster

    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 3.0)
    with pytest.raises(commands.UsageError, match="must be like"):
        cluster._check_answers("somewhere")
    with pytest.raises(commands.UsageError, match="nothing answers at .* check --ray_address"):
        cluster._check_answers(f"127.0.0.1:{free_port()}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(commands.UsageError, match="no Ray answers at .* within 3 s; check --ray_address"):
            cluster._check_answers(f"127.0.0.1:{silent.getsockname()[1]}")


def test_a_task_that_no_machine_can_hold_is_refused_or_waits_for_one(capsys):
    from dataset import cluster

    machines = [{"Alive": True, "Resources": {"CPU": 4.0}}, {"Alive": False, "Resources": {"CPU": 4.0, "GPU": 1.0}}]
    ray = types.SimpleNamespace(nodes=lambda: machines)
    cluster._check_resources(ray, cpus=4, gpus=0, is_own=True)
    with pytest.raises(commands.UsageError, match="no machine has 4 CPUs and 1 GPUs; lower --cpus_per_task"):
        cluster._check_resources(ray, cpus=4, gpus=1, is_own=True)
    cluster._check_resources(ray, cpus=5, gpus=0, is_own=False)
    assert capsys.readouterr().err == (
        "jaxface: no machine has 5 CPUs and 0 GPUs; "
        "lower --cpus_per_task or --gpus_per_task, or add one: the clips wait.\n"
    )


@needs_ray
def test_ray_finishes_the_job_of_a_killed_worker(home):
    for folder in ("a", "b"):
        add(f"{folder}/take.mp4")
    add("faceless.mp4", "faceless")
    add("victim.mp4", pause=0.3)
    process = start("--cluster=ray")
    killed = kill_workers({"victim": [1]})
    code, printed, complaints = finish(process)
    assert code == 1 and complaints == ["jaxface: clips/faceless.mp4: there is no face in it; film one."]
    takes = [name for name in table() if name.startswith("take-")]
    assert {name: row["status"] for name, row in table().items()} == {
        **dict.fromkeys(takes, "done"), "faceless": "failed", "victim": "done",
    }  # fmt: skip
    assert len(takes) == 2
    for name in (*takes, "victim"):
        assert_complete(name)
    workers = [int(pid) for pid, event in log_of("victim") if event == "start"]
    assert len(workers) == len(set(workers)) == 2 and killed == {"victim": workers[:1]}
    assert table()["victim"]["ok"] == str(CHUNKS - 1)
    finished_lines = printed.removesuffix(pathlib.Path("out/summary.md").read_text()).splitlines()
    assert len(finished_lines) == 3 and all(" -> " in line for line in finished_lines)  # Ray's words are elsewhere
    assert "killed" in pathlib.Path("out/ray.log").read_text()
    wait_for(lambda: not ray_processes(), timeout=20.0)


@needs_ray
@pytest.mark.slow
def test_ray_elsewhere_survives_many_killed_workers_and_stays(home, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", random.Random().randbytes(32).hex())
    chance = random.Random(0)
    victims = [f"victim{k}" for k in range(4)]
    for name in victims:
        add(f"{name}.mp4", pause=0.2)
    add("deadly.mp4", "deadly")
    add("zoe.mp4")
    port = chance.randrange(23000, 29000)
    with running_cluster(port) as head:
        address = f"--ray_address=127.0.0.1:{port}"
        process = start("--cluster=ray", address, "--retries=3")
        kill_workers({name: sorted(chance.sample(range(CHUNKS - 1), k=2)) for name in victims})
        code, _, complaints = finish(process)
        assert (
            code == 1 and len(complaints) == 1 and "clips/deadly.mp4: its worker died once too often" in complaints[0]
        )
        assert [event for _, event in log_of("deadly")] == 4 * ["start"]
        for name in (*victims, "zoe"):
            assert table()[name]["status"] == "done"
            assert_complete(name)
        assert all([event for _, event in log_of(name)].count("start") == 3 for name in victims)
        assert head.poll() is None and ray_processes()  # the cluster is not ours to stop
        monkeypatch.delenv("RAY_AUTH_TOKEN")
        code, _, (complaint,) = finish(start("--cluster=ray", address))
        assert code == 2 and "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" in complaint
    wait_for(lambda: not ray_processes(), timeout=20.0)
