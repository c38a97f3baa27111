"""One tree of modules, the standard library or a package, read without importing it.

A module is read when it is first asked for. `from x import y` is followed from a public name to the
module that defines it, so that `torch.nn.modules.linear.Linear` is found under the name that people use.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embedsearch.demo.pydocs_ast import ModuleText, read_module
from embedsearch.records import Rejected


class Library:
    """The modules under one root, by dotted name, read on demand."""

    def __init__(self, modules: dict[str, Path]) -> None:
        self._paths = modules
        self._read: dict[str, ModuleText | None] = {}
        self.rejected: list[Rejected] = []

    def names(self) -> list[str]:
        """Return the names of all modules, sorted."""
        return sorted(self._paths)

    def module(self, name: str) -> ModuleText | None:
        """Return the module, or None where there is no such source file or it can't be parsed."""
        if name not in self._read:
            path = self._paths.get(name)
            self._read[name] = None
            if path is not None:
                found = read_module(path, name)
                if isinstance(found, Rejected):
                    self.rejected.append(found)
                else:
                    self._read[name] = found
        return self._read[name]

    def public_names(self, module: str) -> list[str]:
        """Return the names that `module` offers, sorted.

        `__all__` decides where it is a literal list. Without one a module offers what it defines and
        what it takes with `*` from private modules; a package also what it takes from its own inside.
        """
        text = self.module(module)
        if text is None:
            return []
        if text.exported is not None and text.exported_is_all:
            return sorted(set(text.exported))
        names = set(text.exported or ()) | set(text.definitions)
        inside = f"{module}."
        is_package = self._paths[module].name == "__init__.py"
        if is_package:
            names |= {local for local, (source, _) in text.imports.items() if source.startswith(inside)}
        for source in text.greedy_groups:
            if is_private(source) or (is_package and source.startswith(inside)):
                names |= set(self._starred(source))
        return sorted(name for name in names if not name.startswith("_"))

    def resolve(self, module: str, name: str) -> tuple[str, str] | None:
        """Return the module and the name where `module`'s `name` is defined, or None."""
        seen: set[tuple[str, str]] = set()
        pending = [(module, name)]
        while pending:
            here = pending.pop()
            text = None if here in seen else self.module(here[0])
            seen.add(here)
            if text is None:
                continue
            if here[1] in text.definitions:
                return here
            pending.extend((star, here[1]) for star in reversed(text.greedy_groups))
            if here[1] in text.imports:
                pending.append(text.imports[here[1]])
        return None

    def _starred(self, module: str, depth: int = 0) -> Iterator[str]:
        """Yield the names that `from module import *` brings."""
        text = self.module(module)
        if text is None or depth > 8:
            return
        if text.exported is not None:
            yield from text.exported
        if text.exported is None or not text.exported_is_all:
            yield from text.definitions
            for star in text.greedy_groups:
                yield from self._starred(star, depth + 1)


def is_private(module: str) -> bool:
    """Whether a component of the dotted name begins with an underscore."""
    return any(part.startswith("_") for part in module.split("."))
