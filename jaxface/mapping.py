"""One mapper for all that is done to frames: a chunk of them is shared out over the devices, and each device maps
its share. A photo is a chunk of one.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxface.execution import Timed, compile_ahead, run_timed
from jaxface.types import FaceError

_CPU_CHUNK = 8  # frames in sequence: enough to hide dispatch, few to lose when interrupted
_MOST = 64  # frames a device: more brings accelerators nothing
_MEMORY_SHARE = 0.7  # of a device's memory
# Of one frame in all stages, by XLA's own account of the compiled programs: its square crop, and meshes with textures.
_BYTES_PER_PIXEL = 1000
_BYTES_BESIDE = 320e6


class FrameMap:
    """`function(*frame, shared=shared)`, pure and of one frame, over a chunk: `frame_map(*frames, shared=shared)`.

    `frames` and the result are pytrees of arrays whose leading axis counts frames; `shared` is any pytree that all
    frames see (a model, a preset, an identity). One compilation a shape. CPUs take frames in sequence (`lax.map`: vmap
    brings nothing there), accelerators all at once (`vmap`). The number of frames must be a multiple of that of the
    `devices`, by default all of this host.
    """

    def __init__(self, function: Callable[..., Any], *, devices: Sequence[jax.Device] | None = None):
        mesh = Mesh(np.array(jax.local_devices() if devices is None else list(devices)), ("frames",))
        self._by_frame = NamedSharding(mesh, PartitionSpec("frames"))
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._program = _on_mesh(function, mesh)

    def __call__(self, *frames: Any, shared: Any = None) -> Any:
        """The results of a chunk, which stay on the devices."""
        return self.timed(*frames, shared=shared).value

    def timed(self, *frames: Any, shared: Any = None) -> Timed:
        """The same, waited for, with the seconds that compiling and running took."""
        frames, shared = jax.device_put(frames, self._by_frame), jax.device_put(shared, self._everywhere)
        return run_timed(self._program, frames, shared)

    def ahead(self, *frames: Any, shared: Any = None) -> Any:
        """Compiles for arrays like these, or `jax.ShapeDtypeStruct`s; returns such structs of the result."""
        return compile_ahead(self._program, _like(frames, self._by_frame), _like(shared, self._everywhere))


def _like(tree: Any, sharding: NamedSharding) -> Any:
    def struct(leaf):
        kind = jax.api_util.shaped_abstractify(leaf)
        return jax.ShapeDtypeStruct(kind.shape, kind.dtype, sharding=sharding, weak_type=kind.weak_type)

    return jax.tree.map(struct, tree)


def _on_mesh(function: Callable[..., Any], mesh: Mesh) -> Callable[[Any, Any], Any]:
    in_sequence = mesh.devices[0].platform == "cpu"

    def map_share(frames, shared):
        def on_one(frame):
            return function(*frame, shared=shared)

        if len(jax.tree.leaves(frames)[0]) == 1:  # without the loop, in whose body XLA's CPU threads lie idle
            alone = on_one(jax.tree.map(lambda leaf: leaf[0], frames))
            return jax.tree.map(lambda leaf: leaf[None], alone)
        return jax.lax.map(on_one, frames) if in_sequence else jax.vmap(on_one)(frames)

    by_frame, everywhere = PartitionSpec("frames"), PartitionSpec()
    if mesh.size == 1:
        return map_share
    return _shard_map()(map_share, mesh=mesh, in_specs=(by_frame, everywhere), out_specs=by_frame)


@functools.cache
def frame_map(function: Callable[..., Any], **static: Any) -> FrameMap:
    """The map of `function(*frame, shared=..., **static)`, made once a process; `static` must be hashable."""
    return FrameMap(functools.partial(function, **static))


def chunk_length(*, size: int, num_frames: int | None, override: int | None) -> int:
    """Frames at a time for crops of `size` x `size` pixels: as many as the devices' memory holds, a multiple of their
    number, and no more than the clip needs. `override` is the user's own; raises FaceError if it cannot be had."""
    devices = jax.local_devices()
    count = len(devices)
    if override is not None:
        if override < 1 or override % count:
            raise FaceError(f"The chunk must be a multiple of the number of devices, which is {count}, not {override}.")
        return override
    share = _CPU_CHUNK // count if devices[0].platform == "cpu" else _frames_in_memory(devices[0], size=size)
    needed = share if num_frames is None else -(-num_frames // count)
    return count * max(1, min(share, needed))


def batch_length(*, size: int, num_photos: int) -> int:
    """Photos at a time: one on CPUs, where more bring nothing, else as many as `chunk_length` says."""
    if jax.local_devices()[0].platform == "cpu":
        return len(jax.local_devices())
    return chunk_length(size=size, num_frames=num_photos, override=None)


def pad(tree: Any, *, length: int) -> Any:
    """Repeats the last frame of each array (host) until there are `length` frames; more than that is an error."""

    def pad_leaf(leaf):
        frames = np.asarray(leaf)
        return np.pad(frames, [(0, length - len(frames))] + [(0, 0)] * (frames.ndim - 1), mode="edge")

    return jax.tree.map(pad_leaf, tree)


def stack(trees: Sequence[Any]) -> Any:
    """One tree with a leading frame axis (host arrays)."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def join(trees: Sequence[Any]) -> Any:
    """Chunks one behind the other (host arrays)."""
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *trees)


def at(tree: Any, *, index: int) -> Any:
    """One frame of every array."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _frames_in_memory(device: jax.Device, *, size: int) -> int:
    """A power of two, so that small differences between machines of a kind change nothing."""
    memory = (device.memory_stats() or {}).get("bytes_limit", 0)
    frames = int(_MEMORY_SHARE * memory / (_BYTES_BESIDE + _BYTES_PER_PIXEL * size * size))
    return min(_MOST, 1 << max(frames.bit_length() - 1, 0))


def _shard_map() -> Callable[..., Any]:
    """`jax.shard_map`, or its older name; unchecked, since the per-frame functions know nothing of meshes."""
    if hasattr(jax, "shard_map"):
        return functools.partial(jax.shard_map, check_vma=False)
    from jax.experimental.shard_map import shard_map  # before jax 0.6.1

    return functools.partial(shard_map, check_rep=False)
