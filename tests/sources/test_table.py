import hashlib
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Modality, Record, Rejected, content_hash
from embedsearch.sources import addresses
from embedsearch.sources.table import Columns, Ids, RowReader, choose_columns
from embedsearch.sources.typed_cells import as_scalar


def choose(columns, text=(), image="", id="", pictures=()):
    """Choose among the columns of t.csv."""
    recipe = SourceRecipe("csv", "/t.csv", text=text, image=image, id=id)
    return choose_columns(recipe, columns, "t.csv", pictures)


def test_a_missing_column_is_named_with_those_there_are():
    """The error names the file, the wrong column, the columns, and the likeliest one."""
    with pytest.raises(SourceError) as caught:
        choose(["headline", "body"], text=("headlin",))
    assert str(caught.value) == (
        "t.csv has no column 'headlin'; it has 'headline', 'body'. Did you mean 'headline'?"
    )


@pytest.mark.parametrize("option", [{"text": ("x",)}, {"image": "x"}, {"id": "x"}])
def test_each_column_asked_for_must_exist(option):
    """Text, image and key are all checked."""
    with pytest.raises(SourceError, match=r"no column 'x'; it has 'body', 'n'\.$"):
        choose(["body", "n"], **option)


def test_a_wide_table_lists_its_first_columns():
    """A message stays readable for a table of hundreds of columns."""
    with pytest.raises(SourceError, match=r"'c28', 'c29' and 70 more: say which one"):
        choose([f"c{number}" for number in range(100)])


@pytest.mark.parametrize(
    ("columns", "id", "text"),
    [
        (["anything"], "", "anything"),
        (["anything", "key"], "key", "anything"),
        (["n", "Question", "answer"], "", "Question"),
        (["n", "abstract"], "", "abstract"),
    ],
)
def test_without_a_column_the_obvious_one_is_the_text(columns, id, text):
    """The only column beside the key, or the only one with a name that tells, is the text."""
    assert choose(columns, id=id) == Columns((text,), "", id)


@pytest.mark.parametrize("columns", [["title", "body"], ["a", "b"], []])
def test_without_an_obvious_column_one_must_be_named(columns):
    """Two candidates or none: the error says which option to give."""
    with pytest.raises(SourceError, match="say which one to embed with --text COLUMN"):
        choose(columns)


def test_a_column_marked_as_images_is_taken_when_alone():
    """Images are taken if nothing else can be meant; beside a text column the choice is the user's."""
    assert choose(["image", "label"], pictures=["image"]) == Columns((), "image", "")
    assert choose(["image"], pictures=["image"]) == Columns((), "image", "")
    with pytest.raises(SourceError, match="--image COLUMN"):
        choose(["image", "caption"], pictures=["image"])


def test_text_and_image_together_are_refused():
    """A record is one or the other."""
    with pytest.raises(SourceError, match="--text and --image were given"):
        choose(["a", "b"], text=("a",), image="b")


def reader(tmp_path, text=("a",), image="", id=""):
    """Read rows of a table in `tmp_path`."""
    return RowReader(Columns(text, image, id), tmp_path)


def test_text_columns_are_joined_and_the_others_kept(tmp_path):
    """Filled parts are joined by a newline, in the order asked for; what is not used becomes a field."""
    rows = reader(tmp_path, ("b", "a"), id="k")
    row = {"k": 7, "a": "first", "b": "second", "c": None, "n": 3}
    assert rows.entry(row, "t:1") == Record("7", Modality.TEXT, "second\nfirst", {"c": None, "n": 3})
    assert rows.entry({"k": 8, "a": None, "b": " "}, "t:2") == Rejected(
        "t:2", "the text column 'b' and 'a' is empty"
    )
    assert rows.entry({"k": 8, "a": "x", "b": ""}, "t:3") == Record("8", Modality.TEXT, "x", {})


def test_keys_are_present_and_unique(tmp_path):
    """A missing or repeated key rejects the row; a row rejected for its text does not use up its key."""
    rows = reader(tmp_path, id="k")
    entries = [
        rows.entry(row, f"t:{number}")
        for number, row in enumerate(
            [
                {"k": "x", "a": ""},
                {"k": "x", "a": "one"},
                {"k": "x", "a": "two"},
                {"k": None, "a": "three"},
                {"a": "four"},
                {"k": " ", "a": "five"},
                {"k": float("nan"), "a": "six"},
                {"k": "y", "a": "one"},
            ],
            start=1,
        )
    ]
    assert entries == [
        Rejected("t:1", "the text column 'a' is empty"),
        Record("x", Modality.TEXT, "one", {}),
        Rejected("t:3", "the key 'x' was used by an earlier row"),
        Rejected("t:4", "the key column 'k' is empty"),
        Rejected("t:5", "the key column 'k' is empty"),
        Rejected("t:6", "the key column 'k' is empty"),
        Rejected("t:7", "the key column 'k' is empty"),
        Record("y", Modality.TEXT, "one", {}),
    ]


def test_without_a_key_equal_texts_are_counted(tmp_path):
    """The id is 16 digits of the content's hash; the second and third equal text get -2 and -3."""
    rows = reader(tmp_path)
    stem = content_hash("same")[:16]
    assert len(stem) == 16
    ids = [
        rows.entry({"a": text, "n": n}, "t:1").id for n, text in enumerate(["same", "other", "same", "same"])
    ]
    assert ids == [stem, content_hash("other")[:16], f"{stem}-2", f"{stem}-3"]


def test_a_counted_id_never_meets_a_given_one():
    """A name that looks like a counted one is passed over."""
    ids = Ids()
    assert [ids.counted(name) for name in ("a", "a-2", "a", "a")] == ["a", "a-2", "a-3", "a-4"]


def test_ids_of_digests_are_counted():
    """Equal contents get numbered ids, within a block and in a later one; ids are 16 digits of the hash."""
    ids, digests = Ids(), [hashlib.sha256(each).digest() for each in (b"a", b"b", b"a", b"a")]
    a, b = content_hash("a")[:16], content_hash("b")[:16]
    assert ids.of_digests(digests) == [a, b, f"{a}-2", f"{a}-3"]
    assert ids.of_digests(digests[1:3]) == [f"{b}-2", f"{a}-4"]


def test_ids_stay_unique_as_they_become_many():
    """Of 20,000 ids each is free once and taken afterwards, while the table of them grows."""
    ids = Ids()
    assert all(ids.take(f"row {number}") for number in range(20_000))
    assert not any(ids.take(f"row {number}") for number in range(20_000))


def test_an_image_by_path_is_relative_to_the_table(tmp_path):
    """The id is the path as seen from the table, however it is written; the content the file."""
    (tmp_path / "my pics").mkdir()
    file = tmp_path / "my pics" / "é.png"
    file.write_bytes(b"x")
    rows = RowReader(Columns((), "a", ""), tmp_path)
    written = [
        "my pics/é.png",
        str(file),
        "./my pics/../my pics/é.png",
        {"bytes": None, "path": "my pics/é.png"},
    ]
    entries = [rows.entry({"a": path, "n": 1}, "t:1") for path in written]
    assert [entry.id for entry in entries] == [
        "my pics/é.png", "my pics/é.png-2", "my pics/é.png-3", "my pics/é.png-4",
    ]  # fmt: skip
    assert all(entry.content.samefile(file) and entry.content.is_absolute() for entry in entries)
    assert entries[0].modality is Modality.IMAGE
    assert entries[0].fields == {"n": 1}
    outside = RowReader(Columns((), "a", ""), tmp_path / "my pics" / "sub")
    assert outside.entry({"a": str(file)}, "t:1").id == "../é.png"


def test_an_image_by_bytes_is_known_by_its_hash(tmp_path):
    """Bytes, alone or in {bytes, path}, are the content; the bytes win over the path."""
    rows = reader(tmp_path, (), "a")
    stem = content_hash(b"PNG")[:16]
    assert rows.entry({"a": b"PNG"}, "t:1") == Record(stem, Modality.IMAGE, b"PNG", {})
    assert rows.entry({"a": {"bytes": b"PNG", "path": "gone.png"}}, "t:2") == Record(
        f"{stem}-2", Modality.IMAGE, b"PNG", {}
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the image column 'a' is empty"),
        ("  ", "the image column 'a' is empty"),
        (b"", "the image column 'a' is empty"),
        (float("nan"), "the image column 'a' is empty"),
        ({"bytes": None, "path": None}, "the image column 'a' is empty"),
        ("no such.png", "there is no file {folder}/no such.png"),
        (".", "{folder} is a folder; a file was expected"),
        ("empty.png", "the file {folder}/empty.png is empty"),
        (
            "nowhere://a.png",
            "nowhere://a.png can't be read: Protocol not known: nowhere. Expected an address such as "
            "s3://bucket/folder, gs://bucket/folder or https://host/folder/",
        ),
        (
            3,
            "the image column 'a' holds a value of type int; expected a path, the bytes of an image file, "
            'or {{"bytes": ..., "path": ...}}',
        ),
    ],
)
def test_an_image_that_is_not_there_is_rejected(tmp_path, value, reason):
    """The reason names the path, or what was found in place of one."""
    (tmp_path / "empty.png").touch()
    rows = reader(tmp_path, (), "a")
    assert rows.entry({"a": value}, "t:1") == Rejected("t:1", reason.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sub\\b c.png", "sub/b c.png"),
        (".\\sub\\b c.png", "sub/b c.png"),
        ("file://{folder}/sub/b%20c.png", "sub/b c.png"),
        ("file://localhost{folder}/a.png", "a.png"),
        ("FILE://{folder}/a.png", "a.png"),
        ("odd\\name.png", "odd\\name.png"),
    ],
)
def test_paths_of_windows_and_file_addresses_are_read(tmp_path, name, found):
    """Backslashes between folders, and what `file:` names, unless a file is really called so."""
    (tmp_path / "sub").mkdir()
    for each in ("a.png", "sub/b c.png", "odd\\name.png"):
        (tmp_path / each).write_bytes(b"x")
    entry = reader(tmp_path, (), "a").entry({"a": name.format(folder=tmp_path)}, "t:1")
    assert (entry.id, entry.content) == (found, tmp_path / found)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SUB/A.PNG", "there is no file {folder}/SUB/A.PNG; {folder}/sub/a.png differs in upper and "
         "lower case"),
        ("C:\\photos\\a.png", "there is no file {folder}/C:/photos/a.png, which is a path of a Windows "
         "machine: give paths relative to the table"),
        ("file://server/a.png", "file://server/a.png is a file on another machine; copy it and give "
         "its path"),
        ("file:///no/such.png", "there is no file /no/such.png"),
        ("file:///C:/photos/a.png", "there is no file /C:/photos/a.png, which is a path of a Windows "
         "machine: give paths relative to the table"),
    ],
)  # fmt: skip
def test_why_an_image_is_not_there_is_told(tmp_path, name, reason):
    """Another case, or a path of another machine."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(b"x")
    entry = reader(tmp_path, (), "a").entry({"a": name}, "t:1")
    assert entry == Rejected("t:1", reason.format(folder=tmp_path))


def test_without_the_extra_an_address_is_rejected(tmp_path, monkeypatch):
    """The reason names what to install; with it nothing is asked for before it is needed."""
    address = "https://example.org/a.png"
    entry = reader(tmp_path, (), "a").entry({"a": address}, "t:1")
    assert (entry.id, entry.content.address) == (address, address)
    monkeypatch.setattr(addresses, "find_spec", lambda _name: None)
    assert reader(tmp_path, (), "a").entry({"a": address}, "t:1") == Rejected(
        "t:1", f"Reading {address} needs fsspec: pip install 'embedsearch[remote]'"
    )


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "a\0b.png"])
def test_an_impossible_path_is_rejected(tmp_path, name):
    """A name that the system refuses does not stop the run."""
    entry = reader(tmp_path, (), "a").entry({"a": name}, "t:1")
    assert isinstance(entry, Rejected)
    assert "file" in entry.reason or "can't be an image's path" in entry.reason


class Moment(datetime):
    """Stands for a pandas Timestamp."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "a"),
        (3, 3),
        (True, True),
        (1.5, 1.5),
        (None, None),
        (float("nan"), None),
        (Decimal("1.25"), 1.25),
        (Decimal("NaN"), None),
        (date(2024, 2, 29), date(2024, 2, 29)),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
        (Moment(2024, 1, 2), datetime(2024, 1, 2)),
        (time(12, 30), "12:30:00"),
        (timedelta(minutes=2), 120.0),
        (["é", 1, None], '["é", 1, null]'),
        ({"a": {"b": Decimal("1.5"), "c": date(2024, 1, 1)}}, '{"a": {"b": 1.5, "c": "2024-01-01"}}'),
        ({"bytes": b"\xff\xd8"}, '{"bytes": "<2 bytes>"}'),
        (b"plain", "plain"),
        (b"\xff\xd8", None),
        ("half \ud83d", "half \ufffd"),
        (np.float32(0.5), 0.5),
        (np.int64(4), 4),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({(1, 2): 3}, None),
    ],
)
def test_fields_keep_their_type(value, expected):
    """Scalars stay; nested values become JSON, Decimal a float, NaN None, odd text storable text."""
    found = as_scalar(value)
    assert found == expected
    assert type(found) is type(expected)
