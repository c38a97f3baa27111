"""Which kind of source a location is, for the command line."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from embedsearch.disk.paths import expanded
from embedsearch.errors import SourceError
from embedsearch.sources.addresses import Place, is_address, local_file
from embedsearch.sources.dataset import is_saved_dataset
from embedsearch.sources.documents import DOCUMENT_SUFFIXES, MARKDOWN, TEXT_SUFFIXES
from embedsearch.sources.files import ZIP
from embedsearch.sources.files.zipped import zip_names
from embedsearch.sources.folder import NOT_IMAGES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from embedsearch.sources.image_files import HEIF_SUFFIXES, USUAL, image_suffixes, image_test
from embedsearch.sources.paths import PassedOver, listed, not_found, walk
from embedsearch.sources.shards import TAR, is_pattern, is_tar
from embedsearch.sources.word_vectors import is_word_vectors

FILES_LOOKED_AT = 2000
FILE_KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".ods": "excel",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".npy": "vectors",
    ".npz": "vectors",
    ".vec": "word-vectors",
    ".bin": "word-vectors",
    ".txt": "lines",
    ".conll": "conll",
}
WEBDATASET = "webdataset"
# the kinds that are read when they are packed by gzip
PACKED = ("csv", "jsonl", "lines", "conll", "word-vectors")
# kinds of folders whose files are known by their suffixes, beside texts
MEDIA = {"videos": VIDEO_SUFFIXES, "sounds": SOUND_SUFFIXES}
_ONE_ITEM = TEXT_SUFFIXES.union(DOCUMENT_SUFFIXES, *MEDIA.values())
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def guess(location: str) -> tuple[str, str]:
    """Return the kind of source at `location`, a row of `SOURCES`, and its absolute path or hub id.

    The suffix says what a file is. A folder is a saved data set; or images, videos, sounds or documents,
    whichever most of its first 2000 files are (plain texts alone are `texts`); or Parquet files, or tar
    archives of WebDataset. So is a zip archive, and a folder at an address. A pattern such as
    `part-{000..099}.tar` names tar archives; `owner/name` without such a path is a data set on the hub.

    Raises:
        SourceNotFoundError: there is nothing at `location`.
        SourceError: there is something that is none of the kinds.
        MissingExtraError: what reads such an address is not installed.
    """
    if is_address(location):
        return _kind_at(location), location
    path = expanded(location)
    path = path.resolve() if ".." in path.parts else path.absolute()
    if path.is_dir():
        return _kind_of_folder(path), str(path)
    if path.is_file():
        return _kind_of_file(path), str(path)
    if is_pattern(str(path)):
        return WEBDATASET, str(path)
    if _is_hub_id(location):
        return "dataset", location
    raise not_found(path)


def _suffix(name: str) -> str:
    """Return the suffix of a file's name in lower case; of one packed by gzip that of what is in it."""
    path = PurePosixPath(name.lower())
    inner = PurePosixPath(path.stem).suffix
    return inner if path.suffix == ".gz" and FILE_KINDS.get(inner) in PACKED else path.suffix


def _is_hub_id(location: str) -> bool:
    """Whether a missing path is to be looked for on the hub: not if it points into a folder here."""
    owner = location.partition("/")[0]
    suffix = _suffix(location)
    known = suffix in FILE_KINDS or suffix in _ONE_ITEM or suffix in image_suffixes()
    return bool(_HUB_ID.fullmatch(location)) and not known and not Path(owner).exists()


def _kind_of_file(path: Path) -> str:
    suffix = _suffix(path.name)
    if suffix == ".txt" and is_word_vectors(path):
        return "word-vectors"
    if suffix in FILE_KINDS:
        return FILE_KINDS[suffix]
    if is_tar(path.name):
        return WEBDATASET
    if suffix == ZIP:
        return _kind_of_names(str(path), zip_names(str(path)))
    if suffix in image_suffixes() | HEIF_SUFFIXES | _ONE_ITEM:
        raise SourceError(f"{path} is one item; give the folder that it is in: {path.parent}.")
    raise SourceError(
        f"{path} is not one of the files that can be read: {', '.join((*FILE_KINDS, ZIP, TAR))}. "
        f"Give one of those, a folder of images, {', '.join(MEDIA)} or texts, or say what it is with --kind."
    )


def _kind_at(location: str) -> str:
    """Which kind of source is at an address."""
    suffix = _suffix(urlsplit(location).path)
    if is_tar(urlsplit(location).path) or is_pattern(location):
        return WEBDATASET
    if suffix == ".txt" and is_word_vectors(local_file(location, "a text file")):
        return "word-vectors"
    if suffix in FILE_KINDS:
        return FILE_KINDS[suffix]
    return _kind_of_names(location, zip_names(location) if suffix == ZIP else Place.at(location).listing())


def _kind_of_names(location: str, names: Iterable[str]) -> str:
    """Whether files are images, videos, sounds or documents, whichever are more, else tar archives."""
    by_suffix = _kinds() | dict.fromkeys(image_suffixes(), "images")
    found = [PurePosixPath(name) for name in islice(names, FILES_LOOKED_AT)]
    paths = [path for path in found if path.suffix.lower() in by_suffix]
    if kind := _most(paths, [by_suffix[path.suffix.lower()] for path in paths]):
        return kind
    if any(is_tar(path.name) for path in found):
        return WEBDATASET
    raise SourceError(f"{location} holds none of these: {_expected()}.")


def _kinds() -> dict[str, str]:
    """Return by suffix which kind of source the files of a folder are; "tables" is what a folder is not."""
    by_suffix = {suffix: kind for kind, suffixes in MEDIA.items() for suffix in suffixes}
    texts = dict.fromkeys(TEXT_SUFFIXES, "texts") | dict.fromkeys(DOCUMENT_SUFFIXES | MARKDOWN, "documents")
    return dict.fromkeys(FILE_KINDS, "tables") | by_suffix | texts


def _most(names: Sequence[PurePosixPath], kinds: Sequence[str]) -> str:
    """Return the kind that most files are of; empty where all are tables.

    A .txt beside an image or a video of the same name is its caption, and is not counted.
    """
    pairs = list(zip(names, kinds, strict=True))
    stems = {name.with_suffix("") for name, kind in pairs if kind not in ("tables", "documents", "texts")}
    counts = Counter(
        kind
        for name, kind in pairs
        if kind != "tables" and not (kind == "texts" and name.with_suffix("") in stems)
    )
    if counts["documents"]:
        counts["documents"] += counts.pop("texts", 0)  # text files are documents, too
    return max(("images", *MEDIA, "documents", "texts"), key=lambda kind: counts[kind]) if counts else ""


def _expected() -> str:
    return (
        f"images ({', '.join(USUAL)} and what else Pillow reads), texts "
        f"({', '.join(sorted(TEXT_SUFFIXES))}), documents ({', '.join(sorted(DOCUMENT_SUFFIXES))}), "
        f"{', '.join(MEDIA)}"
    )


def _kind_of_folder(path: Path) -> str:
    if is_saved_dataset(path):
        return "dataset"
    is_image, passed_over = image_test(NOT_IMAGES), PassedOver()
    by_suffix = _kinds()

    def wanted(entry: os.DirEntry[str]) -> bool:
        return _suffix(entry.name) in by_suffix or is_image(entry)

    found = islice(walk(path, wanted, passed_over), FILES_LOOKED_AT)
    names = [PurePosixPath(name) for name, _ in found]
    if kind := _most(names, [by_suffix.get(_suffix(name.name), "images") for name in names]):
        return kind
    if any(name.suffix.lower() == ".parquet" for name in names):
        return "parquet"
    if TAR in passed_over.kinds or any(is_tar(inner.name) for inner in path.iterdir()):
        return WEBDATASET
    others = f" It holds {listed(passed_over.kinds)}." if passed_over.kinds else ""
    instead = f" It holds {names[0]}: give that file." if names else others
    raise SourceError(
        f"{path} holds none of these: {_expected()}; and it is not a data set made by save_to_disk.{instead}"
    )
