"""Parser and exit status of the commands without Hydra."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from ironore_lightning.cli.commands import VERSION_FLAG, commands_text, described, version_text
from ironore_lightning.errors import ConfigError, report_error, translate_error
from ironore_lightning.process.interrupts import raise_on_interrupt
from ironore_lightning.process.terminal import open_streams


class CommandParser(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one line.

    Args:
        name: Module of the command.
        doc: Its docstring, which `--help` prints.
    """

    def __init__(self, name: str, doc: str | None) -> None:
        """Describe the command by its docstring."""
        super().__init__(
            prog=f"ironore {name}",
            description=described(doc),
            epilog=commands_text(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument(VERSION_FLAG, action="version", version=version_text())

    def parse_args(  # type: ignore[override]  # options go into a new namespace only
        self, arguments: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Read a command line, in which ``data.root=DIR`` is the same as ``--data-root DIR``."""
        arguments = sys.argv[1:] if arguments is None else arguments
        return super().parse_args([self._as_option(argument) for argument in arguments])

    def _as_option(self, argument: str) -> str:
        """Return ``key=value`` as the option or the positional argument of that key."""
        key, sign, value = argument.partition("=")
        if not sign or argument.startswith("-"):
            return argument
        if {key, f"{key}s"} & {
            action.dest
            for action in self._actions
            if action.nargs != 0 and not action.option_strings
        }:
            return value
        option = f"--{key.replace('.', '-').replace('_', '-')}"
        return f"{option}={value}" if option in self._option_string_actions else argument

    def error(self, message: str) -> NoReturn:
        """Raise `ConfigError`."""
        raise ConfigError(f"{message}; --help says what is expected")


def run_plain(
    parser: CommandParser,
    work: Callable[[argparse.Namespace], object],
    arguments: Sequence[str] | None,
) -> int:
    """Read a command line, do the work, and return the exit status: 0, or that of the error.

    Args:
        parser: Parser of the command.
        work: Function of the parsed options.
        arguments: Command line; None for that of this process.
    """
    open_streams()
    try:
        options = parser.parse_args(arguments)
        raise_on_interrupt()
        work(options)
    except Exception as error:
        return report_error(translate_error(error))
    return 0
