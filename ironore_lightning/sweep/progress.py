"""What a sweep prints while it works: a line for each run that has ended, and a bar."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from hydra.core.utils import JobReturn

from ironore_lightning.process.terminal import open_bar, print_parts
from ironore_lightning.run_folder.overrides import short_names
from ironore_lightning.run_folder.status import COMPLETE, FAILED, Status
from ironore_lightning.sweep.sweeper import job_folder, job_status


class SweepProgress:
    """Prints a line for each run that has ended, and advances the bar of a terminal.

    Args:
        total: Number of runs.
        done: How many of them ended in an earlier sweep of the same folder.
        keys: Settings in which the runs differ.
        monitor: Metric on validation whose best value a line shows.
    """

    def __init__(self, *, total: int, done: int, keys: Iterable[str], monitor: str) -> None:
        """Print the header, and open the bar."""
        self.total, self.count, self.names = total, done, short_names(sorted(keys))
        self.started = datetime.datetime.now(tz=datetime.UTC)
        runs = "1 run" if total == 1 else f"{total} runs"
        print_parts([f"{runs}; the epochs and reports of each are in its training.log"])
        print_parts([f"{'run':>9} {monitor:>9} {'time':>12}  settings"])
        self.bar = open_bar(total=total, done=done, unit="runs")

    def report(self, result: JobReturn) -> None:
        """Print the line of a run: number, objective, seconds and settings, or what went wrong."""
        from rich.text import Text

        self.count += 1
        status = job_status(result)
        line = Text(f"{self.count:>4}/{self.total:<4} ", no_wrap=True, overflow="ellipsis")
        line.append(f"{self._outcome(status):>9}", style="red" if status.state == FAILED else "")
        resumed = " (resumed)" if self._is_resumed(status) else ""
        line.append(f" {self._time(status):>12}  {self._settings(result)}{resumed}")
        print_parts([line])
        if self.bar:
            self.bar.advance("")

    def close(self) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.close()

    def _outcome(self, status: Status) -> str:
        is_complete = status.state == COMPLETE and status.objective is not None
        return f"{status.objective:.4f}" if is_complete else status.state

    def _time(self, status: Status) -> str:
        """Return the seconds of a run, the kind of its error, or that an earlier sweep ran it."""
        if status.state == FAILED and status.error:
            return status.error.partition(":")[0]
        if self._is_earlier(status.ended):
            return "before"
        return "–" if status.seconds is None else f"{status.seconds:.1f} s"

    def _is_resumed(self, status: Status) -> bool:
        """Return whether an earlier sweep has started a run that this one ended."""
        return self._is_earlier(status.started) and not self._is_earlier(status.ended)

    def _is_earlier(self, moment: str | None) -> bool:
        return moment is not None and datetime.datetime.fromisoformat(moment) < self.started

    def _settings(self, result: JobReturn) -> str:
        pairs = (line.partition("=") for line in result.overrides or ())
        own = [f"{self.names[key]}={value}" for key, _, value in pairs if key in self.names]
        return " ".join(own) or job_folder(result).name


@contextmanager
def sweep_progress(
    *, total: int, keys: Iterable[str], monitor: str, done: int = 0
) -> Iterator[SweepProgress]:
    """Show the progress of a sweep; arguments as in `SweepProgress`."""
    progress = SweepProgress(total=total, done=done, keys=keys, monitor=monitor)
    try:
        yield progress
    finally:
        progress.close()


def varying(jobs: Sequence[Sequence[str]]) -> set[str]:
    """Return the settings in which jobs differ."""
    counts = Counter(line for job in jobs for line in job)
    return {line.partition("=")[0] for line, count in counts.items() if count < len(jobs)}
