"""A program: import modules, and print what they document as JSON.

`documentation` runs this file in another process, as an import can crash. It imports nothing of this package.

    python -I inspect_modules.py '[["math", "builtins"], ["/folder/for/sys.path"]]'
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

CALLED = ("ufunc", "_ArrayFunctionDispatcher")  # what numpy calls its functions written in C
# Modules that own what others offer to users.
HOMES = ("builtins", "posix", "nt", "io", "thread", "posixpath", "ntpath", "genericpath")
TORCH_METHODS = ("Tensor", "Module", "Optimizer")  # its classes whose methods users call by name
Row = tuple[str, str, str, str | None, str]  # module, name in it, kind, signature, docstring


def documented(modules: Sequence[str]) -> Iterator[Row]:
    """Yield the functions, classes and methods of modules; modules that can't be imported are skipped.

    An object belongs to the first module that offers it.
    """
    seen: set[int] = set()
    for module in modules:
        try:
            namespace = importlib.import_module(module)
        except ImportError:
            continue
        public = getattr(namespace, "__all__", None) or dir(namespace)
        for name in dir(namespace):
            thing: Any = getattr(namespace, name, None)
            home = getattr(thing, "__module__", None) or module
            is_class = isinstance(thing, type)
            offered = name in public or f"{home}.".startswith(f"{module}.")
            if name.startswith("_") or id(thing) in seen or not offered:
                continue
            if not (is_class or inspect.isroutine(thing) or type(thing).__name__ in CALLED):
                continue
            foreign = home.split(".")[0].lstrip("_") not in (module.split(".")[0], *HOMES)
            if foreign and (is_class or isinstance(thing, types.FunctionType)):
                continue
            if is_class and home in modules and home.count(".") < module.count("."):
                continue  # it has a shorter name
            seen.add(id(thing))
            yield from _row(module, name, "class" if is_class else "function", thing)
            if is_class and (not module.startswith("torch") or name in TORCH_METHODS):
                yield from _methods(module, name, thing)


def _methods(module: str, name: str, cls: type) -> Iterator[Row]:
    """Yield the public methods of a class, those that it takes from private classes included."""
    bases = [base for base in cls.__mro__ if base is cls or "._" in f".{base.__module__}.{base.__name__}"]
    values = {key: value for base in reversed(bases) for key, value in vars(base).items()}
    for key, value in values.items():
        if not key.startswith("_") and callable(getattr(cls, key, None)):
            bound = isinstance(value, staticmethod | classmethod | types.BuiltinFunctionType)
            yield from _row(
                module, f"{name}.{key}", "method", getattr(cls, key) if bound else value, not bound
            )


def _row(module: str, name: str, kind: str, thing: Any, has_self: bool = False) -> Iterator[Row]:
    """Yield the row of a documented object; none where it has no docstring of its own."""
    # a metaclass can hide the docstring of a class, as that of torch.Generator does
    doc = type.__dict__["__doc__"].__get__(thing) if isinstance(thing, type) else thing.__doc__
    if isinstance(doc, str) and doc.strip():
        try:
            signature = inspect.signature(thing)
            kept = list(signature.parameters.values())[has_self:]
            text = str(signature.replace(parameters=kept, return_annotation=signature.empty))
        except Exception:  # a default can name what exists only later, as _curses.ACS_VLINE
            text = None
        yield module, name, kind, text, inspect.cleandoc(doc)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asked, folders = json.loads(sys.argv[1])
    sys.path.extend(folders)
    sys.stdout.write(json.dumps(list(documented(asked))))
