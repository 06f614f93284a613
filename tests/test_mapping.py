"""Frames mapped over one device and over four forced ones; chunks that fit and padding that repeats."""

import json
import os
import pathlib
import subprocess
import sys
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import mapping
from jaxface.mapping import FrameMap, at, batch_length, chunk_length, frame_map, join, pad, stack
from jaxface.types import FaceError

ROOT = pathlib.Path(__file__).resolve().parents[1]


def fit(start, target, *, shared):
    """A small solve with a scan, a loop of its own length, a factorisation and a pytree in and out."""
    matrix = shared["matrix"] + jnp.diag(target["weight"])

    def step(x, _):
        return x - shared["rate"] * (matrix @ x - target["value"]), jnp.sum(x)

    x, sums = jax.lax.scan(step, start, length=5)
    halvings = jax.lax.while_loop(lambda s: jnp.abs(s[0]) > 1.0, lambda s: (s[0] / 2, s[1] + 1), (x[0] * 50.0, 0))[1]
    return {"x": x, "solved": jax.scipy.linalg.solve(matrix, x, assume_a="pos")}, (sums, halvings)


def chunk(num_frames=8, num_unknowns=3):
    rng = np.random.default_rng(0)
    start, value = rng.normal(size=(2, num_frames, num_unknowns)).astype(np.float32)
    weight = rng.uniform(1.0, 2.0, (num_frames, num_unknowns)).astype(np.float32)
    shared = {"matrix": np.eye(num_unknowns, dtype=np.float32) + 0.1, "rate": np.float32(0.2)}
    return (start, {"value": value, "weight": weight}), shared


def one_by_one(frames, shared):
    results = [fit(*jax.tree.map(lambda leaf, t=t: leaf[t], frames), shared=shared) for t in range(len(frames[0]))]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *results)


def check_equal(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


@pytest.mark.parametrize("num_frames", [1, 8])
def test_a_chunk_is_its_frames_one_by_one(num_frames):
    frames, shared = chunk(num_frames)
    check_equal(FrameMap(fit, devices=jax.devices()[:1])(*frames, shared=shared), one_by_one(frames, shared))


@pytest.mark.parametrize(
    ("platform", "num_frames", "other"), [("cpu", 8, "vmap"), ("gpu", 8, "map"), ("cpu", 1, "map")]
)
def test_cpus_take_frames_in_sequence_and_accelerators_all_at_once(platform, num_frames, other, monkeypatch):
    frames, shared = chunk(num_frames)
    expected = one_by_one(frames, shared)
    monkeypatch.setattr(jax if other == "vmap" else jax.lax, other, None)  # must not be asked
    mesh = types.SimpleNamespace(devices=[types.SimpleNamespace(platform=platform)], size=1)
    check_equal(mapping._on_mesh(fit, mesh)(frames, shared), expected)


def test_one_map_a_function_and_its_settings():
    def scaled(x, *, shared, factor):
        return factor * x + shared

    assert frame_map(scaled, factor=2.0) is frame_map(scaled, factor=2.0) is not frame_map(scaled, factor=3.0)
    timed = frame_map(scaled, factor=2.0).timed(np.ones((1, 2), np.float32), shared=np.float32(1.0))
    np.testing.assert_array_equal(timed.value, [[3.0, 3.0]])
    assert timed.seconds > 0.0 and timed.compile_seconds > 0.0


def test_one_compile_a_shape():
    traced = chex.assert_max_traces(fit, n=2)  # one for each of two shapes
    mapped = FrameMap(traced, devices=jax.devices()[:1])
    for num_frames in (4, 4, 8, 4, 8):
        frames, shared = chunk(num_frames)
        shared["rate"] *= np.float32(0.5)
        mapped(*frames, shared=shared)
    frames, shared = chunk(2)
    with pytest.raises(AssertionError, match="traced"):
        mapped(*frames, shared=shared)


def test_nothing_need_be_shared():
    mapped = FrameMap(lambda x, *, shared: 2.0 * x, devices=jax.devices()[:1])
    np.testing.assert_array_equal(mapped(np.arange(3.0, dtype=np.float32)), [0.0, 2.0, 4.0])


FOUR = """
import json, sys
import chex, jax, numpy as np
sys.path.insert(0, "tests")
from test_mapping import chunk, fit
from jaxface.mapping import FrameMap, chunk_length
from jaxface.types import FaceError

frames, shared = chunk()
four = FrameMap(chex.assert_max_traces(fit, n=1))
once, again = four(*frames, shared=shared), four(*frames, shared=shared)
chained = FrameMap(lambda x, *, shared: x + shared)(once[0]["x"], shared=np.float32(1.0))
one = FrameMap(fit, devices=jax.devices()[2:3])(*frames, shared=shared)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6), again, one)
np.testing.assert_allclose(chained, np.asarray(one[0]["x"]) + 1.0, rtol=1e-6)
try:
    chunk_length(size=64, num_frames=None, override=6)
except FaceError as error:
    refusal = str(error)
print(json.dumps({
    "devices": jax.device_count(),
    "rows": sorted((shard.device.id, shard.index[0].start) for shard in once[0]["x"].addressable_shards),
    "lone": [device.id for device in one[0]["x"].devices()],
    "chunks": [chunk_length(size=64, num_frames=n, override=None) for n in (None, 3, 5, 100)],
    "refusal": refusal,
}))
"""


def test_four_devices_share_the_frames_and_give_what_one_gives():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", FOUR]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["devices"] == 4
    assert told["rows"] == [[0, 0], [1, 2], [2, 4], [3, 6]]
    assert told["lone"] == [2]
    assert told["chunks"] == [8, 4, 8, 8]
    assert "multiple" in told["refusal"] and "4, not 6" in told["refusal"]


class _Accelerator:
    platform = "gpu"

    def __init__(self, gigabytes):
        self._stats = None if gigabytes is None else {"bytes_limit": int(gigabytes * 2**30)}

    def memory_stats(self):
        return self._stats


@pytest.fixture
def accelerators(monkeypatch):
    """A host with these many accelerators of that much memory."""
    return lambda count, gigabytes: monkeypatch.setattr(jax, "local_devices", lambda: [_Accelerator(gigabytes)] * count)


def test_chunks_on_cpus_are_short_and_no_longer_than_the_clip(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices("cpu")[:1])
    lengths = [chunk_length(size=size, num_frames=n, override=None) for size in (64, 4096) for n in (None, 100, 5, 1)]
    assert lengths == [8, 8, 5, 1] * 2
    assert chunk_length(size=64, num_frames=3, override=17) == 17


def test_chunks_on_accelerators_fill_their_memory(accelerators):
    lengths = {}
    for gigabytes in (2, 8, 24, 80):
        accelerators(1, gigabytes)
        lengths[gigabytes] = chunk_length(size=512, num_frames=None, override=None)
    frame_bytes = mapping._BYTES_PER_PIXEL * 512**2 + mapping._BYTES_BESIDE
    assert all(n * frame_bytes < 0.8 * g * 2**30 for g, n in lengths.items())
    assert lengths[2] < lengths[8] < lengths[24] < lengths[80]
    accelerators(1, 8)
    assert chunk_length(size=1024, num_frames=None, override=None) < lengths[8]
    accelerators(3, 8)
    assert chunk_length(size=512, num_frames=None, override=None) == 3 * lengths[8]
    assert chunk_length(size=512, num_frames=4, override=None) == 6
    accelerators(1, None)  # a device that does not tell
    assert chunk_length(size=512, num_frames=None, override=None) == 1


def test_photos_go_one_by_one_on_cpus_and_together_on_accelerators(accelerators, monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices("cpu")[:1])
    assert batch_length(size=512, num_photos=100) == 1
    accelerators(1, 24)
    assert batch_length(size=512, num_photos=100) == chunk_length(size=512, num_frames=100, override=None) > 1
    assert batch_length(size=512, num_photos=3) == 3


@pytest.mark.parametrize("override", [0, -4, 5])
def test_a_chunk_that_cannot_be_shared_out_is_refused(override, accelerators):
    accelerators(2, 24)
    with pytest.raises(FaceError, match=f"multiple of the number of devices, which is 2, not {override}"):
        chunk_length(size=64, num_frames=None, override=override)


def test_padding_repeats_the_last_frame():
    tree = {"image": np.arange(12).reshape(3, 2, 2).astype(np.uint8), "pose": (np.arange(3.0), jnp.zeros((3, 0)))}
    padded = pad(tree, length=5)
    assert padded["image"].dtype == np.uint8
    np.testing.assert_array_equal(padded["image"], tree["image"][[0, 1, 2, 2, 2]])
    np.testing.assert_array_equal(padded["pose"][0], [0.0, 1.0, 2.0, 2.0, 2.0])
    assert padded["pose"][1].shape == (5, 0)
    np.testing.assert_array_equal(pad(tree, length=3)["image"], tree["image"])


def test_padding_drops_no_frame():
    with pytest.raises(ValueError, match="negative"):
        pad(np.zeros((3, 2)), length=2)


def test_frames_are_stacked_joined_and_taken():
    frames = [{"x": np.full(2, k), "y": (np.float32(k),)} for k in range(3)]
    tree = stack(frames)
    assert tree["x"].shape == (3, 2) and tree["y"][0].shape == (3,)
    jax.tree.map(np.testing.assert_array_equal, at(tree, index=1), frames[1])
    joined = join([tree, stack(frames[:1])])
    np.testing.assert_array_equal(joined["y"][0], [0.0, 1.0, 2.0, 0.0])
