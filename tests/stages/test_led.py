"""The surface led by a network's normals: on a lit ellipsoid, and as stages of the program on a synthetic face."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from stages.test_coarse import MODEL
from stages.test_fine import make_inputs, make_sphere, mean_turn, rms

from jaxface import presets, program, templates
from jaxface.geometry.normals import depth_normals
from jaxface.mapping import pad, stack
from jaxface.morphable.linear import face_shape
from jaxface.rendering.camera import orthographic
from jaxface.rendering.lighting import shading
from jaxface.stages import fine
from jaxface.state import Shared, State, View, observed
from jaxface.synthetic import FaceSettings, synthetic_face
from jaxface.types import CoarseFit, Crop, LearnedNormals
from jaxface.verdicts import reason

TERMS = presets.default(size=96).learned_normals


def told_truly(sphere, *, degrees=6.0, seed=0) -> LearnedNormals:
    """Its true normals with smooth noise."""
    rng = np.random.default_rng(seed)
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal((*sphere.mask.shape, 2)), (1.5, 1.5, 0.0))
    dy, dx = np.gradient(np.asarray(sphere.height_px - sphere.base_height_px))
    nz = np.asarray(sphere.normals_image)[..., 2:]
    change = np.stack([dx, dy], axis=-1) + np.radians(degrees) * noise / np.std(noise) / nz**2
    spread = np.full(sphere.mask.shape, np.radians(degrees), np.float32)
    return LearnedNormals(jnp.asarray(change, jnp.float32), jnp.asarray(spread), sphere.mask)


run = jax.jit(fine.run)


@pytest.fixture(scope="module")
def sphere():
    return make_sphere(relief_px=0.6)


@pytest.fixture(scope="module")
def maps(sphere):
    return run(make_inputs(sphere), TERMS, normals=told_truly(sphere))


def test_the_normals_come_nearer_to_the_truth(sphere, maps):
    assert maps.finite
    skin = scipy.ndimage.binary_erosion(np.asarray(maps.confidence) > 0.5, iterations=6)
    before = mean_turn(depth_normals(maps.medium_height_px), sphere, skin)
    assert mean_turn(depth_normals(maps.height_px), sphere, skin) < 0.6 * before
    assert mean_turn(depth_normals(maps.phase1_height_px), sphere, skin) < before
    change, inside = np.abs(np.asarray(maps.height_px - maps.medium_height_px)), np.asarray(sphere.mask) > 0
    assert change[~inside].max() < change[inside].max() and change[0, 0] < 0.3 * change[inside].max()


def test_light_and_colours_are_those_of_the_moved_surface(sphere, maps):
    np.testing.assert_allclose(maps.shading, shading(maps.normals_image, maps.light), atol=1e-4)
    skin = np.asarray(maps.confidence) > 0.5
    np.testing.assert_allclose(np.average(maps.shading, axis=(0, 1), weights=maps.confidence), 1.0, atol=1e-3)
    level = np.mean(sphere.shading[skin], axis=0)[None, None]
    assert rms((level * maps.shading - sphere.shading)[skin]) < 0.08
    assert np.abs(np.mean((maps.albedo / level - sphere.albedo)[skin], axis=0)).max() < 0.03


def test_the_albedo_keeps_the_tone_that_the_photo_shows(sphere, maps):
    """Skin of less and redder colour under the same light, before the same mean texture."""
    tone = np.array([0.5, 0.35, 0.25], np.float32)
    inputs = make_inputs(sphere)
    photo = np.asarray(inputs.image) * tone
    darker = run(inputs._replace(image=photo), TERMS, normals=told_truly(sphere))
    skin = np.asarray(maps.confidence) > 0.5
    found, photo = (np.mean(values[skin], axis=0) for values in (darker.albedo, photo))
    np.testing.assert_allclose(found, photo, rtol=0.05)
    np.testing.assert_allclose(found / np.mean(maps.albedo[skin], axis=0), tone, rtol=0.05)


def test_two_frames_at_once_are_two_frames(sphere, maps):
    other = make_sphere(seed=1, light="top")
    inputs = jax.tree.map(lambda *leaves: jnp.stack(leaves), make_inputs(sphere), make_inputs(other))
    normals = jax.tree.map(lambda *leaves: jnp.stack(leaves), told_truly(sphere), told_truly(other))
    together = jax.vmap(lambda inputs, normals: run(inputs, TERMS, normals=normals))(inputs, normals)
    for index, alone in enumerate((maps, run(make_inputs(other), TERMS, normals=told_truly(other)))):
        for name in ("phase1_height_px", "height_px", "shading", "confidence"):
            assert rms(getattr(together, name)[index] - getattr(alone, name)) < 2e-3, name
        assert rms(together.albedo[index] - alone.albedo) < 0.02  # at RTV's kinks rounding decides


SIZE = 96
NUM_FRAMES = 3  # a sound answer, one that is not finite, and one that sees no skin


@pytest.fixture(scope="module")
def told():
    """States after each stage, verdicts by stage's name, and the true height change that the network told of."""
    face = synthetic_face(jax.random.key(2), model=MODEL, size=SIZE, levels=1, settings=FaceSettings(off_basis_mm=0.5))
    shape_mm = face_shape(face.identity, face.expression, model=MODEL)
    fit = CoarseFit(face.identity, face.expression, face.pose, shape_mm, jnp.zeros(()), jnp.array(True))
    crop = Crop(jnp.zeros(2), jnp.ones(()))
    view = View(
        face.landmarks, orthographic(), jnp.full(2, float(SIZE)), jnp.float32(1.0), crop=crop, window=face.image
    )
    dy, dx = jnp.gradient(face.height_px)
    seen = []

    def predict(params, image, height_px, covered, scale_px_per_mm):
        """The truth, of a face whose kind the picture's first pixel tells."""
        seen.append((params, image.shape, height_px.shape, covered.shape, scale_px_per_mm.shape))
        mine_y, mine_x = jnp.gradient(height_px)
        both = covered * face.mask
        change = jnp.stack([(dx - mine_x) * both, (dy - mine_y) * both], axis=-1)
        kind = image[0, 0, 0]
        change = jnp.where(kind == 1.0, jnp.nan, jnp.clip(change, -1.0, 1.0))
        return LearnedNormals(change, jnp.full_like(covered, 0.1), jnp.where(kind == 2.0, 0.0, both))

    shared = Shared(templates.prepare(MODEL), presets.default(size=SIZE), network={"w": jnp.ones(2)})
    kinds = [view._replace(window=face.image.at[0, 0, 0].set(float(kind))) for kind in range(NUM_FRAMES)]
    views = pad(stack(kinds), length=NUM_FRAMES)
    state = pad(stack([State(fit, shape_mm)] * NUM_FRAMES), length=NUM_FRAMES)
    states, verdicts = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxface.networks.normals.predict", predict)
        for stage in program.surface_stages(shared):
            state, verdict = program.FrameMap(_stepped(stage))(state, views, shared=shared)
            states[stage.name], verdicts[stage.name] = state, jax.tree.map(np.asarray, verdict)
    assert [shape for params, *shape in seen] == [[(SIZE, SIZE, 3), (SIZE, SIZE), (SIZE, SIZE), ()]]
    medium = observed(shape_mm, face.pose, kinds[0], shared).height_px
    return states, verdicts, face, medium


def _stepped(stage):
    return lambda state, view, *, shared: program.step(state, view, shared=shared, stage=stage)


def test_the_network_moves_the_surface_before_light_is_found(told):
    states, verdicts, face, medium = told
    assert list(states) == ["learned normals", "fine phase 1", "fine phase 2", "light and albedo", "detail"]
    assert [reason(name, jax.tree.map(lambda leaf: leaf[0], verdicts[name])) for name in states] == [""] * 5
    last = jax.tree.map(lambda leaf: leaf[0], states["detail"])
    maps = program.fine_maps(last)
    inner = scipy.ndimage.binary_erosion(np.asarray(last.scene.mask) > 0.5, iterations=3)

    def turned(height_px):
        cosine = np.sum(np.asarray(depth_normals(height_px) * face.normals_image), axis=-1)
        return np.degrees(np.mean(np.arccos(np.clip(cosine[inner], -1.0, 1.0))))

    assert turned(maps.height_px) < 0.8 * turned(maps.medium_height_px)
    assert np.abs(maps.phase1_height_px - maps.medium_height_px).max() > 0.05
    np.testing.assert_array_equal(last.phase1_height_px, states["fine phase 1"].phase1_height_px[0])
    assert np.abs(last.mesh.displacement_mm).max() > 0.02
    assert np.std(last.scene.light) > 0.1


@pytest.mark.parametrize(("row", "word"), [(1, "not finite"), (2, "no skin")])
def test_a_network_that_fails_moves_nothing_and_the_rest_goes_on(told, row, word):
    states, verdicts, _, _ = told
    assert word in reason("learned normals", jax.tree.map(lambda leaf: leaf[row], verdicts["learned normals"]))
    assert reason("light and albedo", jax.tree.map(lambda leaf: leaf[row], verdicts["light and albedo"])) == ""
    last = jax.tree.map(lambda leaf: np.asarray(leaf[row]), states["detail"])
    np.testing.assert_array_equal(last.scene.height_px, last.scene.initial_height_px)
    assert not last.mesh.displacement_mm.any() and np.mean(last.scene.mask > 0.5) > 0.1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.scene))
