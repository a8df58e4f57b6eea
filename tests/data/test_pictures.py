"""Pictures of every kind come to one size: against plain Pillow and hand-made arrays."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from linclass_cli.data.pictures import Frame, look_at, pillow_checked, read_picture
from linclass_cli.errors import InputError, MissingError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), np.uint8)
EXACT = Frame(6, 8, 3)


@pytest.fixture(autouse=True)
def _checked():
    with pillow_checked():
        yield


def save(path, picture, **options):
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


def test_the_right_size_is_left_alone(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    for fit in ("crop", "pad", "stretch"):
        assert np.array_equal(read_picture(path, Frame(6, 8, 3, fit)), RGB)
    grey = np.asarray(Image.fromarray(RGB).convert("L"))
    assert np.array_equal(read_picture(path, Frame(6, 8, 1))[..., 0], grey)
    assert (look_at(path).height, look_at(path).width, look_at(path).grey) == (6, 8, False)


def test_grey_pictures_of_all_kinds(tmp_path):
    grey = RGB[..., 0]
    eight = save(tmp_path / "8.png", grey)
    sixteen = save(tmp_path / "16.png", grey.astype(np.uint16) * 257)
    tiff = save(tmp_path / "16.tif", Image.fromarray(grey.astype(">u2") * 257))
    with_alpha = save(
        tmp_path / "la.png", Image.merge("LA", [Image.fromarray(grey), Image.new("L", (8, 6), 255)])
    )
    for path in (eight, sixteen, tiff, with_alpha):
        assert look_at(path).grey
        assert np.array_equal(read_picture(path, Frame(6, 8, 1))[..., 0], grey)
        assert np.array_equal(read_picture(path, EXACT), np.repeat(grey[..., None], 3, 2))
    bits = save(
        tmp_path / "1.png", Image.fromarray(np.where(grey > 99, 255, 0).astype(np.uint8)).convert("1")
    )
    assert np.array_equal(read_picture(bits, Frame(6, 8, 1))[..., 0], np.where(grey > 99, 255, 0))


def test_alpha_is_laid_over_white(tmp_path):
    alpha = np.full((6, 8), 255, np.uint8)
    alpha[:, :4] = 0
    path = save(tmp_path / "a.png", np.dstack([RGB, alpha]))
    pixels = read_picture(path, EXACT)
    assert (pixels[:, :4] == 255).all()
    assert np.array_equal(pixels[:, 4:], RGB[:, 4:])


def test_palettes(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    plain = save(tmp_path / "p.gif", palette)
    assert read_picture(plain, Frame(1, 2, 3)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    clear = save(tmp_path / "p.png", palette, transparency=0)
    assert read_picture(clear, Frame(1, 2, 3)).tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk(tmp_path):
    path = save(tmp_path / "c.tif", Image.new("CMYK", (2, 2), (0, 255, 255, 0)))
    assert read_picture(path, Frame(2, 2, 3)).tolist() == [[[255, 0, 0]] * 2] * 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_that_were_turned(tmp_path, orientation):
    """Upright as Pillow's own exif_transpose has it."""
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", RGB, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    look = look_at(path)
    assert (look.height, look.width) == expected.shape[:2]
    assert np.array_equal(read_picture(path, Frame(*expected.shape[:2], 3)), expected)


@pytest.mark.parametrize("error", [MemoryError, ValueError])
def test_what_a_damaged_note_raises_turns_nothing_and_hides_no_want_of_memory(tmp_path, monkeypatch, error):
    def getexif(_):
        raise error

    path = save(tmp_path / "a.tif", RGB)
    monkeypatch.setattr(Image.Image, "getexif", getexif)
    if error is MemoryError:
        with pytest.raises(MemoryError):
            look_at(path)
    else:
        assert (look_at(path).height, look_at(path).width) == (6, 8)


def test_crop_pad_and_stretch(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, :10], wide[:, 10:20], wide[:, 20:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    path = save(tmp_path / "a.png", wide)
    assert (read_picture(path, Frame(10, 10, 3, "crop")) == (0, 250, 0)).all()
    padded = read_picture(path, Frame(30, 30, 3, "pad"))
    assert np.array_equal(padded, np.broadcast_to(wide[0], (30, 30, 3)))
    stretched = read_picture(path, Frame(10, 9, 3, "stretch"))
    assert stretched[0, 0].tolist() == [250, 0, 0]
    assert stretched[0, 8].tolist() == [0, 0, 250]


@pytest.mark.parametrize("width", [59, 107, 118])
def test_a_crop_that_keeps_a_whole_side_keeps_no_bit_more(tmp_path, width):
    """width * (33 / width) / (33 / width) is above width in floating point."""
    tall = RNG.integers(0, 256, (90, width, 3), np.uint8)
    found = read_picture(save(tmp_path / "a.png", tall), Frame(21, 33, 3, "crop"))
    assert found.shape == (21, 33, 3)
    turned = np.ascontiguousarray(tall.swapaxes(0, 1))
    other = read_picture(save(tmp_path / "b.png", turned), Frame(33, 21, 3, "crop"))
    # Pillow rounds after each of its two passes, which come in the other order: half a level, by weights
    # whose sizes add up to less than 1.6, and half a level at the end, in both pictures.
    assert np.abs(other.swapaxes(0, 1).astype(int) - found).max() <= 2


def test_what_is_finer_than_a_pixel_is_averaged(tmp_path):
    checkers = np.indices((512, 512)).sum(0) % 2 * 255
    for name in ("a.png", "a.tif"):
        path = save(tmp_path / name, checkers.astype(np.uint8))
        small = read_picture(path, Frame(16, 16, 1))
        assert abs(small.astype(int) - 127.5).max() < 3


def test_a_large_jpeg_is_near_to_the_slow_way(tmp_path):
    smooth = Image.fromarray(RGB).resize((900, 700), Image.Resampling.BICUBIC)
    path = save(tmp_path / "a.jpg", smooth, quality=95)
    quick = read_picture(path, Frame(32, 32, 3, "stretch")).astype(int)
    with Image.open(path) as image:
        slow = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert abs(quick - slow).max() <= 6
    assert abs(quick - slow).mean() < 1


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", start)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (png_header(100_000, 100_000), "million pixels"),
        (png_header(10_000, 10_000), "million pixels"),
        (png_header(20, 20), ""),
    ],
)
def test_hostile_files_have_a_reason(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_picture(path, EXACT)


def test_a_truncated_file_and_what_is_no_file(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (60, 80, 3), np.uint8)).save(whole, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(whole.getvalue()[:2000])
    with pytest.raises(InputError, match="truncated"):
        read_picture(path, EXACT)
    with pytest.raises(MissingError):
        read_picture(tmp_path / "b.jpg", EXACT)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="regular"):
        read_picture(tmp_path / "pipe.png", EXACT)
    fractions = save(tmp_path / "f.tif", np.ones((6, 8), np.float32))
    with pytest.raises(InputError, match="white"):
        read_picture(fractions, EXACT)
