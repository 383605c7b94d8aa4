"""The command ``ironore NAME ...``, which is ``python -m ironore_lightning.NAME ...``."""

import runpy
import sys

from ironore_lightning.process.interrupts import exit_on_interrupt


def main() -> int:
    """Run the command that the first argument names; return 2 if there is none of that name."""
    exit_on_interrupt()
    from ironore_lightning.cli.commands import COMMANDS, VERSION_FLAG, commands_text, version_text
    from ironore_lightning.errors import ConfigError, closest, report_error
    from ironore_lightning.process.terminal import open_streams, print_safely

    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)
        return 0
    open_streams()
    if name == VERSION_FLAG:
        print_safely(version_text())
    elif name in {"--help", "-h"}:
        print_safely(f"ironore COMMAND ...; each has its own --help\n\n{commands_text()}")
    else:
        wrong = ConfigError(f"{name}: there is no such command{closest(name, COMMANDS)}")
        sys.stderr.write(commands_text())
        return report_error(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
