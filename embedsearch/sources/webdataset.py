"""WebDataset: tar archives in which the files of one sample stand together and share a key.

`cat7.jpg`, `cat7.txt` and `cat7.json` are the sample `cat7`. It is read by Python's own tarfile, which
says where in the archive a file lies, so that only what is new is read. The library webdataset reads all
that it gives out, and decodes some kinds of files by pickle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import PurePosixPath

from embedsearch.errors import ItemError, SourceError, SourceNotFoundError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Deferred, Entries, Entry, Modality, Record, Rejected, Value
from embedsearch.sources.addresses import MOST_BYTES, is_address
from embedsearch.sources.documents import FILE_LIMIT, TEXT_SUFFIXES
from embedsearch.sources.files import leads_out
from embedsearch.sources.folder import CAPTION_LIMIT, SOUND_SUFFIXES
from embedsearch.sources.image_files import image_suffixes
from embedsearch.sources.lines import check_encoding, open_text, problem_of
from embedsearch.sources.parts import ReadParts, in_turn
from embedsearch.sources.paths import PassedOver
from embedsearch.sources.shards import TAR, Shard, Tar, TarMember, shards_at
from embedsearch.sources.table import Ids, Nested, NothingToReport
from embedsearch.sources.typed_cells import as_field, clean
from embedsearch.splitters.sound import check_installed

LOOKED_AT = 1000  # samples that tell what the data set holds
JSON, CLASS = ".json", ".cls"
Sample = dict[str, TarMember]  # the files of a sample by suffix, such as ".jpg" or ".left.jpg"


class WebDataset(NothingToReport):
    """Tar archives of samples: one file, those in a folder, or those that `part-{000..099}.tar` names.

    A sample's image is its content, or else its sound, or else its text. The id is the key, below the name of
    the archive where there are several. Fields: the keys of its `.json`; `label`, its `.cls` or the folder of
    its key; and `caption`, the `.txt` beside an image or a sound.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._recipe = recipe
        check_encoding(recipe.encoding)
        if recipe.id or recipe.vector:
            raise SourceError("A sample of a WebDataset is known by its key: leave out --id and --vector.")
        self._named = {
            modality: name
            for modality, name in (
                (Modality.IMAGE, recipe.image),
                (Modality.SOUND, recipe.sound),
                (Modality.TEXT, recipe.text),
            )
            if name
        }
        if len(self._named) > 1:
            raise SourceError(
                "A record is an image, a sound or a text: give one of --image, --sound and --text."
            )
        self._shards = shards_at(recipe.location)
        self._read: ReadParts = in_turn
        self._passed_over = PassedOver()
        self._modality = next(iter(self._named), None) or self._find_modality()
        if self._modality is Modality.SOUND:
            check_installed()

    def modality(self) -> Modality:
        """Images; where the samples hold none sounds, and else texts."""
        return self._modality

    def count(self) -> int | None:
        """Not known before the archives are read."""
        return None

    def passed_over(self) -> Mapping[str, int]:
        """The files of the last reading that are no part of a record, by suffix."""
        return self._passed_over.kinds

    def divide(self, read: ReadParts) -> None:
        """See `Divisible`; each archive is a part."""
        self._read = read

    def __iter__(self) -> Entries:
        """Yield the samples in their order; a second one of a key, and what is damaged, is rejected."""
        self._passed_over = PassedOver()
        ids, nested = Ids(), Nested()
        # what another machine has copied from an address does not lie here
        near = any(is_address(shard.location) for shard in self._shards)
        read = iter((in_turn if near else self._read)(partial(_samples, shard) for shard in self._shards))
        for shard in self._shards:
            prefix = f"{shard.name.removesuffix(TAR)}/" if len(self._shards) > 1 else ""
            for each in next(read):
                if isinstance(each, Rejected):
                    yield Rejected(ids.counted(each.id), each.reason)
                    continue
                key, files = each
                identity = prefix + key
                if not ids.take(identity):
                    again = "an earlier sample of the archive has this key"
                    yield Rejected(ids.counted(identity), again)
                else:
                    yield self._entry(identity, key, files, nested)

    def _find_modality(self) -> Modality:
        """Return what the first samples hold.

        Raises:
            SourceError: they hold none of images, sounds and texts, or none can be read.
        """
        samples = chain.from_iterable(map(_samples, self._shards))
        held: set[str] = set()
        problem = ""
        for each in islice(samples, LOOKED_AT):
            if isinstance(each, Rejected):
                problem = problem or f" {each.id}: {each.reason}."
            else:
                held.update(each[1])
        for modality, suffixes in _suffixes().items():
            if any(_last(suffix) in suffixes for suffix in held):
                return modality
        kinds = f" Its samples hold {', '.join(sorted(held))}." if held else problem
        raise SourceError(
            f"{self._recipe.location} holds no images, sounds or texts.{kinds} To embed a key of its JSON, "
            "give --text KEY."
        )

    def _entry(self, identity: str, key: str, files: Sample, nested: Nested) -> Entry:
        folder = PurePosixPath(key).parent.as_posix()
        fields: dict[str, Value] = {"label": None if folder == "." else folder}
        try:
            fields |= _json_fields(files.get(JSON), nested)
            if CLASS in files:
                fields["label"] = _text(files[CLASS], self._recipe.encoding, CAPTION_LIMIT).strip() or None
            suffix, content = self._content(files, fields)
            if self._modality is not Modality.TEXT and ".txt" in files:
                fields["caption"] = _text(files[".txt"], self._recipe.encoding, CAPTION_LIMIT).strip() or None
        except (ItemError, OSError) as error:
            return Rejected(identity, str(error))
        used = {JSON, CLASS, ".txt", suffix}
        for other in files.keys() - used:
            self._passed_over.add(f"x{_last(other)}", ())
        return Record(identity, self._modality, content, fields)

    def _content(self, files: Sample, fields: dict[str, Value]) -> tuple[str, str | Deferred]:
        """Return what is embedded of a sample, and the suffix of its file.

        Raises:
            ItemError: the sample does not hold it.
            OSError: it can't be read.
        """
        if self._recipe.text:
            parts = [self._part(name, files, fields) for name in self._recipe.text]
            text = "\n".join(part for part in parts if part.strip())
            if not text:
                raise ItemError(f"its {' and '.join(self._recipe.text)} is empty")
            return f".{self._recipe.text[0].lower()}", text
        named = str(self._named.get(self._modality, ""))
        wanted = f".{named.lower().lstrip('.')}" if named else ""
        suffixes = _suffixes()[self._modality]
        found = wanted if wanted in files else next((each for each in files if _last(each) in suffixes), "")
        if not found or (wanted and found != wanted):
            held = ", ".join(sorted(files))
            raise ItemError(f"it has no {wanted or self._modality}; it holds {held}")
        member = files[found]
        if not member.size:
            raise ItemError(f"its {found} is empty")
        if member.size > MOST_BYTES:
            raise ItemError(f"its {found} is over {MOST_BYTES:,} bytes")
        if self._modality is not Modality.TEXT:
            return found, member
        text = _text(member, self._recipe.encoding, FILE_LIMIT)
        if not text.strip():
            raise ItemError(f"its {found} is empty")
        return found, text

    def _part(self, name: str, files: Sample, fields: dict[str, Value]) -> str:
        """Return a text of a sample: a file by its suffix, or a key of its JSON, which is no field then."""
        suffix = f".{name.lower().lstrip('.')}"
        if suffix in files:
            return _text(files[suffix], self._recipe.encoding, FILE_LIMIT)
        if name not in fields:
            raise ItemError(f"it has neither a file {suffix} nor a key {name!r} in its .json")
        value = fields.pop(name)
        return "" if value is None else str(value)


def _samples(shard: Shard) -> Iterator[tuple[str, Sample] | Rejected]:
    """Yield the key and the files of each sample; of an archive that is cut off not the last one."""
    try:
        tar = Tar(shard)
    except (SourceNotFoundError, SourceError) as error:
        yield Rejected(shard.name, str(error))
        return
    key, files = "", Sample()
    for entry, member in tar:
        name, suffix = _split(entry.name)
        if PurePosixPath(name).name.startswith("."):
            continue
        if leads_out(entry.name):
            yield Rejected(entry.name, "its name leads out of the archive")
        elif not entry.isreg():
            yield Rejected(entry.name, "it is a link or a device, not a file")
        else:
            if name != key and files:
                yield key, files
                files = Sample()
            key = name
            if suffix in files:
                yield Rejected(entry.name, "an earlier file of the sample has this name")
            else:
                files[suffix] = member
    if tar.problem:
        lost = f"; the sample {key} is not read" if files else ""
        yield Rejected(shard.name, f"{tar.problem}{lost}")
    elif files:
        yield key, files


def _suffixes() -> dict[Modality, frozenset[str]]:
    """Return how the names of a modality's files end; the first that a data set holds is its content."""
    return {
        Modality.IMAGE: image_suffixes(),
        Modality.SOUND: SOUND_SUFFIXES,
        Modality.TEXT: TEXT_SUFFIXES,
    }


def _split(name: str) -> tuple[str, str]:
    """Return the key of a file, up to the first dot of its name, and the rest, such as `.left.jpg`."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    stem, dot, suffix = last.partition(".")
    if not stem and dot:  # hidden
        return f"{folder}{slash}{last}", ""
    return f"{folder}{slash}{stem}", f"{dot}{suffix.lower()}"


def _last(suffix: str) -> str:
    """Return the last part of a suffix: `.jpg` of `.left.jpg`."""
    return PurePosixPath(f"x{suffix}").suffix


def _text(member: TarMember, encoding: str, most: int) -> str:
    """Return the text of a file.

    Raises:
        ItemError: it is too large, or no text in this encoding.
        OSError: it can't be read.
    """
    if not member.size:
        return ""
    if member.size > most:
        raise ItemError(f"{member.name} is over {most:,} bytes")
    with open_text(member, encoding, "embedsearch.mark") as (file, found):
        text = file.read()
    if problem := problem_of(text, found):
        raise ItemError(f"{member.name} {problem}")
    return text


def _json_fields(member: TarMember | None, nested: Nested) -> dict[str, Value]:
    """Return the keys of a JSON object as fields; what is nested has a dot.

    Raises:
        ItemError: it is no JSON object.
        OSError: it can't be read.
    """
    if member is None:
        return {}
    try:
        row = json.loads(_text(member, "utf-8", FILE_LIMIT))
    except (ValueError, RecursionError) as error:
        raise ItemError(f"{member.name} is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise ItemError(f"{member.name} is JSON, but not an object")
    return {clean(name): as_field(value) for name, value in nested.flat(row).items()}
