"""Plain PNG files without Pillow: the same pixels, or nothing."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from linclass_cli.data.pictures import Frame
from linclass_cli.data.quick_png import _chunk, packed_rows, quick_header, unfilter, unpack_rows
from linclass_cli.predicting.pictures import read_pictures

RNG = np.random.default_rng(0)


def unpack(content: bytes, header: bytes, size: int) -> bytes | None:
    packed = packed_rows(content, header, size)
    return None if packed is None else unpack_rows(packed, size)


def png(image: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "PNG", **options)
    return file.getvalue()


def picture(*shape: int) -> np.ndarray:
    """Noise on a slope, so that every filter has its rows."""
    slope = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None] * 3
    return (slope + RNG.integers(0, 40, shape)).astype(np.uint8)


def filtered(image: np.ndarray, kinds: list[int]) -> bytes:
    """The rows of an image (h, w, c) as a file has them, each by the next of the filters, by the standard."""
    h, w, c = image.shape
    line = np.zeros((h + 1, w * c + c), int)
    line[1:, c:] = image.reshape(h, w * c)
    rows = b""
    for y in range(h):
        kind, row = kinds[y % len(kinds)], []
        for x in range(c, w * c + c):
            a, b, corner = line[y + 1, x - c], line[y, x], line[y, x - c]
            near = min((abs(b - corner), 0), (abs(a - corner), 1), (abs(a + b - 2 * corner), 2))[1]
            guess = (0, a, b, (a + b) // 2, (a, b, corner)[near])[kind]
            row.append((line[y + 1, x] - guess) % 256)
        rows += bytes([kind, *row])
    return rows


def wrapped(rows: bytes, shape: tuple[int, int, int], *more: bytes) -> bytes:
    return b"".join([quick_header(shape), *more, _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kinds", [[0], [1], [2], [3], [4], [4, 2, 0, 3, 1]])
def test_every_filter(channels, kinds):
    image = RNG.integers(0, 256, (9, 7, channels)).astype(np.uint8)
    rows = unpack(
        wrapped(filtered(image, kinds), image.shape), quick_header(image.shape), 9 * (1 + 7 * channels)
    )
    out, good = np.empty((1, 9, 7 * channels), np.uint8), np.zeros(1, np.uint8)
    unfilter(np.frombuffer(rows, np.uint8).reshape(1, 9, -1), channels, out, good)
    assert good[0] == 1
    np.testing.assert_array_equal(out.reshape(image.shape), image)


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32, 1), (1, 1, 3), (5, 300, 3)])
def test_pillows_files_are_read_without_pillow(shape, tmp_path, monkeypatch):
    images = [picture(*shape) for _ in range(70)]
    paths = [str(tmp_path / f"{i}.png") for i in range(70)]
    for path, image in zip(paths, images, strict=True):
        Path(path).write_bytes(png(image))
    monkeypatch.setattr(Image, "open", None)
    found, errors = read_pictures(paths, Frame(*shape))
    assert errors == {}
    np.testing.assert_array_equal(found, images)


def test_what_is_not_plain_is_left_to_pillow():
    image = picture(8, 8, 3)
    head = quick_header((8, 8, 3))
    extra = PngImagePlugin.PngInfo()
    extra.add_text("Comment", "a" * 50)
    size = 8 * 25
    assert unpack(png(image, pnginfo=extra), head, size) is not None
    extra.add_text("Raw profile type exif", "turned")
    assert unpack(png(image, pnginfo=extra), head, size) is None
    assert unpack(png(image, transparency=(1, 2, 3)), head, size) is None
    assert unpack(png(image[..., :1]), head, size) is None
    assert unpack(png(picture(8, 9, 3)), head, size) is None
    assert unpack(png(image, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"), head, size) is None
    assert quick_header((8, 8, 4)) is None


def test_damaged_and_hostile_files_are_left_to_pillow(tmp_path):
    image = picture(8, 8, 3)
    head, size, whole = quick_header((8, 8, 3)), 8 * 25, png(image)
    for cut in range(len(whole) - 12):
        assert unpack(whole[:cut], head, size) is None
    for at in range(len(head) + 8, len(whole) - 16):
        assert unpack(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], head, size) is None
    bomb = wrapped(bytes(50_000_000), (8, 8, 3))
    assert unpack(bomb, head, size) is None
    lying = head + struct.pack(">I", 2**32 - 1) + b"IDAT" + bytes(20)
    assert unpack(lying, head, size) is None
    wrong = wrapped(bytes([9, *range(24)] * 8), (8, 8, 3))
    files = [tmp_path / f"{i}.png" for i in range(4)]
    for file, content in zip(files, [whole, wrong, lying, b""], strict=True):
        file.write_bytes(content)
    images, errors = read_pictures([str(file) for file in files], Frame(8, 8, 3))
    np.testing.assert_array_equal(images[0], image)
    assert sorted(errors) == [1, 2, 3]
