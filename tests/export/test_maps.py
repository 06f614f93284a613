"""Pictures and arrays of the maps say the same, with the ranges they state."""

import json

import fake_face
import numpy as np
import pytest
from PIL import Image

from jaxface.export import maps


@pytest.fixture
def rec():
    return fake_face.make_reconstruction()


@pytest.fixture
def written(tmp_path, rec):
    maps.write_maps(tmp_path / "maps", rec)
    return tmp_path / "maps"


def read_pixels(path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def picture_values(folder, name, *, levels):
    span = json.loads((folder / "ranges.json").read_text())[name]
    pixels = read_pixels(folder / name).astype(np.float64)
    return span["black"] + (span["white"] - span["black"]) * pixels / levels


def test_every_map_is_there(written):
    stems = {
        "depth",
        "depth_16bit_mm",
        "normals",
        "albedo",
        "shading",
        "specular",
        "mask",
        "uv_albedo",
        "uv_normal_map",
        "uv_displacement_16bit_mm",
    }
    assert {path.name for path in written.iterdir()} == {f"{stem}.png" for stem in stems} | {"maps.npz", "ranges.json"}


def test_certainty_is_there_where_a_network_saw_normals(tmp_path, rec):
    spread = np.linspace(0.0, 0.6, rec.maps.mask.size, dtype=np.float32).reshape(rec.maps.mask.shape)
    led = fake_face.make_reconstruction(maps=rec.maps._replace(spread=spread))
    maps.write_maps(tmp_path, led)
    degrees = picture_values(tmp_path, "certainty.png", levels=255)
    np.testing.assert_allclose(degrees, np.degrees(spread), atol=0.1)
    with np.load(tmp_path / "maps.npz") as arrays:
        np.testing.assert_allclose(arrays["spread"], spread, atol=1e-3)


def test_sixteen_bit_depth_gives_millimetres_back(written, rec):
    seen = rec.maps.mask > 0.5
    depth = picture_values(written, "depth_16bit_mm.png", levels=65535)
    expected = rec.maps.height_px / 0.4  # crop zoom 1, 0.4 px/mm
    assert read_pixels(written / "depth_16bit_mm.png").dtype == np.uint16
    np.testing.assert_allclose(depth[seen], expected[seen], atol=1e-3)


def test_displacement_gives_millimetres_back(written, rec):
    displacement = picture_values(written, "uv_displacement_16bit_mm.png", levels=65535)
    np.testing.assert_allclose(displacement, rec.textures.displacement_mm, atol=1e-4)


@pytest.mark.parametrize("name", ["shading", "specular", "albedo"])
def test_colours_give_their_values_back(written, rec, name):
    values = picture_values(written, f"{name}.png", levels=255)
    seen = rec.maps.mask > 0.5
    expected = np.asarray(getattr(rec.maps, name))
    error = np.abs(values - expected)[seen]
    assert np.mean(error < 0.004) > 0.99


def test_normals_picture_shows_up_as_green(rec):
    picture = maps.normals_picture(np.asarray(rec.maps.normals_image))
    top, right = picture[3, 24], picture[24, -4]
    assert top[1] > 150 and picture[-4, 24][1] < 100
    assert right[0] > 150 and picture[24, 24][2] > 250


def test_npz_holds_all_arrays_in_their_frames(written, rec):
    with np.load(written / "maps.npz") as arrays:
        np.testing.assert_array_equal(arrays["height_px"], rec.maps.height_px)
        np.testing.assert_allclose(arrays["height_mm"] * arrays["px_per_mm"], rec.maps.height_px, rtol=1e-5)
        np.testing.assert_array_equal(arrays["uv_displacement_mm"], rec.textures.displacement_mm)
        np.testing.assert_allclose(arrays["normals_image"], rec.maps.normals_image, atol=1e-3)
        assert arrays["shading"].dtype == np.float16


def test_empty_mask_and_bad_values_still_write(tmp_path):
    broken = fake_face.fine_maps()._replace(mask=np.zeros((48, 48), np.float32))
    broken.height_px[0, 0] = np.nan
    maps.write_maps(tmp_path, fake_face.make_reconstruction(maps=broken))
    assert read_pixels(tmp_path / "depth.png").max() == 0
