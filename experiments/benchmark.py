"""Seconds and memory of every stage, compilation apart, on whatever device JAX finds.

    python experiments/benchmark.py

About 10 minutes on 2 cores; prints a table and writes experiments/results/benchmark_<device>.md and .json. On 2 cores
expect a photo to be a GLB in at most 20 s (60 s with nothing compiled before). For the comparison with eager PyTorch
name a Python that has it, and the script to compare with:

    python experiments/benchmark.py --torch_python=.../bin/python --torch_script=.../torch_eager.py
"""

import functools
import importlib.util
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import matplotlib.cbook
import numpy as np
import torch_comparison
from absl import app, flags
from common import report

from jaxface import pipeline, presets, program
from jaxface.detection import sources
from jaxface.io.arrays import as_rgb, crop_window
from jaxface.io.images import read_image
from jaxface.models import catalogue, store
from jaxface.morphable.default import load_default
from jaxface.network_view import share
from jaxface.networks import bisenet, mobilenet
from jaxface.rendering.camera import face_crop
from jaxface.state import State, View
from jaxface.synthetic import synthetic_face
from jaxface.templates import prepare

SIZES = flags.DEFINE_list("sizes", ["256", "512"], "sides of the crop in pixels")
BATCHES = flags.DEFINE_list("batches", ["1", "4", "16"], "frames under one vmap")
REPEATS = flags.DEFINE_integer("repeats", 5, "runs, of which the median counts, after one to warm up", lower_bound=1)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table and numbers are written")
PHOTO = flags.DEFINE_boolean("photo", True, "time photo to GLB too, cold and warm, by the command line")
TORCH_PYTHON = flags.DEFINE_string("torch_python", None, "a Python with PyTorch, for the comparison")
TORCH_SCRIPT = flags.DEFINE_string("torch_script", None, "the fine stage in eager PyTorch, for the comparison")
TORCH_STEPS = flags.DEFINE_list("torch_steps", ["30", "30", "30"], "iterations: albedo, phase 1, phase 2")

# A batch with more pixels takes many seconds and GiB on CPU, where vmap brings nothing.
CPU_PIXELS = 4 * 512**2


def measure(function, *args, batch: int = 0, in_axes=None) -> dict:
    """Compiles, warms up, and takes the median; with `batch`, `in_axes` says what has a leading frame axis."""
    if batch:
        args = [
            jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * batch), arg) if axis == 0 else arg
            for arg, axis in zip(args, in_axes, strict=True)
        ]
        function = jax.vmap(function, in_axes=in_axes)
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*args).compile()
    compile_seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    seconds, value = median_seconds(lambda: jax.block_until_ready(compiled(*args)))
    temporary = memory.temp_size_in_bytes / 2**20 if memory is not None else None
    return dict(seconds=seconds, compile_seconds=compile_seconds, temporary_mib=temporary, value=value)


def median_seconds(call) -> tuple[float, object]:
    """The median of the runs after the first, and the last value."""
    value, seconds = call(), []
    for _ in range(REPEATS.value):
        start = time.perf_counter()
        value = call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), value


def stage_rows(size: int, batches: list[int]) -> list[dict]:
    """Every stage on a synthetic face whose landmarks are known."""
    rows = []

    def add(stage, *args, batch=0, in_axes=None):
        if batch * size**2 > CPU_PIXELS and jax.default_backend() == "cpu":
            rows.append(dict(stage=stage, size=size, batch=batch, note="not run: too large for a CPU"))
            return None
        result = measure(*args, batch=batch, in_axes=in_axes)
        value = result.pop("value")
        frames = max(batch, 1)
        rows.append(dict(stage=stage, size=size, batch=frames, frame_seconds=result["seconds"] / frames, **result))
        return value

    model, preset = load_default(), presets.default(size=size)
    face = synthetic_face(jax.random.key(0), model=model, size=size)
    shared, camera = share(prepare(model), preset), face.camera
    view = View(face.landmarks, camera, jnp.array([size, size], jnp.float32), jnp.float32(1.0))
    state = State()

    def run(stage, state, view, shared):
        return program.step(state, view, shared=shared, stage=stage)[0]

    def add_stage(stage, state, view, batch=0):
        """A stage, with `batch` frames under one vmap."""
        name = f"{stage.name}, vmap" if batch else stage.name
        return add(name, functools.partial(run, stage), state, view, shared, batch=batch, in_axes=(0, 0, None))

    steps = [(program.COARSE, state, view)]
    state = add_stage(*steps[0])
    crop = face_crop(state.shape_mm, state.fit.pose, camera, model=model, size=size)
    view = view._replace(crop=crop, window=jnp.asarray(crop_window(np.asarray(face.image), crop, size=size)))
    for stage in (*program.shape_stages(shared), *program.surface_stages(shared)):
        steps.append((stage, state, view))
        state = add_stage(*steps[-1])
    add("textures", _finish, state, view, shared)
    for batch in batches:
        for step in steps:
            add_stage(*step, batch=batch)
    rec = pipeline.reconstruct(np.asarray(face.image), landmarks=face.landmarks, size=size)
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = median_seconds(lambda: rec.save(pathlib.Path(folder) / "face"))
    rows.append(dict(stage="export", size=size, batch=1, seconds=seconds, frame_seconds=seconds))
    return rows


def _finish(state, view, shared):
    return program.finish(state, view, shared=shared)


def detection_rows(photo: str) -> list[dict]:
    """MediaPipe on the portrait, where it is installed."""
    if importlib.util.find_spec("mediapipe") is None:
        return [dict(stage="detection", note="not run: MediaPipe is not installed")]
    image = as_rgb(read_image(photo))
    seconds, _ = median_seconds(
        lambda: sources.find_landmarks(image),
    )
    return [dict(stage="detection", batch=1, seconds=seconds, frame_seconds=seconds)]


def network_rows() -> list[dict]:
    """The optional networks, at the sizes that they always see; random weights cost as much as trained ones."""
    rows, side = [], mobilenet.CROP_SIZE
    cases = [
        ("3ddfa", mobilenet, mobilenet.regress, side, {"widths": mobilenet_widths()}, (0, 16)),
        ("bisenet", bisenet, bisenet.parse_logits, 512, {}, (0,)),
    ]
    for name, module, apply, size, sizes, batches in cases:
        picture = jnp.full((size, size, 3), 0.5)
        is_installed = catalogue.is_installed(catalogue.find(name))
        init = module._NETWORK.init
        params = store.resolve_network(name).params if is_installed else init(jax.random.key(0), picture, **sizes)
        for batch in batches:
            result = measure(apply, params, picture, batch=batch, in_axes=(None, 0))
            del result["value"]
            frames, note = max(batch, 1), "weights as installed" if is_installed else "random weights"
            per_frame = result["seconds"] / frames
            row = dict(stage=f"network {name}", size=size, batch=frames, frame_seconds=per_frame, **result, note=note)
            rows.append(row)
    return rows


def mobilenet_widths() -> dict[str, int]:
    """Channels of 3DDFA_V2's smaller network, half of MobileNet-V1's."""
    outputs = (32, 64, 64, 128, 128, *6 * (256,), 512, 512)
    widths, inputs = {"conv1": 16}, 16
    for block, width in zip(mobilenet._STRIDES, outputs, strict=True):
        widths |= {f"{block}_dw": inputs, f"{block}_sep": width}
        inputs = width
    return widths


def photo_rows(photo: str) -> list[dict]:
    """Photo to GLB by the command line, first with an empty compilation cache, then with a full one."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: os.path.join(folder, name) for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME")}
        command = [sys.executable, "-m", "jaxface", "reconstruct", photo, f"--output_dir={folder}/out"]
        for state in ("cold", "warm"):
            start = time.perf_counter()
            process = subprocess.Popen(command, env=os.environ | caches, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            if status != 0:
                raise app.Error(f"The command line failed on {photo}; its message is above.")
            rows.append(dict(run=f"photo to GLB, {state}", seconds=seconds, peak_mib=_mib(usage.ru_maxrss)))
    return rows


def _mib(maxrss: int) -> float:
    """Linux counts in KiB, macOS in bytes."""
    return maxrss / 2**20 if sys.platform == "darwin" else maxrss / 2**10


def torch_rows(sizes: list[int]) -> list[dict]:
    """The comparison with eager PyTorch, where the user has named one."""
    steps = tuple(int(step) for step in TORCH_STEPS.value)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            rows += torch_comparison.compare(
                python=TORCH_PYTHON.value, script=TORCH_SCRIPT.value, folder=pathlib.Path(folder), size=size,
                steps=steps, repeats=REPEATS.value,
            )  # fmt: skip
    return rows


def machine() -> dict:
    """What the numbers depend on, without names or paths of this computer."""
    return dict(device=jax.devices()[0].device_kind, backend=jax.default_backend(), cpus=os.cpu_count(),
                architecture=platform.machine(), python=platform.python_version(), jax=jax.__version__,
                numpy=np.__version__)  # fmt: skip


def main(_):
    photo = str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    sizes, batches = ([int(x) for x in flag.value] for flag in (SIZES, BATCHES))
    results = {"machine": machine()}
    if PHOTO.value:  # first: a child's peak memory starts at its parent's
        results["photo"] = photo_rows(photo)
    # Before the stages, whose memory would disturb it.
    compared = TORCH_PYTHON.value and TORCH_SCRIPT.value
    if compared:
        results["torch"] = torch_rows(sizes)
    results["stages"] = [
        *detection_rows(photo),
        *network_rows(),
        *(row for size in sizes for row in stage_rows(size, batches)),
    ]
    results["peak_mib"] = _mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    lines = ["# Benchmark", "", facts, "", "## Stages", "", *report.every_column(results["stages"]), ""]
    lines += [f"Peak memory of this process: {results['peak_mib']:.0f} MiB.", ""]
    if PHOTO.value:
        lines += ["## Command line", "", *report.every_column(results["photo"]), ""]
    comparison = (
        report.every_column(results["torch"]) if compared else ["Not run: name --torch_python and --torch_script."]
    )
    lines += ["## Eager PyTorch, milliseconds an iteration", "", *comparison]
    report.write(OUTPUT_DIR.value, f"benchmark_{report.slug(results['machine']['device'])}", lines, results)


if __name__ == "__main__":
    app.run(main)
