"""Members out of archives and folders, as if every archive were hostile.

Nothing is extracted by the archive's own names: the wanted members are known beforehand, and their bytes are
copied to names of our own until their size and sha256 are proved. Links, devices, folders, duplicates and
whatever else is in an archive are passed over; reading stops at a fixed number of bytes, packed or not.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from linclass_cli.atomic import new_file
from linclass_cli.data.manifest import Advance
from linclass_cli.data.registry import MemberSpec
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import InputError, IntegrityError, MissingError, ResourceError
from linclass_cli.regular import Irregular, open_regular

_BLOCK = 1 << 20
EXTRA = 64 << 20  # bytes of an unpacked archive that may be something else: headers, licences, label names
MOST_ENTRIES = 10_000
_PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class _Bounded(io.RawIOBase):
    """A stream that ends in an error after ``most`` bytes, however much there would be to read."""

    def __init__(self, source: IO[bytes], most: int, path: Path) -> None:
        self._source = source
        self._left = most
        self._path = path

    def read(self, size: int = -1, /) -> bytes:
        block = self._source.read(_BLOCK if size < 0 else size)
        self._left -= len(block)
        if self._left < 0:
            raise _far_more(self._path)
        return block


def _far_more(path: Path) -> IntegrityError:
    return IntegrityError(f"{path} unpacks to far more than the dataset; it was not read further")


@contextlib.contextmanager
def _damage(path: Path | str, mend: str) -> Iterator[None]:
    """What a damaged archive raises, as one line of :class:`IntegrityError`; ``mend`` is the way out."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, OverflowError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise IntegrityError(f"{path} is truncated, damaged or no such archive ({text}); {mend}") from error
    except OSError as error:  # of reading: what is written has its own guard
        raise ResourceError(f"cannot read {path}: {error.strerror or error}; {mend}") from error


@contextlib.contextmanager
def _opened(path: Path, mend: str) -> Iterator[IO[bytes]]:
    """A regular file's bytes, unpacked when they begin like gzip."""
    try:
        raw = open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"there is no {path}; {mend}") from None
    except Irregular as error:
        raise InputError(f"{path}: {error.strerror}; {mend}") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}; {mend}") from error
    with raw:
        try:
            magic = raw.read(2)
            raw.seek(0)
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {error.strerror or error}; {mend}") from error
        if magic == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield raw


def copy_member(
    source: IO[bytes], member: MemberSpec, target: Path, origin: str, mend: str, advance: Advance
) -> None:
    """Copy one member to ``target``, which must not exist, and prove it.

    Not more than the member's size, and one byte, are read.

    Raises:
        IntegrityError: other size or sha256 than registered; ``origin`` says where it came from.
        ResourceError: ``target`` cannot be written.
    """
    digest = hashlib.sha256()
    done = 0
    with disk_errors(target, member.size), new_file(target, member.size) as write:
        while done <= member.size:
            with _damage(origin, mend):  # before the guard of what is written takes it for its own
                block = source.read(min(_BLOCK, member.size + 1 - done))
            if not block:
                break
            done += len(block)
            digest.update(block)
            write(block)
            advance(f"unpacking {member.name}", min(done, member.size), member.size)
    if done != member.size:
        found = "more" if done > member.size else str(done)
        raise IntegrityError(f"{origin}: expected {member.size} bytes, found {found}; {mend}")
    if digest.hexdigest() != member.sha256:
        raise IntegrityError(f"{origin}: expected sha256 {member.sha256}, found {digest.hexdigest()}; {mend}")


def unpack_gzip(path: Path, member: MemberSpec, target: Path, mend: str, advance: Advance) -> None:
    """Unpack a file that is one member, gzip-ed or plain; raises as :func:`copy_member`."""
    with _opened(path, mend) as source, _damage(path, mend):
        copy_member(source, member, target, str(path), mend, advance)


def unpack_tar(
    path: Path, members: Sequence[MemberSpec], targets: Mapping[str, Path], mend: str, advance: Advance
) -> None:
    """Copy the members out of a tar (plain or gz), reading it once from its beginning.

    An entry counts when it is a regular file whose base name and size are a member's, the first time.
    ``targets`` says where each member goes, by name.

    Raises:
        IntegrityError: the archive is damaged, lies, lacks a member, or is far larger than the dataset.
        MissingError: there is no such file.
        ResourceError: a file cannot be read or written.
    """
    missing = {member.name: member for member in members}
    passed_over: dict[str, str] = {}  # a member's name -> what stood there instead
    most = sum(member.size for member in members) + EXTRA
    with _opened(path, mend) as source, _damage(path, mend):
        bounded = _Bounded(source, most, path)
        with _read_headers(path, mend):
            # It reads the first header.
            archive = tarfile.open(fileobj=bounded, mode="r|", bufsize=tarfile.RECORDSIZE)  # noqa: SIM115
        with archive:
            for entry in _entries(archive, most, path, mend):
                name = entry.name.rpartition("/")[2]
                if name not in missing:
                    continue
                if entry.type not in _PLAIN_TYPES or entry.issparse():
                    passed_over[name] = "no regular file"
                    continue
                if entry.size != missing[name].size:
                    passed_over[name] = f"{entry.size} bytes"
                    continue
                content = archive.extractfile(entry)
                if content is None:
                    continue
                member = missing.pop(name)
                copy_member(content, member, targets[name], f"{name} in {path}", mend, advance)
                if not missing:
                    return  # what follows is nobody's business
    first = next(iter(missing.values()))
    found = passed_over.get(first.name, "none")
    raise IntegrityError(f"{path}: expected {first.name} of {first.size} bytes, found {found}; {mend}")


def _entries(archive: tarfile.TarFile, most: int, path: Path, mend: str) -> Iterator[tarfile.TarInfo]:
    """The entries of an archive; IntegrityError where it is damaged, or has more than any dataset."""
    for _ in range(MOST_ENTRIES):
        with _read_headers(path, mend):
            entry = archive.next()
        if entry is None:
            return
        if archive.offset > most:  # where the next one is to be: tarfile would go there in small steps
            raise _far_more(path)
        yield entry
    raise IntegrityError(f"{path} has more than {MOST_ENTRIES} entries; it was not read further")


@contextlib.contextmanager
def _read_headers(path: Path, mend: str) -> Iterator[None]:
    """As :func:`_damage`, for the headers alone, over which tarfile may raise anything.

    Numbers that are none, sparse files' maps that end early, a thousand headers that each announce the next.
    """
    with _damage(path, mend):
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error) as error:
            raise tarfile.ReadError(f"a header makes no sense: {error}") from error


def find_in_folder(folder: Path, inner: str, name: str) -> Path | None:
    """A member in a folder: plain or with ``.gz``, at its top or in the archive's inner folder."""
    for place in (folder, folder / inner) if inner else (folder,):
        for candidate in (place / name, place / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def copy_from_folder(
    folder: Path,
    inner: str,
    members: Sequence[MemberSpec],
    targets: Mapping[str, Path],
    mend: str,
    advance: Advance,
) -> None:
    """Copy the members out of a folder, which is left as it is.

    Raises:
        MissingError: a member is not there.
        IntegrityError: a member has another size or sha256.
        ResourceError: a file cannot be read or written.
    """
    for member in members:
        path = find_in_folder(folder, inner, member.name)
        if path is None:
            raise MissingError(
                f"expected {member.name} (or {member.name}.gz) in {folder}, found none; {mend}"
            )
        unpack_gzip(path, member, targets[member.name], mend, advance)
