"""Find what the installed Python documents: which modules are public, and under which name."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from embedsearch.demo.pydocs_ast import Documented
from embedsearch.demo.pydocs_builtin import EXTENSION_MODULES, read_builtins
from embedsearch.demo.pydocs_library import Library, is_private
from embedsearch.demo.pydocs_text import description, without_signature
from embedsearch.errors import SourceError
from embedsearch.records import Rejected

PACKAGES = ("numpy", "torch", "PIL")
RENAMED = {"posixpath" if os.name == "posix" else "ntpath": "os.path"}

# Not for a person who looks for a function: tests, programs, what only other platforms have, and what
# torch keeps public in name only. (antigravity and this document nothing; they are never executed.)
_LEFT_OUT = (
    "antigravity this idlelib lib2to3 turtledemo ensurepip distutils pydoc_data encodings genericpath "
    "nturl2path msilib tkinter.tix asyncio.windows_events asyncio.windows_utils "
    "numpy.core numpy.distutils numpy.f2py numpy.ma.testutils "
    "torch.ao torch.contrib torch.fx.experimental torch.fx.passes torch.distributed.elastic "
    "torch.distributed.flight_recorder torch.distributed.benchmarks torch.distributed.pipelining "
    "torch.distributed.algorithms torch.utils.hipify torch.utils.benchmark torch.quantization "
    "torch.onnx.verification torch.nativert torch.nn.quantized torch.nn.qat torch.nn.intrinsic "
    "torch.nn.quantizable"
)
LEFT_OUT = frozenset(_LEFT_OUT.split()) | {"ntpath" if os.name == "posix" else "posixpath"}
LEGACY = frozenset({"numpy.char"})  # what it offers has a better name elsewhere
LEFT_OUT_ANYWHERE = frozenset({"test", "tests", "conftest", "__main__"})
NOT_MODULES = frozenset({"site-packages", "dist-packages", "lib-dynload", "__pycache__", "include", "csrc"})

TORCH_EXTENSION_DOCS = ("torch._torch_docs", "torch._tensor_docs", "torch._storage_docs", "torch._size_docs")
# "See torch.abs()": nothing to find by, and no reader is helped
POINTER = re.compile(
    r"(?:See|Refer to|Alias (?:for|of)|In-place version of|Out-of-place version of)\b.{,90}$"
)


@dataclass(slots=True)
class Installed:
    """What the installed Python documents.

    Attributes:
        items: public functions, classes and methods; names are unique, docstrings stand without the
            signature that C functions begin theirs with.
        passages: every docstring of the sources as it stands, those of modules, of properties and of
            what is private included; their `kind` is "passage".
        rejected: files that are no Python source, and a failed reading of extension modules.
    """

    items: list[Documented] = field(default_factory=list)
    passages: list[Documented] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def standard_library() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def package_folders() -> dict[str, Path]:
    """Return the folders of those of `PACKAGES` that are installed, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            spec = importlib.util.find_spec(name)
        except ValueError:  # a stand-in of that name without a specification was put into sys.modules
            continue
        if spec is not None and spec.origin is not None:
            found[name] = Path(spec.origin).parent
    return found


def read_installed(
    standard: Path | None = None,
    packages: dict[str, Path] | None = None,
    extension_modules: Sequence[str] = EXTENSION_MODULES,
) -> Installed:
    """Read the documentation of the standard library, of `PACKAGES` and of extension modules.

    Args:
        standard: a folder of modules to read in place of the standard library.
        packages: the packages to read, by name, in place of those installed.
        extension_modules: what another process imports and asks; those not on this machine are passed over.
    """
    folders = package_folders() if packages is None else packages
    found = Installed()
    root = standard_library() if standard is None else standard
    modules = dict(_modules(root, ""))
    if standard is None:
        modules = {
            name: path for name, path in modules.items() if name.split(".")[0] in sys.stdlib_module_names
        }
    with ThreadPoolExecutor(1) as aside:  # the other process works while this one parses
        builtins = aside.submit(
            read_builtins, sorted({folder.parent for folder in folders.values()}), extension_modules
        )
        items = list(_read_library(Library(modules), "python", found))
        for package, folder in folders.items():
            library = Library(dict(_modules(folder, package)))
            items.extend(_read_library(library, package, found))
            if package == "torch":
                items.extend(_torch_extension_docs(library))
        try:
            items.extend(_not_among(items, builtins.result()))
        except SourceError as error:
            found.rejected.append(Rejected("extension modules", str(error)))
    found.items = _without_copies(items)
    return found


def _modules(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every module below `folder`, private ones included, sorted."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield prefix, folder / "__init__.py"  # reading it says why
        return
    for entry in listed:
        stem, _, suffix = entry.name.partition(".")
        name = prefix if entry.name == "__init__.py" else f"{prefix}.{stem}".lstrip(".")
        if suffix == "py" and stem.isidentifier() and entry.is_file():
            yield name, Path(entry.path)
        elif not suffix and stem.isidentifier() and stem not in NOT_MODULES and entry.is_dir():
            yield from _modules(Path(entry.path), name)


def _is_left_out(module: str) -> bool:
    parts = module.split(".")
    prefixes = {".".join(parts[: end + 1]) for end in range(len(parts))}
    return not module or bool(prefixes & LEFT_OUT) or bool(LEFT_OUT_ANYWHERE & set(parts))


def _read_library(library: Library, package: str, found: Installed) -> Iterator[Documented]:
    """Yield what a library's public modules document, each thing under its shortest public name."""
    best: dict[tuple[str, str], tuple[int, bool, str, str]] = {}
    for module in library.names():
        if _is_left_out(module) or (is_private(module) and package != "python"):
            continue
        shown = RENAMED.get(module, module)
        text = library.module(module)
        for inner, doc in text.docs.items() if text is not None else ():
            found.passages.append(
                Documented(f"{shown}.{inner}".rstrip("."), shown, "passage", None, doc, package)
            )
        if is_private(module):
            continue
        for name in library.public_names(module):
            target = library.resolve(module, name)
            if target is not None and not name.startswith("_"):
                public = f"{shown}.{name}"
                rank = (public.count(".") + (module in LEGACY), module != target[0], public, shown)
                best[target] = min(best.get(target, rank), rank)
    for (home, local), (_, _, public, shown) in best.items():
        text = library.module(home)
        if text is None:
            continue
        definition = text.definitions[local]
        yield Documented(public, shown, definition.kind, definition.signature, definition.doc, package)
        for name, method in definition.methods.items() if package != "torch" or local == "Tensor" else ():
            yield Documented(f"{public}.{name}", shown, "method", method.signature, method.doc, package)
    found.rejected.extend(library.rejected)


def _torch_extension_docs(library: Library) -> Iterator[Documented]:
    """Yield what torch documents of its C functions, in the files kept for that."""
    for module in TORCH_EXTENSION_DOCS:
        text = library.module(module)
        for name, doc in text.extension_docs.items() if text is not None else ():
            home, _, last = name.rpartition(".")
            if name.startswith("torch.") and not is_private(name):
                kind = "method" if home == "torch.Tensor" else "class" if last[0].isupper() else "function"
                yield Documented(name, "torch" if kind == "method" else home, kind, None, doc, "torch")


def _not_among(items: list[Documented], others: list[Documented]) -> Iterator[Documented]:
    """Yield those of `others` that are no function or class of `items` under a second public name."""
    known = {
        (item.name.rpartition(".")[2], inspect.cleandoc(item.doc)) for item in items if item.kind != "method"
    }
    for other in others:
        if (other.name.rpartition(".")[2], inspect.cleandoc(other.doc)) not in known:
            yield other


def _without_copies(items: list[Documented]) -> list[Documented]:
    """Return documented items by name, without methods that only repeat or point to another item.

    The first of several of one name stands. A method with the name and the words of another item
    (`bytearray.strip` of `bytes.strip`, `random.Random.choice` of `random.choice`) is a copy.
    """
    named: dict[str, Documented] = {}
    for item in items:
        if item.name in named:
            continue
        doc, signature = without_signature(item.doc, item.name.rpartition(".")[2])
        if doc.strip():
            named[item.name] = replace(item, doc=doc, signature=item.signature or signature)
    kept: list[Documented] = []
    said: set[tuple[str, str]] = set()

    def plainest(item: Documented) -> tuple[bool, int, int, str]:
        return item.kind == "method", item.name.count("."), len(item.name), item.name

    for item in sorted(named.values(), key=plainest):
        words = description(item.doc)
        key = (item.name.rpartition(".")[2], words)
        if item.kind == "method" and (key in said or not words or POINTER.match(words)):
            continue
        said.add(key)
        kept.append(item)
    return sorted(kept, key=lambda item: item.name)


def language_reference(standard: Path | None = None) -> dict[str, str]:
    """Return the language reference that `help()` shows, by topic; empty where it is not installed."""
    path = (standard_library() if standard is None else standard) / "pydoc_data" / "topics.py"
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}  # Debian can leave it out; the docstrings remain
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="topics")], value=ast.Dict() as value):
                topics: dict[str, str] = ast.literal_eval(value)
                return topics
            case _:
                continue
    return {}
