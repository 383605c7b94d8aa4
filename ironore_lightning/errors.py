"""The errors a user can cause; each is a line that says what, where and what to do."""

import difflib
from collections.abc import Iterable


class IronOreError(Exception):
    """Everything this package raises on purpose."""


class ConfigError(IronOreError, ValueError):
    """A setting is wrong; one line a mistake, each naming its key."""


class DataError(IronOreError, ValueError):
    """A raw file or the table made of it is wrong; names file, column and first row or date."""


class LeakageError(IronOreError, ValueError):
    """Something would know the future."""


class TrainingError(IronOreError, RuntimeError):
    """A fit went wrong while running; names the epoch."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known name most like `name`, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
