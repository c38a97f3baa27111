"""Hugging Face data sets: saved on disk with `save_to_disk`, or streamed from the hub."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embedsearch.errors import MissingExtraError, SourceError, SourceNotFoundError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries
from embedsearch.sources.labels import Namer, namers
from embedsearch.sources.parts import Part, ReadParts, in_turn
from embedsearch.sources.paths import not_found, printable
from embedsearch.sources.table import Nested, Reading, RowReader, Table, choose_columns

BATCH_ROWS = 256
PART_ROWS = 4096  # that another process reads at once
HUB_SECONDS = 5.0
DEFAULT_SPLIT = "train"


def is_saved_dataset(folder: Path) -> bool:
    """Return whether `folder` was written by `save_to_disk`: a data set, or several splits."""
    single = (folder / "dataset_info.json").is_file() and (folder / "state.json").is_file()
    return single or (folder / "dataset_dict.json").is_file()


class HubDataset(Table):
    """A data set in a folder made by `save_to_disk`, or one on the hub by its id.

    Images and sounds come as they are stored, not decoded; class labels come as their names.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        if find_spec("datasets") is None:
            raise MissingExtraError(
                f"Reading the data set {recipe.location} needs the package datasets: "
                "pip install 'embedsearch[hub]'"
            )
        path = Path(recipe.location)
        if path.is_dir():
            self._folder = path.resolve()
            self._name, self._data = _from_disk(self._folder, recipe.split)
        elif path.is_absolute():
            raise not_found(path)
        else:
            self._folder = Path.cwd()
            self._name, self._data = _from_hub(recipe.location, recipe.split)
        names, images, sounds, objects, self._labels = _features(self._data)
        self._columns = choose_columns(recipe, names, self._name, images, objects, sounds)
        self._reading = Reading()
        self._read: ReadParts = in_turn

    def count(self) -> int | None:
        """The number of rows of a saved data set; None for one that is streamed."""
        return self._data.num_rows if hasattr(self._data, "num_rows") else None

    def divide(self, read: ReadParts) -> None:
        """See `Divisible`."""
        self._read = read

    def __iter__(self) -> Entries:
        """Yield the rows, in order.

        Raises:
            SourceError: the hub stopped answering.
        """
        from embedsearch.sources.arrowrows import notes

        self._reading = Reading()
        lost: Counter[str] = Counter()
        reader = RowReader(self._columns, self._folder)
        for number, row in enumerate(self._rows(lost), start=1):
            for name, label in self._labels.items():
                row[name] = label(row[name])
            yield reader.entry(row, f"{self._name}:{number}")
        self._reading.notes = notes(lost)

    def _rows(self, lost: Counter[str]) -> Iterator[dict[str, Any]]:
        from embedsearch.sources.arrowrows import rows

        number = 0
        for pieces in self._read(self._parts()):
            for piece in pieces:
                if isinstance(piece, str):
                    raise SourceError(
                        f"The data set {self._name} could not be read beyond row {number}: {piece}. Try "
                        "again, or save it to a folder with save_to_disk and give that folder."
                    )
                for row in rows(piece, piece.column_names, lost, self._columns.vector):
                    number += 1
                    yield row

    def _parts(self) -> Iterator[Part]:
        """Yield what reads the data set: all at once here, else some rows, or files of a streamed one."""
        data = self._data
        if self._read is in_turn:
            yield partial(_pieces, data)
        elif hasattr(data, "num_rows"):
            for start in range(0, data.num_rows, PART_ROWS):
                yield partial(_pieces, data.select(range(start, min(start + PART_ROWS, data.num_rows))))
        else:
            for index in range(data.num_shards):
                yield partial(_pieces, data.shard(num_shards=data.num_shards, index=index))


def _pieces(data: Any) -> Iterator[Any]:
    """Yield a data set as Arrow tables, and at an error why there are no more."""
    try:
        # As Arrow, nothing is decoded: an image stays {"bytes": ..., "path": ...}.
        yield from data.with_format("arrow").iter(batch_size=BATCH_ROWS)
    except Exception as error:  # whatever the hub's client raises
        yield str(error)


def _from_disk(folder: Path, split: str) -> tuple[str, Any]:
    """The data set in `folder`, of the split asked for, and its name."""
    from datasets import load_from_disk

    if not is_saved_dataset(folder):
        raise SourceError(
            f"{folder} is no saved data set; expected a folder made by save_to_disk. For a folder of "
            "images or texts use --kind images or --kind texts."
        )
    name, chosen = printable(folder.name), folder
    listing = folder / "dataset_dict.json"
    try:
        if listing.is_file():
            split = _choose_split(folder.name, json.loads(listing.read_text("utf-8"))["splits"], split)
            name, chosen = f"{name}/{split}", folder / split
        data = load_from_disk(str(chosen))
    except SourceError:
        raise
    except Exception as error:  # damaged JSON or Arrow files raise whatever they raise
        raise SourceError(
            f"{chosen} can't be read as a saved data set: {error}. Save it again with save_to_disk."
        ) from error
    if split and chosen is folder and split != str(data.split):
        raise SourceError(f"{folder} holds a single split ({data.split}), not {split!r}: leave out --split.")
    return name, data


def _from_hub(name: str, split: str) -> tuple[str, Any]:
    """The data set `name` of the hub, to be streamed, of the split asked for; and its name."""
    from datasets import load_dataset
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    local = "Or save it to a folder with save_to_disk on a machine that has it, and give that folder."
    try:
        # Asked first, because this takes a time limit and is not tried again and again.
        HfApi().dataset_info(name, timeout=HUB_SECONDS)
        splits = load_dataset(name, streaming=True)
    except RepositoryNotFoundError:
        raise SourceNotFoundError(
            f"There is no folder {name} here and no public data set of that id on the hub. Check the "
            f"id, as in owner/name. {local}"
        ) from None
    except Exception as error:  # whatever the hub's client raises
        raise SourceError(
            f"There is no folder {name} here, and the hub can't give a data set of that id: "
            f"{type(error).__name__}: {error}. Check the id and the network. {local}"
        ) from error
    split = _choose_split(name, list(splits), split)
    return f"{name}/{split}", splits[split]


def _choose_split(name: str, splits: Sequence[str], asked: str) -> str:
    """The split asked for; else "train", else the only one."""
    if asked and asked not in splits:
        raise SourceError(
            f"{name} has no split {asked!r}; it has {', '.join(splits)}.{nearest(asked, splits)}"
        )
    if asked or DEFAULT_SPLIT in splits:
        return asked or DEFAULT_SPLIT
    if len(splits) == 1:
        return splits[0]
    raise SourceError(f"{name} has the splits {', '.join(splits)}: say which with --split.")


def _features(data: Any) -> tuple[list[str], list[str], list[str], list[str], dict[str, Namer]]:
    """Return the columns, those of images, sounds and objects, and what names the classes of a column."""
    from datasets import Audio, Image

    from embedsearch.sources.arrowrows import leaf_columns

    features = data.features
    if features is None:  # a streamed data set that does not declare them
        return list(Nested().flat(next(iter(data), {}))), [], [], [], {}
    images = [name for name, feature in features.items() if isinstance(feature, Image)]
    sounds = [name for name, feature in features.items() if isinstance(feature, Audio)]
    return leaf_columns(features.arrow_schema), images, sounds, list(features), namers(features.to_dict())
