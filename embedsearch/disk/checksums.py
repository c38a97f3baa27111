"""Checksums of a build's files: computed when it is written, compared when it is opened."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedsearch.disk.cache import cache_folder
from embedsearch.errors import IndexDamagedError

# Files up to this size are read at every opening. A larger file is read once, which is noted in the cache.
ALWAYS = 2**20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Size of a file in bytes, and its SHA-256, 64 hex digits."""

    size: int
    sha256: str


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    A large file is not read again where this machine has read it and its size and times are still the same.
    """
    stat = path.stat()
    if stat.st_size <= ALWAYS:
        return sha256_of(path)
    known = None
    with contextlib.suppress(OSError, RuntimeError):
        known = _note(stat, folder="checksums")
        checksum = known.read_text(encoding="ascii")
        if len(checksum) == 64:
            return checksum
    checksum = sha256_of(path)
    with contextlib.suppress(OSError):
        if known:
            known.parent.mkdir(parents=True, exist_ok=True)
            known.write_text(checksum, encoding="ascii")
    return checksum


def file_facts(folder: Path, known: Mapping[str, FileFacts] | None = None) -> dict[str, FileFacts]:
    """Flush every file in `folder` to the disk, and return sizes and SHA-256 by name.

    That they were read is noted, so that the first opening does not read large ones again.

    Args:
        folder: of the files.
        known: what `flushed` returned of some of them, by name.
    """
    known = known or {}
    return {path.name: known.get(path.name) or flushed(path) for path in sorted(folder.iterdir())}


def flushed(path: Path) -> FileFacts:
    """Flush a file to the disk, and return its size and SHA-256; see `file_facts`."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    facts = FileFacts(path.stat().st_size, sha256_of(path))
    note(path, facts.sha256)
    return facts


def verify(path: Path, facts: FileFacts, mend: str, *, whole: bool = False) -> None:
    """Compare a file with its facts.

    A large file is not read again where this machine has verified it and its size and times are still the
    same.

    Args:
        path: the file.
        facts: of the file, as it was written.
        mend: what to do about damage, a sentence.
        whole: read the file in any case.

    Raises:
        IndexDamagedError: it is missing, truncated or altered; the message names it.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise IndexDamagedError(f"{path} is missing ({error.strerror}). {mend}") from None
    if stat.st_size != facts.size:
        raise IndexDamagedError(
            f"{path} has {stat.st_size:,} bytes where {facts.size:,} were written. {mend}"
        )
    if not whole and stat.st_size > ALWAYS and _is_noted(stat, facts.sha256):
        return
    try:
        found = sha256_of(path)
    except OSError as error:
        raise IndexDamagedError(f"{path} can't be read ({error.strerror}). {mend}") from None
    if found != facts.sha256:
        raise IndexDamagedError(f"{path} was altered: its checksum is not the manifest's. {mend}")
    note(path, facts.sha256)


def note(path: Path, checksum: str) -> None:
    """Note in the cache that a large file has this checksum; without a cache nothing is noted."""
    with contextlib.suppress(OSError, RuntimeError):
        stat = path.stat()
        if stat.st_size <= ALWAYS:
            return
        noted = _note(stat, checksum)
        noted.parent.mkdir(parents=True, exist_ok=True)
        noted.touch()


def _is_noted(stat: os.stat_result, checksum: str) -> bool:
    with contextlib.suppress(OSError, RuntimeError):
        return _note(stat, checksum).is_file()
    return False


def _note(stat: os.stat_result, *of: str, folder: str = "verified") -> Path:
    facts = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, *of)
    return cache_folder() / folder / hashlib.sha256(repr(facts).encode()).hexdigest()
