"""Makes all shards, several at a time, with a progress bar; what is there already is kept."""

import hashlib
import multiprocessing
import os
import pathlib
from concurrent import futures

from tqdm import tqdm

from learned_normals import families, pictures


def gather(folder: pathlib.Path, *, count: int, seed: int, jobs: int) -> int:
    """At least `count` pictures with the product's fits in a folder; gives how many it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    each = pictures.PERSONS * pictures.PICTURES
    used = tuple(name for name in ("default", "ict") if families.is_there(name))
    work = [(folder, number, seed, used) for number in range(-(-count // each))]
    with futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_alone) as pool:
        for _ in tqdm(pool.map(_shard, work), total=len(work), desc="shards of pictures", mininterval=10.0):
            pass
    return each * len(work)


def _alone() -> None:
    """One core a process: XLA and NumPy are not to fight over them."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")


def _shard(work: tuple) -> None:
    from learned_normals import fits

    folder, number, seed, used = work
    path = pictures.write_shard(folder, number, seed=seed, families_used=used)
    fits.write_fits(path, models=(*["default"] * 2, *used[1:]))


def digest(folder: pathlib.Path) -> str:
    """Of all pictures and fits in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.npz")):
        found.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
