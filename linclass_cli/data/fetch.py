"""Bring a dataset into the cache: decide what to do, then do it.

Members are written under temporary names beside their places, proved by size and sha256, and renamed
together; ``dataset.json`` follows. So a failure leaves what was there before, and a dataset that is there is
whole. A damaged one is fetched anew, never repaired.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from linclass_cli.atomic import remove_if_empty, replacing
from linclass_cli.data.manifest import (
    Advance,
    damaged_members,
    dataset_folder,
    ignore,
    manifest_is_intact,
    write_manifest,
)
from linclass_cli.data.own import imported_names
from linclass_cli.data.parts import own_part, part_size, remove_part, remove_unused_parts
from linclass_cli.data.registry import ArchiveSpec, DatasetSpec, MemberSpec, find_dataset
from linclass_cli.data.transfer import Patience, Wanted, transfer
from linclass_cli.data.unpack import EXTRA, copy_from_folder, find_in_folder, unpack_gzip, unpack_tar
from linclass_cli.data.web import SCHEMES
from linclass_cli.errors import InputError, IntegrityError, MissingError
from linclass_cli.locks import holding, lock_path
from linclass_cli.signals import NOTHING, at_work

Action = Literal["present", "download", "resume", "from archive", "from folder"]
SourceKind = Literal["official", "address", "archive", "folder"]


@dataclass(frozen=True)
class Fetched:
    """A dataset that is available: ``path`` is its folder, ``cached`` says that nothing was transferred.

    ``image_shape`` is (h, w, c) in pixels; ``seconds`` is how long it took to get or to check it.
    """

    dataset: str
    path: Path
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    cached: bool
    seconds: float


def decide(intact: bool, kind: SourceKind, part_bytes: int) -> Action:
    """What has to be done for one archive. Pure.

    ``intact``: all its members are in the cache; ``kind``: what the user's source is; ``part_bytes``: how
    much of it an earlier transfer left.
    """
    if intact:
        return "present"
    if kind == "archive":
        return "from archive"
    if kind == "folder":
        return "from folder"
    return "resume" if part_bytes else "download"


def plan(spec: DatasetSpec, cache_dir: Path, source: str | None = None) -> dict[str, Action]:
    """What :func:`download` would do, archive by archive; looks, and changes nothing.

    Raises:
        MissingError: a source is needed, and there is no such path.
        InputError: the source is an address that is not http(s).
    """
    damaged = set(damaged_members(spec, cache_dir))
    kind = _source_kind(spec, source) if damaged else "official"
    address = source if kind == "address" else None
    return {
        archive.name: decide(
            damaged.isdisjoint(archive.members),
            kind,
            part_size(_part_path(spec, address or archive.name, cache_dir)),
        )
        for archive in spec.archives
    }


def download(
    name: str,
    cache_dir: Path,
    source: str | None = None,
    advance: Advance = ignore,
    *,
    patience: Patience | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Fetched:
    """Make a known dataset available in the cache; what is there and intact is left alone.

    ``source`` is the path or the http(s) address of a tar (gz or plain), or the path of a folder with the
    members (plain or .gz) or with the tar. From a source the members are verified, from the official
    addresses the archive too. ``advance`` is called as (what, done bytes, total bytes or None). While another
    process fetches the same dataset, this one waits, and says so to ``notice``.

    Raises:
        MissingError: the name or the path is not there.
        InputError: the source cannot hold this dataset.
        IntegrityError: what was found is not the dataset.
        ResourceError: no network, no space, no permission.
    """
    start = time.perf_counter()
    if name in imported_names(cache_dir):
        raise InputError(f"{name} was imported and is here already: `linclass train --data {name}`")
    spec = find_dataset(name)
    if spec.form == "embedded":
        path, cached = _check_embedded(spec, source), True
    else:
        path = dataset_folder(name, cache_dir)
        cached = _is_present(plan(spec, cache_dir, source))
        if not cached or not manifest_is_intact(spec, cache_dir):
            with holding(lock_path(path), lambda who: notice(f"{who} is at {name}, too: waiting for it")):
                actions = plan(spec, cache_dir, source)
                cached = _is_present(actions)
                if not cached:
                    _act(spec, cache_dir, source, actions, advance, patience or Patience())
                write_manifest(spec, cache_dir)
        remove_unused_parts(_parts_folder(cache_dir), f"{name}-*.part")  # a killed process may have left one
    return Fetched(
        dataset=name,
        path=path,
        n_train=spec.n_train,
        n_test=spec.n_test,
        classes=spec.classes,
        image_shape=spec.image_shape,
        cached=cached,
        seconds=time.perf_counter() - start,
    )


def _is_present(actions: dict[str, Action]) -> bool:
    return set(actions.values()) == {"present"}


def _check_embedded(spec: DatasetSpec, source: str | None) -> Path:
    """Embedded datasets are always there, unless the package that ships the pictures changed."""
    if source is not None:
        raise InputError(
            f"{spec.name} comes with linclass, it takes no --from; run `linclass download {spec.name}`"
        )
    from linclass_cli.data.embedded import cut_textures, pictures_folder  # numpy: only here

    cut_textures()
    return pictures_folder()


def _source_kind(spec: DatasetSpec, source: str | None) -> SourceKind:
    if source is None:
        return "official"
    if "://" in source:
        if source.partition("://")[0].lower() not in SCHEMES:
            raise InputError(f"--from {source}: expected an http or https address, or a path")
        return "address"
    path = Path(source)
    if path.is_dir():
        return "archive" if _tar_in_folder(spec, path) else "folder"
    if path.exists():
        return "archive"
    raise MissingError(f"--from {source}: there is no such file or folder; give {_what_is_needed(spec)}")


def _tar_in_folder(spec: DatasetSpec, folder: Path) -> Path | None:
    """The archive under its official name, in a folder that does not hold the members themselves."""
    archive = spec.archives[0]
    path = folder / archive.name
    if archive.kind != "tar" or find_in_folder(folder, spec.inner, archive.members[0].name):
        return None
    return path if path.is_file() else None


def _what_is_needed(spec: DatasetSpec) -> str:
    """In words, what a source must hold."""
    return f"a folder or a tar archive with {', '.join(member.name for member in spec.members)}"


def _act(
    spec: DatasetSpec,
    cache_dir: Path,
    source: str | None,
    actions: dict[str, Action],
    advance: Advance,
    patience: Patience,
) -> None:
    """Put the members of every archive that is not present in their places."""
    archives = [archive for archive in spec.archives if actions[archive.name] != "present"]
    members = [member for archive in archives for member in archive.members]
    mend = f"give {_what_is_needed(spec)}, or run `linclass download {spec.name}` without --from"
    if source is None:
        _from_official(spec, cache_dir, archives, advance, patience)
    elif "from archive" in actions.values():
        path = _tar_in_folder(spec, Path(source)) or Path(source)
        with _staged(spec, cache_dir, members) as targets:
            unpack_tar(path, members, targets, mend, advance)
    elif "from folder" in actions.values():
        with _staged(spec, cache_dir, members) as targets:
            copy_from_folder(Path(source), spec.inner, members, targets, mend, advance)
    else:
        _from_address(spec, cache_dir, source, members, advance, patience, mend)


def _from_official(
    spec: DatasetSpec,
    cache_dir: Path,
    archives: Sequence[ArchiveSpec],
    advance: Advance,
    patience: Patience,
) -> None:
    """Transfer the archives, all of them before the first member is touched, and unpack them."""
    way_out = f"try again later, or run `linclass download {spec.name} --from PATH|URL`"
    mend = f"run `linclass download {spec.name}` again"
    paths: list[Path] = []
    with contextlib.ExitStack() as stack, at_work(lambda: _kept(paths)):
        parts: list[tuple[ArchiveSpec, Path]] = []
        for archive in archives:
            part = stack.enter_context(own_part(_part_path(spec, archive.name, cache_dir)))
            paths.append(part)
            transfer(_wanted(archive, archive.addresses), part, advance, patience, way_out)
            parts.append((archive, part))
        members = [member for archive in archives for member in archive.members]
        with _staged(spec, cache_dir, members) as targets:
            for archive, part in parts:
                if archive.kind == "tar":
                    unpack_tar(part, archive.members, targets, mend, advance)
                else:
                    member = archive.members[0]
                    unpack_gzip(part, member, targets[member.name], mend, advance)
        for _, part in parts:
            remove_part(part)


def _from_address(
    spec: DatasetSpec,
    cache_dir: Path,
    address: str,
    members: Sequence[MemberSpec],
    advance: Advance,
    patience: Patience,
    mend: str,
) -> None:
    """Transfer one tar from the user's address; a registered address has a checksum to meet as well."""
    known = next((archive for archive in spec.archives if address in archive.addresses), None)
    if known is not None and known.kind != "tar":
        raise InputError(f"--from {address} is one file of {len(spec.archives)}; {mend}")
    if known is not None:
        wanted = _wanted(known, (address,))
    else:
        name = address.partition("?")[0].rpartition("/")[2] or spec.name
        wanted = Wanted(name, (address,), None, None, 2 * sum(m.size for m in spec.members) + EXTRA)
    with own_part(_part_path(spec, address, cache_dir)) as part, at_work(lambda: _kept([part])):
        transfer(wanted, part, advance, patience, mend)
        try:
            with _staged(spec, cache_dir, members) as targets:
                unpack_tar(part, members, targets, mend, advance)
        except IntegrityError as error:
            remove_part(part)  # or the next run would go on with the same bytes
            raise IntegrityError(str(error).replace(str(part), address)) from error
        remove_part(part)


def _kept(parts: Sequence[Path]) -> str:
    """What an interrupt leaves of a transfer, in words."""
    size = sum(part_size(part) for part in parts)
    return f"{size / 1e6:.1f} MB are kept; the same command goes on from there" if size else NOTHING


def _wanted(archive: ArchiveSpec, addresses: tuple[str, ...]) -> Wanted:
    return Wanted(archive.name, addresses, archive.size, archive.sha256, archive.size)


def _part_path(spec: DatasetSpec, archive: str, cache_dir: Path) -> Path:
    """Where an archive, or what a user's address serves, gathers.

    With the dataset's name in it, for MNIST and Fashion-MNIST have archives of the same names.
    """
    if "://" in archive:
        archive = hashlib.sha256(archive.encode()).hexdigest()[:12] + ".tar"
    return _parts_folder(cache_dir) / f"{spec.name}-{archive}.part"


def _parts_folder(cache_dir: Path) -> Path:
    return cache_dir / "datasets" / ".downloads"


@contextlib.contextmanager
def _staged(spec: DatasetSpec, cache_dir: Path, members: Sequence[MemberSpec]) -> Iterator[dict[str, Path]]:
    """Temporary names for the members, by name; they take their places together when the block ends well."""
    folder = dataset_folder(spec.name, cache_dir)
    try:
        with contextlib.ExitStack() as stack:
            yield {
                member.name: stack.enter_context(replacing(folder / member.name, member.size))
                for member in members
            }
    finally:
        remove_if_empty(folder)  # nothing half is left
