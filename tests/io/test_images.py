"""Every kind of file a user may bring, good or bad."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from jaxface.io import images
from jaxface.types import FaceError

HEIGHT, WIDTH = 29, 37


def ramp() -> np.ndarray:
    """A picture no axis or channel swap leaves alone, uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 6, y * 8, 200 - 2 * x - 3 * y], axis=-1).astype(np.uint8)


def save(folder, name, pixels, *, mode=None, **options):
    picture = Image.fromarray(pixels)
    picture = picture.convert(mode) if mode else picture
    picture.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.PNG"])
def test_lossless_files_give_the_same_pixels(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    image = images.read_image(save(tmp_path, name, ramp(), **options))
    assert image.dtype == np.float32 and image.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(image, ramp() / 255.0, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_jpeg_is_near(tmp_path, mode):
    image = images.read_image(save(tmp_path, "a.jpg", ramp(), mode=mode, quality=98, subsampling=0))
    np.testing.assert_allclose(image, ramp() / 255.0, atol=0.03)


def test_suffix_need_not_tell_the_format(tmp_path):
    path = save(tmp_path, "a.png", ramp()).rename(tmp_path / "portrait")
    np.testing.assert_allclose(images.read_image(path), ramp() / 255.0, atol=1e-6)


def test_grey_becomes_three_equal_channels(tmp_path):
    image = images.read_image(save(tmp_path, "a.png", ramp()[..., 0]))
    np.testing.assert_allclose(image, np.repeat(ramp()[..., :1], 3, axis=-1) / 255.0, atol=1e-6)


def test_sixteen_bit_grey_keeps_its_range_and_depth(tmp_path):
    grey = np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    for name in ("a.png", "a.tif"):
        image = images.read_image(save(tmp_path, name, grey))
        np.testing.assert_allclose(image[..., 1], grey / 65535.0, atol=1e-6)


def test_sixteen_bit_rgb_png(tmp_path):
    wide = ramp().astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(png_bytes(wide))
    np.testing.assert_allclose(images.read_image(tmp_path / "a.png"), ramp() / 255.0, atol=0.005)


def png_bytes(pixels: np.ndarray) -> bytes:
    """A 16-bit RGB PNG, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:10], alpha[10:20] = 0, 51
    image = images.read_image(save(tmp_path, "a.png", np.concatenate([ramp(), alpha], axis=-1)))
    cover = alpha / 255.0
    np.testing.assert_allclose(image, cover * ramp() / 255.0 + 1.0 - cover, atol=0.005)


def test_palette_with_a_transparent_colour(tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, 18:] = (10, 200, 30)
    palette = Image.fromarray(pixels).quantize(2)
    palette.save(tmp_path / "a.png", transparency=palette.getpixel((0, 0)))
    image = images.read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image[5, 5], 1.0)
    np.testing.assert_allclose(image[5, 30], np.array([10, 200, 30]) / 255.0, atol=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = Image.fromarray(ramp())
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_allclose(images.read_image(tmp_path / "a.png"), ramp() / 255.0, atol=1e-6)


def refuse(path) -> str:
    with pytest.raises(FaceError) as caught:
        images.read_image(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.bmp"])
def test_truncated_files_are_refused(tmp_path, name, kept):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = save(tmp_path, name, noise)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    refuse(path)


def test_text_named_jpg_is_refused(tmp_path):
    (tmp_path / "a.jpg").write_text("This is a shopping list.\n" * 40)
    assert "not a picture" in refuse(tmp_path / "a.jpg")


def test_missing_empty_and_folder_are_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "empty" in refuse(tmp_path / "empty.jpg")
    assert "does not exist" in refuse(tmp_path / "missing.jpg")
    assert "folder" in refuse(tmp_path)


@pytest.mark.parametrize("side", [9_500, 12_000, 30_000])
def test_decompression_bombs_are_refused_from_the_header(tmp_path, side):
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR"
    fields = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + fields))
    (tmp_path / "a.png").write_bytes(header + fields + crc + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    assert "80 megapixels" in refuse(tmp_path / "a.png")


def test_floating_point_pictures_are_refused(tmp_path):
    assert "16 bits" in refuse(save(tmp_path, "a.tif", np.ones((9, 9), np.float32)))


def test_find_images_takes_files_and_folders(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.png").mkdir()
    assert [path.name for path in images.find_images(tmp_path)] == ["a.png", "b.JPG"]
    assert images.find_images(str(tmp_path / "notes.txt")) == [tmp_path / "notes.txt"]


def test_find_images_says_what_is_wrong(tmp_path):
    with pytest.raises(FaceError, match="no pictures"):
        images.find_images(tmp_path)
    with pytest.raises(FaceError, match="does not exist"):
        images.find_images(tmp_path / "missing")
