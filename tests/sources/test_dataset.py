import subprocess
import sys
from pathlib import Path

import pytest

from embedsearch.errors import MissingExtraError, SourceError, SourceNotFoundError
from embedsearch.records import Modality, Record, content_hash
from embedsearch.sources import dataset
from embedsearch.sources.dataset import is_saved_dataset
from tests.sources.reading import contents, fields, read, rejected, source

datasets = pytest.importorskip("datasets")


def rows(*texts):
    """A data set of texts, numbered."""
    return datasets.Dataset.from_dict({"text": list(texts), "n": list(range(len(texts)))})


def splits(path, *names):
    """Save a data set of these splits, of one text each."""
    datasets.DatasetDict({name: rows(f"of {name}") for name in names}).save_to_disk(str(path))
    return path


def test_a_saved_data_set_is_read_in_order(tmp_path):
    """Rows become records; an empty text is rejected by its row."""
    path = tmp_path / "my dätä"
    rows("a", "", "c").save_to_disk(str(path))
    assert source("dataset", path).count() == 3
    entries = read("dataset", path)
    assert entries[0] == Record(content_hash("a")[:16], Modality.TEXT, "a", {"n": 0})
    assert contents(entries) == ["a", "c"]
    assert rejected(entries) == {"my dätä:2": "the text column 'text' is empty"}


@pytest.mark.parametrize(
    ("names", "asked", "text"),
    [
        (("test", "train"), "", "of train"),
        (("test", "train"), "test", "of test"),
        (("validation",), "", "of validation"),
    ],
)
def test_the_split_is_train_or_the_only_one_or_the_one_asked_for(tmp_path, names, asked, text):
    """A data set of several splits has one that goes without saying."""
    assert contents(read("dataset", splits(tmp_path / "d", *names), split=asked)) == [text]


def test_a_split_that_can_not_be_told_is_refused(tmp_path):
    """The error lists the splits."""
    path = splits(tmp_path / "d", "dev", "test")
    with pytest.raises(SourceError, match=r"d has the splits dev, test: say which with --split\."):
        source("dataset", path)
    with pytest.raises(SourceError, match=r"d has no split 'tets'; it has dev, test\. Did you mean 'test'\?"):
        source("dataset", path, split="tets")
    rows("a").save_to_disk(str(tmp_path / "one"))
    with pytest.raises(SourceError, match=r"holds a single split .*leave out --split"):
        source("dataset", tmp_path / "one", split="test")
    assert contents(read("dataset", path / "dev")) == ["of dev"]


def test_images_are_not_decoded(tmp_path):
    """The bytes come as they are stored, even if no image; class labels come as their names."""
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    images = [{"bytes": b"no picture", "path": None}, {"bytes": b"x", "path": "a.png"}, None]
    table = datasets.Dataset.from_dict({"image": images, "label": [1, 0, None]}, features=features)
    table.save_to_disk(str(tmp_path / "d"))
    entries = read("dataset", tmp_path / "d")
    assert contents(entries) == [b"no picture", b"x"]
    assert fields(entries) == [{"label": "dog"}, {"label": "cat"}]
    assert rejected(entries) == {"d:3": "the image column 'image' is empty"}
    assert source("dataset", tmp_path / "d").modality() is Modality.IMAGE


def test_an_unlabelled_class_is_none(tmp_path):
    """-1, which the hub's test splits use, and null name no class."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat"])}
    )
    table = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, -1, None]}, features=features)
    table.save_to_disk(str(tmp_path / "d"))
    assert fields(read("dataset", tmp_path / "d")) == [{"label": "cat"}, {"label": None}, {"label": None}]


def test_a_wrong_column_is_refused(tmp_path):
    """The columns that there are come with the error."""
    rows("a").save_to_disk(str(tmp_path / "d"))
    with pytest.raises(
        SourceError, match=r"d has no column 'txt'; it has 'text', 'n'\. Did you mean 'text'\?"
    ):
        source("dataset", tmp_path / "d", ("txt",))


def test_what_is_no_saved_data_set_is_refused(tmp_path):
    """A missing folder, another folder, a damaged one: each error says what to do."""
    with pytest.raises(SourceNotFoundError, match="nowhere does not exist"):
        source("dataset", tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    with pytest.raises(
        SourceError, match="plain is no saved data set; expected a folder made by save_to_disk"
    ):
        source("dataset", tmp_path / "plain")
    rows("a").save_to_disk(str(tmp_path / "d"))
    (tmp_path / "d" / "state.json").write_text("{")
    with pytest.raises(SourceError, match="d can't be read as a saved data set"):
        source("dataset", tmp_path / "d")


def test_a_saved_data_set_is_told_by_its_files(tmp_path):
    """Both shapes that save_to_disk writes are known, and nothing else."""
    rows("a").save_to_disk(str(tmp_path / "one"))
    splits(tmp_path / "many", "train")
    assert is_saved_dataset(tmp_path / "one")
    assert is_saved_dataset(tmp_path / "many")
    assert not is_saved_dataset(tmp_path)


class NoHub:
    """A hub that can't be reached, as its client tells it."""

    def dataset_info(self, name, timeout):
        """Fail, if a time limit was set."""
        assert name == "owner/name"
        assert 0 < timeout <= 10
        raise ConnectionError("Name or service not known")


def test_without_the_hub_the_error_says_how_to_give_a_folder(monkeypatch):
    """The hub is asked once, with a time limit of seconds, before anything is loaded."""
    monkeypatch.setattr("huggingface_hub.HfApi", NoHub)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("not to be tried"))
    with pytest.raises(SourceError) as caught:
        source("dataset", "owner/name")
    assert str(caught.value) == (
        "There is no folder owner/name here, and the hub can't give a data set of that id: "
        "ConnectionError: Name or service not known. Check the id and the network. Or save it to a "
        "folder with save_to_disk on a machine that has it, and give that folder."
    )


@pytest.fixture
def hub(monkeypatch):
    """A hub whose data sets are streamed from here."""

    def serve(**named):
        monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: None)
        served = datasets.IterableDatasetDict(
            {name: table.to_iterable_dataset() for name, table in named.items()}
        )
        asked = []
        monkeypatch.setattr(
            datasets, "load_dataset", lambda name, streaming: asked.append((name, streaming)) or served
        )
        return asked

    return serve


def test_a_hub_data_set_is_streamed(hub):
    """Rows come through without a count; Rejected is named after id and split."""
    asked = hub(test=rows("x"), train=rows("a", "", "c"))
    assert source("dataset", "owner/name").count() is None
    entries = read("dataset", "owner/name", ("text",))
    assert contents(entries) == ["a", "c"]
    assert rejected(entries) == {"owner/name/train:2": "the text column 'text' is empty"}
    assert contents(read("dataset", "owner/name", ("text",), split="test")) == ["x"]
    assert set(asked) == {("owner/name", True)}


def test_a_hub_that_stops_answering_is_told(hub):
    """A stream that breaks is no silent end of the data."""

    def broken():
        yield {"text": "a"}
        raise ConnectionError("reset")

    features = datasets.Features({"text": datasets.Value("string")})
    hub(train=datasets.Dataset.from_dict({"text": ["a"]}, features=features))
    opened = source("dataset", "owner/name")
    opened._data = datasets.IterableDataset.from_generator(broken, features=features)
    with pytest.raises(
        SourceError, match=r"owner/name/train could not be read beyond row 0: .*Try again, or save"
    ):
        list(opened)


def test_without_the_extra_the_error_names_it(monkeypatch):
    """`datasets` is optional."""
    monkeypatch.setattr(dataset, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[hub\]'"):
        source("dataset", "owner/name")


def test_neither_torch_nor_datasets_is_loaded_before_its_time(tmp_path):
    """Importing the sources loads no `datasets`; reading a data set loads no torch."""
    rows("a").save_to_disk(str(tmp_path / "d"))
    code = f"""
import sys
import embedsearch.sources.dataset, embedsearch.sources.guess
assert not {{"datasets", "torch", "pyarrow"}} & set(sys.modules)
from embedsearch.recipe import SourceRecipe
from embedsearch.sources import open_source
assert len(list(open_source(SourceRecipe("dataset", {str(tmp_path / "d")!r})))) == 1
assert "torch" not in sys.modules
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
