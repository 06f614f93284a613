"""Every verdict of the safety net: good figures pass, and each limit that is not kept has its sentence."""

import dome
import fake_face
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import presets, program
from jaxface.energies.scene import Scene
from jaxface.energies.slopes import Slopes
from jaxface.geometry.normals import depth_normals
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.state import Shared
from jaxface.types import CoarseFit, MediumFit
from jaxface.verdicts import LIMITS, deformation_figures, face_figures, holds, judge, phase_figures, reason

FACE = {"finite": True, "residual_px": 2.0, "residual_share": 0.01, "largest_coefficient": 1.0}
SHADED = {"shading_residual_before": 0.03, "shading_residual": 0.02}
INCLINED = {"normals_before_degrees": 9.0, "normals_degrees": 6.0}
PHASE = {"finite": True, "skin_share": 0.5, "residual_medium": 0.05, "residual": 0.03, "turn_degrees": 5.0,
         "move_share": 0.01}  # fmt: skip
GOOD = {
    "regression": FACE,
    "coarse": FACE,
    "parsing": {"skin_share": 0.4},
    "coarse shading": FACE | SHADED | {"residual_before_px": 1.5, "face_px": 200.0},
    "person": {"finite": True, "turned_degrees": 20.0, "residual_share": 0.02},
    "medium": SHADED | INCLINED | {"finite": True, "largest_move_mm": 4.0, "flipped_share": 0.0, "energy_ratio": 0.5},
    "coarse normals": FACE | INCLINED | {"residual_before_px": 1.5, "face_px": 200.0, "skin_share": 0.4},
    "learned normals": {"counts": 1.0, "finite": True, "skin_share": 0.4},
    "light and albedo": {"counts": 1.0, "finite": True},
    "fine phase 1": PHASE,
    "fine phase 2": PHASE,
    "detail": {"largest_mm": 0.5, "change_px": 2.0},
}
BAD_FACE = [({"finite": False}, "finite"), ({"residual_share": 0.2}, "20%"), ({"largest_coefficient": 11.0}, "11.0")]
BAD_PHASE = [
    ({"finite": False}, "finite"),
    ({"skin_share": 0.01}, "too little skin"),
    ({"residual": 0.052}, "worse"),
    ({"turn_degrees": 40.0}, "40 degrees"),
    ({"move_share": 0.06}, "far"),
]
# What breaks each limit, in the order of the table, and a word of its reason.
BAD = {
    "regression": BAD_FACE,
    "coarse": BAD_FACE,
    "parsing": [({"skin_share": 0.01}, "no skin")],
    "coarse shading": [
        *BAD_FACE, ({"residual_px": 3.5}, "left the landmarks"), ({"shading_residual": 0.031}, "no better")
    ],
    "coarse normals": [
        *BAD_FACE, ({"residual_px": 3.5}, "left the landmarks"), ({"skin_share": 0.01}, "no skin"),
        ({"normals_degrees": 9.5}, "inclined away"),
    ],
    "person": [({"finite": False}, "finite"), ({"turned_degrees": 80.0}, "turned away"),
               ({"residual_share": 0.1}, "this person")],
    "medium": [({"finite": False}, "finite"), ({"largest_move_mm": 40.0}, "40 mm"),
               ({"flipped_share": 0.012}, "1.2%"), ({"energy_ratio": 1.1}, "rose"),
               ({"shading_residual": 0.031}, "worse"), ({"normals_degrees": 9.5}, "inclined away")],
    "learned normals": [({"counts": 0.0}, "does not count"),
                        ({"finite": False}, "finite"), ({"skin_share": 0.01}, "no skin")],
    "light and albedo": [({"counts": 0.0}, "does not count"), ({"finite": False}, "finite")],
    "fine phase 1": BAD_PHASE,
    "fine phase 2": BAD_PHASE,
    "detail": [({"largest_mm": 0.0}, "fold")],
}  # fmt: skip


def told(name, figures):
    """Its reason, which is empty exactly where all limits hold."""
    verdict = jax.tree.map(np.asarray, judge(name, figures))
    why = reason(name, verdict)
    assert holds(name, verdict) == (why == "")
    return why


def as_sentence(why: str) -> bool:
    return len(why) > 15 and "\n" not in why and not why.endswith(".")  # "The face ...: reason."


@pytest.mark.parametrize("name", LIMITS)
def test_good_figures_pass_and_every_limit_fails_with_its_reason(name):
    assert told(name, GOOD[name]) == "" and len(BAD[name]) == len(LIMITS[name])
    for place, (changes, word) in enumerate(BAD[name]):
        figures = GOOD[name] | changes
        why = told(name, figures)
        assert word in why and as_sentence(why)
        assert judge(name, figures).failed == place == jax.jit(lambda f: judge(name, f).failed)(figures)


def test_the_reason_is_that_of_the_first_limit_that_fails():
    worst = {}
    for changes, word in reversed(BAD["medium"]):
        worst |= changes
        assert word in told("medium", GOOD["medium"] | worst)


@pytest.mark.parametrize("name", LIMITS)
def test_a_figure_that_is_no_number_never_passes(name):
    class Watched(dict):
        def __getitem__(self, key):
            read.add(key)
            return super().__getitem__(key)

    read = set()
    for limit in LIMITS[name]:
        limit.holds(Watched(GOOD[name]))
    numbers = read - {"finite"}
    assert numbers or not LIMITS[name]
    assert all(told(name, GOOD[name] | {key: np.nan}) for key in numbers)


def test_a_surface_that_does_not_move_need_not_be_displaced():
    assert told("detail", {"largest_mm": 0.0, "change_px": 0.0}) == ""


def test_a_photo_and_a_clip_are_judged_by_one_table():
    """The stages are records that both run; where a clip has its own, the table has its limits too."""
    surfaces = [program.surface_stages(Shared(None, presets.default(), network=network)) for network in (None, {})]
    assert surfaces[0] == program.surface_stages(Shared(None, presets.paper(), network={}))  # which knows of none
    shapes = [program.shape_stages(Shared(None, presets.default(), network=network)) for network in (None, {})]
    stages = (program.REGRESSION, program.COARSE, *sum(shapes + surfaces, ()))
    assert {stage.name for stage in stages} | {"parsing", "person"} == set(LIMITS)


MODEL = dome.dome_model()
VERTICES = np.asarray(MODEL.mean_mm)


def make_coarse(**changes) -> CoarseFit:
    fit = fake_face.coarse_fit(fake_face.dome_mesh())
    return fit._replace(**({"vertices_mm": VERTICES, "residual_px": np.float32(2.0)} | changes))


def test_figures_of_a_face():
    figures = face_figures(make_coarse(), face_px=jnp.float32(200.0))
    assert figures["residual_share"] == pytest.approx(0.01) and figures["largest_coefficient"] == 1.0
    without = make_coarse(identity=np.zeros(0, np.float32))  # a model without identities
    assert told("coarse", face_figures(without, face_px=jnp.float32(200.0))) == ""


def deformed(vertices_mm, **changes):
    fit = MediumFit(vertices_mm, np.array([3.0, 2.0, 1.5], np.float32), np.float32(1.0), np.array(True))
    return deformation_figures(fit._replace(**changes), VERTICES, triangles=MODEL.triangles) | SHADED


def moved(place, shift):
    vertices = VERTICES.copy()
    vertices.reshape(23, 19, 3)[place] += np.array(shift, np.float32)
    return vertices


WAVE = 0.5 * np.sin(VERTICES / 20.0).astype(np.float32)


def test_figures_of_a_good_deformation():
    figures = deformed(VERTICES + WAVE)
    assert told("medium", figures) == "" and figures["flipped_share"] == 0.0 and figures["energy_ratio"] == 0.5
    assert figures["largest_move_mm"] == pytest.approx(np.linalg.norm(WAVE, axis=1).max(), rel=1e-4)


@pytest.mark.parametrize(
    ("vertices_mm", "word"),
    [
        (moved(np.s_[5, 5], (0.0, 0.0, 40.0)), "40 mm"),
        (moved(np.s_[8:14, 5:9], (15.0, 0.0, 0.0)), "turned over"),  # past their neighbours, which stand 7 mm apart
        (moved(np.s_[1, 1], (0.0, np.nan, 0.0)), "finite"),
    ],
)
def test_figures_of_a_bad_deformation(vertices_mm, word):
    assert word in told("medium", deformed(vertices_mm))
    assert "rose" in told("medium", deformed(VERTICES, energies=np.array([1.0, 2.0, 5.0], np.float32)))


def lit_dome() -> Scene:
    """Its height explains the image exactly, the one that it started from does not."""
    maps = fake_face.fine_maps()
    light = np.zeros((9, 3), np.float32)
    light[0], light[2], light[3] = 1.5, 0.6, 0.5
    shade = np.asarray(shading(depth_normals(maps.height_px), light))
    image = np.asarray(render(maps.albedo, shade, maps.specular), np.float32)
    return Scene(
        image=image, covered=maps.mask, mask=maps.mask, light=light, mean_albedo=maps.albedo, albedo=maps.albedo,
        specular=maps.specular, initial_specular=maps.specular, initial_height_px=maps.medium_height_px,
        height_px=maps.height_px, shading=shade, finite=np.array(True),
    )  # fmt: skip


SCENE = lit_dome()
INSIDE = SCENE.mask > 0.5


def test_figures_of_a_phase_that_explains_the_photo():
    figures = phase_figures(SCENE, SCENE.height_px)
    assert told("fine phase 1", figures) == "" and figures["residual"] < 0.1 * figures["residual_medium"]
    assert 0.5 < figures["skin_share"] < 0.8 and 0.0 < figures["turn_degrees"] < 10.0
    move = np.sqrt(np.mean((0.1 * SCENE.height_px[INSIDE]) ** 2)) / fake_face.SIZE
    assert figures["move_share"] == pytest.approx(move, rel=1e-4)
    assert told("fine phase 2", phase_figures(SCENE, SCENE.initial_height_px)) == ""  # the medium shape itself


def test_the_residual_counts_only_where_it_is_trusted():
    spoilt = np.where(SCENE.mask[..., None] > 0, SCENE.image, np.float32(0.9))
    assert phase_figures(SCENE._replace(image=spoilt), SCENE.height_px)["residual"] < 1e-4
    brighter = phase_figures(SCENE._replace(image=SCENE.image + np.float32(0.1)), SCENE.height_px)
    assert brighter["residual"] == pytest.approx(0.1, rel=1e-3)


def test_a_surface_that_slopes_lead_is_held_against_them():
    change = SCENE.height_px - SCENE.initial_height_px
    asked = np.stack([np.diff(change, axis=axis, append=change[:, -1:] if axis else change[-1:]) for axis in (1, 0)])
    slopes = Slopes(asked, np.stack([SCENE.mask] * 2))
    led = SCENE._replace(slopes=slopes, image=SCENE.image + np.float32(0.1))  # which nobody asks here
    figures = phase_figures(led, SCENE.height_px)
    assert told("fine phase 2", figures) == "" and figures["residual"] < 1e-4
    assert figures["residual_medium"] == pytest.approx(np.sqrt(np.mean(asked[:, INSIDE] ** 2)), rel=1e-3)
    assert "worse" in told("fine phase 2", phase_figures(led, SCENE.initial_height_px - change))


BLACK = {name: np.zeros_like(SCENE.image) for name in ("image", "albedo", "specular")}  # any surface explains it


@pytest.mark.parametrize(
    ("changes", "height_px", "word"),
    [
        ({}, np.where(INSIDE, np.nan, SCENE.height_px).astype(np.float32), "finite"),
        ({"finite": np.array(False)}, SCENE.height_px, "finite"),
        ({"mask": np.zeros_like(SCENE.mask)}, SCENE.height_px, "too little skin"),
        ({}, -SCENE.height_px, "worse"),
        (BLACK, 8.0 * SCENE.height_px, "degrees"),
        ({}, SCENE.initial_height_px + np.float32(5.0), "far"),
    ],
)
def test_figures_of_a_bad_phase(changes, height_px, word):
    assert word in told("fine phase 1", phase_figures(SCENE._replace(**changes), height_px))


def test_a_stage_that_fails_gives_what_was_before_or_what_it_says():
    """`program.step` with stages made up: the verdict decides, frame by frame, inside the program."""

    def run(state, view, shared):
        after = state + 1.0
        return after, {"skin_share": jnp.where(state > 0.0, shared, view)}

    def stepped(state, stage):
        def one(each):
            return program.step(each, jnp.float32(0.0), shared=jnp.float32(1.0), stage=stage)

        return jax.jit(jax.vmap(one))(state)

    states = jnp.array([1.0, -1.0])
    state, verdict = stepped(states, program.Stage("parsing", run))
    np.testing.assert_array_equal(state, [2.0, -1.0])
    np.testing.assert_array_equal(holds("parsing", verdict), [True, False])
    instead, _ = stepped(states, program.Stage("parsing", run, lambda before, after: 10.0 * before + after))
    np.testing.assert_array_equal(instead, [2.0, -10.0])
