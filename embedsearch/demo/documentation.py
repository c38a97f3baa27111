"""What the installed Python documents: the standard library, numpy, PIL and torch.

griffe parses sources, and nothing is imported into this process. Modules written in C have no source, and
torch makes most docstrings at run time: another process imports these, see `inspect_modules`.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import griffe

from embedsearch.demo import inspect_modules
from embedsearch.demo.prose import description, without_signature
from embedsearch.records import Rejected

PARSED = ("numpy", "PIL")  # packages beside the standard library
INSPECTED = """
builtins math cmath itertools functools operator collections time datetime calendar os os.path io sys re
random string struct array copy heapq bisect decimal fractions statistics json csv pickle marshal zlib bz2
lzma gzip binascii hashlib hmac secrets socket ssl select selectors signal errno mmap threading queue gc
weakref types contextvars codecs unicodedata locale sqlite3 ctypes asyncio warnings curses curses.panel
readline termios tty pty fcntl resource pwd grp syslog dbm.gnu dbm.ndbm faulthandler tracemalloc atexit
symtable zoneinfo xml.parsers.expat xml.etree.ElementTree winreg msvcrt winsound
numpy numpy.linalg numpy.fft numpy.random numpy.strings numpy.lib
torch.nn.functional torch torch.linalg torch.fft torch.special torch.nn torch.nn.init torch.nn.utils
torch.nn.utils.rnn torch.nn.utils.prune torch.nn.parallel torch.optim torch.optim.lr_scheduler torch.autograd
torch.autograd.functional torch.autograd.profiler torch.amp torch.cuda torch.mps torch.xpu torch.accelerator
torch.utils.data torch.utils.checkpoint torch.utils.tensorboard torch.distributions torch.func torch.jit
torch.sparse torch.hub torch.profiler torch.multiprocessing torch.fx torch.masked torch.nested torch.overrides
torch.signal.windows torch.serialization torch.library torch.compiler torch.export torch.package torch.testing
torch.distributed torch.distributed.fsdp torch.distributed.checkpoint torch.onnx
"""
# Tests, programs, other platforms, and old names.
_LEFT_OUT = """
antigravity this test idlelib lib2to3 turtledemo ensurepip distutils pydoc_data encodings ntpath posixpath
nturl2path msilib tkinter.tix asyncio.windows_events asyncio.windows_utils numpy.core numpy.char
numpy.distutils numpy.f2py numpy.ma.testutils
"""
LEFT_OUT = set(_LEFT_OUT.split()) - {os.path.__name__}
TESTS = {"test", "tests", "conftest", "__main__"}
TIMEOUT = 120.0  # seconds; a few are usual
# "See torch.abs()": nothing to find by
POINTER = re.compile(
    r"(?:See|Refer to|Alias (?:for|of)|In-place version of|Out-of-place version of)\b.{,90}$"
)


@dataclass(frozen=True, slots=True)
class Documented:
    """One documented thing.

    Attributes:
        name: qualified name, as users write it.
        module: the module that offers it.
        kind: `function`, `class` or `method`; `passage` for any docstring as it stands.
        signature: the parameters in parentheses; None where they are unknown.
        doc: the docstring.
    """

    name: str
    module: str
    kind: str
    signature: str | None
    doc: str

    @property
    def package(self) -> str:
        """`python`, or the package's name."""
        top = self.module.split(".", 1)[0]
        return "python" if top not in ("numpy", "PIL", "torch") else top


class _Finder(griffe.ModuleFinder):
    """Finds modules written in Python that are no tests."""

    def iter_submodules(self, path: Any, seen: Any = None) -> Iterator[tuple[tuple[str, ...], Path]]:
        """Yield the name and the file of each module below `path`."""
        for parts, file in super().iter_submodules(path, seen):
            if file.suffix == ".py" and not TESTS & set(parts):
                yield parts, file


class _Definitions(griffe.Extension):
    """Keeps a definition whose name an import takes later: most often a faster version, written in C."""

    def __init__(self) -> None:
        self._defined: dict[str, griffe.Object] = {}

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Note a class or a function."""
        if isinstance(obj, griffe.Class | griffe.Function):
            self._defined[obj.path] = obj

    def on_alias_instance(self, *, alias: griffe.Alias, **_: Any) -> None:
        """Put back the definition that the import took the place of."""
        if alias.path in self._defined and alias.parent is not None:
            alias.parent.set_member(alias.name, self._defined[alias.path])


class _Loader(griffe.GriffeLoader):
    """Loads packages from folders, and lists the modules that can't be read; griffe skips those silently.

    `LEFT_OUT` modules are not loaded.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        extensions = griffe.load_extensions(_Definitions())
        super().__init__(extensions=extensions, allow_inspection=False, store_source=False)
        self.finder = _Finder(paths)
        self.rejected: list[Rejected] = []

    def _load_module(
        self, module_name: str, module_path: Any, *, submodules: bool = True, parent: Any = None
    ) -> griffe.Module:
        name = module_name if parent is None else f"{parent.path}.{module_name}"
        if name in LEFT_OUT:
            raise griffe.LoadingError(f"{name} is left out")
        try:
            return super()._load_module(module_name, module_path, submodules=submodules, parent=parent)
        except (griffe.LoadingError, ValueError, RecursionError) as error:
            self.rejected.append(Rejected(name, f"Not readable as Python source: {error}."))
            raise griffe.LoadingError(str(error)) from error

    def _post_load(self, module: griffe.Module, obj_path: str) -> griffe.Module:  # noqa: ARG002
        # as griffe does, but without asking git about each package, by two processes each
        self.expand_exports(module)
        self.expand_wildcards(module, external=False)
        self.extensions.call("on_package", pkg=module, loader=self)
        return module


def standard_library() -> Path:
    """Return the folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def read_installed() -> tuple[list[Documented], list[Documented], list[Rejected]]:
    """Read the standard library, `PARSED` packages and `INSPECTED` modules, see `read`."""
    specs = [spec for spec in map(importlib.util.find_spec, PARSED) if spec is not None]
    paths = [standard_library(), *(Path(str(spec.origin)).parents[1] for spec in specs)]
    names = sys.stdlib_module_names - set(sys.builtin_module_names)
    return read(paths, [*sorted(names), *(spec.name for spec in specs)], INSPECTED.split())


def read(
    paths: Sequence[Path], names: Iterable[str], inspected: Sequence[str]
) -> tuple[list[Documented], list[Documented], list[Rejected]]:
    """Read the documentation of modules.

    Args:
        paths: folders to find modules in.
        names: top-level modules to parse, with all below them; those without a source are skipped.
        inspected: modules that another process imports; those that this machine lacks are skipped.

    Returns:
        Public functions, classes and methods by name, their docstrings without the signature that those of C
        functions begin with; passages, which are any docstrings as they stand; and what could not be read.
    """
    rejected: list[Rejected] = []
    with (
        ThreadPoolExecutor(1) as aside,
        griffe.logger.disable(),
    ):  # the other process works while this one parses
        rows = aside.submit(_inspected, inspected, rejected)
        modules = _parsed(paths, names, rejected)
        items = list(_offered(modules))
        known = {(_last(item.name), item.doc) for item in items if item.kind != "method"}
        items += [row for row in rows.result() if (_last(row.name), row.doc) not in known]
    return (
        _without_copies(items),
        [each for module in _below(modules) for each in _passages(module)],
        rejected,
    )


def _inspected(modules: Sequence[str], rejected: list[Rejected]) -> list[Documented]:
    """Return what modules document, as another process finds them; its failure is one rejected entry."""
    folders = [entry for entry in sys.path if entry.endswith("-packages")]  # where `-I` may not look
    command = [sys.executable, "-I", "-X", "utf8", inspect_modules.__file__, json.dumps([modules, folders])]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogatepass",
            timeout=TIMEOUT,
            check=True,
            env=quiet,
        )
        rows = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        last = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        rejected.append(Rejected("inspected modules", f"The process that inspects modules failed: {last}"))
        return []
    return [
        Documented(name if module == "builtins" else f"{module}.{name}", module, *rest)
        for module, name, *rest in rows
    ]


def _parsed(
    paths: Sequence[Path], names: Iterable[str], rejected: list[Rejected]
) -> griffe.ModulesCollection:
    """Return parsed modules, their star imports followed."""
    loader = _Loader(paths)
    was_enabled = gc.isenabled()
    gc.disable()  # nothing of griffe's tree is garbage: looking for some takes a third of the time
    try:
        for name in names:
            # not there: of another platform, or written in C; not loaded: left out, or among the rejected
            with suppress(ModuleNotFoundError, griffe.LoadingError):
                loader.load(name, try_relative_path=False)
        loader.resolve_aliases(external=False)
    finally:
        if was_enabled:
            gc.enable()
    rejected += loader.rejected
    return loader.modules_collection


def _shown(module: griffe.Module) -> str:
    """Return the name that users know a module by."""
    return "os.path" if module.path == os.path.__name__ else module.path


def _is_private(name: str) -> bool:
    return "._" in f".{name}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _below(modules: griffe.ModulesCollection | griffe.Module) -> Iterator[griffe.Module]:
    """Yield modules and all below them."""
    for member in modules.members.values():
        if isinstance(member, griffe.Module):
            yield member
            yield from _below(member)


def _offered(modules: griffe.ModulesCollection) -> Iterator[Documented]:
    """Yield what public modules document, each thing under its shortest public name."""
    best: dict[str, tuple[int, bool, str, str]] = {}
    targets: dict[str, griffe.Object] = {}
    for module in _below(modules):
        shown = _shown(module)
        if _is_private(shown) or shown == "genericpath":  # os.path offers the same
            continue
        for member in _public(module):
            try:
                target = member.final_target if isinstance(member, griffe.Alias) else member
            except (griffe.AliasResolutionError, griffe.CyclicAliasError):
                continue  # written in C, or not of these modules
            name = f"{shown}.{member.name}"
            rank = (name.count("."), member.is_alias, name, shown)
            best[target.path] = min(best.get(target.path, rank), rank)
            targets[target.path] = target
    for path, (_, _, name, shown) in best.items():
        target = targets[path]
        if isinstance(target, griffe.Class):
            yield from _item(name, shown, "class", target)
            for method in _methods(target).values():
                yield from _item(f"{name}.{method.name}", shown, "method", method)
        elif isinstance(target, griffe.Function):
            yield from _item(name, shown, "function", target)


def _public(module: griffe.Module) -> Iterator[griffe.Object | griffe.Alias]:
    """Yield what users may take from a module.

    `__all__` decides. Without one, or where it is computed, a module offers what it defines, and what it
    takes from its own inside or by a star from a private module.
    """
    value = getattr(module.members.get("__all__"), "value", None)
    text = Path(str(module.filepath)).read_text(encoding="utf-8", errors="replace")
    extended = "__all__.extend(" in text or "__all__.append(" in text  # griffe does not follow these
    decided = bool(module.exports) and isinstance(value, griffe.ExprList | griffe.ExprTuple) and not extended
    for member in module.members.values():
        listed = member.name in (module.exports or ())
        if not decided and isinstance(member, griffe.Alias):
            inside = member.target_path.startswith(f"{module.path}.")
            listed = listed or inside or (bool(member.wildcard_imported) and _is_private(member.target_path))
        if (listed or not (decided or member.is_alias)) and not member.name.startswith("_"):
            yield member


def _methods(cls: griffe.Class) -> dict[str, griffe.Function]:
    """Return the public methods of a class, those that it takes from private classes included."""
    try:
        bases = [base for base in cls.mro() if _is_private(base.path)]
    except ValueError:  # Python refuses such a class too
        bases = []
    return {
        name: member
        for base in (*reversed(bases), cls)
        for name, member in base.members.items()
        if isinstance(member, griffe.Function) and not name.startswith("_")
    }


def _item(name: str, module: str, kind: str, thing: griffe.Class | griffe.Function) -> Iterator[Documented]:
    if thing.docstring is not None:
        signature = thing.signature(return_type=False, name=".").removeprefix(".") or None
        yield Documented(name, module, kind, signature, thing.docstring.value)


def _passages(thing: griffe.Object) -> Iterator[Documented]:
    """Yield the docstrings of a module or class and of all in it but modules."""
    if thing.docstring is not None:
        name = thing.path.replace(os.path.__name__, "os.path", 1)
        yield Documented(name, _shown(thing.module), "passage", None, thing.docstring.value)
    for member in thing.members.values():
        if isinstance(member, griffe.Class | griffe.Function):
            yield from _passages(member)


def _without_copies(items: Iterable[Documented]) -> list[Documented]:
    """Return documented items by name, without methods that only repeat or point to another item.

    The first of several of one name stands. A method with the last name and the words of a plainer item
    (`bytearray.strip` of `bytes.strip`, `random.Random.choice` of `random.choice`) is a copy.
    """
    named: dict[str, Documented] = {}
    for item in items:
        doc, signature = without_signature(item.doc, _last(item.name))
        if doc and item.name not in named:
            named[item.name] = replace(item, doc=doc, signature=item.signature or signature)
    kept: list[Documented] = []
    said: set[tuple[str, str]] = set()
    for name in sorted(
        named, key=lambda name: (named[name].kind == "method", name.count("."), len(name), name)
    ):
        words = description(named[name].doc)
        if named[name].kind != "method" or not ((_last(name), words) in said or POINTER.match(words)):
            said.add((_last(name), words))
            kept.append(named[name])
    return sorted(kept, key=lambda item: item.name)
