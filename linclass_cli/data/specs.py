"""The shape of what is known about a dataset before any of its bytes is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MemberSpec:
    """One file of a dataset as it lies in the cache: its name, its size in bytes and its sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ArchiveSpec:
    """One file to transfer: a ``tar`` (gz or plain) of members, or one ``gzip``-ed member.

    ``size`` is in bytes, ``sha256`` in hex; ``addresses`` are tried in their order.
    """

    name: str
    kind: Literal["tar", "gzip"]
    size: int
    sha256: str
    addresses: tuple[str, ...]
    members: tuple[MemberSpec, ...]


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a dataset before any of its bytes is here.

    ``image_shape`` is (h, w, c) in pixels; ``train`` and ``test`` name the members of each part in the order
    in which they are read (``idx``: images, labels); ``label_bytes`` counts the bytes before each image of a
    CIFAR record, the last of which is the label; ``inner`` is the folder inside the archive; ``digest`` is
    set for embedded datasets only, the others have :func:`linclass_cli.data.registry.dataset_digest`.
    """

    name: str
    form: Literal["cifar", "idx", "embedded"]
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    n_train: int
    n_test: int
    archives: tuple[ArchiveSpec, ...] = ()
    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    label_bytes: int = 1
    inner: str = ""
    digest: str = ""

    @property
    def members(self) -> tuple[MemberSpec, ...]:
        """The members of all archives, in order."""
        return tuple(member for archive in self.archives for member in archive.members)
