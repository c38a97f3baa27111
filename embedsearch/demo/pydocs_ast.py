"""Read what a Python module documents without importing it: its syntax tree says it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from embedsearch.records import Rejected

Function = ast.FunctionDef | ast.AsyncFunctionDef
ADD_DOCSTR = frozenset({"add_docstr", "_add_docstr"})  # torch's way to document what is written in C


@dataclass(frozen=True, slots=True)
class Documented:
    """One documented thing.

    Attributes:
        name: qualified name.
        module: the module that offers it.
        kind: `function`, `class` or `method`.
        signature: the parameters in parentheses; None where they are unknown.
        doc: the docstring as it stands.
        package: `python`, or the package's name.
    """

    name: str
    module: str
    kind: str
    signature: str | None
    doc: str
    package: str


@dataclass(slots=True)
class Definition:
    """A function or a class as its module writes it; a class has its public methods beside it."""

    kind: str
    signature: str | None
    doc: str
    methods: dict[str, Definition] = field(default_factory=dict)


@dataclass(slots=True)
class ModuleText:
    """What one module's source says about its names.

    Attributes:
        docs: every docstring by its dotted name within the module; the module's own under "".
        definitions: top-level functions and classes by name, documented or not.
        imports: local name -> (module, name there).
        greedy_groups: modules imported with `*`.
        exported: names listed literally in `__all__`; None where there is no `__all__`.
        exported_is_all: False where a part of `__all__` is computed.
        extension_docs: dotted name -> docstring of things written in C, from `add_docstr` calls.
    """

    docs: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    greedy_groups: list[str] = field(default_factory=list)
    exported: list[str] | None = None
    exported_is_all: bool = True
    extension_docs: dict[str, str] = field(default_factory=dict)


def read_module(path: Path, name: str) -> ModuleText | Rejected:
    """Parse the source file of the module `name`; say why where it can't be read or parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in others' strings are not our matter
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Rejected(str(path), f"Not readable as Python source: {error}.")
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    text = ModuleText(docs=dict(_docstrings(tree, "")))
    for statement in _statements(tree.body):
        _take(statement, package, text)
    return text


def _docstrings(node: ast.Module | ast.ClassDef | Function, name: str) -> Iterator[tuple[str, str]]:
    """Yield the docstring of a module, class or function and of what stands directly inside it."""
    doc = ast.get_docstring(node, clean=False)
    if doc and doc.strip():
        yield name, doc
    if not isinstance(node, Function):
        for item in _statements(node.body):
            if isinstance(item, ast.ClassDef | Function):
                yield from _docstrings(item, f"{name}.{item.name}".lstrip("."))


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's statements, those inside its `if`, `try` and `with` blocks included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(statement.test):
                yield from _statements(statement.body)
            yield from _statements(statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from _statements(statement.body)
            for handler in statement.handlers:
                yield from _statements(handler.body)
            yield from _statements(statement.orelse)
        elif isinstance(statement, ast.With):
            yield from _statements(statement.body)


def _take(statement: ast.stmt, package: str, text: ModuleText) -> None:
    """Note in `text` what one top-level statement says."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            known = text.definitions.get(statement.name)
            if known is None or not known.doc:  # of several for several platforms, the documented one
                text.definitions[statement.name] = _definition(statement)
        case ast.ImportFrom():
            parts = package.split(".") if statement.level else []
            parts = parts[: len(parts) - statement.level + 1]
            source = ".".join([*parts, *([statement.module] if statement.module else [])])
            for alias in statement.names:
                if alias.name == "*":
                    text.greedy_groups.append(source)
                else:
                    text.imports[alias.asname or alias.name] = (source, alias.name)
                    if alias.name == "__all__":
                        text.exported, text.exported_is_all = text.exported or [], False
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            _take_assignment(name, value, text)
        case ast.AugAssign(target=ast.Name(id="__all__"), value=value):
            _export(value, text)
        case ast.Expr(value=ast.Call() as call):
            _take_call(call, text)
        case _:
            pass


def _take_assignment(name: str, value: ast.expr, text: ModuleText) -> None:
    """Note `__all__`, and a C function that is documented where it gets its public name."""
    match value:
        case _ if name == "__all__":
            _export(value, text)
        case ast.Call(func=ast.Name(id=called), args=[_, doc, *_]) if called in ADD_DOCSTR:
            text.definitions[name] = Definition("function", None, _string(doc))
        case _:
            pass


def _take_call(call: ast.Call, text: ModuleText) -> None:
    """Note what is added to `__all__`, and what is documented by a call."""
    match call:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="__all__")), args=[value]):
            _export(value, text)
        case ast.Call(func=ast.Name(id=called), args=[target, doc]) if called in ADD_DOCSTR:
            text.extension_docs[ast.unparse(target)] = _string(doc)
        case ast.Call(func=ast.Name(id="add_docstr_all"), args=[ast.Constant(value=str(name)), doc]):
            text.extension_docs[f"torch.Tensor.{name}"] = _string(doc)
        case _:
            pass


def _export(value: ast.expr, text: ModuleText) -> None:
    """Add a part of `__all__`: a literal list, tuple or one name; anything else leaves it open."""
    try:
        names = ast.literal_eval(value)
    except (ValueError, TypeError):
        text.exported_is_all = False
        names = []
    listed = [names] if isinstance(names, str) else [name for name in names if isinstance(name, str)]
    text.exported = [*(text.exported or []), *listed]


def _definition(node: Function | ast.ClassDef) -> Definition:
    """Return what a `def` or `class` statement says."""
    doc = ast.get_docstring(node, clean=False) or ""
    if not isinstance(node, ast.ClassDef):
        return Definition("function", f"({ast.unparse(node.args)})" if doc else None, doc)
    definition = Definition("class", None, doc)
    for item in _statements(node.body):
        if not isinstance(item, Function):
            continue
        if item.name in {"__init__", "__new__"} and definition.signature is None:
            definition.signature = _without_first(item.args)
        marks = {ast.unparse(mark).rpartition(".")[2] for mark in item.decorator_list}
        method_doc = ast.get_docstring(item, clean=False) or ""
        if item.name.startswith("_") or not method_doc or marks & {"property", "setter", "deleter"}:
            continue
        static = "staticmethod" in marks
        signature = f"({ast.unparse(item.args)})" if static else _without_first(item.args)
        definition.methods.setdefault(item.name, Definition("method", signature, method_doc))
    return definition


def _without_first(arguments: ast.arguments) -> str:
    """Return the parameters in parentheses, without `self` or `cls`."""
    positional = arguments.posonlyargs or arguments.args
    if len(arguments.defaults) <= len(arguments.posonlyargs) + len(arguments.args) - 1:
        del positional[:1]
    return f"({ast.unparse(arguments)})"


def _string(node: ast.expr) -> str:
    """Return the text of a string expression; what it computes is left out."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _string(left) + _string(right)
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            return _string(value).replace("{{", "{").replace("}}", "}")
        case ast.JoinedStr(values=values):
            return "".join(_string(value) for value in values)
        case _:
            return ""
