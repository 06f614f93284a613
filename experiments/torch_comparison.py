"""The fine stage against the same schedule in eager PyTorch, interleaved on one scene; used by benchmark.py.

The schedule, rates and energies are those of the script that is compared with (Eq. 9 on the change of the height, all
sums in its units), so that results agree; PyTorch runs in its own process.
"""

import dataclasses
import functools
import os
import pathlib
import re
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import presets
from jaxface.energies.scene import Phase, Scene, Term, Unknown, height_term
from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import erode, masked_blur
from jaxface.morphable.default import load_default
from jaxface.numerics import matmul
from jaxface.rendering.appearance import fill_outside
from jaxface.rendering.camera import project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import sh_basis, shading
from jaxface.rendering.raster import rasterise
from jaxface.stages import fine
from jaxface.synthetic import synthetic_face

BLURS = ("depthwise", "batch", "box")  # how PyTorch blurs; ours is the exact Gaussian throughout
GREY_LEVELS = 255.0**2  # the compared script multiplies Eqs. 6 and 8 by this


def make_scene(*, size: int) -> dict[str, np.ndarray]:
    """A synthetic face with a smooth height map and a smooth albedo to start from."""
    face = synthetic_face(jax.random.key(3), model=load_default(), size=size)
    points = project(face.smooth_mm, face.pose, camera=face.camera)
    raster = rasterise(points, face.triangles, height=size, width=size)
    covered = (raster.triangle >= 0).astype(jnp.float32)
    mask = erode(covered * face.mask)
    albedo = masked_blur(face.albedo, face.mask, sigma=size / 64.0)
    scene = dict(image=face.image, depth0=fill_outside(raster.height_px, covered), mask=mask, albedo0=albedo)
    return {name: np.asarray(value) for name, value in scene.items()}


@functools.partial(jax.jit, static_argnames="steps")
def solve(image: jax.Array, depth0: jax.Array, mask: jax.Array, albedo0: jax.Array, *, steps: tuple[int, int, int]):
    """Light, albedo, then two phases of one albedo, specular and depth step each; returns the three maps."""
    normals, inside = depth_normals(depth0), mask[..., None]
    light = _fit_light(image, albedo0, normals, mask)
    shade, nothing = shading(normals, light), jnp.zeros_like(image)
    mean = jnp.sum(image * inside, axis=(0, 1)) / jnp.sum(shade * inside, axis=(0, 1))
    scene = Scene(
        image=image, covered=mask, mask=mask, light=light, mean_albedo=jnp.broadcast_to(mean, image.shape),
        albedo=albedo0, specular=nothing, initial_specular=nothing, initial_height_px=depth0, height_px=depth0,
        shading=shade, finite=jnp.array(True),
    )  # fmt: skip
    scene = fine.solve(scene, Phase(_unknowns(presets.paper().fine.albedo), num_steps=steps[0]))
    scene = scene._replace(initial_specular=(image - render(scene.albedo, shade)) * inside)
    for phase, num_steps in zip((presets.paper().fine.phase1, presets.paper().fine.phase2), steps[1:], strict=True):
        scene = fine.solve(scene, Phase(_unknowns(phase), num_steps=num_steps))
    return scene.albedo, scene.specular, scene.height_px


def _unknowns(phase: Phase) -> tuple[Unknown, ...]:
    """The paper's, in the units of the script that is compared with; Eq. 9 in our reading."""
    energies = {"height_px": height_term}
    return tuple(
        dataclasses.replace(each, energy=energies.get(each.name, functools.partial(_in_grey_levels, each.energy)))
        for each in phase.unknowns
    )


def _in_grey_levels(term: Term, scene: Scene, weights) -> jax.Array:
    return GREY_LEVELS * term(scene, weights)


def _fit_light(image, albedo, normals, mask):
    """Plain least squares on the mask, as the compared script has it; `estimate_light` is robust."""

    def channel(colour, gamma):
        rows = sh_basis(normals).reshape(-1, 9) * (gamma * mask).reshape(-1, 1)
        # QR as lstsq does: the normal equations lose too many digits in float32.
        orthogonal, upper = jnp.linalg.qr(rows)
        target = matmul(orthogonal.T, (colour * mask).reshape(-1))
        return jax.scipy.linalg.solve_triangular(upper, target, lower=False)

    return jax.vmap(channel, in_axes=-1, out_axes=-1)(image, albedo)


def compare(
    *, python: str, script: str, folder: pathlib.Path, size: int, steps: tuple[int, int, int], repeats: int
) -> list[dict]:
    """Ours and PyTorch's in turn, `repeats` times for each kind of blur; one row a kind, with medians."""
    scene = make_scene(size=size)
    path = folder / f"scene{size}.npz"
    np.savez(path, **scene)
    arrays = [jnp.asarray(scene[name]) for name in ("image", "depth0", "mask", "albedo0")]
    jax.block_until_ready(solve(*arrays, steps=steps))
    inner = np.asarray(erode(arrays[2])) > 0
    ours_ms, torch_ms, apart_px = {kind: [] for kind in BLURS}, {kind: [] for kind in BLURS}, {}
    for _ in range(repeats):
        for kind in BLURS:
            start = time.perf_counter()
            blocks = jax.block_until_ready(solve(*arrays, steps=steps))
            ours_ms[kind].append(1e3 * (time.perf_counter() - start) / sum(steps))
            milliseconds, depth = _run_torch(python, script, path, kind=kind, steps=steps)
            torch_ms[kind].append(milliseconds)
            difference = np.asarray(blocks[2]) - depth
            apart_px[kind] = float(np.sqrt(np.mean(difference[inner] ** 2)))
    rows = []
    for kind in BLURS:
        ours, theirs = float(np.median(ours_ms[kind])), float(np.median(torch_ms[kind]))
        rows.append(
            dict(size=size, torch_blur=kind, jaxface_ms=ours, torch_ms=theirs, ratio=theirs / ours,
                 depth_rms_px=apart_px[kind])
        )  # fmt: skip
    return rows


def _run_torch(
    python: str, script: str, scene: pathlib.Path, *, kind: str, steps: tuple[int, int, int]
) -> tuple[float, np.ndarray]:
    """Milliseconds an iteration as the script prints them, and its height map."""
    result = scene.with_name("torch.npz")
    command = [python, script, str(scene), "--iters", ",".join(map(str, steps)), "--blur", kind]
    command += ["--threads", str(os.cpu_count()), "--out", str(result)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    milliseconds = float(re.search(r"\(([\d.]+) ms/iteration\)", printed).group(1))
    with np.load(result) as arrays:
        return milliseconds, arrays["depth"]
