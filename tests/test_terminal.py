"""What commands print, where standard output is gone, full, or knows few characters."""

import datetime
import io
import logging
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose as compose_tree
from hydra import initialize_config_dir
from omegaconf import OmegaConf
from rich.text import Text

from ironore_lightning import summarize
from ironore_lightning.errors import ConfigError, report_error
from ironore_lightning.forecast import __main__ as forecast
from ironore_lightning.inspect import __main__ as inspect
from ironore_lightning.process.terminal import (
    LOG_ONLY,
    Console,
    Errors,
    Lines,
    RunLog,
    open_streams,
    print_safely,
    short_path,
)
from ironore_lightning.report.table import make_table

ROOT = Path(__file__).parents[1]
TODAY = datetime.date(2026, 1, 2)
FULL = Path("/dev/full")
needs_a_full_device = pytest.mark.skipif(not FULL.exists(), reason="there is no full device")


@pytest.fixture
def finished(write_run, tmp_path):
    """A folder of one run of 100 days."""
    returns = [(-1.0) ** day * (1 + day % 7) for day in range(100)]
    write_run(tmp_path / "runs" / "a", [], returns, returns[::-1], objective=1.0, borders=(20, 30))
    return tmp_path / "runs"


@pytest.fixture
def commands(finished, tmp_path):
    """Commands that do not go through Hydra, each with an exit status."""
    (tmp_path / "铁矿石.csv").write_text("Date,价格\n2/1/2024,1.5\n", encoding="utf-8")
    return {
        "inspect": (lambda: inspect.main([str(tmp_path / "铁矿石.csv")]), 0),
        "summarize": (lambda: summarize.main([str(finished)]), 0),
        "forecast": (lambda: forecast.main(["run=nowhere"], today=TODAY), 2),
    }


NAMES = ("inspect", "summarize", "forecast")


@pytest.mark.parametrize("name", NAMES)
def test_a_command_ends_as_ever_without_any_stream(commands, name, monkeypatch):
    run, status = commands[name]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "stderr", None)
        assert run() == status
        for stream in (sys.stdout, sys.stderr):
            stream.close()


@needs_a_full_device
@pytest.mark.parametrize("name", NAMES[:2])
def test_a_full_output_is_one_line_and_the_command_ends_as_ever(
    commands, name, monkeypatch, capsys
):
    run, status = commands[name]
    with FULL.open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run() == status
    said = capsys.readouterr().err
    assert said == "warning: standard output: no space left on device\n"


def test_a_reader_who_has_left_is_no_reason_for_a_line(monkeypatch, capsys):
    class Left:
        def write(self, _):
            raise BrokenPipeError

        def fileno(self):
            return own.fileno()

    with Path("/dev/null").open("w", encoding="utf-8") as own:
        monkeypatch.setattr(sys, "stdout", Left())
        print_safely("text")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", NAMES[:2])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_console_cannot_write_is_a_question_mark(
    commands, name, encoding, monkeypatch, tmp_path
):
    run, status = commands[name]
    with (tmp_path / "said").open("w", encoding=encoding) as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        print_safely("")
        assert run() == status
    said = (tmp_path / "said").read_text(encoding=encoding)
    assert {"inspect": "'??'       1      0", "summarize": "evidence"}[name] in said


def test_a_log_loses_a_character_and_no_line(tmp_path):
    with (tmp_path / "said").open("w", encoding="latin-1") as narrow:
        Console(narrow).emit(logging.makeLogRecord({"msg": "📈 IMPROVING"}))
    assert (tmp_path / "said").read_text(encoding="latin-1") == "? IMPROVING\n"


OBEYED = "a\x1b[2J\x9b31m\r\x00\u202eb\u2066\udce9"
SHOWN = r"a\x1b[2J\x9b31m\r\x00\u202eb\u2066\udce9"


class Terminal(io.StringIO):
    """What is written to a terminal of forty columns."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def show(stream, *messages, **extra):
    console = Console(stream)
    console.setFormatter(Lines("%(message)s"))
    for message in messages:
        console.handle(logging.makeLogRecord({"msg": message, **extra}))
    return stream.getvalue()


def test_a_terminal_obeys_no_text_and_reads_no_markup_in_it(terminal):
    markup = "[red]x[/red] :tada:"
    assert show(terminal, f"{OBEYED}{markup}").replace("\n", "") == f"{SHOWN}{markup}"


def test_a_terminal_obeys_neither_styled_text_nor_a_table(terminal):
    hostile = "a\x1b[2J\x9b31m\u202eb"
    shown = r"a\x1b[2J\x9b31m\u202eb"
    assert show(terminal, Text(f"{hostile} [red]x[/red]")) == f"{shown} [red]x[/red]\n"
    said = show(Terminal(), make_table(pd.DataFrame({hostile: [hostile]})))
    assert re.sub(r"\x1b\[[01]m", "", said).split() == [shown, shown]


def test_a_line_is_wrapped_between_words_and_a_path_is_left_whole(terminal):
    path = f"files: {'/a' * 30}"
    said = show(terminal, " ".join(["fourteen chars"] * 4), path)
    lines = [line.rstrip() for line in said.splitlines()]
    assert lines == ["fourteen chars fourteen chars fourteen", "chars fourteen chars", path]


def test_colour_is_for_a_terminal_without_no_color_only(terminal, monkeypatch):
    good = Text("good", style="green")
    assert show(terminal, good) == "\x1b[32mgood\x1b[0m\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert show(io.StringIO(), good) == "good\n"
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("NO_COLOR", "1")
    assert show(Terminal(), good) == "good\n"


def test_what_is_for_the_log_only_is_not_on_the_console(terminal, tmp_path):
    assert show(terminal, "table", **LOG_ONLY) == ""
    file = RunLog(tmp_path / "log")
    file.handle(logging.makeLogRecord({"msg": "table", **LOG_ONLY}))
    file.close()
    assert (tmp_path / "log").read_text() == "table\n"


@pytest.mark.parametrize("error", [BrokenPipeError, OSError(28, "No space left on device")])
def test_a_terminal_that_is_gone_ends_no_run(terminal, monkeypatch, capsys, error):
    def fail(_):
        raise error

    with Path("/dev/null").open("w", encoding="utf-8") as own:
        terminal.fileno = own.fileno
        monkeypatch.setattr(terminal, "write", fail)
        assert show(terminal, "text") == ""
    full = "warning: standard output: no space left on device\n"
    assert capsys.readouterr().err == ("" if error is BrokenPipeError else full)


def test_an_error_replaces_the_bar_on_its_line():
    terminal = Terminal()
    Errors(terminal).handle(logging.makeLogRecord({"msg": "wrong"}))
    assert terminal.getvalue() == "\r\x1b[2Kwrong\n"
    file = io.StringIO()
    Errors(file).handle(logging.makeLogRecord({"msg": "wrong"}))
    assert file.getvalue() == "wrong\n"


def test_a_path_below_the_working_directory_is_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "outputs" / "run") == "outputs/run"
    assert short_path(Path("outputs")) == "outputs"
    assert short_path(tmp_path.parent) == str(tmp_path.parent)


def test_what_a_terminal_would_obey_is_shown(capsys):
    print_safely(f"{OBEYED}\tc\nd 铁 📈 é\n")
    assert capsys.readouterr().out == f"{SHOWN}\tc\nd 铁 📈 é\n"
    report_error(ConfigError(OBEYED))
    assert capsys.readouterr().err == f"ConfigError: {SHOWN}\n"


def test_every_log_of_a_command_shows_what_a_terminal_would_obey():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra = compose_tree("config", return_hydra_config=True).hydra
    assert "file" in hydra.job_logging.handlers
    for node in (hydra.job_logging, hydra.hydra_logging):
        settings = OmegaConf.to_container(OmegaConf.create({**node, "root": {}}), resolve=False)
        handlers = settings["handlers"].values()
        formats = [settings["formatters"][handler["formatter"]] for handler in handlers]
        for kept in formats:
            formatter = Lines(kept["format"])
            assert kept["class"] == f"{Lines.__module__}.{Lines.__name__}"
            record = logging.makeLogRecord({"msg": "%s\n%s", "args": (OBEYED, "d")})
            assert formatter.format(record).endswith(f"{SHOWN}\nd")


def test_streams_that_are_there_stay():
    before = sys.stdout, sys.stderr
    open_streams()
    assert (sys.stdout, sys.stderr) == before


def test_an_error_is_told_once_with_its_kind(capsys):
    error = ConfigError("one: wrong\ntwo: wrong")
    assert report_error(error) == 2
    assert capsys.readouterr().err == "ConfigError: one: wrong\nConfigError: two: wrong\n"
    error.is_reported = True
    assert report_error(error) == 2
    assert capsys.readouterr().err == ""
