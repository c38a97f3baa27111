"""Read what modules written in C document: they have no source, so one other process imports them.

This process imports none of them. The list is fixed: a module that opens a browser or prints a poem
when it is imported (antigravity, this) is not on it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from embedsearch.demo.pydocs_ast import Documented
from embedsearch.errors import SourceError

# The first module that has an object names it: os.listdir, not posix.listdir.
_MODULES = (
    "builtins math cmath itertools functools operator collections time datetime calendar os io sys re "
    "random string struct array copy heapq bisect decimal fractions statistics json csv pickle marshal "
    "zlib bz2 lzma gzip binascii hashlib hmac secrets socket ssl select selectors signal errno mmap "
    "threading queue gc weakref types contextvars codecs unicodedata locale sqlite3 ctypes "
    "curses curses.panel readline termios tty pty fcntl resource pwd grp syslog dbm.gnu dbm.ndbm "
    "faulthandler tracemalloc atexit symtable zoneinfo xml.parsers.expat xml.etree.ElementTree "
    "winreg msvcrt winsound "
    "numpy numpy.linalg numpy.fft numpy.random numpy.strings numpy.char numpy.lib numpy.exceptions"
)
EXTENSION_MODULES = tuple(_MODULES.split())
TIMEOUT = 60.0  # seconds; a second or two is usual

SCRIPT = r"""
import importlib, inspect, json, sys, types, warnings
warnings.simplefilter("ignore")
modules, folders = json.loads(sys.argv[1])
sys.path.extend(folders)
seen, rows = set(), []
def signature(thing, drop):
    try:
        found = inspect.signature(thing)
    except Exception:  # a default can name what exists only later, as _curses.ACS_VLINE
        return None
    kept = list(found.parameters.values())[drop:]
    return str(found.replace(parameters=kept, return_annotation=found.empty))
def note(module, name, kind, thing, drop=0):
    doc = thing.__doc__
    if isinstance(doc, str) and doc.strip():
        rows.append([module, name, kind, signature(thing, drop), doc])
for module in modules:
    try:
        namespace = importlib.import_module(module)
    except ImportError:
        continue
    names = getattr(namespace, "__all__", None) or dir(namespace)
    for name in sorted(names):
        thing = getattr(namespace, name, None)
        home = getattr(thing, "__module__", None) or ""
        if name.startswith("_") or id(thing) in seen or isinstance(thing, types.FunctionType):
            continue
        if isinstance(thing, type):
            if home.split(".")[0].lstrip("_") != module.split(".")[0] and home not in EXTRA:
                continue
            seen.add(id(thing))
            note(module, name, "class", thing)
            for attribute, value in sorted(vars(thing).items()):
                if attribute.startswith("_") or not callable(getattr(thing, attribute, None)):
                    continue
                if isinstance(value, (types.MethodDescriptorType, types.ClassMethodDescriptorType)):
                    note(module, f"{name}.{attribute}", "method", value, 1)
                elif isinstance(value, (staticmethod, types.BuiltinFunctionType)):
                    note(module, f"{name}.{attribute}", "method", getattr(thing, attribute))
        elif inspect.isroutine(thing) or type(thing).__name__ in ("ufunc", "_ArrayFunctionDispatcher"):
            seen.add(id(thing))
            note(module, name, "function", thing)
sys.stdout.write(json.dumps(rows))
""".replace("EXTRA", repr({"builtins", "posix", "nt", "_io", "_thread", "_random", "_struct"}))


def read_builtins(folders: Sequence[Path], modules: Sequence[str] = EXTENSION_MODULES) -> list[Documented]:
    """Return what is documented in the extension modules of this Python.

    Args:
        folders: where packages outside the standard library lie.
        modules: what to import; those that this platform has not are passed over.

    Raises:
        SourceError: the process could not be started, failed, or took too long.
    """
    request = json.dumps([list(modules), [str(folder) for folder in folders]])
    command = [sys.executable, "-I", "-X", "utf8", "-c", SCRIPT, request]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogatepass",
            timeout=TIMEOUT,
            check=True,
            stdin=subprocess.DEVNULL,
            env=quiet,
        )
        rows = json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        last = (str(error.stderr).strip().splitlines() or ["no message"])[-1]
        raise SourceError(f"The process that imports the modules written in C failed: {last}") from None
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise SourceError(f"The process that imports the modules written in C failed: {error}") from None
    return [
        Documented(
            name=name if module == "builtins" else f"{module}.{name}",
            module=module,
            kind=kind,
            signature=signature,
            doc=doc,
            package="numpy" if module.split(".")[0] == "numpy" else "python",
        )
        for module, name, kind, signature, doc in rows
    ]
