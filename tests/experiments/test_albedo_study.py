"""Parts of albedo_ablation.py, detail_detection.py and segmentation.py."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from albedo_study import ablation, detectors, regions, scenes, terms
from common import faces, program

from jaxface import presets
from jaxface.energies.albedo import albedo_energy
from jaxface.energies.scene import FineTerms
from jaxface.geometry.normals import depth_normals
from jaxface.morphable.default import load_default
from jaxface.rendering.lighting import shading
from jaxface.stages import fine
from jaxface.synthetic import lit_sphere, preset_light
from jaxface.types import FineInputs, Parsing, Region

TERMS = ["colour", "colour + Laplacian", "colour + RTV"]
REGIONS = (Region.SKIN, Region.EYEBROW, Region.MOUTH)
SIZE = 24


def make_inputs(*, height=41, width=37):
    """A lit ellipsoid as the medium stage would leave it."""
    sphere = lit_sphere(
        jax.random.key(3), height=height, width=width, relief_px=0.3, noise=0.003, light=preset_light("side")
    )
    indicators = jnp.stack([sphere.regions == label for label in REGIONS], axis=-1).astype(jnp.float32)
    mean = jnp.broadcast_to(jnp.array([[[0.6, 0.45, 0.4]]]), sphere.image.shape)
    heights = sphere.base_height_px * sphere.mask
    return FineInputs(sphere.image, heights, sphere.mask, sphere.mask, indicators, mean)


def shortened(terms: FineTerms) -> FineTerms:
    steps = {"albedo": 6, "phase1": 4, "phase2": 4}
    phases = {name: dataclasses.replace(getattr(terms, name), num_steps=steps[name]) for name in steps}
    return dataclasses.replace(terms, **phases)


@pytest.mark.parametrize("preset", list(presets.PRESETS))
def test_with_rtv_it_is_the_library_s_fine_stage(preset):
    inputs, chosen = make_inputs(), shortened(presets.PRESETS[preset](size=40).fine)
    theirs = jax.jit(fine.run)(inputs, chosen)
    ours = jax.jit(terms.run)(inputs, terms.with_detail(chosen, "colour + RTV"))
    assert float(jnp.max(jnp.abs(theirs.height_px - theirs.medium_height_px))) > 1e-3
    for name in ("height_px", "phase1_height_px", "normals_image", "specular", "confidence"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=2e-4, atol=2e-4, err_msg=name)
    skin = np.asarray(theirs.confidence) > 0.999
    assert skin.sum() > 100
    np.testing.assert_allclose(ours.albedo[skin], theirs.albedo[skin], atol=2e-3)


@pytest.mark.parametrize("per_channel", [True, False])
def test_the_energies(per_channel):
    """With RTV the library's own; without detail term less; Laplace's operator counts what it sees in grey levels."""
    inputs, rng = make_inputs(), np.random.default_rng(0)
    albedo, mean, shade = (jnp.asarray(rng.uniform(0.2, 0.9, inputs.image.shape), jnp.float32) for _ in range(3))
    shared = dict(image=inputs.image, shading=shade, specular=0.0, mean_albedo=mean, mask=inputs.prior)
    settings = dict(sigma=1.5, per_channel=per_channel)
    scene = types.SimpleNamespace(albedo=albedo, **shared)
    found = {
        term: float(terms.albedo_term(scene, presets.EQ6, detail=detail, **settings))
        for term, detail in terms.TERMS.items()
    }
    library = albedo_energy(albedo, weights=presets.EQ6, **settings, **shared)
    np.testing.assert_allclose(found["colour + RTV"], float(library), rtol=1e-6)
    bare = albedo_energy(albedo, weights=presets.EQ6._replace(detail=0.0), **settings, **shared)
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
def test_relief_and_texture_in_the_albedo_are_told_apart(left, kept):
    """An albedo with known shares of the relief's shading and of the texture, and another colour of light."""
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


def test_the_least_normal_error_is_counted_among_the_terms_of_a_case():
    records = [
        {"case": case, "preset": "default", "term": term, "normal_degrees": degrees}
        for case, found in (("a", (1.0, 9.0, 8.0)), ("b", (1.0, 6.0, 7.0)), ("c", (1.0, 6.0, 7.0)))
        for term, degrees in zip((ablation.BEFORE, *TERMS[:2]), found, strict=True)
    ]
    before, colour, laplacian = ablation.summarise(records)
    assert "least_normal_error_share" not in before and colour["normal_degrees"] == 7.0
    shares = colour["least_normal_error_share"], laplacian["least_normal_error_share"]
    assert shares == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_separation_is_the_share_of_pairs_in_order():
    values = np.array([[3.0, 1.0, 2.0], [2.0, 0.0, 5.0]])
    above = np.array([[True, False, False], [True, False, False]])  # 3 and 2
    below = np.array([[False, True, True], [False, False, True]])  # 1, 2 and 5
    pairs = [(high > low) + 0.5 * (high == low) for high in (3.0, 2.0) for low in (1.0, 2.0, 5.0)]
    assert detectors.separation(values, above, below) == pytest.approx(np.mean(pairs))
    assert detectors.separation(values, values > 2.5, values < 2.5) == 1.0
    assert detectors.separation(values, values < 1.5, values > 1.5) == 0.0


def test_each_pixel_has_at_most_one_label():
    """Relief steep on the left, texture in the middle, contours on the right, on a face within a frame."""
    rng, size = np.random.default_rng(0), 60
    maps = [0.1 * rng.uniform(size=(size, size)) for _ in range(3)]
    for k, values in enumerate(maps):
        values[20:40, 15 * k + 8 : 15 * k + 12] += 1.0
    face = np.zeros((size, size), bool)
    face[4:-4, 4:-4] = True
    brows = np.zeros_like(face)
    brows[20:24] = True
    marked = detectors.labels(detectors.Sources(*maps, face), brows)
    assert np.max(sum(values.astype(int) for values in marked.values())) == 1
    for k, name in enumerate(("relief", "texture", "contours")):
        assert marked[name][24:40, 15 * k + 8 : 15 * k + 12].all()
        assert not marked[name][brows].any()
    assert marked["flat"].sum() > 200 and not marked["flat"][20:40, 8:12].any() and not marked["flat"][~face].any()


def make_regions() -> FineInputs:
    """Skin on the left half, lips on the right, a brow across the top of both; the last columns are not covered."""
    indicators, covered = np.zeros((SIZE, SIZE, 3), np.float32), np.ones((SIZE, SIZE), np.float32)
    indicators[:, : SIZE // 2, 0] = 0.9
    indicators[:, SIZE // 2 :, 2] = 0.8
    indicators[:4] = [0.1, 0.7, 0.2]
    indicators[-3:] = [0.3, 0.3, 0.3]  # the likeliest is not likely
    covered[:, -5:] = 0.0
    image = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    maps = (image, np.zeros_like(covered), covered, covered, indicators, image)
    return FineInputs(*map(jnp.asarray, maps))


def test_labels_are_the_likeliest_region_on_the_face():
    marked = regions.to_labels(make_regions())
    assert list(marked) == ["skin", "eyebrow", "mouth"]
    half, covered = SIZE // 2, SIZE - 5
    assert marked["eyebrow"].sum() == 4 * covered and marked["eyebrow"][:4, :covered].all()
    assert marked["skin"].sum() == (SIZE - 7) * half and marked["skin"][4:-3, :half].all()
    assert marked["mouth"].sum() == (SIZE - 7) * (covered - half) and marked["mouth"][4:-3, half:covered].all()


def test_overlap_by_hand():
    """Ours is two columns to the right of the truth; an opening hides some of both."""
    ours, truth, openings = (np.zeros((10, 20), bool) for _ in range(3))
    ours[:, 4:14] = truth[:, 2:12] = True
    openings[:, 10:] = True
    nothing = np.zeros_like(ours)
    found = {"skin": ours, "eyebrow": ours, "mouth": nothing}
    figures = regions.overlap(found, {"skin": truth, "eyebrow": ours, "mouth": truth, "openings": openings})
    assert figures == {"skin": pytest.approx(6 / 8), "eyebrow": 1.0, "mouth": 0.0}


def test_true_regions_of_a_rendered_face():
    """Brows above lips, skin around both, and nothing has two labels."""
    true = scenes.true_regions(faces.make_cases("default", count=1)[0], size=128, seed=0)
    assert np.max(sum(values.astype(int) for values in true.values())) == 1
    middle = {name: np.argwhere(values).mean(axis=0) for name, values in true.items()}
    assert middle["eyebrow"][0] < middle["skin"][0] < middle["mouth"][0]
    assert true["skin"].sum() > 10 * max(true["eyebrow"].sum(), true["mouth"].sum())
    for name in ("eyebrow", "mouth", "openings"):
        assert true[name].sum() > 20


@pytest.mark.slow
def test_a_network_s_regions_are_taken_where_it_sees_some(monkeypatch):
    """A network that sees lips above, nothing below: there the mesh's regions stay."""
    size = 128
    world = scenes.make_world(faces.make_cases("default", count=1)[0], size=size, seed=0)
    upper = (np.arange(size) < size // 2)[:, None] * np.ones((1, size), np.float32)
    lips = np.stack([0.0 * upper, 0.0 * upper, upper], axis=-1).astype(np.float32)
    seen = Parsing(jnp.asarray(lips), jnp.ones((size, size)))
    monkeypatch.setattr(regions, "find_landmarks", lambda image: (world.landmarks, {}))
    monkeypatch.setattr(program, "parse", lambda *_: seen)
    parsers = regions.Parsers({"mesh": None, "bisenet": {}}, "")
    found = regions.observe_all(np.asarray(world.face.image), load_default(), parsers, size=size, whole=True)
    assert list(found) == [(preset, parser) for preset in presets.PRESETS for parser in ("mesh", "bisenet")]
    for preset in presets.PRESETS:
        mesh, network = (np.asarray(found[preset, parser].indicators) for parser in ("mesh", "bisenet"))
        covered = np.asarray(found[preset, "mesh"].covered) > 0.5
        assert (covered & (upper > 0)).sum() > 1000 and (covered & (upper == 0)).sum() > 1000
        np.testing.assert_allclose(network[covered & (upper > 0)], [[0.0, 0.0, 1.0]] * (covered & (upper > 0)).sum())
        np.testing.assert_allclose(network[covered & (upper == 0)], mesh[covered & (upper == 0)], atol=1e-6)
