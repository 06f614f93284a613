"""The study of a rendered video: what is true in its world, and what its judges find."""

import dataclasses
import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from video_study import film, judge, report, script, study

from jaxface.morphable.default import load_default
from jaxface.tracking.records import Track, TrackSettings
from jaxface.types import Mesh, Pose

FRAMES, SIZE = 16, 96
study = SimpleNamespace(film=film, judge=judge, report=report, script=script, study=study)


@pytest.fixture(scope="module")
def actor():
    return study.film.default_actor(seed=0, levels=0)


@pytest.fixture(scope="module")
def clip(actor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    return study.film.shoot(actor, study.script.speaking(FRAMES), folder, size=SIZE)


def _fake_track(clip, *, noise=0.0, seed=0, identity_error=0.3, settings=TrackSettings()):
    """The truth with its off-basis field lost, and noise on pose (radians, pixels) and expression."""
    model, draw = load_default(), np.random.default_rng(seed)
    num_frames, num_expressions = clip.num_frames, model.expression_basis_mm.shape[0]
    basis = np.asarray(model.identity_basis_mm, np.float64)
    bent = (np.asarray(clip.actor.neutral_mm, np.float64) - np.asarray(model.mean_mm)).reshape(-1)
    identity = np.linalg.lstsq(basis.reshape(len(basis), -1).T, bent, rcond=None)[0]
    expression = np.zeros((num_frames, num_expressions))
    for name, weights in clip.script.weights.items():
        expression[:, model.expression_names.index(name)] = weights
    expression += noise * draw.normal(size=expression.shape)
    pose = Pose(*(np.array(rows, np.float64) for rows in clip.poses))
    pose.rotation_vector[:] += noise * draw.normal(size=pose.rotation_vector.shape)
    singles = identity + identity_error * draw.normal(size=(num_frames, len(identity)))
    neutral = np.asarray(model.mean_mm) + np.tensordot(identity, basis, axes=1)
    zeros, names = np.zeros(num_frames), tuple(f"{frame}" for frame in range(num_frames))
    return Track(
        "film", 25.0, names, zeros, ("ok",) * num_frames, ("",) * num_frames, zeros, zeros, zeros, pose, expression,
        pose, expression, np.zeros((num_frames, 9, 3)), identity, singles,
        Mesh(neutral.astype(np.float32), *(np.asarray(x) for x in (model.triangles, model.uvs, model.uv_triangles))),
        {}, (), settings, "told", model.name, model.licence, model.expression_names,
    )  # fmt: skip


def test_the_head_sweeps_and_moves_as_a_person_does():
    script = study.script.speaking(48)
    yaw, pitch, roll = np.degrees(script.turns.T)
    assert yaw[0] == -25.0 and yaw[-1] == pytest.approx(25.0) and (np.diff(yaw) > 0.0).all()
    assert np.ptp(pitch) > 8.0 and np.ptp(roll) > 4.0
    assert np.abs(np.diff(script.turns, axis=0)).max() < np.radians(3.0)  # a frame
    assert 0.04 < np.ptp(script.growth) + np.ptp(script.drift) < 0.1


def test_two_blinks_each_shut_within_three_frames():
    lids = study.script.speaking(48).weights["eyeBlinkLeft"]
    shut = np.flatnonzero(lids == 1.0)
    assert shut.tolist() == study.script.blink_frames(48)
    for frame in shut:
        assert lids[frame - 3] == 0.0 and (np.diff(lids[frame - 3 : frame + 1]) > 0.0).all()
    assert (lids == 0.0).sum() > 30


def test_speech_has_three_to_five_syllables_a_second():
    jaw = study.script.speaking(100).weights["jawOpen"]
    peaks = np.flatnonzero((jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] > jaw[2:])) + 1
    rates_hz = study.script.FRAMES_PER_SECOND / np.diff(peaks)
    assert 14 <= len(peaks) <= 18  # in 4 s
    assert 2.7 < rates_hz.min() < 3.7 and 4.0 < rates_hz.max() < 6.3  # peaks fall on whole frames
    assert np.ptp(jaw) > 0.1


def test_the_light_changes_slowly_in_direction_and_strength():
    light = study.script.speaking(48).light
    direction = light[:, [3, 1, 2]].mean(axis=2)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    steps = np.degrees(np.arccos(np.clip(np.sum(direction[1:] * direction[:-1], axis=1), -1.0, 1.0)))
    assert np.degrees(np.arccos(direction[0] @ direction[-1])) > 45.0 and steps.max() < 6.0
    strength = np.linalg.norm(light[:, 1:4].mean(axis=2), axis=1)
    assert strength.max() / strength.min() > 1.3


def _patch(clip, frame, *landmarks):
    """Mean colour about the middle of some landmarks."""
    x, y = clip.points_px[frame, landmarks, :2].mean(axis=0).round().astype(int)
    picture = np.asarray(Image.open(clip.path(frame)), np.float64) / 255.0
    return picture[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))


def test_landmarks_lie_on_what_they_name(clip):
    for frame in range(FRAMES):
        forehead, brow, lip, cheek = (_patch(clip, frame, *rows) for rows in ((151,), (105, 52), (15, 16), (205,)))
        assert brow.mean() < 0.75 * forehead.mean()
        assert lip[0] / lip[1] > 1.1 * cheek[0] / cheek[1]  # redder
        assert clip.seen[frame, [1, 9, 152]].all()


def test_pictures_change_with_the_light(clip):
    right, left = ([_patch(clip, frame, cheek).mean() for frame in (0, FRAMES - 1)] for cheek in (205, 425))
    assert right[0] / left[0] > 1.3 * right[1] / left[1]  # the lamp goes from the subject's right to the front


def test_the_truth_is_one_person_who_moves_plausibly(clip):
    gaps_mm = study.judge.lid_gaps(clip.points_px / np.exp(clip.poses.log_scale)[:, None, None])
    for shut in study.script.blink_frames(FRAMES):
        assert gaps_mm[shut] < 2.0 and gaps_mm[shut - 3] > 6.0
    assert study.judge.blink_depth(gaps_mm) > 5.0
    shapes = np.stack([np.asarray(clip.shapes_mm(frame)[1]) for frame in range(FRAMES)])
    brow = np.asarray(load_default().mean_mm)[:, 1] > 75.0
    assert np.ptp(shapes, axis=0)[brow].max() < 4.0  # brows are raised, no more
    speed = np.linalg.norm(np.diff(shapes, axis=0), axis=2)
    assert 0.02 < speed.mean() < 2.0 and speed.max() < 12.0
    smooth, rough = (np.asarray(shape) for shape in clip.shapes_mm(0))
    assert 0.01 < np.abs(rough - smooth).max() < 0.8


def test_a_still_clip_differs_by_noise_alone(actor, clip, tmp_path):
    still = study.film.shoot(actor, study.script.still(3, script=clip.script), tmp_path, size=SIZE)
    pictures = np.stack([np.asarray(Image.open(still.path(frame)), np.float64) for frame in range(3)]) / 255.0
    change = np.diff(pictures, axis=0)
    assert np.std(change) == pytest.approx(np.sqrt(2.0) * study.film.NOISE, rel=0.1)
    assert (still.points_px[0] == still.points_px[2]).all()
    calm = study.judge.still_figures(still, _fake_track(still), model=load_default())
    shaken = study.judge.still_figures(still, _fake_track(still, noise=0.01), model=load_default())
    assert max(calm.values()) < 1e-4 and min(shaken.values()) > 0.2


def test_the_person_is_judged_by_its_shape_not_its_place(clip):
    model = load_default()
    true = clip.actor.neutral_mm
    moved = 1.07 * true + jnp.array([[5.0, -3.0, 20.0]])
    errors = study.judge.identity_errors(clip, {"true": true, "moved": moved, "mean": model.mean_mm}, model=model)
    assert errors["true"] < 0.15  # the relief
    assert errors["moved"] == pytest.approx(errors["true"], abs=0.02)
    assert errors["mean"] > 1.0


def test_tracks_are_judged_frame_by_frame(clip, monkeypatch):
    monkeypatch.setattr(study.judge, "NUM_POINTS", 150)
    model = load_default()
    tracks = {"on": _fake_track(clip), "off": _fake_track(clip, noise=0.01), "gap": _fake_track(clip)}
    tracks["gap"] = dataclasses.replace(tracks["gap"], status=("lost",) * (FRAMES - 3) + ("ok",) * 3)
    found = study.judge.figures(clip, tracks, model=model)
    on, off, truth = (found[name] for name in ("on", "off", "truth"))
    assert np.isnan(on.rmse_mm[:-3]).all() and np.isfinite(on.rmse_mm[-3:]).all()
    assert 0.1 < np.nanmean(on.rmse_mm) < 1.0 < off.acceleration_mm / on.acceleration_mm
    assert np.abs(on.yaw_degrees - truth.yaw_degrees).max() < 0.01
    assert study.judge.blink_depth(on.lids_mm) == pytest.approx(study.judge.blink_depth(truth.lids_mm), rel=0.1)
    assert on.acceleration_mm == pytest.approx(truth.acceleration_mm, rel=0.2)
    assert on.error_acceleration_mm < 0.05 < 0.5 < off.error_acceleration_mm
    assert on.landmark_mm < off.landmark_mm


def test_a_world_from_its_actor_to_the_tables(actor, tmp_path, monkeypatch):
    monkeypatch.setattr(study.judge, "NUM_POINTS", 150)
    films, seen = {}, []

    def shoot(actor, play, folder, *, size):
        films[folder] = study.film.shoot(actor, play, folder, size=size)
        return films[folder]

    def tracker(source, folder, *, settings):
        """Ten times the noise without smoothing; every frame's own identity errs, and so does the mean of frames."""
        seen.append((source.name, settings.smooth, settings.fuse))
        track = _fake_track(films[source], noise=0.01 if settings.smooth == 0.0 else 0.001, settings=settings)
        if settings.fuse == "bundle":
            return track
        worse = track.neutral.vertices_mm * np.array([[1.05, 1.0, 1.0]], np.float32)
        return dataclasses.replace(track, neutral=dataclasses.replace(track.neutral, vertices_mm=worse))

    monkeypatch.setattr(study.study, "shoot", shoot)
    shared = dict(tracker=tracker, settings=TrackSettings(), num_frames=4, size=SIZE)
    world = study.study.play_world(actor, load_default(), tmp_path, **shared)
    assert seen == [
        ("moving", 1.0, "bundle"), ("moving", 0.0, "bundle"), ("moving", 1.0, "mean"),
        ("still", 1.0, "bundle"), ("still", 0.0, "bundle"),
    ]  # fmt: skip
    record = study.report.record(world)
    identity = record["identity_rmse_mm"]
    assert identity["clip"] == pytest.approx(identity["clip_coefficients"], abs=1e-3)
    assert identity["clip"] < identity["mean_of_frames"] and identity["clip"] < 0.85 * identity["single_frames_mean"]
    by_person, by_mean, jitter, _, lost = record["wanted"][:5]
    assert by_person["met"] and by_mean["met"]
    on, off = (record["still"][name]["jitter_mm_per_frame2"] for name in ("on", "off"))
    assert jitter["value"] == off / on and jitter["met"] == (off > 3.0 * on)
    assert -0.5 < lost["value"] < 0.02 and lost["met"]
    for figure in ("spread_mm", "jitter_mm_per_frame2"):
        assert record["still"]["off"][figure] > 5.0 * record["still"]["on"][figure] > 0.0
    text = "\n".join(study.report.lines([record], {"ict": "no data"}))
    assert text.count("| NO ") == sum(row["met"] is False for row in record["wanted"])
    json.dumps(record)
    assert study.report.draw([world]).axes


def test_ict_is_left_out_with_a_reason_where_its_data_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXFACE_TEST_DATA", str(tmp_path))
    actors, left_out = study.study.cast(["ict"], ict_dir=None, seed=0)
    assert not actors and "--ict_dir" in left_out["ict"]


@pytest.mark.slow
def test_an_ict_person_blinks_and_speaks(reference_data, tmp_path):
    actors, left_out = study.study.cast(["ict"], ict_dir=str(reference_data / "ict-facekit.tar.xz"), seed=0)
    clip = study.film.shoot(actors["ict"], study.script.speaking(12), tmp_path, size=128)
    assert not left_out
    gaps_mm = study.judge.lid_gaps(clip.points_px / np.exp(clip.poses.log_scale)[:, None, None])
    assert gaps_mm.max() > 7.0 and gaps_mm.min() < 2.5  # shut, the rims of the lids are that far apart
    for frame in range(12):
        assert _patch(clip, frame, 105).mean() < 0.9 * _patch(clip, frame, 197).mean()  # brow and nose
