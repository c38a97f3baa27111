"""What the installed Python documents: the standard library, numpy, PIL and torch.

griffe parses Python sources: nothing of them runs. C modules have no source, and torch writes most docstrings
at run time: another process imports these, see `inspect_modules`.
"""

import json
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import cast

import griffe

from embedsearch.demo import inspect_modules
from embedsearch.demo.inspect_modules import Documented
from embedsearch.records import Rejected

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
PARSED = ("numpy", "PIL")  # packages beside the standard library
# In this order: a thing belongs to the first module that offers it.
INSPECTED = """
builtins math cmath itertools functools operator collections time datetime calendar os os.path io sys re
random string struct array bisect heapq decimal statistics json csv pickle marshal zlib bz2 lzma binascii hmac
hashlib secrets socket ssl select signal mmap threading multiprocessing queue gc weakref types contextvars
codecs unicodedata locale sqlite3 ctypes asyncio warnings turtle curses curses.panel readline termios fcntl
resource pwd grp syslog faulthandler tracemalloc atexit zoneinfo xml.parsers.expat xml.etree.ElementTree
numpy numpy.linalg numpy.fft numpy.random numpy.strings torch.nn.functional torch torch.nn torch.nn.init
torch.nn.utils torch.nn.utils.rnn torch.optim torch.optim.lr_scheduler torch.autograd torch.linalg torch.fft
torch.special torch.sparse torch.amp torch.cuda torch.utils.data torch.distributions torch.func torch.jit
torch.profiler torch.distributed torch.export torch.onnx
"""
# Parts of module names: tests, programs, old names, other platforms, and what `os.path` offers.
LEFT_OUT = """
test tests conftest __main__ idlelib lib2to3 turtledemo ensurepip distutils pydoc_data encodings f2py char tix
ntpath posixpath genericpath windows_events windows_utils
"""
# griffe follows neither: a version in C that takes the place of a definition, a call that extends `__all__`
FROM_C = re.compile(r"\btry:\n([ \t]+)from _\w+ import (?:\([^)]*\)|.*)")
EXTENDED = re.compile(r"\b__all__\.(?:extend|append)\(")


def read_installed() -> tuple[list[Documented], list[Rejected]]:
    """Read the standard library, `PARSED` packages and `INSPECTED` modules, see `read`."""
    folders = [STANDARD_LIBRARY, *map(Path, sys.path)]
    return read(folders, [*sorted(sys.stdlib_module_names), *PARSED], INSPECTED.split())


def read(
    folders: Sequence[Path], names: Iterable[str], inspected: Sequence[str]
) -> tuple[list[Documented], list[Rejected]]:
    """Read the documentation of modules.

    Args:
        folders: where to find modules; the first that holds a module counts.
        names: top-level modules to parse, with all below them; those without a source are skipped.
        inspected: modules that another process imports; those that this machine lacks are skipped.

    Returns:
        What modules offer to users, some of it under several names, then passages; and what can't be read.
    """
    command = [sys.executable, "-P", "-X", "utf8", inspect_modules.__file__, *inspected]
    with Popen(command, stdout=PIPE, stderr=PIPE, encoding="utf-8") as process:  # beside this one
        modules, rejected = _parsed(folders, names)
        output, errors = process.communicate()
    if process.returncode:
        last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        rejected.append(Rejected("inspected modules", f"The process that inspects modules failed: {last}"))
    defined = [thing for module in modules for thing in _defined(module)]
    found = [each for thing in defined if thing.is_module for each in _offered(thing, thing.path)]
    found += [Documented(*row) for row in json.loads(output)] if not process.returncode else []
    for thing in defined:
        if thing.docstring:
            found.append(Documented(thing.path, thing.module.path, "passage", None, thing.docstring.value))
    return found, rejected


def _parsed(folders: Sequence[Path], names: Iterable[str]) -> tuple[list[griffe.Module], list[Rejected]]:
    """Return top-level modules with all below them, star imports followed; and what does not parse."""
    loader = griffe.GriffeLoader(allow_inspection=False)
    collection = loader.modules_collection
    modules: dict[str, griffe.Module] = {}
    rejected: list[Rejected] = []
    for name, file in (source for top in names for source in _sources(folders, top)):
        package, _, last = name.rpartition(".")
        if package and package not in modules:
            continue
        try:
            code = EXTENDED.sub("__all__ += (", FROM_C.sub(r"try:\n\1pass", file.read_text("utf-8-sig")))
            module = griffe.visit(
                last, file, code, parent=modules.get(package), modules_collection=collection
            )
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            rejected.append(Rejected(name, f"Not readable as Python source: {error}."))
        else:
            modules[name] = module
            (modules[package] if package else collection).set_member(last, module)
    tops = [module for name, module in modules.items() if "." not in name]
    for module in tops:
        loader.expand_exports(module)
    for module in tops:
        loader.expand_wildcards(module, external=False)
    return tops, rejected


def _sources(folders: Sequence[Path], top: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of a top-level module and of all modules below it, packages first."""
    for folder in folders:
        files = [*folder.glob(f"{top}.py"), *folder.glob(f"{top}/**/*.py")]
        for file in sorted(files, key=lambda file: (len(file.parts), file.name != "__init__.py", file)):
            parts = file.relative_to(folder).with_suffix("").parts
            if set(parts).isdisjoint(LEFT_OUT.split()):
                yield ".".join(parts).removesuffix(".__init__"), file
        if files:
            return


def _defined(thing: griffe.Object) -> Iterator[griffe.Object]:
    """Yield a module, class or function, and all that is defined in it."""
    yield thing
    for member in thing.members.values():
        if isinstance(member, griffe.Module | griffe.Class | griffe.Function):
            yield from _defined(member)


def _offered(scope: griffe.Object | griffe.Alias, module: str) -> Iterator[Documented]:
    """Yield what a module documents for users, or the methods of a class.

    `__all__` decides; without one a module offers what it defines, or takes from its own inside or by a star.
    A class offers its own methods and those of private classes.
    """
    for thing in scope.all_members.values():
        kind = thing.kind.value  # `alias` where it is written in C, or not of these modules
        if kind not in ("class", "function") or "._" in f".{thing.path}":
            continue
        if scope.is_class:
            offered = kind == "function" and (not thing.inherited or "._" in f".{thing.canonical_path}")
        elif scope.exports:
            offered = thing.name in scope.exports
        else:
            starred = isinstance(thing, griffe.Alias) and thing.wildcard_imported
            offered = starred or thing.canonical_path.startswith(f"{module}.")
        if offered and thing.docstring:
            # an alias has the signature of its target
            signature = cast(griffe.Function, thing).signature(return_type=False, name=" ").strip() or None
            kind = "method" if scope.is_class else kind
            yield Documented(thing.path, module, kind, signature, thing.docstring.value)
        if offered and thing.is_class:
            yield from _offered(thing, module)
