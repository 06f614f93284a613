"""A clip with networks, and with the limits that a photo is judged by: what fails in one frame is left out of it."""

import dataclasses
import json
import types

import jax
import numpy as np
import pytest
import tiny_networks
from tracking.clips import MODEL, SETTINGS, SIZE, Told, shoot

from jaxface import presets
from jaxface.detection.face_regressor import FaceRegression, TddfaWeights
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.models import tools
from jaxface.morphable.pose import rotation_matrix
from jaxface.program import surface_stages
from jaxface.state import Shared, State, View
from jaxface.tracking import person_fit, second_pass
from jaxface.tracking.frame_steps import TrackedPerson
from jaxface.tracking.journal import MANIFEST, open_journal
from jaxface.tracking.named_arrays import unpack
from jaxface.tracking.person_fit import Fused
from jaxface.tracking.run import Run
from jaxface.tracking.threads import Timeline, Writer
from jaxface.tracking.track import WORK, track
from jaxface.types import CoarseFit, FaceError, Parsing, Pose
from jaxface.verdicts import Verdict, judge

# The embedded model's first components under the name of the network's own model.
OWN = dataclasses.replace(
    MODEL, name="3ddfa_v2", identity_basis_mm=MODEL.identity_basis_mm[:40],
    expression_basis_mm=MODEL.expression_basis_mm[:10], expression_names=MODEL.expression_names[:10],
)  # fmt: skip
NETWORKS = dict(model="3ddfa_v2", coarse="3ddfa", parsing="bisenet")
COEFFICIENTS = np.concatenate([np.linspace(-0.5, 0.5, 40), np.linspace(0.0, 0.3, 10)]).astype(np.float32)


class Networks:
    """Of the clip's first three frames, the last with the lens covered, the regressor sees a face in frame 0 alone; the
    parser sees bare skin, something in front of the left half of the face and, in frame 1, of all of it."""

    def __init__(self):
        self.regressed, self.parsed = [], iter([0, 1, 0, 1, 2])  # in the first pass, and in the second

    def regress_face(self, image, points_px, weights, *, apply):
        self.regressed.append(len(points_px))
        if len(self.regressed) > 1:
            raise FaceError("The regressor sees no face.")
        pose, raw = shoot(0).pose, COEFFICIENTS * weights.std[12:]
        rotation = np.asarray(rotation_matrix(pose.rotation_vector), np.float64)
        place_px, px_per_mm = np.asarray(pose.translation_px, np.float64), float(np.exp(pose.log_scale))
        return FaceRegression(rotation, place_px, px_per_mm, raw[:40], raw[40:])

    def parse_face(self, portrait, params, *, run):
        side = len(portrait)
        bare = np.arange(side) >= (side if next(self.parsed) == 1 else side // 2)
        skin = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (side, side, 1))
        return Parsing(skin, np.tile(bare.astype(np.float32), (side, 1)))


@pytest.fixture(scope="module")
def networked(clip, tmp_path_factory):
    """Photos in no order, fused as printed, with both networks: the track, its folder, the networks, what the tools
    were chosen by, and each stage's states."""
    folder, networks, asked, states = tmp_path_factory.mktemp("networked") / "out", Networks(), {}, {}
    used = tools.Tools(OWN, TddfaWeights({}, tiny_networks.MEAN, tiny_networks.STD), {})
    stage = Run.stage

    def watched(run, each, state, views, *, shared):
        after, verdicts = stage(run, each, state, views, shared=shared)
        states[each.name] = jax.tree.map(np.asarray, after)
        return after, verdicts

    def without_shading(*, size):
        return dataclasses.replace(presets.default(size=size), coarse_shading=False)

    settings = dataclasses.replace(SETTINGS, stop=3, ordered=False, fuse="mean", **NETWORKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "choose", lambda **chosen: asked.update(chosen) or used)
        patch.setattr(tools, "regress_face", networks.regress_face)
        patch.setattr(tools, "parse_face", networks.parse_face)
        patch.setattr(Run, "stage", watched)
        patch.setitem(presets.PRESETS, "default", without_shading)
        found = track(clip, folder, settings=settings, landmarks=Told(clip))
    return types.SimpleNamespace(found=found, folder=folder, networks=networks, asked=asked, states=states)


def test_networks_are_chosen_as_for_photos_and_belong_to_the_run(networked):
    assert networked.asked == NETWORKS
    kept = json.loads((networked.folder / WORK / MANIFEST).read_text())["settings"]
    assert kept.items() >= NETWORKS.items()
    assert (
        len(networked.networks.regressed) == 3 and networked.networks.regressed[2] == 0
    )  # a covered lens has no points
    assert list(networked.networks.parsed) == []


def test_the_face_is_the_regressors_and_where_it_sees_none_that_of_the_landmarks(networked):
    found, fits = networked.found, networked.states["coarse"].fit
    np.testing.assert_allclose(found.single_identity[0], COEFFICIENTS[:40], atol=1e-5)
    np.testing.assert_allclose(fits.expression[0], COEFFICIENTS[40:], atol=1e-5)
    assert np.abs(found.single_identity[1] - COEFFICIENTS[:40]).max() > 0.1
    assert fits.finite[:2].all() and fits.residual_px[1] < fits.residual_px[0]
    assert found.status == ("ok", "ok", "lost")
    np.testing.assert_allclose(fits.pose.rotation_vector[:2, 1], [-0.1, 0.0], atol=0.03)


def test_photos_in_no_order_are_neither_bridged_nor_steadied(networked):
    found = networked.found
    assert found.reason[2] == "no face was found" and found.jitter == {}
    np.testing.assert_array_equal(found.pose.rotation_vector, found.raw_pose.rotation_vector)
    np.testing.assert_allclose(found.identity, found.single_identity[:2].mean(axis=0), atol=1e-5)


def test_what_the_parser_sees_in_front_of_the_face_gets_no_detail(networked):
    scene, mesh = networked.states["detail"].scene, networked.states["detail"].mesh
    left, right = mesh.base_mm[0, :, 0] < -30.0, mesh.base_mm[0, :, 0] > 30.0
    assert scene.mask[0, :, : SIZE // 2 - 2].max() < 1e-3 and scene.mask[0, :, SIZE // 2 :].mean() > 0.1
    shifts = np.abs(np.asarray(mesh.displacement_mm[0]))  # what the right half asks for dies away on the left
    assert shifts[right].max() > 0.02 and shifts[left].mean() < 0.05 * shifts[right].mean()
    with np.load(networked.folder / WORK / "refine" / "carried.npz", allow_pickle=False) as stored:
        sums = unpack(dict(stored), "carried", kind=second_pass.Carried).sums
    assert not sums.trust[left].any() and sums.trust[right].max() > 0.3


def test_a_frame_whose_fine_phase_fails_keeps_the_medium_height_and_says_so(networked):
    found, scene = networked.found, networked.states["detail"].scene
    assert found.reason[0] == "" and found.reason[1].startswith("fine phase 1 left out: too little skin is seen")
    np.testing.assert_array_equal(scene.height_px[1], scene.initial_height_px[1])
    assert np.abs(scene.height_px[0] - scene.initial_height_px[0]).max() > 0.1
    assert not networked.states["detail"].mesh.displacement_mm[1].any()


def judged(name: str, **figures) -> Verdict:
    """The verdict on two frames of a stage; figures that are not given are good."""
    good = {"finite": True, "counts": 1.0, "skin_share": 1.0, "residual": 1.0, "residual_medium": 1.0,
            "turn_degrees": 1.0, "move_share": 0.0, "largest_mm": 1.0, "change_px": 1.0}  # fmt: skip
    rows = {key: np.broadcast_to(np.asarray(value), 2) for key, value in (good | figures).items()}
    return jax.tree.map(np.asarray, jax.vmap(lambda figures: judge(name, figures))(rows))


@pytest.mark.parametrize(
    ("name", "figures", "note"),
    [
        ("light and albedo", {"finite": [True, False]}, "the optimisation did not stay finite"),
        ("fine phase 1", {"residual": [1.0, 2.0]}, "it explains the photo worse than the medium shape"),
        ("fine phase 2", {"turn_degrees": [1.0, 41.0]}, "its normals left the medium shape by 41 degrees on average"),
        ("detail", {"largest_mm": [1.0, 0.0]}, "the displaced mesh would fold over"),
    ],
)
def test_the_note_of_a_frame_is_the_first_stage_left_out_of_it(name, figures, note):
    names = [stage.name for stage in surface_stages(Shared(None, presets.default()))]
    verdicts = {each: judged(each, **(figures if each == name else {})) for each in names}
    assert [second_pass._note(verdicts, row) for row in (0, 1)] == ["", f"{name} left out: {note}"]
    later = {each: judged(each, largest_mm=0.0) for each in names}
    assert second_pass._note(later | {name: verdicts[name]}, 1) == f"{name} left out: {note}"


class Answering(Run):
    """Its medium stage moves all vertices of frame t by t mm; in frames whose number is its detector's, triangles turn
    over."""

    def call(self, function, *frames, shared):
        return State(CoarseFit(*[None] * 3, np.zeros((self.chunk, 4, 3)), None, None)), None

    def stage(self, stage, state, views, *, shared):
        def look(frame):
            figures = {name: 0.0 for name in ("largest_move_mm", "energy_ratio", "shading_residual_before")}
            bad = np.isin(frame, self.detector)
            return figures | {"finite": True, "shading_residual": 0.0, "flipped_share": np.where(bad, 0.2, 0.0)}

        verdicts = [judge(stage.name, look(frame)) for frame in views.counts]
        verdicts = jax.tree.map(lambda *leaves: np.stack(leaves), *verdicts)
        return state._replace(shape_mm=state.fit.vertices_mm + views.counts[:, None, None]), verdicts


@pytest.mark.parametrize(
    ("bad", "offset_mm", "told"),
    [((), 2.2, ""), ((2,), 2.25, "in 1 of 5 frames"), ((0, 3), 8.0 / 3.0, "in 2 of 5 frames"),
     ((0, 2, 3), 0.0, "in 3 of 5 frames")],
)  # fmt: skip
def test_frames_whose_medium_stage_fails_do_not_count_and_are_told(tmp_path, monkeypatch, bad, offset_mm, told):
    """Six frames, the fifth of which shows no face; where most fail, the stage is left out."""
    monkeypatch.setattr(person_fit, "_view", lambda run, frame: View(None, None, None, np.float32(frame)))
    rows = FaceUnknowns(Pose(np.zeros((6, 3)), np.zeros((6, 2)), np.zeros(6)), np.zeros((6, 5)), np.zeros((6, 2)))
    person = TrackedPerson(Shared(None, None), None, np.zeros((4, 3)))
    known = {"person": person, "face": rows, "reason": [""] * 4 + ["no face was found", ""], "notes": []}
    fused = Fused(**dict.fromkeys(Fused._fields) | known)
    with open_journal(tmp_path / "j", identity={}, overwrite=False) as journal, Writer(depth=2) as writer:
        known = {
            "detector": bad,
            "look": None,
            "journal": journal,
            "writer": writer,
            "timeline": Timeline(),
            "chunk": 2,
        }
        found = person_fit._add_medium(Answering(**dict.fromkeys(Run._fields) | known), fused)
    np.testing.assert_allclose(found.person.offset_mm, offset_mm, atol=1e-6)
    assert found.notes == ([f"medium stage left out {told}: 20.0% of the triangles turned over"] if told else [])
