"""A program: import modules, and print what they document as JSON; it imports nothing of this package.

`documentation` runs it in another process, as an import can crash: python -P inspect_modules.py math builtins
"""

import faulthandler
import importlib
import inspect
import json
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

TORCH_METHODS = ("Tensor", "Module", "Optimizer")  # its classes whose methods users call by name
# How a docstring of a C function begins: "abs(input, *, out=None) -> Tensor".
CALL = re.compile(r"[\w.]+(\((?:[^()]|\([^()]*\))*\))")


class Documented(NamedTuple):
    """One documented thing."""

    name: str  # as users write it
    module: str  # that offers it
    kind: str  # function, class, method; or passage: any docstring as it stands
    signature: str | None  # the parameters in parentheses, where they are known
    doc: str


def documented(modules: Sequence[str]) -> Iterator[Documented]:
    """Yield what modules document; those that can't be imported are skipped.

    A module offers what its `__all__` lists, or else what is written in C, and its own things. An object
    belongs to the first module that offers it.
    """
    seen: dict[int, Any] = {}  # by identity; held, so that no other object gets the identity of one
    for module in modules:
        try:
            namespace = importlib.import_module(module)
        except ImportError:
            continue
        listed = getattr(namespace, "__all__", ())
        for name, thing in inspect.getmembers(namespace, callable):
            home = str(getattr(thing, "__module__", module)).lstrip("_")
            offered = name in listed if listed else inspect.isbuiltin(thing)
            offered = offered or f"{home}.".startswith(f"{module}.")
            if name.startswith("_") or id(thing) in seen or not offered:
                continue
            seen[id(thing)] = thing
            full = f"{module}.{name}".removeprefix("builtins.")
            yield from _described(full, module, "class" if isinstance(thing, type) else "function", thing)
            if isinstance(thing, type) and (not module.startswith("torch") or name in TORCH_METHODS):
                for each in inspect.classify_class_attrs(thing):
                    base = each.defining_class
                    own = base is thing or "._" in f".{base.__module__}.{base.__name__}"
                    if own and each.kind.endswith("method") and not each.name.startswith("_"):
                        method = getattr(thing, each.name)
                        yield from _described(f"{full}.{each.name}", module, "method", method)


def _described(name: str, module: str, kind: str, thing: Any) -> Iterator[Documented]:
    """Yield an object that has a docstring of its own."""
    # a metaclass can hide the docstring of a class, as that of torch.Generator does
    doc = type.__dict__["__doc__"].__get__(thing) if kind == "class" else thing.__doc__
    if isinstance(doc, str) and doc.strip() and (kind == "class" or doc != type(thing).__doc__):
        doc = inspect.cleandoc(doc)
        try:
            known = str(inspect.signature(thing).replace(return_annotation=inspect.Signature.empty))
            signature = re.sub(r"^\(self(?:, /)?(?:, )?", "(", known) or None
        except Exception:  # written in C; or a default names what exists only later, as _curses.ACS_VLINE
            signature = call[1] if (call := CALL.match(doc)) else None
        yield Documented(name, module, kind, signature, doc)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(600, exit=True)  # seconds; a few are usual
    warnings.simplefilter("ignore")
    sys.stdout.write(json.dumps(list(documented(sys.argv[1:]))))
