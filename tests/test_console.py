"""What the console says, and when."""

import contextlib
import logging
import os
import pty
import re
import termios
from pathlib import Path

import forks

from ironore_lightning.evaluation.trading import TradingResult
from ironore_lightning.report.console import EMOJI, trading_table
from ironore_lightning.report.epochs import HEADER, explain_words, silence_lightning

ROOT = Path(__file__).parents[1]
STYLE = re.compile(r"\x1b\[[\d;]*m")


def test_a_person_at_a_terminal_sees_a_bar_whole_lines_and_no_emoji_if_so_set(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 80))
    command = [str(ROOT / "train.py"), "model=tiny", "training.max_epochs=3", "report.emoji=false"]
    name = os.ttyname(terminal)
    process = forks.start([*command, "hydra.run.dir=run"], out=name, err=name, cwd=tmp_path)
    shown = os.read(master, 4096)
    os.close(terminal)
    with contextlib.suppress(OSError):  # when the other end is closed
        while True:
            shown += os.read(master, 4096)
    assert forks.wait(process) == 0
    colourful = shown.decode()
    assert "\x1b[32m" in colourful
    text = STYLE.sub("", colourful)
    assert " 0/3 " in text
    assert " 3/3 " in text
    assert text.count(" FAST") == 3 + 1  # and once where the words are explained
    assert not any(symbol in text for symbol in EMOJI.values())
    for line in text.replace("\r", "\n").splitlines():
        assert not ("FAST <" not in line and "FAST" in line and "/3 " in line), line
    _, _, closing = text.partition("drawing ...\r\n\r\n")
    lines = closing.splitlines()
    assert 15 < len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[-2:] == ["page: run/report.html", "files: run"]


def test_lightning_says_nothing_of_itself_but_may_warn(caplog):
    silence_lightning()
    silence_lightning()  # as every run of a multirun does
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    assert len(log.filters) == len(set(log.filters)) == 1
    with caplog.at_level(logging.INFO):
        log.info("advertisement")
        log.warning("something is wrong")
    assert [record.message for record in caplog.records] == ["something is wrong"]


def test_the_words_of_the_epochs_are_explained_in_one_line_of_a_narrow_terminal(compose):
    words = explain_words(compose().thresholds)
    assert len(words) <= 80
    assert "PLATEAU within 0.001" in words
    assert "FAST <10, SLOW >30 s" in words
    assert len(HEADER) < 60  # the words of an epoch take twenty more


def test_every_figure_of_trading_stands_beside_its_own_cost():
    def result(name, cost, *, delay=0):
        share = cost + (100 if name == "sign" else 0) + (1000 if delay else 0)
        return TradingResult(
            name=name,
            cost_bp=cost,
            delay_days=delay,
            num_periods=9,
            num_days=9,
            total_return=share + 0.1,
            mean_day=None,
            annual_return=None,
            annual_volatility=None,
            sharpe=share + 0.2,
            sharpe_error=None,
            max_drawdown=share + 0.3,
            turnover=share + 0.4,
            hit_rate=None,
            profit_factor=None,
            num_trades=int(share),
        )

    given = [
        result(name, cost, delay=delay)
        for cost in (0.0, 5.0)
        for name, delay in (("flat", 0), ("sign", 0), ("sign", 1))
    ]
    lines = str(trading_table(given)).splitlines()[2:]
    assert [re.split(r"  +", line) for line in lines] == [
        ["flat", "0", "0.10", "0.20", "–", "0.30", "0.400", "0"],
        ["flat", "5", "5.10", "5.20", "–", "5.30", "5.400", "5"],
        ["sign", "0", "100.10", "100.20", "–", "100.30", "100.400", "100"],
        ["sign", "5", "105.10", "105.20", "–", "105.30", "105.400", "105"],
        ["sign, one day later", "0", "1100.10", "1100.20", "–", "1100.30", "1100.400", "1100"],
        ["sign, one day later", "5", "1105.10", "1105.20", "–", "1105.30", "1105.400", "1105"],
    ]
