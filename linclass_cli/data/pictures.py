"""One picture file of whatever kind as an array of one size: what `import`, and a prediction, sees of it.

The same file gives the same pixels, whatever the number of threads: turned upright (EXIF), alpha laid over
white, 16 bits cut to 8, CMYK and palettes made RGB, then cut or padded to the size and resampled with an
antialiasing filter. Of an animation, the first frame counts.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from linclass_cli.errors import InputError, MissingError
from linclass_cli.regular import open_regular

# Those that Pillow decodes by itself: EPS would start another program.
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_GREY = ("1", "L", "LA", "La", *_GREY_16)
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pictures of more pixels are decoded one at a time, so that many threads do not need much memory.
_LARGE = 1 << 24
_large = threading.RLock()
_STRIP = 1 << 22  # pixels that are converted at a time
# Every scan of a JPEG goes over all its pixels, and takes a dozen bytes; encoders make ten.
_MOST_SCANS = 100
_FEW = 10**11  # pixels times bytes of a JPEG in which any number of scans is read in seconds
_SCAN = b"\xff\xda"


@dataclass(frozen=True)
class Frame:
    """What pictures are brought to: ``channels`` 1 (grey) or 3 (RGB); ``fit`` says what becomes of the rest.

    ``crop`` cuts the largest centred part of the right proportions, ``pad`` takes the whole picture and
    repeats its edges, ``stretch`` takes the whole picture and changes its proportions.
    """

    height: int
    width: int
    channels: int
    fit: str = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, self.channels)


@dataclass(frozen=True)
class Look:
    """What the beginning of a picture file says: its upright size in pixels, and whether it is grey."""

    height: int
    width: int
    grey: bool


@contextlib.contextmanager
def pillow_checked() -> Iterator[None]:
    """A block in which Pillow refuses decompression bombs, and says nothing about what it tolerates.

    Filters are the process's: enter it once, around all threads that read pictures.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def look_at(path: Path) -> Look:
    """Read the beginning of a picture file. Raises as :func:`read_picture`."""
    with _opened(path) as image, _reasons():
        width, height = image.size
        # A PNG may say it at its very end, behind all pixels: not worth reading here.
        if (image.format != "PNG" or "exif" in image.info) and _orientation(image) >= 5:
            width, height = height, width
        return Look(height, width, image.mode in _GREY)


def read_picture(path: Path, frame: Frame) -> NDArray[np.uint8]:
    """A picture file as u8 (height, width, channels) of the frame. Use it within :func:`pillow_checked`.

    Raises, with the reason alone as its text (the caller names the file):
        InputError: the file is no picture, damaged, too large, or of a kind whose white is not known.
        MissingError: there is no such file.
    """
    with _opened(path) as image:
        side = 4 * max(frame.height, frame.width)
        with _reasons():
            if image.format in ("JPEG", "MPO"):
                _check_scans(path, image.width * image.height)
            # Where a JPEG is far larger than the frame, its decoder can leave out what would be averaged.
            image.draft(None, (side, side))
        with _one_at_a_time(image.width * image.height):
            with _reasons():
                image.load()
                upright = _upright(image)
            return _fitted(_eight_bits(upright, frame.channels), frame)


def fit_pixels(pixels: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    """An image u8 (h, w, 1 or 3) brought to the frame, as a picture file would be."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    return _fitted(_eight_bits(image, frame.channels), frame)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with contextlib.ExitStack() as stack:
        with _reasons():
            file = stack.enter_context(open_regular(path))
            head = file.read(30)
            if not head:
                raise InputError("the file is empty")
            file.seek(0)
            stack.enter_context(_one_at_a_time(_webp_pixels(head)))
            image = stack.enter_context(Image.open(file, formats=_formats()))
        yield image


def _one_at_a_time(pixels: int) -> AbstractContextManager[object]:
    """Held by one thread while it reads a large picture."""
    return _large if pixels > _LARGE else contextlib.nullcontext()


def _webp_pixels(head: bytes) -> int:
    """The pixels of a WebP file, whose decoder takes memory for all of them when it is opened; else 0.

    By its first 30 bytes: https://developers.google.com/speed/webp/docs/riff_container.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    kind = head[12:16]
    if kind == b"VP8X":
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    if kind == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        return (1 + (sides & 0x3FFF)) * (1 + (sides >> 14 & 0x3FFF))
    return (int.from_bytes(head[26:28], "little") & 0x3FFF) * (int.from_bytes(head[28:30], "little") & 0x3FFF)


def _check_scans(path: Path, pixels: int) -> None:
    """Raise InputError for a JPEG of so many scans that it would be read for hours."""
    if pixels * path.stat().st_size > _FEW and path.read_bytes().count(_SCAN) > _MOST_SCANS:
        raise InputError(f"it is a JPEG of more than {_MOST_SCANS} scans")


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Whatever Pillow raises over a hostile file becomes one reason; only what Pillow does stands inside."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingError("there is no such file") from error
    except UnidentifiedImageError as error:
        raise InputError("it is no picture of a kind that is known") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = Image.MAX_IMAGE_PIXELS or 0
        raise InputError(f"it claims to have more than {most / 1e6:.0f} million pixels") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(" ".join(reason.split()).lower()[:120]) from error


@cache
def _formats() -> tuple[str, ...]:
    """The formats that this Pillow can read."""
    Image.init()
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs would go to stderr
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8; damaged notes about it say nothing."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if isinstance(value, int) else 1
    except MemoryError:  # which says nothing about the picture
        raise
    except Exception:
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """The picture as grey (mode L, ITU-R 601 luma) or RGB, its alpha laid over white."""
    mode = "L" if channels == 1 else "RGB"
    width, height = image.size
    if width * height <= _STRIP or (image.mode == mode and "transparency" not in image.info):
        return _converted(image, mode)
    # In strips: on the way there are up to four copies.
    whole, rows = Image.new(mode, image.size), max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        whole.paste(_converted(strip, mode), (0, top))
    return whole


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in _GREY_16:
        values: NDArray[Any] = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError("its values are not within 0 and 65535: what is white is not known")
        image = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "F":
        raise InputError("its pixels are fractions: what is white is not known; save it with 8 or 16 bits")
    with _reasons():
        if image.mode in _ALPHA or "transparency" in image.info:
            straight = image.convert("RGBA")
            white = Image.new("RGBA", straight.size, "white")
            image = Image.alpha_composite(white, straight).convert("RGB")
        return image if image.mode == mode else image.convert("RGB").convert(mode)


def _fitted(image: Image.Image, frame: Frame) -> NDArray[np.uint8]:
    """The picture, grey or RGB, brought to the frame's size."""
    size = (frame.width, frame.height)
    width, height = image.size
    scale = frame.width / width, frame.height / height
    box = (0.0, 0.0, float(width), float(height))
    if frame.fit == "crop":
        # At most all of it: the quotient can be a last bit more, and Pillow takes no box that begins below 0.
        keep_x = min(float(width), width * scale[0] / max(scale))
        keep_y = min(float(height), height * scale[1] / max(scale))
        left, top = (width - keep_x) / 2, (height - keep_y) / 2
        box = (left, top, left + keep_x, top + keep_y)
    elif frame.fit == "pad":
        size = (
            max(1, min(frame.width, round(width * min(scale)))),
            max(1, min(frame.height, round(height * min(scale)))),
        )
    # The gap lets a large picture be averaged by whole pixels first, to no more than three times the size.
    small = image.resize(size, Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    pixels = np.asarray(small).reshape(size[1], size[0], frame.channels)
    spare_y, spare_x = frame.height - size[1], frame.width - size[0]
    around = ((spare_y // 2, spare_y - spare_y // 2), (spare_x // 2, spare_x - spare_x // 2), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, around, mode="edge"))
