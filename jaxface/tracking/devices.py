"""Many frames at once on whatever devices there are: the frame axis is shared out, and each device maps its share."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxface.types import FaceError

_CPU_CHUNK = 8  # frames in sequence: enough to hide dispatch, few to lose when interrupted
_MOST = 64  # frames a device: more brings accelerators nothing
_MEMORY_SHARE = 0.7  # of a device's memory
# Of one frame in all stages, by XLA's own account of the compiled programs: its square crop, and meshes with textures.
_BYTES_PER_PIXEL = 1000
_BYTES_BESIDE = 320e6


def frame_map(function: Callable[..., Any], *, devices: Sequence[jax.Device] | None = None) -> Callable[..., Any]:
    """Maps `function(*frame, shared=shared)`, pure and of one frame, over a chunk: `mapped(*frames, shared=shared)`.

    `frames` and the result are pytrees of arrays whose leading axis counts frames; `shared` is any pytree that all
    frames see (a model, an identity). One compilation a shape. CPUs take frames in sequence (`lax.map`: vmap brings
    nothing there), accelerators all at once (`vmap`). The number of frames must be a multiple of that of the
    `devices`, by default all of this host.
    """
    mesh = Mesh(np.array(jax.local_devices() if devices is None else list(devices)), ("frames",))
    in_sequence = _in_sequence(mesh)
    by_frame, everywhere = PartitionSpec("frames"), PartitionSpec()

    def map_share(frames, shared):
        def on_one(frame):
            return function(*frame, shared=shared)

        return jax.lax.map(on_one, frames) if in_sequence else jax.vmap(on_one)(frames)

    compiled = jax.jit(_shard_map()(map_share, mesh=mesh, in_specs=(by_frame, everywhere), out_specs=by_frame))

    def mapped(*frames: Any, shared: Any = None) -> Any:
        frames = jax.device_put(frames, NamedSharding(mesh, by_frame))
        return compiled(frames, jax.device_put(shared, NamedSharding(mesh, everywhere)))

    return mapped


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


def pad(tree: Any, *, length: int) -> Any:
    """Repeats the last frame of each array (host) until there are `length` frames; more than that is an error."""

    def pad_leaf(leaf):
        frames = np.asarray(leaf)
        return np.pad(frames, [(0, length - len(frames))] + [(0, 0)] * (frames.ndim - 1), mode="edge")

    return jax.tree.map(pad_leaf, tree)


def _in_sequence(mesh: Mesh) -> bool:
    return mesh.devices[0].platform == "cpu"


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
