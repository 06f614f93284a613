"""Makes all shards, several at a time, with a progress bar; what is there already is kept."""

import contextlib
import hashlib
import multiprocessing
import os
import pathlib
from collections.abc import Iterator
from concurrent import futures

from tqdm import tqdm

from learned_normals import families, fits, pictures


def gather(folder: pathlib.Path, *, count: int, seed: int, jobs: int) -> int:
    """At least `count` pictures with the product's fits in a folder; gives how many it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    each = pictures.PERSONS * pictures.PICTURES
    used = tuple(name for name in ("default", "ict") if families.is_there(name))
    work = [(folder, number, seed, used) for number in range(-(-count // each))]
    with _single_threaded(), futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for _ in tqdm(pool.map(_shard, work), total=len(work), desc="shards of pictures", mininterval=10.0):
            pass
    return each * len(work)


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """For processes that begin meanwhile: XLA and NumPy are not to fight over cores."""
    before = dict(os.environ)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _shard(work: tuple) -> None:
    folder, number, seed, used = work
    path = pictures.write_shard(folder, number, seed=seed, families_used=used)
    fits.write_fits(path, models=(*["default"] * 2, *used[1:]))


def digest(folder: pathlib.Path) -> str:
    """Of all pictures and fits in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.npz")):
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
