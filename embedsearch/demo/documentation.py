"""What the installed Python documents: the standard library, numpy, PIL and torch.

griffe parses Python sources: nothing of them runs. C modules have no source, and torch writes most docstrings
at run time: this file, run as a program in another process, imports these, as an import can crash.
"""

import faulthandler
import importlib
import inspect
import json
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NamedTuple, cast

import griffe

from embedsearch.records import Rejected

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
# Parts of module names: tests, programs, jokes, old names, other platforms, and what `os.path` offers.
LEFT_OUT = """
test tests conftest __main__ idlelib lib2to3 turtledemo antigravity this ensurepip distutils pydoc_data
encodings f2py char tix ntpath posixpath genericpath windows_events windows_utils
"""
PARSED = (*sorted(sys.stdlib_module_names - {*LEFT_OUT.split()}), "numpy", "PIL")
# In this order: a thing belongs to the first module that offers it.
FIRST = "builtins os.path xml.parsers.expat"
LAST = """
curses.panel xml.etree.ElementTree numpy.linalg numpy.fft numpy.random numpy.strings torch.nn.functional torch
torch.nn torch.nn.init torch.nn.utils torch.nn.utils.rnn torch.optim torch.optim.lr_scheduler torch.autograd
torch.linalg torch.fft torch.special torch.sparse torch.amp torch.cuda torch.utils.data torch.distributions
torch.func torch.jit torch.profiler torch.distributed torch.export torch.onnx
"""
INSPECTED = (
    *FIRST.split(),
    *(name for name in PARSED if not name.startswith(("_", "ast", "pydoc"))),
    *LAST.split(),
)
TORCH_METHODS = ("Tensor", "Module", "Optimizer")  # its classes whose methods users call by name
# griffe follows neither: a version in C that takes the place of a definition, a call that extends `__all__`
FROM_C = re.compile(r"\btry:\n([ \t]+)from _\w+ import (?:\([^)]*\)|.*)")
EXTENDED = re.compile(r"\b__all__\.(?:extend|append)\(")
# How a docstring of a C function begins: "abs(input, *, out=None) -> Tensor".
CALL = re.compile(r"[\w.]+(\((?:[^()]|\([^()]*\))*\))")


class Documented(NamedTuple):
    """One documented thing."""

    name: str  # as users write it
    module: str  # that offers it
    kind: str  # function, class, method; or passage: any docstring as it stands
    signature: str | None  # the parameters in parentheses, where they are known
    doc: str


def read(
    folders: Sequence[Path] = (STANDARD_LIBRARY, *map(Path, sys.path)),
    names: Iterable[str] = PARSED,
    inspected: Sequence[str] = INSPECTED,
) -> tuple[list[Documented], list[Rejected]]:
    """Read the documentation of modules, of all that are installed by default.

    Args:
        folders: where to find modules; the first that holds a module counts.
        names: top-level modules to parse, with all below them; those without a source are skipped.
        inspected: modules that another process imports; those that this machine lacks are skipped.

    Returns:
        What modules offer to users, some of it under several names, then passages; and what can't be read.
    """
    command = [sys.executable, "-P", "-X", "utf8", __file__, *inspected]
    with Popen(command, stdout=PIPE, stderr=PIPE, encoding="utf-8") as process:  # beside this one
        modules, rejected = _parsed(folders, names)
        output, errors = process.communicate()
    defined = [thing for module in modules for thing in _defined(module)]
    found = [each for thing in defined if thing.is_module for each in _offered(thing, thing.path)]
    if process.returncode:
        last = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        rejected.append(Rejected("inspected modules", f"The process that imports modules failed: {last}"))
    else:
        found += [Documented(*row) for row in json.loads(output)]
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
        parent = modules.get(package)
        try:
            code = EXTENDED.sub("__all__ += (", FROM_C.sub(r"try:\n\1pass", file.read_text("utf-8-sig")))
            module = griffe.visit(last, file, code, parent=parent, modules_collection=collection)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            rejected.append(Rejected(name, f"Not readable as Python source: {error}."))
        else:
            modules[name] = module
            (parent or collection).set_member(last, module)
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


def inspect_modules(names: Sequence[str]) -> list[Documented]:
    """Import modules and return what they document; those that can't be imported are skipped.

    A module offers what its `__all__` lists, or else what is written in C, and its own things. An object
    belongs to the first module that offers it.
    """
    found: list[Documented] = []
    seen: dict[int, Any] = {}  # by identity; held, so that no other object gets the identity of one
    for module in names:
        try:
            namespace = importlib.import_module(module)
        except ImportError:
            continue
        listed = getattr(namespace, "__all__", ())
        for name, thing in inspect.getmembers(namespace, callable):
            home = str(getattr(thing, "__module__", module)).lstrip("_")
            offered = name in listed if listed else inspect.isbuiltin(thing)
            offered = offered or f"{home}.".startswith(f"{module}.")
            if name.startswith("_") or not offered or id(thing) in seen:
                continue
            seen[id(thing)] = thing
            full = f"{module}.{name}".removeprefix("builtins.")
            found += _described(full, module, "class" if isinstance(thing, type) else "function", thing)
            if isinstance(thing, type) and (not module.startswith("torch") or name in TORCH_METHODS):
                for each in inspect.classify_class_attrs(thing):
                    base = each.defining_class
                    own = base is thing or "._" in f".{base.__module__}.{base.__name__}"
                    if own and each.kind.endswith("method") and not each.name.startswith("_"):
                        found += _described(
                            f"{full}.{each.name}", module, "method", getattr(thing, each.name)
                        )
    return found


def _described(name: str, module: str, kind: str, thing: Any) -> Iterator[Documented]:
    """Yield an object that has a docstring of its own."""
    # a metaclass can hide the docstring of a class, as that of torch.Generator does
    doc = type.__dict__["__doc__"].__get__(thing) if kind == "class" else thing.__doc__
    if isinstance(doc, str) and doc.strip() and (kind == "class" or doc != type(thing).__doc__):
        doc = inspect.cleandoc(doc)
        try:
            known = str(inspect.signature(thing).replace(return_annotation=inspect.Signature.empty))
            # the address of a default differs from run to run
            signature = re.sub(r"(?<=^\()self(?:, /)?(?:, )?| at 0x\w+", "", known) or None
        except Exception:  # written in C; or a default names what exists only later, as _curses.ACS_VLINE
            signature = call[1] if (call := CALL.match(doc)) else None
        yield Documented(name, module, kind, signature, doc)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(600, exit=True)  # seconds; a few are usual
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(inspect_modules(sys.argv[1:])))
