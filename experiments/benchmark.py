"""Seconds and memory of every stage, compilation apart, on whatever device JAX finds.

    python experiments/benchmark.py

About 10 minutes on 2 cores; prints a table and writes experiments/results/benchmark_<device>.md and .json. On 2 cores
expect a photo to be a GLB in at most 20 s (60 s with nothing compiled before). For the comparison with eager PyTorch
name a Python that has it, and the script to compare with:

    python experiments/benchmark.py --torch_python=.../bin/python --torch_script=.../torch_eager.py
"""

import importlib.util
import json
import os
import pathlib
import platform
import re
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

from jaxface import frame, pipeline, presets
from jaxface.detection import sources
from jaxface.export.bundle import write_all
from jaxface.io.arrays import as_rgb
from jaxface.io.images import read_image
from jaxface.morphable.default import load_default
from jaxface.stages import detail, fine, observe
from jaxface.synthetic import synthetic_face

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

    templates, chosen = frame.prepare(load_default()), presets.default(size=size)
    face = synthetic_face(jax.random.key(0), model=templates.model, size=size)
    model, camera, image = templates.model, face.camera, face.image
    shape_args = (face.landmarks, camera, templates, chosen.stiffness)
    first, second, centre, side = add("coarse + medium", frame.fit_shape, *shape_args)
    crop = frame.square_crop(centre, side, size=size)
    pose, window = frame.crop_pose(first.pose, crop), frame.crop_camera(camera, crop)
    image = jax.jit(frame.crop_image, static_argnames="size")(image, crop, size=size)

    def see(image, vertices_mm, pose, window, model, surface):
        inside = jnp.ones(image.shape[:2], jnp.float32)
        return observe.run(image, vertices_mm, pose, camera=window, model=model, surface=surface, inside=inside)

    def refine(inputs, weights):
        return fine.run(inputs, weights=weights, schedule=chosen.schedule)

    def displace(vertices_mm, maps, pose, window, templates):
        return detail.run(vertices_mm, maps, pose, window, model=templates.model, template=templates.detail)

    def bake(mesh, maps, pose, window, templates):
        return detail.bake(mesh, maps, pose, window, model=templates.model, template=templates.detail)

    inputs = add("observe", see, image, second.vertices_mm, pose, window, model, templates.surface)
    maps = add("fine", refine, inputs, chosen.weights)
    mesh = add("detail", displace, second.vertices_mm, maps, pose, window, templates)
    add("bake", bake, mesh, maps, pose, window, templates)

    def surface(image, vertices_mm, fit, crop, camera, templates, weights):
        limits = jnp.array([size, size], jnp.float32)
        return frame.fit_surface(
            image, vertices_mm, fit, camera, crop, limits, templates, weights, schedule=chosen.schedule
        )

    for batch in batches:
        add("coarse + medium, vmap", frame.fit_shape, *shape_args, batch=batch, in_axes=(0, None, None, None))
        add(
            "observe + fine, vmap", surface, image, second.vertices_mm, first, crop, camera, templates, chosen.weights,
            batch=batch, in_axes=(0, 0, 0, 0, None, None, None),
        )  # fmt: skip
    rec = pipeline.reconstruct(np.asarray(face.image), landmarks=face.landmarks, size=size)
    renders = pipeline.render_shapes(rec)
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = median_seconds(lambda: write_all(pathlib.Path(folder) / "face", rec, renders=renders))
    rows.append(dict(stage="export", size=size, batch=1, seconds=seconds, frame_seconds=seconds))
    return rows


def detection_rows(photo: str) -> list[dict]:
    """MediaPipe on the portrait, where it is installed."""
    if importlib.util.find_spec("mediapipe") is None:
        return [dict(stage="detection", note="not run: MediaPipe is not installed")]
    image = as_rgb(read_image(photo))
    seconds, _ = median_seconds(
        lambda: sources.find_landmarks(image, source=None, face=None, landmarker_task=None),
    )
    return [dict(stage="detection", batch=1, seconds=seconds, frame_seconds=seconds)]


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


def table(rows: list[dict]) -> str:
    """Markdown; columns in order of first appearance, an empty cell where a row has no such number."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [row.get(name) for name in columns]
        cells = [f"{x:.4g}" if isinstance(x, float) else "" if x is None else str(x) for x in cells]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
    results["stages"] = [*detection_rows(photo), *(row for size in sizes for row in stage_rows(size, batches))]
    results["peak_mib"] = _mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    facts = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    parts = [f"# Benchmark\n\n{facts}", f"## Stages\n\n{table(results['stages'])}"]
    parts.append(f"Peak memory of this process: {results['peak_mib']:.0f} MiB.")
    if PHOTO.value:
        parts.append(f"## Command line\n\n{table(results['photo'])}")
    comparison = table(results["torch"]) if compared else "Not run: name --torch_python and --torch_script."
    parts.append(f"## Eager PyTorch, milliseconds an iteration\n\n{comparison}")
    text = "\n\n".join(parts) + "\n"
    print(text)
    slug = re.sub(r"[^a-z0-9]+", "_", results["machine"]["device"].lower()).strip("_")
    path = pathlib.Path(OUTPUT_DIR.value) / f"benchmark_{slug}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(text)
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
