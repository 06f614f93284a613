"""tracking.csv, report.png and result.json: true, readable whatever the clip, the same bytes again."""

import csv
import json
import pathlib

import fake_track
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from jaxface.export.report import pose_json
from jaxface.tracking import reports
from jaxface.tracking.records import TrackSettings
from jaxface.types import Pose

WRITERS = {
    "tracking.csv": reports.write_tracking_csv,
    "report.png": reports.write_report,
    "result.json": reports.write_track_result,
}
NOTHING = np.full(10, np.nan)


def read_csv(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def result(track, tmp_path) -> dict:
    reports.write_track_result(tmp_path / "result.json", track)
    text = (tmp_path / "result.json").read_text()
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))


def picture(track, tmp_path) -> np.ndarray:
    reports.write_report(tmp_path / "report.png", track)
    with Image.open(tmp_path / "report.png") as stored:
        return np.asarray(stored.convert("RGB")).astype(int)


def pixels_of(image: np.ndarray, colour: str) -> int:
    rgb = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return int(np.sum(np.abs(image - rgb).max(axis=-1) <= 2))


def test_a_row_a_frame_with_its_pose(tmp_path):
    track = fake_track.make_track()
    reports.write_tracking_csv(tmp_path / "t.csv", track)
    rows = read_csv(tmp_path / "t.csv")
    assert list(rows[0])[:8] == [
        "frame", "name", "time_s", "status", "reason", "confidence", "residual_px", "shading_residual",
    ]  # fmt: skip
    assert [row["frame"] for row in rows] == [str(k) for k in range(10)]
    assert [row["status"] for row in rows] == list(track.status) and rows[3]["time_s"] == "0.1200"
    for k, row in enumerate(rows):
        one = Pose(*(leaf[k] for leaf in track.pose))
        assert {n: float(row[f"{n}_degrees"]) for n in reports.ANGLES} == pytest.approx(
            pose_json(one)["euler_degrees"], abs=6e-4
        )
        vector = [float(row[f"rotation_{axis}"]) for axis in "xyz"]
        np.testing.assert_allclose(vector, one.rotation_vector, atol=6e-7)
        place = [float(row[f"translation_{axis}_px"]) for axis in "xy"]
        np.testing.assert_allclose(place, one.translation_px, atol=6e-4)
        assert float(row["px_per_mm"]) == pytest.approx(2.0)
        if track.status[k] == "ok":
            assert float(row["residual_px"]) == pytest.approx(track.residual_px[k], abs=6e-4)


def test_what_is_unknown_is_empty_and_numbers_have_fixed_digits(tmp_path):
    track = fake_track.make_track(confidence=np.array([-1e-9, *range(8), np.inf]))
    reports.write_tracking_csv(tmp_path / "t.csv", track)
    rows = read_csv(tmp_path / "t.csv")
    assert rows[0]["confidence"] == "0.0000" and rows[1]["confidence"] == "0.0000" and rows[9]["confidence"] == ""
    assert rows[5]["residual_px"] == "" and rows[5]["shading_residual"] == "" and rows[5]["yaw_degrees"] != ""
    assert "nan" not in (tmp_path / "t.csv").read_text()


def test_awkward_names_and_reasons_stay_in_their_cells(tmp_path):
    names = ("a, b.png", 'say "x".png', "\udce9.png", *map(str, range(7)))
    reasons = ("two\nlines; and, commas.", *[""] * 9)
    reports.write_tracking_csv(tmp_path / "t.csv", fake_track.make_track(frame_names=names, reason=reasons))
    rows = read_csv(tmp_path / "t.csv")
    assert [row["name"] for row in rows[:3]] == ["a, b.png", 'say "x".png', "\\udce9.png"]
    assert rows[0]["reason"] == "two lines; and, commas." and len(rows) == 10


def test_angles_turn_back_into_the_same_rotations():
    pose = fake_track.poses(7, noise=0.3)
    turned = Rotation.from_euler("YXZ", reports.angles_degrees(pose), degrees=True)
    np.testing.assert_allclose(turned.as_rotvec(), pose.rotation_vector, atol=1e-6)


def test_the_result_counts_and_keeps_what_matters(tmp_path):
    track = fake_track.make_track(jitter={"raw": np.float32(0.3), "smoothed": float("nan")})
    found = result(track, tmp_path)
    assert found["status"] == "partial"
    assert found["frames"] == {"total": 10, "ok": 8, "bridged": 1, "lost": 1}
    assert found["jitter"] == {"raw": 0.3, "smoothed": None} and found["identity"] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert found["model"] == {"name": "dome", "licence": "Apache-2.0"} and found["detector"] == "told"
    assert found["settings"]["fuse"] == "bundle"
    assert found["notes"] == list(track.notes) and set(found["versions"]) == {"jaxface", "jax"}
    assert found["versions"]["jax"]
    assert result(fake_track.make_track(status=("ok",) * 10), tmp_path)["status"] == "ok"


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_track_gives_the_same_bytes_and_nothing_else(name, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        WRITERS[name](tmp_path / folder / name, fake_track.make_track())
        assert [path.name for path in (tmp_path / folder).iterdir()] == [name]
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("num_frames", [1, 10, 1000])
def test_the_strip_shows_the_share_of_each_state(num_frames, tmp_path):
    track = fake_track.make_track(num_frames=num_frames)
    everything = fake_track.make_track(num_frames=num_frames, status=("lost",) * num_frames)
    image, red = picture(track, tmp_path), pixels_of(picture(everything, tmp_path), reports.STATE_COLOURS["lost"])
    assert image.shape[1] == 1200 and 700 < image.shape[0] < 1200
    for state, number in reports.count_states(track).items():
        share = pixels_of(image, reports.STATE_COLOURS[state]) / red
        assert share == pytest.approx(number / num_frames, abs=0.05), state


def test_a_single_lost_frame_of_many_can_be_seen(tmp_path):
    states = ["ok"] * 5000
    before = picture(fake_track.make_track(num_frames=5000, status=tuple(states)), tmp_path)
    states[2500] = "lost"
    after = picture(fake_track.make_track(num_frames=5000, status=tuple(states)), tmp_path)
    plot = slice(0, before.shape[1] // 2 + 200)  # left of the legend, which tells their number
    reddish = (after[:, plot, 0] - after[:, plot, 1] > 30) & (np.abs(after - before)[:, plot].max(axis=-1) > 20)
    assert reddish.sum() >= 15


@pytest.mark.parametrize(
    "changes",
    [
        {"status": ("lost",) * 10, "confidence": NOTHING, "residual_px": NOTHING, "shading_residual": NOTHING},
        {"raw_pose": fake_track.poses(10, noise=float("nan"))},
        {"settings": TrackSettings(ordered=False), "jitter": {}},
        {"name": "\u89c6\u9891 $a_b$ \udce9", "notes": ("costs $5 and $6.", "\u89c6 " * 300)},
        {"notes": tuple(f"note {k}." for k in range(40))},
    ],
    ids=["nothing seen", "no raw pose", "photos", "strange letters", "many notes"],
)
def test_every_clip_can_be_drawn(changes, tmp_path):
    image = picture(fake_track.make_track(**changes), tmp_path)
    assert image.shape[1] == 1200 and image.shape[0] < 1400
    assert pixels_of(image, reports.ANGLES["yaw"]) > 20


def words(track) -> str:
    figure = reports.draw_report(track)
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_picture_tells_figures_and_notes():
    told = words(fake_track.make_track())
    figures = ("jitter 0.123 mm/frame^2", "spread 5 mm", "raw jitter 0.812 mm/frame^2", "dome (Apache-2.0)")
    assert all(words in told for words in (*figures, "the file breaks off", "smoothing 1"))
    told = words(fake_track.make_track(settings=TrackSettings(ordered=False), notes=("n.",) * 5))
    assert "unordered" in told and "2 more in result.json" in told


def test_raw_angles_are_drawn_where_a_frame_has_its_own():
    track = fake_track.make_track()
    faint, full, *_ = reports.draw_report(track).axes[0].lines
    np.testing.assert_array_equal(np.isnan(faint.get_ydata()), np.array(track.status) != "ok")
    np.testing.assert_allclose(full.get_ydata(), reports.angles_degrees(track.pose)[:, 0])
    own = reports.angles_degrees(track.raw_pose)[0, 0]
    assert faint.get_ydata()[0] == pytest.approx(own) and faint.get_alpha() < 1.0


def test_a_single_frame_is_drawn_and_numbered():
    axes = reports.draw_report(fake_track.make_track(num_frames=1, status=("ok",))).axes
    assert all(line.get_marker() == "o" for line in axes[0].lines)
    assert [tick for tick in axes[-2].get_xticks() if -0.5 <= tick <= 0.5] == [0.0]


@pytest.mark.parametrize(
    ("jitter", "text"),
    [
        ({"raw_jitter_mm_per_frame2": 0.5, "spread_mm": 0.0123456}, "raw jitter 0.5 mm/frame^2, spread 0.0123 mm"),
        ({"of_all": 2.0, "gone": float("nan")}, "of all 2"),
        ({"gone": float("inf")}, ""),
        ({}, ""),
    ],
)
def test_jitter_in_words(jitter, text):
    assert reports.jitter_text(fake_track.make_track(jitter=jitter)) == text


def test_an_unwritable_place_is_an_os_error(tmp_path):
    for name, write in WRITERS.items():
        with pytest.raises(OSError):
            write(pathlib.Path(tmp_path) / "nowhere" / name, fake_track.make_track())
