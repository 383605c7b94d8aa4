"""All commands, and the version that each of them tells."""

import textwrap
from pathlib import Path

COMMANDS = {
    "train": "train a forecaster, and say what it is worth",
    "prepare": "write the tables behind a run, and train nothing",
    "inspect": "show what is in a raw file, and propose its settings",
    "audit": "look for the future in the data, or in a run's forecasts",
    "forecast": "forecast the next day with finished runs",
    "refit": "fit finished runs once more on all days",
    "evaluate": "say what a finished run is worth, also on newer days",
    "compare": "compare two runs or trials on the days that both forecast",
    "summarize": "say what many runs are worth together",
    "desk": "forecast every morning, and keep a record of it",
    "judge": "judge anybody's table of forecasts",
    "verify": "say whether the record of a desk is what was written",
    "export": "write a finished run as an ONNX file",
}
"""What each command does; `ironore NAME` is `python -m ironore_lightning.NAME`."""

VERSION_FLAG = "--version"
WIDTH = 80
"""Columns that every help fits into."""


def filled(text: str, first: str = "", rest: str = "") -> str:
    """Return a paragraph in lines that fit a terminal, with the indents of the first and others."""
    lines = textwrap.fill(
        " ".join(text.split()),
        WIDTH - 1,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
    )
    return f"{lines}\n"


def described(doc: str | None) -> str:
    """Return the docstring of a command in lines that fit; indented examples stay as they are."""
    paragraphs = (doc or "").strip("\n").split("\n\n")
    return "\n".join(f"{text}\n" if text[:1] == " " else filled(text) for text in paragraphs)


def commands_text() -> str:
    """Return a line for each command."""
    lines = (f"  ironore {name:<10} {sentence}\n" for name, sentence in COMMANDS.items())
    return f"Commands, also as python -m ironore_lightning.NAME:\n\n{''.join(lines)}"


def version_text() -> str:
    """Return name and version: those of the checkout, or else those of what is installed."""
    import tomllib
    from importlib.metadata import version

    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        known = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    else:
        known = version("ironore_lightning")
    return f"ironore_lightning {known}\n"
