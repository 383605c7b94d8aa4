"""How many kinds of planted leaks the audit names, and what it says of clean markets.

    python tests/benchmarks/audit_power.py

prints two tables. The status is 1 if fewer than twelve of the fifteen leaks are named on at least
nine of ten markets, or if more than 3 % of the clean markets are called a leak or a suspect.
The rules were chosen on seeds below 2000.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from measuring import compose_config

from ironore_lightning.audit import black_box, statistics
from ironore_lightning.audit.__main__ import judge_numbers
from ironore_lightning.data import features as features_module
from ironore_lightning.data import panel as panel_module
from ironore_lightning.data.datamodule import build_datamodule
from ironore_lightning.data.panel import build_panel
from ironore_lightning.data.raw_data import RawData, read_raw
from ironore_lightning.settings.experiment import Config

NUM_ROWS = 867
COLUMNS = ("price", "index", "premium", "margin", "stock", "planted")
DEVIATION = 1.8
"""Of a daily return, per cent."""
NAMED_SHARE, FEWEST_KINDS, MOST_FALSE = 0.9, 12, 0.03
KINDS = ("leak", "suspect", "look", "clean")

Make = Callable[[pd.DataFrame, np.random.Generator], pd.Series]


# --- markets --------------------------------------------------------------------------------------


def garch_returns(rng: np.random.Generator) -> np.ndarray:
    """Draw returns with clusters and fat tails, per cent."""
    shocks = rng.standard_t(6, NUM_ROWS) / np.sqrt(1.5)
    variance = np.ones(NUM_ROWS)
    for row in range(1, NUM_ROWS):
        variance[row] = 0.08 + (0.1 * shocks[row - 1] ** 2 + 0.82) * variance[row - 1]
    return DEVIATION * np.sqrt(variance) * shocks


def reverting_level(rng: np.random.Generator) -> np.ndarray:
    """Draw a level that returns to its mean by a fifth a day."""
    level, shocks = np.zeros(NUM_ROWS), DEVIATION * rng.normal(size=NUM_ROWS)
    for row in range(1, NUM_ROWS):
        level[row] = 0.8 * level[row - 1] + shocks[row]
    return level


def build_market(
    returns: np.ndarray, rng: np.random.Generator, *, bounce: float = 0.0, evening: float = 0.0
) -> pd.DataFrame:
    """Return a price, its index, two daily drivers, and a weekly stock.

    Args:
        returns: Of the true price, per cent, shape (T,).
        rng: Draws all else.
        bounce: Deviation of the price around the true one, per cent.
        evening: Share of the next return that the index knows, as it is assessed later.
    """
    days = pd.bdate_range("2021-01-04", periods=NUM_ROWS, name="date")
    true = np.cumsum(returns)
    later = evening * np.append(returns[1:], 0.0)
    table = {
        "price": np.exp((true + bounce * rng.normal(size=NUM_ROWS)) / 100 + 4.6),
        "index": np.exp((true + later + 0.3 * rng.normal(size=NUM_ROWS)) / 100 + 4.5),
        "premium": 12 + np.cumsum(0.2 * rng.normal(size=NUM_ROWS)),
        "margin": 0.5 * true + np.cumsum(rng.normal(size=NUM_ROWS)),
        "stock": 1000 + np.cumsum(9 * rng.normal(size=NUM_ROWS)),
    }
    frame = pd.DataFrame(table, days)
    frame.loc[rng.random(NUM_ROWS) < 0.02, "margin"] = np.nan
    frame.loc[days.day_of_week != 1, "stock"] = np.nan
    return frame


def noise(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Return a random walk, rounded as in a file."""
    return pd.Series(np.cumsum(rng.normal(size=len(frame))), frame.index).round(3)


CLEAN: Mapping[str, Callable[[np.random.Generator], pd.DataFrame]] = {
    "independent normal returns": lambda rng: build_market(
        DEVIATION * rng.normal(size=NUM_ROWS), rng
    ),
    "GARCH with fat tails": lambda rng: build_market(garch_returns(rng), rng),
    "GARCH and a drift of 0.2 % a day": lambda rng: build_market(0.2 + garch_returns(rng), rng),
    "MA(1) prices (bounce)": lambda rng: build_market(garch_returns(rng), rng, bounce=1.2),
    "mean-reverting target": lambda rng: build_market(
        np.diff(reverting_level(rng), prepend=0.0), rng
    ),
    "evening index": lambda rng: build_market(garch_returns(rng), rng, evening=0.25),
}


# --- leaks in a file ------------------------------------------------------------------------------


def returns_of(frame: pd.DataFrame) -> pd.Series:
    """Return the daily log return of the price, per cent."""
    return 100 * np.log(frame["price"]).diff()


def following(frame: pd.DataFrame) -> pd.Series:
    """Return tomorrow's return, in standard deviations; 0 on the last day."""
    return (returns_of(frame).shift(-1) / DEVIATION).fillna(0.0)


def fridays(values: pd.Series) -> pd.Series:
    """Return the values of Fridays only."""
    return values.where(pd.DatetimeIndex(values.index).day_of_week == 4)


def blank_before_losses(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Lack most values on days before a loss."""
    is_blank = (following(frame) < 0) & (rng.random(len(frame)) < 0.6)
    return noise(frame, rng).mask(is_blank)


def announced_early(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Stamp on Friday the number that moves the price when it comes out on Wednesday."""
    reaction = returns_of(frame).shift(-3) / DEVIATION
    surprise = 0.5 * reaction + np.sqrt(0.75) * rng.normal(size=len(frame))
    return fridays(surprise.fillna(0.0)).cumsum()


def interpolated(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Draw lines between the Fridays of a number that says nothing about the price."""
    return fridays(10 * noise(frame, rng)).interpolate("time").round(2)


def filled_back(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Show a week's number, which follows the price, from its Monday on."""
    follows = 100 * np.log(frame["price"]) + rng.normal(size=len(frame))
    return fridays(follows).bfill().ffill()


def knows_the_return_by_size(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Move up or down, by more before a gain."""
    size = np.exp(0.4 * following(frame) + 0.8 * rng.normal(size=len(frame)))
    return (size * rng.choice([-1, 1], len(frame))).cumsum()


def smoothed(frame: pd.DataFrame, _rng: np.random.Generator) -> pd.Series:
    """Smooth the whole index by a Gaussian of two days, as a decomposition does."""
    weights = np.exp(-0.5 * (np.arange(-8, 9) / 2) ** 2)
    padded = np.pad(frame["index"].to_numpy(), 8, mode="edge")
    return pd.Series(np.convolve(padded, weights / weights.sum(), "valid"), frame.index)


def weekly_mean(frame: pd.DataFrame, _rng: np.random.Generator) -> pd.Series:
    """Restate each day of the index as the mean of its calendar week."""
    weeks = pd.DatetimeIndex(frame.index).to_period("W")
    return frame["index"].groupby(weeks).transform("mean")


def difference_of_two(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Hide tomorrow's return in the difference to another column, which is noise."""
    frame["premium"] = rng.normal(size=len(frame))
    return frame["premium"] + 0.12 * following(frame)


FILE_LEAKS: Mapping[str, Make] = {
    "index a day early": lambda frame, _: frame["index"].shift(-1).ffill(),
    "index ten days early": lambda frame, _: frame["index"].shift(-10).ffill(),
    "centred mean of 5 days": lambda frame, _: (
        frame["index"].rolling(5, center=True, min_periods=1).mean()
    ),
    "centred mean of 41 days": lambda frame, _: (
        frame["index"].rolling(41, center=True, min_periods=1).mean()
    ),
    "whole index smoothed": smoothed,
    "index restated as the mean of its week": weekly_mean,
    "cells missing before losses": blank_before_losses,
    "size of change knows the next return": knows_the_return_by_size,
    "tomorrow's return in noise (correlation .2)": lambda frame, rng: (
        0.2 * following(frame) + 0.98 * rng.normal(size=len(frame))
    ),
    "difference of two columns": difference_of_two,
    "weekly number, lag three days too short": announced_early,
    "weekly number, interpolated": interpolated,
    "weekly number, filled backwards": filled_back,
}


# --- leaks in the pipeline ------------------------------------------------------------------------


def join_backwards(driver: tuple[pd.Series, str], days: pd.DatetimeIndex):
    """Take the next value where one is missing."""
    values, staleness = JOIN(driver, days)
    later = driver[0].reindex(days, method="bfill")
    return later.fillna(values).rename(values.name), staleness


def scores_of_all_rows(values: pd.Series, _window: int) -> pd.Series:
    """Standardise by the mean and deviation of all rows."""
    return (values - values.mean()) / values.std()


JOIN = panel_module.join_values
PIPELINE_LEAKS = {
    "pipeline: z-score over all rows": (features_module, "_trailing_zscore", scores_of_all_rows),
    "pipeline: filled from the future": (panel_module, "join_values", join_backwards),
}


# --- what the audit says --------------------------------------------------------------------------


def judge_table(frame: pd.DataFrame, config: Config) -> str:
    """Return the audit's word for a prepared table, by its numbers."""
    raw = RawData(contracts={}, sources={"table": frame}, digests={})
    return judge_raw(raw, config)


def judge_raw(raw: RawData, config: Config) -> str:
    """Return the worst word about raw data, by their numbers."""
    panel = build_panel(raw, config.data, config.target)
    module = build_datamodule(panel, config.dataset_settings)
    findings = list(judge_numbers(module, panel, config, None).findings)
    for source in raw.sources.values():
        findings += statistics.interpolated_columns(source)
    return min((finding.kind for finding in findings), key=KINDS.index, default="clean")


def judge_pipeline(leak: tuple, frame: pd.DataFrame, config: Config) -> str:
    """Return the black box's word for a pipeline with a leak."""
    raw = RawData(contracts={}, sources={"table": frame}, digests={})
    with mock.patch.object(*leak):
        box = black_box.build_black_box(raw, config)
        days = box.base["features"].days[[200, 401, 602]]
        findings = black_box.leak_findings(black_box.find_leaks(box, days))
    return "leak" if findings else "clean"


def planted(make: Make, seed: int) -> pd.DataFrame:
    """Return a market with a leak."""
    rng = np.random.default_rng([seed, 1])
    frame = build_market(garch_returns(rng), rng)
    return frame.assign(planted=make(frame, rng))


def count_leaks(config: Config, seeds: range) -> dict[str, Counter[str]]:
    """Return the words for each kind of leak."""
    words = {
        kind: Counter(judge_table(planted(make, seed), config) for seed in seeds)
        for kind, make in FILE_LEAKS.items()
    }
    scored = [f"{{name: {name}, transform: zscore, window: 60}}" for name in COLUMNS]
    standardised = table_config(scored)
    for kind, leak in PIPELINE_LEAKS.items():
        words[kind] = Counter(
            judge_pipeline(leak, planted(noise, seed), standardised) for seed in seeds[:5]
        )
    return words


def count_clean(config: Config, seeds: range) -> dict[str, Counter[str]]:
    """Return the words for each kind of clean market."""
    words = {}
    for kind, make in CLEAN.items():
        rngs = [np.random.default_rng([seed, 2]) for seed in seeds]
        frames = [make(rng).assign(planted=lambda f, rng=rng: noise(f, rng)) for rng in rngs]
        words[kind] = Counter(judge_table(frame, config) for frame in frames)
    samples = [compose_config(f"data.sample.seed={seed}") for seed in seeds[: len(seeds) // 4]]
    words["sample market"] = Counter(judge_raw(read_raw(sample.data), sample) for sample in samples)
    return words


def table_config(names) -> Config:
    """Name the columns of a prepared table in settings."""
    return compose_config(
        "data=table", "data.root=.", "target.series=price", f"features.names=[{','.join(names)}]"
    )


def print_words(words: Mapping[str, Counter[str]], head: str) -> None:
    """Print a table of shares in per cent."""
    print(f"\n| {head} | markets | leak % | suspect % | look % | clean % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, count in words.items():
        shares = " | ".join(f"{100 * count[word] / count.total():.0f}" for word in KINDS)
        print(f"| {kind} | {count.total()} | {shares} |")


def main() -> int:
    """Print both tables; return the status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leaks", type=int, default=20, help="markets for each kind of leak")
    parser.add_argument("--clean", type=int, default=50, help="markets of each clean kind")
    parser.add_argument("--first-seed", type=int, default=5000)
    options = parser.parse_args()
    config, first = table_config(COLUMNS), options.first_seed
    leaks = count_leaks(config, range(first, first + options.leaks))
    print_words(leaks, "leak")
    clean = count_clean(config, range(first, first + options.clean))
    print_words(clean, "clean market")
    named = sum(1 - count["clean"] / count.total() >= NAMED_SHARE for count in leaks.values())
    total = sum(clean.values(), Counter())
    false = (total["leak"] + total["suspect"]) / total.total()
    print(f"\n{named} of {len(leaks)} kinds named; {100 * false:.1f} % false alarms")
    return int(named < FEWEST_KINDS or false > MOST_FALSE)


if __name__ == "__main__":
    sys.exit(main())
