"""The ablation of the albedo's detail term from its command line, at a tiny size, and its parts."""

import functools
import json
import os
import pathlib
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import presets
from jaxface.energies.albedo import albedo_energy
from jaxface.geometry.normals import depth_normals
from jaxface.io.images import read_image
from jaxface.rendering.lighting import shading
from jaxface.stages import fine
from jaxface.synthetic import lit_sphere, preset_light
from jaxface.types import FineInputs, Region

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
TERMS = ["colour", "colour + Laplacian", "colour + RTV"]
REGIONS = (Region.SKIN, Region.EYEBROW, Region.MOUTH)


@pytest.fixture
def terms(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from albedo_study import terms

    return terms


def run_script(*arguments):
    command = [sys.executable, str(EXPERIMENTS / "albedo_ablation.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


@pytest.mark.slow
def test_smoke_from_the_command_line(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run_script("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    names = ["albedo_ablation.json", "albedo_ablation.md", "albedo_ablation.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    text = (tmp_path / "albedo_ablation.md").read_text()
    assert text in ended.stdout and text.startswith("# ") and "--smoke" in text.split("Command: ")[1]
    rows = json.loads((tmp_path / "albedo_ablation.json").read_text())["summary"]
    assert [(row["preset"], row["term"]) for row in rows] == [
        (preset, term) for preset in presets.PRESETS for term in ["before the fine stage", *TERMS]
    ]
    for row in rows:
        assert 1.0 < row["normal_degrees"] < 30.0 and 0.1 < row["rmse_mm"] < 8.0
    by_name = {(row["preset"], row["term"]): row for row in rows}
    for preset in presets.PRESETS:
        colour, laplacian, rtv = (by_name[preset, term] for term in TERMS)
        assert laplacian["relief_left"] < colour["relief_left"] and rtv["relief_left"] < colour["relief_left"]
        assert laplacian["texture_kept"] < colour["texture_kept"]
        for row in (colour, laplacian, rtv):
            assert 0.5 < row["albedo_error_percent"] < 40.0 and abs(row["relief_correlation"]) <= 1.0
        shares = [row["least_normal_error_share"] for row in (colour, laplacian, rtv)]
        assert sum(shares) == pytest.approx(1.0)
    picture = read_image(tmp_path / "albedo_ablation.png")
    assert picture.shape[1] > 1000 and np.std(picture) > 0.1


def test_a_photo_without_a_face_is_refused_in_one_sentence(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    from PIL import Image

    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    ended = run_script("--smoke", f"--output_dir={tmp_path / 'out'}", tmp_path / "wall.png")
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "face" in ended.stdout + ended.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_refused_before_any_work():
    ended = run_script("--smoke", "--model=nobody")
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "'nobody' is not a known model" in ended.stdout + ended.stderr


def make_inputs(*, height=41, width=37):
    """A lit ellipsoid as the medium stage would leave it."""
    sphere = lit_sphere(
        jax.random.key(3), height=height, width=width, relief_px=0.3, noise=0.003, light=preset_light("side")
    )
    indicators = jnp.stack([sphere.regions == label for label in REGIONS], axis=-1).astype(jnp.float32)
    mean = jnp.broadcast_to(jnp.array([[[0.6, 0.45, 0.4]]]), sphere.image.shape)
    heights = sphere.base_height_px * sphere.mask
    return FineInputs(sphere.image, heights, sphere.mask, sphere.mask, indicators, mean)


@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_with_rtv_it_is_the_library_s_fine_stage(terms, preset):
    inputs, chosen = make_inputs(), presets.PRESETS[preset](size=40)
    schedule = chosen.schedule._replace(albedo_steps=6, phase1_steps=4, phase2_steps=4)
    theirs = jax.jit(functools.partial(fine.run, schedule=schedule))(inputs, weights=chosen.weights)
    ours = jax.jit(functools.partial(terms.run, term="colour + RTV", schedule=schedule))(inputs, chosen.weights)
    assert float(jnp.max(jnp.abs(theirs.height_px - theirs.medium_height_px))) > 1e-3
    for name in ("height_px", "phase1_height_px", "normals_image", "specular", "confidence", "depth_energies"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=2e-4, atol=2e-4, err_msg=name)
    skin = np.asarray(theirs.confidence) > 0.999
    assert skin.sum() > 100
    np.testing.assert_allclose(ours.albedo[skin], theirs.albedo[skin], atol=2e-3)


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_energies(terms, per_channel):
    """With RTV the library's own; without detail term less; Laplace's operator counts what it sees in grey levels."""
    inputs, chosen = make_inputs(), presets.paper()
    rng = np.random.default_rng(0)
    albedo, mean, shade = (jnp.asarray(rng.uniform(0.2, 0.9, inputs.image.shape), jnp.float32) for _ in range(3))
    shared = dict(image=inputs.image, shading=shade, specular=0.0, mean_albedo=mean, mask=inputs.prior)
    schedule = chosen.schedule._replace(rtv_per_channel=per_channel, rtv_sigma=1.5)
    found = {
        term: float(terms.albedo_energy(albedo, weights=chosen.weights, schedule=schedule, term=term, **shared))
        for term in TERMS
    }
    library = albedo_energy(albedo, weights=chosen.weights.albedo, sigma=1.5, per_channel=per_channel, **shared)
    np.testing.assert_allclose(found["colour + RTV"], float(library), rtol=1e-6)
    bare = albedo_energy(
        albedo, weights=chosen.weights.albedo._replace(detail=0.0), sigma=1.5, per_channel=per_channel, **shared
    )
    np.testing.assert_allclose(found["colour"], float(bare), rtol=1e-6)
    signal = np.asarray(albedo, np.float64)
    signal = signal if per_channel else (signal @ np.array([0.299, 0.587, 0.114]))[..., None]
    mask, total = np.asarray(inputs.prior), 0.0
    for y in range(1, mask.shape[0] - 1):
        for x in range(1, mask.shape[1] - 1):
            near = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
            if mask[y, x] * np.prod([mask[place] for place in near]) > 0:
                total += float(np.sum((sum(signal[place] for place in near) - 4.0 * signal[y, x]) ** 2))
    np.testing.assert_allclose(found["colour + Laplacian"] - found["colour"], 2.5 * total, rtol=1e-3)


@pytest.mark.parametrize(("left", "kept"), [(0.0, 1.0), (0.3, 1.0), (0.6, 0.2)])
def test_relief_and_texture_in_the_albedo_are_told_apart(terms, left, kept):
    """An albedo with known shares of the relief's shading and of the texture, and another colour of light."""
    from albedo_study import ablation

    sphere = lit_sphere(jax.random.key(0), relief_px=0.4, texture=0.1, light=preset_light("side"))
    smooth = depth_normals(sphere.base_height_px)
    weights = np.array([0.299, 0.587, 0.114])
    true, plain = (
        np.asarray(sphere.albedo * shade) @ weights for shade in (sphere.shading, shading(smooth, sphere.light))
    )
    relief = (true / np.maximum(plain, 1e-3))[..., None]
    texture = np.asarray(sphere.albedo) / (np.asarray(sphere.albedo) @ weights)[..., None]
    albedo = texture * (np.asarray(sphere.albedo) @ weights)[..., None] ** kept * relief**left * [0.5, 0.6, 0.8]
    face = types.SimpleNamespace(albedo=sphere.albedo, shading=sphere.shading, light=sphere.light)
    field = types.SimpleNamespace(
        facing=(np.asarray(sphere.mask) > 0.5) & (plain > 0.1),
        smooth=types.SimpleNamespace(normals_image=np.asarray(smooth)),
        px_per_mm=2.0,
    )
    maps = types.SimpleNamespace(albedo=albedo, confidence=np.ones(albedo.shape[:2]))
    found = ablation.albedo_figures(types.SimpleNamespace(face=face), maps, field)
    assert found["relief_left"] == pytest.approx(left, abs=0.03)
    assert found["texture_kept"] == pytest.approx(kept, abs=0.03)
    exact = left == 0.0 and kept == 1.0
    assert found["albedo_error_percent"] < 0.1 if exact else found["albedo_error_percent"] > 1.0
