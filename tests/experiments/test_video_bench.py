"""Parts of benchmark.py and benchmark_video.py, with fakes."""

import pathlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_comparison
from PIL import Image
from video_bench import child, clips, report, sections, throughput

ROW = {"devices": 1, "chunk": 8, "size": 512, "clip_frames": 48, "frames_per_second": 62.0, "compile_seconds": 9.0,
       "frame_ms": {"look": 4.0, "refine": 12.0}, "shares": {"look": 0.25, "refine": 0.75}}  # fmt: skip
RUN = {"frames": 48, "chunk": 8, "ok": 47, "seconds": 96.0, "track_seconds": 90.0, "peak_mib": 1000.0,
       "device_peak_mib": None, "busy": {"decode": 0.1, "detect": 0.2, "device": 0.9, "write": 0.05}}  # fmt: skip
bench = SimpleNamespace(child=child, clips=clips, report=report, sections=sections, throughput=throughput)


def throughput_of(*rows, device="NVIDIA H100 80GB HBM3"):
    return {"rows": list(rows), "local_devices": 1, "device": device, "backend": "gpu"}


def clip_of(*, single=(4.0, 6.0), long_peak=1040.0, second=0):
    return {
        "cold": RUN | {"seconds": 150.0}, "warm": RUN, "long": RUN | {"frames": 480, "peak_mib": long_peak},
        "single_seconds": list(single), "retrace": {"frames": 9, "first": 40, "second": second, "names": []},
    }  # fmt: skip


def wanted(throughput, clip):
    return {
        row["figure"]: (row["found"], row["holds"])
        for row in bench.report.summarise(throughput, clip, command="")["wanted"]
    }


def test_the_long_clip_is_the_short_one_forth_and_back(tmp_path):
    short = tmp_path / "short"
    short.mkdir()
    for number in range(3):
        Image.new("RGB", (4, 4), (50 * number, 0, 0)).save(short / f"{number:06d}.png")
    assert bench.sections.lengthen(short, tmp_path / "long", factor=3) == 9
    photos = sorted((tmp_path / "long").iterdir())
    assert [Image.open(photo).getpixel((0, 0))[0] // 50 for photo in photos] == [0, 1, 2, 2, 1, 0, 0, 1, 2]


def test_the_clock_keeps_compiling_apart(monkeypatch):
    moments = iter([0.0, 5.0, 10.0, 11.0, 20.0, 23.0, 30.0, 32.0])  # 5 s with compilation, then 1, 3 and 2
    monkeypatch.setattr(bench.throughput.time, "perf_counter", lambda: next(moments))
    clock, calls = bench.throughput.Clock(3), []
    assert clock.time("look", lambda x, *, shared: calls.append(x) or shared, 7, shared=8) == 8
    assert calls == [7] * 4 and clock.seconds == {"look": 2.0} and clock.compile_seconds == {"look": 3.0}


def test_a_row_counts_every_step_as_often_as_a_frame_sees_it():
    clock = SimpleNamespace(
        seconds=dict.fromkeys(bench.throughput.STEPS, 0.4), compile_seconds={"look": 2.0, "refine": 3.0}
    )
    row = bench.throughput.to_row([clock], devices=1, chunk=4, size=128, num_frames=64)
    times = 11.0 + 2.0 + 0.25  # once each but for two rounds of the bundle, and the medium stage on 16 of 64 frames
    assert row["frames_per_second"] == pytest.approx(1.0 / (0.1 * times)) and row["compile_seconds"] == 5.0
    assert row["shares"]["rejoin"] == pytest.approx(2.0 / times)
    assert row["frame_ms"]["medium"] == pytest.approx(25.0) and row["frame_ms"]["coarse"] == pytest.approx(100.0)
    assert sum(row["shares"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "chunk, num_frames, often",
    [(1, 48, 16 / 48), (8, 48, 16 / 48), (12, 48, 24 / 48), (64, 480, 64 / 480), (4, 6, 8 / 6)],
)
def test_the_medium_stage_sees_few_frames_in_padded_chunks(chunk, num_frames, often):
    assert bench.throughput.times_a_frame(chunk=chunk, num_frames=num_frames)["medium"] == pytest.approx(often)


def test_chunks_that_cannot_be_shared_out_or_do_not_fit_are_said_so(monkeypatch):
    def out_of_memory(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    devices = [SimpleNamespace(platform="gpu")] * 2
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    monkeypatch.setattr(bench.throughput, "_see", out_of_memory)
    rows = bench.throughput.measure(sizes=[128], chunks=[], repeats=1, num_frames=48, num_devices=None)["rows"]
    assert [row["chunk"] for row in rows] == list(bench.throughput.CHUNKS["accelerator"])
    assert "multiple" in rows[0]["note"] and "memory" in rows[1]["note"]
    found = bench.report.summarise(throughput_of(*rows), None, command="")
    text = "\n".join(bench.report.lines(found, why_no_clip="no detector"))
    assert "not run: does not fit" in text and "Not run: no detector." in text


def test_other_errors_are_not_hidden(monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(bench.throughput, "_see", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        bench.throughput.measure(sizes=[128], chunks=[1], repeats=1, num_frames=48, num_devices=1)


def test_fewer_devices_get_functions_of_their_own(monkeypatch):
    devices, seen, real = jax.local_devices(), [], bench.throughput.FrameMap
    monkeypatch.setattr(
        bench.throughput, "FrameMap", lambda f, *, devices: seen.append(devices) or real(f, devices=devices)
    )
    clock = bench.throughput.Clock(1)
    double = lambda frame, *, shared: shared * frame  # noqa: E731
    found = bench.throughput._timed(clock, devices[:1], "double", double, jnp.ones((2, 3)), shared=2.0)
    assert seen == [devices[:1]] and float(found.sum()) == 12.0 and "double" in clock.seconds


def test_every_compiled_program_is_heard_and_none_after():
    x, y = jnp.zeros(3), jnp.zeros(4)
    double = jax.jit(lambda x: 2.0 * x + 1.0)
    with bench.child.compiled_programs() as first:
        double(x)
    with bench.child.compiled_programs() as second:
        double(x)
    double(y)
    assert len(first) == 1 and second == []


def test_wanted_figures_and_their_limits():
    good = wanted(throughput_of(ROW), clip_of())
    assert {holds for _, holds in good.values()} == {"yes"} and len(good) == 4
    figures = sorted(found for found, _ in good.values())
    assert figures == pytest.approx([0.0, 0.04, 0.4, 62.0])  # compiled, memory, 2 s a frame over 5 s, frames/s
    slow = ROW | {"frames_per_second": 100.0, "devices": 2}
    bad = wanted(throughput_of(slow), clip_of(single=(3.9,), long_peak=1060.0, second=2))
    assert {holds for _, holds in bad.values()} == {"no"} and len(bad) == 4
    assert wanted(throughput_of(ROW, device="cpu"), None) == {}


def test_a_child_that_fails_is_no_result(capfd, tmp_path):
    (tmp_path / "empty").mkdir()
    settings = {"source": str(tmp_path / "empty"), "folder": str(tmp_path / "out"), "size": 128}
    with pytest.raises(bench.sections.Failed):
        bench.sections.call("follow", environment={"JAX_PLATFORMS": "cpu"}, **settings)
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and said.startswith("benchmark_video:") and "empty" in said


def test_the_order_of_the_parts(monkeypatch, tmp_path):
    """Cold before warm, one photo more than counts, and the long clip last, in the short one's chunks; one cache."""
    calls, caches, chunks = [], set(), []

    def call(part, *, environment=None, **arguments):
        calls.append(part if part != "follow" else pathlib.Path(arguments["folder"]).name)
        caches.add((environment or {}).get("JAX_COMPILATION_CACHE_DIR"))
        chunks.append(arguments.get("chunk"))
        return RUN

    seconds = iter([9.0, 4.0, 6.0])
    monkeypatch.setattr(bench.sections, "call", call)
    monkeypatch.setattr(bench.sections, "run", lambda command, _: calls.append("photo") or next(seconds))
    monkeypatch.setattr(bench.sections, "lengthen", lambda *_, factor: calls.append(factor))
    found = bench.sections.whole_clip(bench.sections.Plan(48, 256, 10, 2), tmp_path / "timeline.png")
    assert calls == ["render", "cold", "warm", "photo", "photo", "photo", "retrace", 10, "long"]
    assert found["single_seconds"] == [4.0, 6.0] and len(caches - {None}) == 1
    assert chunks == [None, None, None, None, RUN["chunk"]]


@pytest.mark.slow
def test_compared_schedule_improves_a_scene():
    scene = torch_comparison.make_scene(size=96)
    albedo, specular, depth = torch_comparison.solve(**scene, steps=(20, 10, 10))
    inside, outside = scene["mask"] > 0, scene["mask"] == 0
    change = np.abs(np.asarray(depth) - scene["depth0"])
    assert 0.05 < change[inside].max() < 5.0 and change[outside].max() == 0.0
    assert np.all(np.isfinite(albedo)) and np.abs(np.asarray(specular)[outside]).max() == 0.0
