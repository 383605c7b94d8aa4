"""Command-line arguments in the form that Hydra reads."""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ironore_lightning.errors import ConfigError
from ironore_lightning.settings.folder import conf_folder

ROOT = "data.root"

WORDS = re.compile(r"[\w/.@%?+\-\x80-\U0010ffff]+(?: +[\w/.@%?+\-\x80-\U0010ffff]+)*")
"""Text that needs quotation marks only if it is not ASCII, which is all that Hydra reads."""


def normalize_arguments(arguments: Sequence[str]) -> list[str]:
    """Put overrides last, quote non-ASCII words, and make a relative `data.root` absolute.

    The run folder keeps the overrides, so that `resume=` finds the data from anywhere. A group has
    a member already, so `+experiment=NAME`, as other templates want it, is `experiment=NAME`.

    Raises:
        ConfigError: If there is a flag that Hydra does not have.
    """
    overrides = parse(arguments).overrides
    flags = list(arguments)
    for override in overrides:
        flags.remove(override)
    overrides = [_without_plus(override) for override in overrides]
    return [*flags, *(_absolute(_quoted_words(override)) for override in overrides)]


def parse(arguments: Sequence[str]) -> Namespace:
    """Separate flags from `overrides`, in any order.

    Raises:
        ConfigError: If there is a flag that Hydra does not have.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # it would print the usage of all flags
    return parser.parse_intermixed_args(list(arguments))


def quoted(text: str) -> str:
    """Quote a text so that Hydra reads it as it stands, whatever is in it but `${`."""
    # Before a quotation mark backslashes count, and nowhere else.
    escaped = re.sub(
        r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text
    )
    return f"'{escaped}'"


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; settings are written key=value, and --help lists them")


def _without_plus(override: str) -> str:
    plain = override.lstrip("+")
    is_group = (conf_folder() / plain.partition("=")[0]).is_dir()
    return plain if is_group and "=" in plain else override


def _quoted_words(override: str) -> str:
    key, sign, value = override.partition("=")
    if value.isascii() or {"'", '"'} & set(value):
        return override
    return key + sign + WORDS.sub(lambda found: _unless_ascii(found[0]), value)


def _unless_ascii(words: str) -> str:
    return words if words.isascii() else quoted(words)


def _absolute(override: str) -> str:
    key = override.partition("=")[0]
    if key.lstrip("+") != ROOT:
        return override
    try:
        value = OverridesParser.create().parse_override(override).value()
    except HydraException:
        return override  # Hydra says what is wrong with it
    if not isinstance(value, str) or not value:
        return override
    path = str(Path.cwd() / value)
    return override if path == value or "${" in path else f"{key}={quoted(path)}"
