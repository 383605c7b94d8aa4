"""How often days lose more than the value at risk, and how far expected shortfall is off.

Markets are simulated, so that the true figures of each day are known; of raw files only the
outcomes are. Days are scored after a training segment as long as that of a default run.

    python tests/benchmarks/tail_risk.py --data-root FOLDER --output tail_risk.md

Exit status 1 if filtered history misses a bound.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir

from ironore_lightning.data.datamodule import build_datamodule
from ironore_lightning.data.market_cache import build_market
from ironore_lightning.evaluation.baselines import Samples, Spread, spread_baselines
from ironore_lightning.evaluation.days import Floats
from ironore_lightning.evaluation.risk import (
    HISTORY,
    LEVELS,
    LOSS_SIGNS,
    RISK_MEASURES,
    build_risk,
    score_risk,
)
from ironore_lightning.settings.checking import to_config

CONF = Path(__file__).parents[2] / "conf"

TRAINING, VALIDATION, TEST = 587, 129, 131
NUM_DAYS = TRAINING + VALIDATION + TEST
SCORED = slice(TRAINING, NUM_DAYS)
SEGMENT = np.repeat(["train", "val", "test"], [TRAINING, VALIDATION, TEST])

TRUTH_DRAWS = 4_000_000

FURTHEST_RATE = {0.9: 1.0, 0.99: 0.5}
"""Most points by which the share of days beyond may differ from 10 and 1 %."""

Rng = np.random.Generator
Draw = Callable[[Rng, int], Floats]


def normal(rng: Rng, size: int) -> Floats:
    """Draw normal innovations of variance 1."""
    return rng.standard_normal(size)


def fat(rng: Rng, size: int) -> Floats:
    """Draw Student t innovations with 4 degrees of freedom, of variance 1."""
    return rng.standard_t(4, size) / np.sqrt(2)


def skewed(rng: Rng, size: int) -> Floats:
    """Draw innovations of variance 1 that fall further than they rise: a negated gamma."""
    return (4 - rng.gamma(4, size=size)) / 2


def constant(shocks: Floats) -> Floats:
    """Return a volatility of 1."""
    return np.ones(len(shocks))


def garch(shocks: Floats) -> Floats:
    """Return the volatility of a GARCH(1,1) of variance 1 that these innovations drive."""
    variance = np.ones(len(shocks))
    for day in range(1, len(shocks)):
        before = variance[day - 1]
        variance[day] = 0.03 + (0.09 * shocks[day - 1] ** 2 + 0.88) * before
    return np.sqrt(variance)


def doubled(shocks: Floats) -> Floats:
    """Return a volatility that doubles in the middle of the days that are scored."""
    return np.where(np.arange(len(shocks)) < len(shocks) - TEST, 1.0, 2.0)


MARKETS: dict[str, tuple[Draw, Callable[[Floats], Floats]]] = {
    "constant, normal": (normal, constant),
    "constant, t4": (fat, constant),
    "GARCH, normal": (normal, garch),
    "GARCH, t4": (fat, garch),
    "GARCH, skewed": (skewed, garch),
    "doubled, normal": (normal, doubled),
    "doubled, t4": (fat, doubled),
}
"""Innovations and volatility."""


def true_tails(draw: Draw) -> Floats:
    """Return all measures of the innovations, in the order of `RISK_MEASURES`."""
    shocks = draw(np.random.default_rng(99), TRUTH_DRAWS)
    tails = []
    for level, sign in product(LEVELS, LOSS_SIGNS.values()):
        var = np.quantile(sign * shocks, level)
        tails += [var, (sign * shocks)[sign * shocks > var].mean()]
    return np.array(tails)


def forecast(actual: Floats, segment: np.ndarray) -> pd.DataFrame:
    """Return the risk figures of the three forecasters after training."""
    samples = Samples(np.zeros((len(actual), 2, 1), np.float32), actual, segment, 1)
    spreads: dict[str, Spread | None] = spread_baselines(samples)
    return build_risk(actual, segment != "train", spreads, horizon=1)


def simulate(name: str, repetitions: int) -> pd.DataFrame:
    """Return a row for each repetition, forecaster, level and side of a market."""
    draw, volatility_of = MARKETS[name]
    tails, rows = true_tails(draw), []
    for seed in range(repetitions):
        shocks = draw(np.random.default_rng([seed, 7]), NUM_DAYS)
        volatility = volatility_of(shocks)
        actual = volatility * shocks
        risk = forecast(actual, SEGMENT)
        truth = pd.DataFrame(np.outer(volatility[SCORED], tails), columns=list(RISK_MEASURES))
        for measure in RISK_MEASURES:
            risk[measure, "truth"] = truth[measure]
        for found in score_risk(actual[SCORED], risk):
            measure = f"{found.side}_es_{100 * found.level:.0f}"
            ratio = risk[measure, found.forecaster] / truth[measure]
            low = found.shortfall_p is not None and found.shortfall_p < 0.05
            rows.append(
                {
                    "market": name,
                    "level": found.level,
                    "forecaster": found.forecaster,
                    "beyond": 100 * found.exceedances / found.num_days,
                    "bias": 100 * (ratio.mean() - 1),
                    "error": 100 * float(np.sqrt(((ratio - 1) ** 2).mean())),
                    "low": 100 * low,
                    "side": found.side,
                }
            )
    return pd.DataFrame(rows)


def tell_simulated(rows: pd.DataFrame) -> str:
    """Return a line for each market, level and forecaster."""
    lines = [
        "| market | level % | forecaster | long beyond % | short beyond % | ES off % | ES error % "
        "| Z2 p < 0.05 % |",
        "|---" * 8 + "|",
    ]
    order = [HISTORY, "EWMA", "GARCH(1,1)-t", "truth"]
    for (market, level), cell in rows.groupby(["market", "level"], sort=False):
        for name in order:
            of_name = cell[cell["forecaster"] == name]
            sides = of_name.groupby("side")["beyond"].mean()
            bias, error, low = of_name[["bias", "error", "low"]].mean()
            lines.append(
                f"| {market} | {100 * level:.0f} | {name} | {sides['long']:.2f} "
                f"| {sides['short']:.2f} | {bias:+.1f} | {error:.1f} | {low:.1f} |"
            )
    return "\n".join(lines)


def tell_files(name: str, overrides: list[str]) -> list[str]:
    """Return a line for each level and forecaster on the raw files of some settings."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = to_config(compose("config", overrides=overrides))
    panel = build_market(config.data, config.target).panel
    outcomes = build_datamodule(panel, config.dataset_settings).outcomes
    actual = outcomes["actual"].to_numpy(np.float64)
    segment = outcomes["segment"].to_numpy(dtype=np.str_)
    risk = forecast(actual, segment)
    scored = actual[segment != "train"]
    lines = []
    for level in LEVELS:
        for found in (row for row in score_risk(scored, risk) if row.level == level):
            var, es = (
                risk[f"{found.side}_{what}_{100 * level:.0f}", found.forecaster]
                for what in ("var", "es")
            )
            losses = LOSS_SIGNS[found.side] * scored
            beyond = losses > var
            ratio = f"{(losses / es)[beyond].mean():.2f}" if beyond.any() else "–"
            lines.append(
                f"| {name} | {100 * level:.0f} | {found.forecaster} | {found.side} "
                f"| {found.exceedances} of {found.num_days} | {found.kupiec_p:.2f} "
                f"| {found.mean_var:.2f} | {found.mean_es:.2f} | {ratio} "
                f"| {found.shortfall_z:+.2f} | {found.shortfall_p:.2f} |"
            )
    return lines


def find_misses(rows: pd.DataFrame) -> list[str]:
    """Return the markets on which filtered history is further from its level than its bound."""
    own = rows[rows["forecaster"] == HISTORY]
    return [
        f"missed: {market}, {100 * level:.0f} %: {rate:.2f} % beyond"
        for (market, level), rate in own.groupby(["market", "level"])["beyond"].mean().items()
        if abs(rate - 100 * (1 - level)) > FURTHEST_RATE[level]
    ]


def main() -> int:
    """Simulate, read, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repetitions", type=int, default=200, help="of a market")
    parser.add_argument("--data-root", type=Path, help="folder of the original raw files")
    parser.add_argument("--output", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    started = time.perf_counter()
    warnings.simplefilter("ignore")  # of fits that do not converge
    rows = pd.concat([simulate(name, arguments.repetitions) for name in MARKETS])
    lines = tell_files("sample market", [])
    if arguments.data_root is not None:
        lines += tell_files("original files", ["data=original", f"data.root={arguments.data_root}"])
    head = (
        "| data | level % | forecaster | side | days beyond | Kupiec p | mean VaR % | mean ES % "
        "| loss beyond / ES | Z2 | p |"
    )
    text = "\n".join([tell_simulated(rows), "", head, "|---" * 11 + "|", *lines])
    missed = find_misses(rows)
    print(text, *missed, f"{time.perf_counter() - started:.0f} s", sep="\n")
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
