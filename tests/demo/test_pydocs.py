import re
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path

import pytest

from embedsearch.demo import documentation, pydocs
from embedsearch.demo.documentation import INSPECTED, Documented, read
from embedsearch.demo.prose import description, sentences
from embedsearch.demo.pydocs import PythonDocs, PythonSentences, choose, without_copies
from embedsearch.errors import SourceNotFoundError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Modality, Record, Rejected, content_hash
from embedsearch.sources import open_source

DOCS = SourceRecipe(kind="python-docs", location="installed")
SENTENCES = SourceRecipe(kind="python-sentences", location="installed")


@pytest.fixture(scope="module")
def reading():
    """What is installed, read once, and the modules that this process imported on the way."""
    before = set(sys.modules)
    found = read()
    return found, set(sys.modules) - before


@pytest.fixture(scope="module")
def docs(reading):
    """All entries of PythonDocs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydocs, "read", lambda: reading[0])
        return list(PythonDocs(DOCS))


@pytest.fixture(scope="module")
def chosen(reading):
    """All entries of PythonSentences, the same read again, and how many it says there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pydocs, "read", lambda: reading[0])
        source = PythonSentences(SENTENCES)
        return list(source), list(source), source.count()


@pytest.fixture
def library(tmp_path):
    """Return a function that reads a small library into items, passages and what is rejected.

    `a__b` is the module a.b, `a____init__` the package a.
    """

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / "lib" / f"{name.replace('__', '/', 1) if not name.startswith('_') else name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        found, rejected = read([tmp_path / "lib"], sorted({name.split("__")[0] for name in modules}), [])
        return without_copies(found), [each for each in found if each.kind == "passage"], rejected

    return write


def documented(items):
    """Return of each item its name, its signature and its docstring."""
    return [(item.name, item.signature, item.doc) for item in items]


def test_os_path_split_is_the_record_that_people_look_for(docs):
    """posixpath.split is shown as os.path.split, with its parameters and its first paragraph."""
    [record] = [record for record in docs if record.id == "os.path.split"]
    assert record.modality is Modality.TEXT
    assert record.content.startswith("os.path.split: Split a pathname. Returns tuple")
    assert record.fields == {
        "module": "os.path",
        "kind": "function",
        "signature": "(p)",
        "package": "python",
    }


def test_a_docstring_that_is_assigned_counts(docs):
    """os.path.splitext has none in its source: `splitext.__doc__ = genericpath._splitext.__doc__`."""
    [record] = [record for record in docs if record.id == "os.path.splitext"]
    assert record.content.startswith("os.path.splitext: Split the extension from a pathname.")
    assert record.fields["signature"] == "(p)"


def test_methods_of_built_in_types_go_by_the_name_of_the_type(docs):
    """str.strip stands in no source file; the module builtins is not part of its name."""
    [record] = [record for record in docs if record.id == "str.strip"]
    assert record.fields == {
        "module": "builtins",
        "kind": "method",
        "signature": "(chars=None, /)",
        "package": "python",
    }
    assert record.content.startswith(
        "str.strip: Return a copy of the string with leading and trailing whitespace"
    )


def test_every_package_is_there_and_none_drowns_the_rest(docs):
    """Thousands of items; torch is less than a third of them."""
    packages = [record.fields["package"] for record in docs]
    assert 6000 <= len(docs) <= 12000
    assert packages.count("python") > 4000
    assert packages.count("numpy") > 800
    assert packages.count("PIL") > 250
    assert 800 < packages.count("torch") < len(docs) / 3


@pytest.mark.parametrize(
    "name",
    [
        "len", "math.sqrt", "os.listdir", "random.choice", "subprocess.run", "shutil.rmtree", "json.dumps",
        "pathlib.Path", "collections.abc.Mapping", "datetime.datetime", "itertools.permutations",
        "numpy.sqrt", "numpy.matmul", "numpy.linalg.norm", "torch.matmul", "torch.nn.Linear",
        "torch.nn.functional.conv2d", "torch.special.entr", "torch.optim.Adam", "torch.nn.Module.parameters",
        "torch.Tensor.view", "PIL.Image.Image.rotate", "str.split", "list.sort", "itertools.chain", "open",
        "numpy.concatenate", "numpy.ndarray.sum", "collections.deque.append", "asyncio.Task",
        "argparse.ArgumentParser.add_argument", "shutil.disk_usage", "tkinter.Button", "warnings.warn",
        "threading.Lock", "re.compile", "sqlite3.connect", "functools.partial", "io.BytesIO.detach",
        "torch.Generator", "torch.from_dlpack", "torch.broadcast_shapes", "torch.set_grad_enabled",
        "pickle.PickleError", "pickle.PicklingError", "pickle.UnpicklingError",
    ],
)  # fmt: skip
def test_a_thing_has_its_public_name(docs, name):
    """What users write is the id, wherever the definition stands."""
    assert name in {record.id for record in docs}


@pytest.mark.parametrize(
    "name",
    ["ntpath.split", "posixpath.split", "genericpath.exists", "builtins.len", "numpy._core.fromnumeric.sum",
     "bytearray.strip", "random.Random.choice", "torch.nn.modules.linear.Linear", "numpy.char.upper"],
)  # fmt: skip
def test_copies_are_left_out(docs, name):
    """The same thing under another platform's, a private or a longer name would fill the hits."""
    assert name not in {record.id for record in docs}


def test_torch_keeps_to_what_its_users_call(docs):
    """Neither its internal tools nor the methods of all its classes, but those that users call by name."""
    torch = [record for record in docs if record.fields["package"] == "torch"]
    assert [record.id for record in torch if record.id.startswith("torch.ao.")] == []
    methods = {record.id.rpartition(".")[0] for record in torch if record.fields["kind"] == "method"}
    assert methods == {"torch.Tensor", "torch.nn.Module", "torch.optim.Optimizer"}


def test_ids_are_unique_and_contents_say_something(docs):
    """Each content is the id and words about it, of at most 600 characters."""
    assert all(isinstance(record, Record) for record in docs)
    assert len({record.id for record in docs}) == len(docs)
    assert [record.id for record in docs] == sorted(record.id for record in docs)
    for record in docs:
        name, _, words = record.content.partition(": ")
        assert name == record.id
        assert words.strip()
        assert len(words) <= 604


def test_private_names_are_left_out(docs):
    """No component of an id begins with an underscore."""
    assert [record.id for record in docs if any(part.startswith("_") for part in record.id.split("."))] == []


def test_reading_imports_nothing_into_this_process(reading):
    """Sources are parsed: what the documentation is about is not executed here."""
    about = {
        "antigravity",
        "this",
        "turtle",
        "tkinter",
        "numpy.ma",
        "torch.onnx",
        "PIL.ImageQt",
        "cgi",
        "xml.sax",
    }
    assert reading[1] & about == set()


def test_the_other_process_imports_neither_antigravity_nor_this():
    """The one opens a browser, the other prints a poem."""
    tell = "import sys; from embedsearch.demo.documentation import inspect_modules; "
    tell += "inspect_modules(sys.argv[1:]); print(*sys.modules)"
    names = [name for name in INSPECTED if not name.startswith("torch")]
    done = subprocess.run([sys.executable, "-c", tell, *names], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert {"antigravity", "this"} & {*imported, *INSPECTED} == set()
    assert {"sqlite3", "zlib"} <= imported


def test_a_module_is_never_executed(library, tmp_path):
    """Its docstrings are read even where importing it would do harm."""
    items, _, _ = library(
        harm=f"open({str(tmp_path / 'done')!r}, 'w')\nraise SystemExit\ndef f(a, *, b=1):\n    'Do it.'\n"
    )
    assert documented(items) == [("harm.f", "(a, *, b=1)", "Do it.")]
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("__all__ = ['f']", ["a.f"]),
        ("__all__ = [name for name in globals()]", ["a.f", "a.g"]),
        ("__all__ = ['f']\n__all__.extend(['g'])", ["a.f", "a.g"]),
        ("", ["a.f", "a.g"]),
    ],
)
def test_all_decides_what_is_public(library, listed, expected):
    """A literal `__all__` lists all that is offered; where it is computed, what is defined is offered too."""
    items, _, _ = library(
        a=f"{listed}\ndef f():\n    'One.'\ndef g():\n    'Two.'\ndef _h():\n    'Three.'\n"
    )
    assert [item.name for item in items] == expected


def test_a_public_name_is_followed_into_a_private_module(library):
    """What a package takes from its own inside, and what a star brings, has the public name only."""
    items, _, _ = library(
        package____init__="from ._inner import Thing, helper as _helper\n",
        package___inner="class Thing:\n    'A thing.'\n    def __init__(self, size): ...\n"
        "    def grow(self, by=1):\n        'Grow.'\n",
    )
    assert [(item.name, item.kind, item.signature) for item in items] == [
        ("package.Thing", "class", "(size)"),
        ("package.Thing.grow", "method", "(by=1)"),
    ]


def test_methods_of_a_private_base_belong_to_the_public_class(library):
    """ArgumentParser.add_argument is defined in a class that no user names."""
    items, _, _ = library(
        a="class _Base:\n    def f(self):\n        'Do it.'\nclass Thing(_Base):\n    'A thing.'\n"
    )
    assert documented(items) == [("a.Thing", None, "A thing."), ("a.Thing.f", "()", "Do it.")]


def test_every_docstring_is_a_passage(library):
    """Those of modules and of what is private too: their sentences are as good as others."""
    _, passages, _ = library(a="'A module.'\nclass _B:\n    def _f(self):\n        'Do it.'\n")
    assert [(each.name, each.kind, each.doc) for each in passages] == [
        ("a", "passage", "A module."),
        ("a._B._f", "passage", "Do it."),
    ]


def test_what_has_no_docstring_is_no_item(library):
    """It is not rejected either: it is just not documented."""
    assert library(a="def f(): ...\nclass C: ...\n") == ([], [], [])


def test_a_file_that_is_no_python_is_rejected_with_the_reason(library):
    """The others are read all the same."""
    items, _, rejected = library(broken="def f(:\n", good="def f():\n    'Good.'\n", null="\0")
    assert [item.name for item in items] == ["good.f"]
    assert [entry.id for entry in rejected] == ["broken", "null"]
    assert rejected[0].reason.startswith("Not readable as Python source: invalid syntax")


def test_a_file_of_a_package_that_is_no_python_is_rejected_too(library):
    """Its siblings are read all the same."""
    items, _, rejected = library(
        p____init__="", p__a="def f():\n    'Good.'\n", p__broken="def f(:\n", p__null="\0"
    )
    assert [item.name for item in items] == ["p.a.f"]
    assert sorted(entry.id for entry in rejected) == ["p.broken", "p.null"]
    assert all(entry.reason.startswith("Not readable as Python source: ") for entry in rejected)


def test_a_file_that_is_not_utf_8_is_rejected(tmp_path):
    """So is one that is text in another encoding."""
    (tmp_path / "latin.py").write_bytes(b"'\xe9'")
    found, rejected = read([tmp_path], ["latin"], [])
    assert (found, [entry.id for entry in rejected]) == ([], ["latin"])


def test_a_definition_stays_when_an_import_from_c_takes_its_name(library):
    """pickle.PickleError is defined in pickle.py, then taken from _pickle, which has no docstrings."""
    items, _, _ = library(
        a="class E(Exception):\n    'An error.'\ntry:\n    from _a import E\nexcept ImportError:\n    pass\n"
    )
    assert documented(items) == [("a.E", None, "An error.")]


def test_a_failing_process_is_one_rejected_entry(monkeypatch, tmp_path):
    """Without the modules that are inspected, those in Python are still read."""
    (tmp_path / "a.py").write_text("def f():\n    'Do it.'\n")
    script = tmp_path / "script.py"
    script.write_text("raise RuntimeError('no luck')")
    monkeypatch.setattr(documentation, "__file__", str(script))
    found, rejected = read([tmp_path], ["a"], ["math"])
    assert [item.name for item in without_copies(found)] == ["a.f"]
    assert rejected == [
        Rejected("inspected modules", "The process that imports modules failed: RuntimeError: no luck")
    ]


def test_modules_that_this_platform_lacks_are_skipped():
    """The list names modules of all platforms."""
    found, rejected = read([], [], ["no_such_module", "math"])
    assert "math.sqrt" in {item.name for item in found}
    assert rejected == []


def test_both_sources_are_opened_by_their_kind():
    """Each kind opens its source, a source of texts."""
    for recipe, kind in ((DOCS, PythonDocs), (SENTENCES, PythonSentences)):
        source = open_source(recipe)
        assert isinstance(source, kind)
        assert source.modality() is Modality.TEXT


def test_the_count_is_that_of_the_entries(monkeypatch):
    """The count is what iteration yields, and the documentation is read once for both."""
    reads = []
    rejected = [Rejected("a", "broken"), Rejected("b", "broken")]
    monkeypatch.setattr(pydocs, "read", lambda: reads.append(1) or ([], rejected))
    source = PythonDocs(DOCS)
    assert (source.count(), list(source), reads) == (2, rejected, [1])


def test_a_python_without_sources_is_named(monkeypatch):
    """The message says which folder was looked into."""
    monkeypatch.setattr(pydocs, "STANDARD_LIBRARY", Path("/no/such/python"))
    with pytest.raises(SourceNotFoundError, match="/no/such/python does not hold the sources"):
        PythonDocs(DOCS)


def test_the_parameters_of_a_c_function_come_from_its_docstring(docs):
    """That of torch.matmul begins with "matmul(input, other, *, out=None) -> Tensor"."""
    [record] = [record for record in docs if record.id == "torch.matmul"]
    assert record.fields["signature"] == "(input, other, *, out=None)"
    assert record.content.startswith("torch.matmul: Matrix product of two tensors.")


def test_a_signature_is_the_same_in_each_run(docs):
    """A default without a literal is shown without its address, so that a rebuild finds no change."""
    signatures = {record.id: record.fields["signature"] for record in docs}
    assert "activation: str | collections.abc.Callable" in signatures["torch.nn.Transformer"]
    assert [name for name, signature in signatures.items() if "0x7" in (signature or "")] == []


def test_a_call_is_no_prose():
    """Docstrings of C functions begin with one, in several fashions; where it is all, it stays."""
    for doc in (
        "D.pop(k[,d]) -> v, Remove the key.",
        "pop(k, /)\n\nRemove the key.",
        "pop(k) -> (Key, Value)\npop(k, d) -> Key\nRemove the key.",
        "pop(k): Remove the key.",
    ):
        assert description(doc) == "Remove the key."
    assert description("Struct(fmt) --> compiled struct object") == "Struct(fmt) --> compiled struct object"


def test_a_description_ends_where_sections_begin():
    """Parameters, examples and marks are no part of it."""
    doc = """Join *paths* with :func:`~os.path.join`.

    >>> join("a")

    It takes ``bytes`` too.

    Args:
        paths: what to join.
    """
    assert description(cleandoc(doc)) == "Join paths with os.path.join. It takes bytes too."


def test_sentences_are_prose():
    """No code, no tables, no headings, nothing under six words."""
    doc = """Return the date of the Gregorian calendar, e.g. Monday, as a tuple. Short one.

    The call f(x) = 3 is no sentence for a reader.

    Notes
    -----
    The Unicode standard names the characters of all scripts.

    >>> print("This is code in an example of it.")

    +------+-------+
    | This is a table of several words.
    """
    assert list(sentences(cleandoc(doc))) == [
        "Return the date of the Gregorian calendar, e.g. Monday, as a tuple.",
        "The Unicode standard names the characters of all scripts.",
    ]


def test_sentences_are_whole_unique_and_within_bounds(chosen):
    """6 to 40 words; the id is the hash of the text."""
    entries, again, count = chosen
    assert entries == again
    assert count == len(entries)
    assert 2500 <= len(entries) <= 4000
    assert len({entry.content for entry in entries}) == len(entries)
    for entry in entries:
        assert 6 <= len(entry.content.split()) <= 40
        assert entry.content[0].isupper()
        assert entry.content[-1] in ".!?"
        assert entry.id == content_hash(entry.content)[:16]
        assert set(entry.fields) == {"module", "name", "package"}


@pytest.mark.parametrize(
    ("word", "cue"),
    [
        ("address", r"socket|host|IPv?\d?\b|network|ipaddress|DNS"),
        ("address", r"email|smtplib|SMTP"),
        ("key", r"dict|mapping|hash|KeyError"),
        ("key", r"curses|turtle|press|keyboard|Tab key"),
        ("key", r"sort|order|compar"),
        ("class", r"subclass|base class|instance|metaclass"),
        (
            "class",
            r"class (?:ind|prob|dim|value|imbal)|\bloss\b|classification|classes\.|target class|each class",
        ),
    ],
)
def test_a_word_of_several_senses_is_there_in_each(chosen, word, cue):
    """At least 15 sentences hold the word where the text, or where it comes from, shows the sense."""
    whole = re.compile(rf"\b{word}(?:e?s)?\b", re.IGNORECASE)
    found = [
        e for e in chosen[0] if whole.search(e.content) and re.search(cue, f"{e.content} {e.fields['name']}")
    ]
    assert len(found) >= 15


@pytest.mark.parametrize(
    "name", ["Unicode", "Windows", "POSIX", "HTTP", "Python", "Gregorian", "RFC", "Fourier"]
)
def test_named_things_are_there(chosen, name):
    """Names stand inside sentences."""
    assert any(f" {name}" in entry.content for entry in chosen[0])


def test_the_choice_holds_what_names_things_and_words_of_several_senses():
    """A sentence with neither is not taken, nor the same wording twice; the order is kept."""
    texts = [
        "The result goes to the output file.",
        "It was made for Windows in some office.",
        "Look here for Windows and for other systems.",
        "Look here for Solaris and for other systems.",
        "Some say that it came on Tuesday at dawn.",
        "Pass the address of the whole thing to it.",
    ]
    written = {text: Documented(f"m{n}.f", f"m{n}", "function", None, text) for n, text in enumerate(texts)}
    assert choose([*written]) == [texts[1], texts[2], texts[4], texts[5]]
    assert choose([*written], 1) == [texts[5]]  # words of several senses come first


def test_of_copies_the_plainest_name_stands():
    """Functions before methods, then few dots, then short names; a method that points elsewhere goes."""
    rows = [
        ("a.b.Thing.f", "method", "Do it."),
        ("a.b.f", "function", "Do it."),
        ("a.f", "function", "Do it."),
        ("abc.f", "function", "Do it."),
        ("a.g", "function", "Do it."),
        ("a.b.Thing.h", "method", "See a.h()"),
        ("a.b.f", "passage", "Do it."),
        ("a.f", "function", "Do that."),
    ]
    items = [Documented(name, "a", kind, None, doc) for name, kind, doc in rows]
    assert without_copies(items) == [items[2], items[4]]
