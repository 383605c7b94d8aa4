"""What a desk gains from refits: walks over the test days of runs, with and without them.

    python tests/benchmarks/refit_policy.py data=original data.root=DIR

prints a table for the settings on its command line. Each policy forecasts all test days of each
run, and knows on each of them what was known then: a refit learns the outcomes until its day, with
the epochs that validation chose before the first test day.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import compose_config, machine

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.splits import Split
from ironore_lightning.evaluation.forecasts import conformal_bounds
from ironore_lightning.evaluation.metrics import count_hits
from ironore_lightning.evaluation.significance import diebold_mariano
from ironore_lightning.experiment import fit_run, run_network
from ironore_lightning.model.training import load_best
from ironore_lightning.refit.refitting import fit, learning_rates_of
from ironore_lightning.run_folder.record import read_run
from ironore_lightning.run_folder.results import FittedRun

POLICIES = (None, 63, 21)
"""Test days after which a network is fitted anew; None never is."""

COLUMNS = (
    *("policy", "direction, %", "RMSE over zero", "of the mean of all seeds"),
    *("80 % covered, %", "their width", "seconds", "jump, %"),
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"


@dataclass
class Walk:
    """One run on its test days.

    Attributes:
        run: As it was trained.
        rates: Learning rates of its epochs.
        folder: Takes its refits.
        seen: By test day of a refit, what its network says of all test days.
        seconds: By test day of a refit, how long its fit has taken.
    """

    run: FittedRun
    rates: Sequence[float]
    folder: Path
    seen: dict[int, np.ndarray] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    @property
    def is_test(self) -> np.ndarray:
        """Which samples are of the test segment."""
        return (self.run.predictions["segment"] == "test").to_numpy()

    def forecast_after(self, day: int) -> np.ndarray:
        """Return the forecasts of the network that is fitted on the evening of a test day."""
        if day not in self.seen:
            own, config = self.run.datamodule, self.run.config
            rows = own.origins[self.is_test]
            end = rows[day] - config.target.horizon + 1  # rows whose outcome is known then
            split = Split(range(end), range(end, end), range(end, end))
            known = WindowDataModule(own.features, own.target, config.dataset_settings, split=split)
            place = self.folder / f"{day}"
            started = time.perf_counter()
            fit(config, known, place, self.rates)
            self.seconds[day] = time.perf_counter() - started
            best = place / "checkpoints" / "best.ckpt"
            network, _ = load_best(best, own.features.shape[1], config.fit_settings)
            outputs = run_network(network, known, rows, config)
            self.seen[day] = network.head.forecast(outputs).double().numpy()
        return self.seen[day]

    def follow(self, policy: int | None) -> tuple[pd.DataFrame, list[float], float]:
        """Return the predictions of a policy, its jumps, and its seconds.

        A jump is how far the forecast of the day of a refit moves, over the mean size of the run's
        own forecasts.
        """
        predictions = self.run.predictions.copy()
        own = predictions.loc[self.is_test, "forecast"].to_numpy()
        forecast, jumps, seconds, before = own.copy(), [], 0.0, own
        for day in range(0, len(own), policy or len(own) + 1) if policy else ():
            after = self.forecast_after(day)
            jumps.append(abs(after[day] - before[day]) / np.abs(own).mean())
            forecast[day:], before = after[day:], after
            seconds += self.seconds[day]
        predictions.loc[self.is_test, "forecast"] = forecast
        config = self.run.config
        bounds = conformal_bounds(
            predictions, config.evaluation.adaptation, horizon=config.target.horizon
        )
        return predictions.assign(**bounds)[self.is_test], jumps, seconds


def start(overrides: Sequence[str], folder: Path) -> Walk:
    """Train one run."""
    (folder / "refits").mkdir(parents=True)
    run = fit_run(compose_config(*overrides), folder)
    return Walk(run, learning_rates_of(read_run(folder, None)), folder / "refits")


def line(walks: Sequence[Walk], policy: int | None) -> str:
    """Measure one policy over all seeds."""
    found = [walk.follow(policy) for walk in walks]
    tables = [table for table, _, _ in found]
    actual = tables[0]["actual"].to_numpy()
    mean, never = (
        np.mean([walk.follow(which)[0]["forecast"] for walk in walks], axis=0)
        for which in (policy, None)
    )
    size = np.sqrt(np.mean(actual**2))
    accuracy, ratios, covered, widths = [], [], [], []
    for table in tables:
        hits, moved = count_hits(table["forecast"].to_numpy(), actual)
        accuracy.append(100 * hits / moved)
        ratios.append(np.sqrt(np.mean((table["forecast"] - actual) ** 2)) / size)
        covered.append(100 * table["actual"].between(table["lower_80"], table["upper_80"]).mean())
        widths.append((table["upper_80"] - table["lower_80"]).mean())
    together = f"{np.sqrt(np.mean((mean - actual) ** 2)) / size:.3f}"
    if policy:
        horizon = walks[0].run.config.target.horizon
        test = diebold_mariano(mean, actual, benchmark=never, horizon=horizon)
        together += f" (p {test.p_value:.2f})"
    jumps = [jump for _, own, _ in found for jump in own]
    return (
        f"| {f'every {policy} days' if policy else 'never'} | {spread(accuracy, 1)} "
        f"| {spread(ratios, 3)} | {together} | {spread(covered, 1)} | {spread(widths, 2)} "
        f"| {np.mean([seconds for _, _, seconds in found]):.0f} "
        f"| {f'{100 * np.mean(jumps):.0f}' if jumps else '–'} |"
    )


def spread(values: Sequence[float], digits: int) -> str:
    """Return a mean, and the smallest to the largest."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def seeds_apart(walks: Sequence[Walk]) -> float:
    """Return how far two seeds are apart on a day, over the mean size of a forecast, per cent."""
    own = [walk.follow(None)[0]["forecast"].to_numpy() for walk in walks]
    return 100 * float(
        np.mean([np.abs(a - b).mean() / np.abs(a).mean() for a, b in combinations(own, 2)])
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of all runs")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    settings = ["model=bilstm_small", *options.settings]
    with tempfile.TemporaryDirectory() as place:
        walks = [
            start([*settings, f"seed={seed}"], Path(place) / str(seed))
            for seed in range(options.seeds)
        ]
        days = int(walks[0].is_test.sum())
        epochs = [len(walk.rates) for walk in walks]
        print(f"{days} test days, {epochs} epochs, on {machine()}\n\n{HEAD}", flush=True)
        for policy in POLICIES:
            print(line(walks, policy), flush=True)
        print(f"\ntwo seeds on the same day are {seeds_apart(walks):.0f} % apart")


if __name__ == "__main__":
    main()
