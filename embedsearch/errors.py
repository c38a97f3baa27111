"""Every error that embedsearch raises on purpose, in one tree.

    EmbedsearchError
    ├── UsageError              the request itself can't be carried out as it stands
    │   ├── RecipeError         what an index is to be made from is incomplete or contradictory
    │   ├── QueryError          the query does not fit the index
    │   └── FilterError         the `where` text can't be parsed or names no known field
    ├── NotFoundError           a named thing does not exist
    │   ├── IndexNotFoundError
    │   ├── ItemNotFoundError
    │   └── SourceNotFoundError
    ├── SourceError             a source exists but can't be read as asked
    ├── TooManyRejectedError    more entries were rejected than the recipe allows
    ├── TooManyRemovedError     more records are gone from the source than may go without a question
    ├── RecallNotReachedError   an approximate index misses more than was asked for
    ├── ModelError              a model can't be found, loaded or used
    │   ├── ModelUnreachableError
    │   ├── ModelChecksumError
    │   ├── DeviceError         this machine does not have the device or the precision
    │   └── EncoderMismatchError  the query encoder is not the one that made the index
    ├── IndexDamagedError       files of a build are missing, truncated or altered
    ├── IndexBusyError          another process is writing the index
    ├── ServerError             a server can't be reached, or does not answer as expected
    ├── MissingExtraError       an optional dependency is not installed
    └── ItemError               one item can't be read or embedded; a build rejects it

A message says what came, what was expected and what to do next. The command line prints it as it is,
without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EmbedsearchError(Exception):
    """Root of the tree: what a person can put right after reading the message."""


class UsageError(EmbedsearchError):
    """The request itself can't be carried out as it stands."""


class RecipeError(UsageError):
    """What an index is to be made from is incomplete or contradictory."""


class QueryError(UsageError):
    """The query does not fit the index."""


class FilterError(UsageError):
    """The `where` text can't be parsed, or names no known field."""


class NotFoundError(EmbedsearchError):
    """A named thing does not exist."""


class IndexNotFoundError(NotFoundError):
    """No index of that name in the indexes folder."""


class ItemNotFoundError(NotFoundError):
    """No item of that id in the index."""


class SourceNotFoundError(NotFoundError):
    """The file or folder to read does not exist."""


class SourceError(EmbedsearchError):
    """A source exists but can't be read as asked."""


class TooManyRejectedError(EmbedsearchError):
    """More entries were rejected than the recipe allows."""


class TooManyRemovedError(EmbedsearchError):
    """More records are gone from the source than may go without a question."""


class RecallNotReachedError(EmbedsearchError):
    """An approximate index misses more than was asked for."""


class ModelError(EmbedsearchError):
    """A model can't be found, loaded or used."""


class ModelUnreachableError(ModelError):
    """The model hub does not answer, or has no such model."""


class ModelChecksumError(ModelError):
    """A model file is not the published one."""


class DeviceError(ModelError):
    """This machine does not have the device or the precision that was asked for."""


class EncoderMismatchError(ModelError):
    """The query encoder is not the one that made the index."""


class IndexDamagedError(EmbedsearchError):
    """Files of a build are missing, truncated or altered."""


class IndexBusyError(EmbedsearchError):
    """Another process is writing the index."""


class ServerError(EmbedsearchError):
    """A server can't be reached, or does not answer as expected."""


class MissingExtraError(EmbedsearchError):
    """An optional dependency is not installed."""


class ItemError(EmbedsearchError):
    """One item can't be read or embedded; a build rejects it with this message as the reason."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for another known name close to `name`, or an empty string."""
    # a name of half the length is no slip of the hand
    likely = [each for each in known if each != name and abs(len(each) - len(name)) <= len(each) // 2]
    close = difflib.get_close_matches(name, likely, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
