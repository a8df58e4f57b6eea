"""Pictures of all kinds of malice: each has a reason; nothing is started, waited for, sent to a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_limits

from linclass_cli.data import pictures
from linclass_cli.data.pictures import Frame, pillow_checked, read_picture
from linclass_cli.errors import InputError
from tests.faults.children import start

FRAME = Frame(8, 8, 3)
SECONDS = 60.0


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes = b"", color: int = 0, more: bytes = b"") -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def gif(width: int, height: int, inner: tuple[int, int] | None = None) -> bytes:
    w, h = inner or (width, height)
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + bytes(6)
    return head + b"," + struct.pack("<HHHH", 0, 0, w, h) + b"\0\2\2\x44\1\0;"


def tiff(width: int, height: int, samples: int = 1, **other: tuple[int, int, int, int] | None) -> bytes:
    """A TIFF of bytes; entries are (tag, type, count, value)."""
    tags = {
        "width": (256, 4, 1, width),
        "height": (257, 4, 1, height),
        "bits": (258, 3, 1, 8),
        "compression": (259, 3, 1, 1),
        "white": (262, 3, 1, 1),
        "offsets": (273, 4, 1, 8),
        "samples": (277, 3, 1, samples),
        "rows": (278, 4, 1, height),
        "counts": (279, 4, 1, 9),
    }
    found = sorted(tag for tag in (tags | other).values() if tag)
    entries = b"".join(struct.pack("<HHII", *tag) for tag in found)
    return b"II*\0" + struct.pack("<IH", 8, len(found)) + entries + bytes(104)


def bmp(width: int, height: int, how: int = 0, colors: int = 0) -> bytes:
    about = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8 if how else 24, how, 0, 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + about + b"\0\1" * 50


BOMB = zlib.compress(bytes(9_000_000))
JPEG_END = b"\xff\xda\0\x08\1\1\0\0?\0\xff\xd9"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(sentinel) (w) file closefile showpage\n"
SVG = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg">&x;</svg>'
)
FILES = {
    "50,000 x 50,000": png(50_000, 50_000, bytes(10_000)),
    "a row of two billion": png(2**31 - 1, 1),
    "two billion rows": png(1, 2**31 - 1),
    "0 x 0": png(0, 0),
    "0 x 5": png(0, 5, bytes(5)),
    "cut off": png(64, 64, bytes(65 * 64))[:60],
    "damaged": png(64, 64, bytes(65 * 64))[:-20] + bytes(20),
    "a text that is a bomb": png(8, 8, bytes(72), more=chunk(b"zTXt", b"a\0\0" + BOMB)),
    "a profile that is a bomb": png(8, 8, bytes(72), more=chunk(b"iCCP", b"a\0\0" + BOMB)),
    "gif 65,535 x 65,535": gif(65_535, 65_535),
    "gif of a larger frame": gif(9, 9, (65_535, 65_535)),
    "gif cut off": gif(9, 9)[:20],
    "tiff of billions": tiff(2**31, 2**31),
    "tiff of many samples": tiff(9000, 9000, 65_535),
    "tiff of endless tags": tiff(10, 10, bits=(258, 3, 2**32 - 1, 8), offsets=(273, 4, 2**32 - 1, 8)),
    "tiff of huge tiles": tiff(
        9, 9, offsets=None, rows=None, counts=None, tile_offsets=(324, 4, 1, 8), tile_counts=(325, 4, 1, 9),
        tile_width=(322, 4, 1, 2**31), tile_height=(323, 4, 1, 2**31),
    ),
    "tiff without tags": b"II*\0\x08\0\0\0" + bytes(20),
    "webp of 2^48": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff" * 6,
    "jpeg 0 x 0": b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\0\1\1\x11\0\xff\xd9",
    "jpeg 65,535 x 65,535": b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0" + JPEG_END,
    "ppm of digits": b"P6 " + b"9" * 5000 + b" 9 255\n",
    "ppm of a comment": b"P6 #" + b"c" * 100_000,
    "pbm too short": b"P1 900 900\n" + b"0" * 1000,
    "bmp of billions": bmp(2**31 - 1, -(2**31)),
    "bmp of a huge palette": bmp(90, 90, 1, 2**31 - 1),
    "eps": EPS,
    "svg": SVG,
    "pdf": b"%PDF-1.4\n",
    "html": b"<html><script>",
    "zip": b"PK\3\4" + bytes(30),
    "gzip": b"\x1f\x8b" + bytes(30),
    "empty": b"",
    "text": b"hello",
}  # fmt: skip


@pytest.fixture
def nothing_starts(tmp_path, monkeypatch):
    """Programs that Pillow might start are in the PATH, and leave a sentinel; so does every start."""
    (tmp_path / "bin").mkdir()
    for name in ("gs", "gswin32c", "djpeg", "xdg-open"):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/sentinel\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with threadpool_limits(1):  # older versions ask ldconfig for the C library, once
        pass

    def refuse(*arguments, **options):
        raise AssertionError(f"a program was started: {arguments}")

    for owner, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn"), (os, "execv")):
        monkeypatch.setattr(owner, name, refuse)
    yield
    assert not (tmp_path / "sentinel").exists()


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, capfd, nothing_starts, name):
    path = tmp_path / "a.png"
    path.write_bytes(FILES[name])
    began = time.monotonic()
    with pillow_checked(), pytest.raises(InputError) as caught:
        read_picture(path, FRAME)
    assert time.monotonic() - began < SECONDS
    assert 0 < len(str(caught.value)) < 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        png(1, 1, bytes(2)),
        png(65_535, 1, bytes(65_536)),
        png(1, 65_535, bytes(2 * 65_535)),
        png(8, 8, bytes(9_000_000)),  # more pixels than it claims
        gif(1, 1),
    ],
)
def test_odd_and_harmless(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pillow_checked():
        assert read_picture(tmp_path / "a.png", FRAME).shape == FRAME.shape


MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "I;16",
    "F",
)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_in_strips_and_whole(tmp_path, monkeypatch, mode):
    """Every mode that a format can hold is read, or has a reason, the same in strips as in one piece."""
    written = 0
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    for suffix in ("png", "tif", "webp", "jpg", "bmp", "gif", "ppm", "tga", "jp2", "avif"):
        path = tmp_path / f"a.{suffix}"
        try:
            Image.fromarray(pixels, "RGBA").convert("RGB").convert(mode).save(path)
        except (ValueError, OSError, KeyError):
            continue
        written += 1
        for channels in (1, 3):
            found = []
            for strip in (pictures._STRIP, 70):
                monkeypatch.setattr(pictures, "_STRIP", strip)
                with pillow_checked():
                    try:
                        found.append(read_picture(path, Frame(9, 9, channels)).tobytes())
                    except InputError as error:
                        found.append(str(error))
            assert found[0] == found[1]
    assert written or mode in ("La", "PA", "RGBa", "HSV", "YCbCr", "LAB")


@pytest.mark.parametrize("transparency", [0, 3, b"\0\x80\xff"])
def test_palettes_with_transparency_in_strips(tmp_path, monkeypatch, transparency):
    pixels = np.random.default_rng(0).integers(0, 4, (20, 30), np.uint8)
    image = Image.fromarray(pixels, "P")
    image.putpalette(list(range(12)))
    image.save(tmp_path / "a.png", transparency=transparency)
    with pillow_checked():
        whole = read_picture(tmp_path / "a.png", FRAME)
        monkeypatch.setattr(pictures, "_STRIP", 70)
        assert np.array_equal(read_picture(tmp_path / "a.png", FRAME), whole)


def test_a_jpeg_of_too_many_scans(tmp_path, monkeypatch):
    content = io.BytesIO()
    Image.new("L", (64, 64), 128).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:-2] + scan * 200 + whole[-2:])
    with pillow_checked():
        read_picture(path, FRAME)  # so small that it does not matter
        monkeypatch.setattr(pictures, "_FEW", 0)
        with pytest.raises(InputError, match="more than 100 scans"):
            read_picture(path, FRAME)
        path.write_bytes(whole)
        read_picture(path, FRAME)


def test_large_webp_files_are_opened_one_at_a_time(tmp_path, monkeypatch):
    """Their size is found in the first bytes, whichever way they are packed."""
    for options in ({"lossless": False}, {"lossless": True}, {"lossless": True, "exif": b"Exif\0\0"}):
        content = io.BytesIO()
        Image.new("RGB", (300, 200)).save(content, "WEBP", **options)
        assert pictures._webp_pixels(content.getvalue()[:30]) == 300 * 200
    assert pictures._webp_pixels(png(9, 9)[:30]) == 0
    held = []
    monkeypatch.setattr(pictures, "_LARGE", 100)
    monkeypatch.setattr(pictures, "_formats", lambda: held.append(pictures._large._is_owned()) or ("WEBP",))
    Image.new("RGB", (20, 20)).save(tmp_path / "a.webp")
    with pillow_checked():
        read_picture(tmp_path / "a.webp", FRAME)
    assert held == [True]


def save(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)
    with path.open("wb") as file:  # older versions of Pillow ask for the whole path, which may be too long
        Image.fromarray(pixels).save(file, path.suffix[1:].upper())


def photos(n: int = 6) -> None:
    for label in ("cat", "dog"):
        for number in range(n):
            save(Path(f"photos/{label}/{number}.png"), hash((label, number)) % 2**31)


NAMES = (
    "a\nb.png",
    "\x1b]0;owned\x07.png",
    "\x9b2J.png",
    "‮gnp.png",
    "a\rb.png",
    "-rf.png",
    os.fsdecode(b"\xff\xfe.png"),
)


def test_an_import_of_everything(linclass, nothing_starts):
    photos()
    for number, content in enumerate(FILES.values()):
        (Path("photos/cat") / f"evil {number}.png").write_bytes(content)
    for name in NAMES:
        (Path("photos/dog") / name).write_bytes(b"no picture")
    for name, target in (
        ("zero", "/dev/zero"),
        ("passwd", "/etc/passwd"),
        ("round", "round.png"),
        ("up", "../.."),
    ):
        Path(f"photos/dog/{name}.png").symlink_to(target)
    os.mkfifo("photos/dog/fifo.png")
    save(Path("photos/dog/folder.png/inner.png"), 77)
    for file, content in (("x.eps", EPS), ("x.svg", SVG), ("x.pdf", b"%PDF-1.4\n")):
        (Path("photos/dog") / file).write_bytes(content)
    refused = linclass("import", "photos", "--name", "pets")
    assert refused.code == 3
    assert refused.error.isprintable()
    made = linclass("import", "photos", "--name", "pets", "--on-bad-image", "skip")
    assert made.code == 0, made.err
    assert made.out.replace("\n", "").isprintable()
    assert made.err.replace("\n", "").isprintable()
    told = linclass("import", "photos", "--name", "pets", "--on-bad-image", "skip", "--json").json
    assert told["n_train"] + told["n_test"] == 6 + 6 + 1
    assert len(told["skipped"]) == len(FILES) + len(NAMES) + 5
    assert told["ignored"] == ["dog/x.eps", "dog/x.pdf", "dog/x.svg"]


@pytest.fixture
def run(linclass):
    photos()
    linclass("import", "photos", "--name", "pets")
    linclass("train", "--data", "pets", "--feature", "pixels", "--loss", "ridge", "--name", "run")
    return linclass


def test_predictions_of_everything(run, nothing_starts):
    folder = Path("evil")
    save(folder / "good.png")
    save(folder / "folder.jpg" / "good.png")
    for number, content in enumerate(FILES.values()):
        (folder / f"evil {number}.png").write_bytes(content)
    for name in NAMES:
        (folder / name).write_bytes(b"no picture")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "round.png").symlink_to("round.png")
    os.mkfifo(folder / "fifo.png")
    result = run("predict", "run", "evil", "--out", "labels.csv")
    assert result.code == 3
    assert result.err.replace("\n", "").isprintable()
    told = [line for line in result.err.splitlines() if line.startswith("evil/")]
    assert len(told) == len(FILES) + len(NAMES) + 3
    with Path("labels.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows if row["label"]} == {"evil/good.png", "evil/folder.jpg/good.png"}
    assert {f"evil/{name}" for name in NAMES} <= {row["path"] for row in rows}  # byte for byte


def test_a_terminal_is_shown_no_escape_sequences(run, monkeypatch):
    save(Path("evil/\x1b[2J.png"))

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    for terminal in (True, False):
        out = io.BytesIO()
        stream = (Terminal if terminal else io.TextIOWrapper)(out, encoding="utf-8")
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdout", stream)
            run("predict", "run", "evil")
        assert (b"\x1b[2J" in out.getvalue()) is not terminal
        assert (rb"\x1b[2J" in out.getvalue()) is terminal


@pytest.fixture
def down(tmp_path, monkeypatch):
    """``down(top, name, levels)``: folders in each other, a picture in the last; removed by a program:

    pytest's own removal calls a function a level.
    """

    def make(top: str, name: str, levels: int) -> None:
        monkeypatch.chdir(top)
        for _ in range(levels):
            Path(name).mkdir()
            os.chdir(name)
        save(Path("x.png"), 99)
        monkeypatch.chdir(tmp_path)

    yield make
    subprocess.run(["rm", "-rf", "photos"], cwd=tmp_path, check=True)


def test_folders_deeper_than_calls(run, down):
    down("photos/cat", "d", 1010)
    assert run("import", "photos", "--name", "deep", "--json").json["n_train"] == 10 + 1
    (told,) = (json.loads(line) for line in run("predict", "run", "photos/cat/d", "--json").out.splitlines())
    assert told["label"] in ("cat", "dog")


def test_folders_deeper_than_the_system_opens(run, down):
    down("photos/cat", "d" * 200, 25)
    refused = run("import", "photos", "--name", "deep")
    assert (refused.code, "the folder cannot be read" in refused.error) == (3, True)
    assert run("import", "photos", "--name", "deep", "--on-bad-image", "skip").code == 0
    told = [json.loads(line) for line in run("predict", "run", "photos", "--json").out.splitlines()]
    assert ["error" in one for one in told].count(True) == 1


def test_a_fifo_is_not_waited_for_and_no_writer_notices(tmp_path, run):
    """Whoever writes into a FIFO that lies about is not disturbed by a command that looks at it."""
    os.mkfifo("fifo.png")
    process = start(tmp_path, "predict", "run", "fifo.png")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "no regular file" in err
    assert out == "path,label,probability\nfifo.png,,\n"
