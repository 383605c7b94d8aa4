"""What the console says, and when."""

import contextlib
import logging
import os
import pty
import termios

import forks

from ironore_lightning.report.console import EMOJI
from ironore_lightning.report.epochs import silence_lightning


def test_a_person_at_a_terminal_sees_a_bar_whole_lines_and_no_emoji_if_so_set(tmp_path):
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 120))
    command = ["train.py", "model=tiny", "training.max_epochs=3", "report.emoji=false"]
    name = os.ttyname(terminal)
    process = forks.start([*command, f"hydra.run.dir={tmp_path}"], out=name, err=name)
    shown = os.read(master, 4096)
    os.close(terminal)
    with contextlib.suppress(OSError):  # when the other end is closed
        while True:
            shown += os.read(master, 4096)
    assert forks.wait(process) == 0
    text = shown.decode()
    assert " 0/3 " in text
    assert " 3/3 " in text
    assert text.count("FAST") == 3
    assert not any(symbol in text for symbol in EMOJI.values())
    for line in text.replace("\r", "\n").splitlines():
        assert not ("FAST" in line and "/3 " in line), "a bar and a line share a row"


def test_lightning_says_nothing_of_itself_but_may_warn(caplog):
    silence_lightning()
    silence_lightning()  # as every run of a multirun does
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    assert len(log.filters) == len(set(log.filters)) == 1
    with caplog.at_level(logging.INFO):
        log.info("advertisement")
        log.warning("something is wrong")
    assert [record.message for record in caplog.records] == ["something is wrong"]
