"""Encoders of the caller's own program."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.errors import EncoderMismatchError, ModelError, RecipeError, UsageError
from tests.fakes import letters

TEXTS = ["a cat", "banana", "a dog", "a goldfish", "bananas and cats"]


class Letters:
    """Counts letters; remembers what it was given."""

    name = "letters of mine"

    def __init__(self):
        self.given = []

    def encode(self, items):
        """Return (n, 26)."""
        self.given.append(items)
        return np.stack([letters(item) for item in items])


@pytest.fixture
def built(here):  # noqa: ARG001
    """An index of texts by an encoder of the test's own."""
    return es.build(TEXTS, name="own", encoder=Letters())


def test_a_single_text_is_no_list(built):
    """As with every encoder, a text in place of a list of texts is refused, and so is an unknown role."""
    encoder = built.encoder
    with pytest.raises(UsageError, match=r"takes a list of items.*got 'a cat'"):
        encoder.encode("a cat")
    with pytest.raises(UsageError, match="one of query, passage; got 'answer'"):
        encoder.encode(["a cat"], "answer")


def test_texts_are_built_and_searched_by_it(built):
    """Vectors are what it returns, queries go through it, and only what is new is embedded again."""
    assert np.array_equal(built.build.vectors, np.stack([letters(text) for text in TEXTS]))
    assert built.manifest.encoder.spec.model == "letters of mine"
    assert built.search("bananas", k=1)[0].text == "banana"
    again = Letters()
    more = es.open("own", encoder=again).add(["a parrot"])
    assert [text for items in again.given for text in items if text in (*TEXTS, "a parrot")] == [
        "a parrot"
    ] * 2
    assert more.search("parrot", k=1)[0].text == "a parrot"


def test_queries_to_tune_with_that_changed_are_embedded_again_and_no_item_is(tmp_path, here):  # noqa: ARG001
    """Nothing tells the length of its vectors then but the build before, whose vectors are kept."""
    table, queries = tmp_path / "texts.csv", tmp_path / "queries.csv"
    table.write_text("text\n" + "\n".join(TEXTS) + "\n")
    queries.write_text("id,text\n1,cats\n")
    built = es.build(table, name="tuned", text="text", queries=queries, encoder=Letters())
    queries.write_text("id,text\n1,dogs\n")
    again = es.rebuild("tuned", encoder=(encoder := Letters()))
    assert again.build.folder != built.build.folder
    assert np.array_equal(again.build.vectors, built.build.vectors)
    assert not [text for items in encoder.given for text in items if text in TEXTS]


def test_the_command_line_refuses_texts_without_it(built, here):
    """A text is refused in a sentence, exit code 1; an item serves; so does the same in Python."""
    ran = CliRunner().invoke(cli, ["search", "own", "banana", "--indexes", str(here)])
    assert ran.exit_code == 1
    assert "made by the encoder 'letters of mine' of a Python program, which is not at hand" in ran.stderr
    banana = built.search("banana", k=1)[0].id
    ran = CliRunner().invoke(cli, ["search", "own", "--item", banana, "--indexes", str(here)])
    assert ran.exit_code == 0
    assert "bananas and cats" in ran.stdout
    with pytest.raises(ModelError, match="which is not at hand here"):
        es.open("own").search("banana")
    assert len(es.rebuild("own")) == len(TEXTS)  # nothing has to be embedded


def test_another_encoder_is_refused(built):
    """One of another name is not asked for vectors of this index."""
    other = Letters()
    other.name = "another"
    with pytest.raises(
        EncoderMismatchError, match="vectors of the encoder 'letters of mine'; 'another' came"
    ):
        es.open(built.name, encoder=other).search("banana")


def test_a_torch_module_is_known_by_its_weights(here):  # noqa: ARG001
    """A module takes vectors (d0,), its tensors come back as rows; other weights are another encoder."""
    import torch

    class Half(torch.nn.Linear):
        name = "half"

        def encode(self, items):
            return self(torch.tensor(np.stack(items)))

    torch.manual_seed(0)
    module, rows = Half(6, 3), np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    index = es.build(([f"v{at}" for at in range(9)], rows), name="half", encoder=module)
    wanted = module(torch.tensor(rows)).detach().numpy()
    assert np.allclose(index.build.vectors, wanted, atol=1e-6)
    assert index.search(wanted[4], k=1)[0].id == "v4"
    assert es.open("half", encoder=module).similar("v4", k=2)[0].id == index.similar("v4", k=1)[0].id
    with torch.no_grad():
        module.weight += 1
    with pytest.raises(EncoderMismatchError, match="or its weights are others"):
        es.open("half", encoder=module).add((["new"], rows[:1] * 2))


def test_images_come_as_rgb(here):  # noqa: ARG001
    """An image is given as an upright RGB image of Pillow."""

    class Mean:
        name = "mean colour"

        def encode(self, items):
            assert all(item.mode == "RGB" for item in items)
            return [np.asarray(item, np.float32).mean((0, 1)) for item in items]

    images = [Image.new("L", (4, 4), 200), Image.new("RGB", (4, 4), (255, 0, 0))]
    index = es.build(images, name="images", encoder=Mean())
    assert np.allclose(index.build.vectors, [[200, 200, 200], [255, 0, 0]])
    assert index.search(Image.new("RGB", (2, 2), (200, 10, 10)), k=1)[0].row == 1


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda items: np.ones((len(items) + 1, 3)), "2 vectors of 3 numbers for 1 items"),
        (lambda _: np.ones(3), r"shape \(3,\) for 1 items; expected \(1, d\)"),
        (lambda _: 1 / 0, "failed: ZeroDivisionError"),
    ],
)
def test_what_it_returns_is_checked(result, said, here):  # noqa: ARG001
    """Another number of rows, another shape and an error of its own are told with its name."""

    class Odd:
        name = "odd"

        def encode(self, items):
            return result(items)

    with pytest.raises(ModelError, match=said):
        es.build(["a"], name="odd", encoder=Odd())


@pytest.mark.parametrize(
    ("encoder", "options", "said"),
    [(object(), {}, "needs a name and a method encode"), (Letters(), {"unit": "word"}, "takes whole texts"),
     (Letters(), {"model": "x"}, "takes whole texts")],
)  # fmt: skip
def test_what_can_not_be_an_encoder_is_refused(encoder, options, said, here):  # noqa: ARG001
    """An object without encode, words, and a model beside it are refused in words."""
    with pytest.raises(RecipeError, match=said):
        es.build(["a"], name="x", encoder=encoder, **options)
