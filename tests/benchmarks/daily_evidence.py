"""How often daily evidence is wrong where the truth is known, and how soon it is right.

Markets, forecasts and breaks are simulated, and every day is looked at, by the functions that the
morning page calls.

    python tests/benchmarks/daily_evidence.py --output evidence.md

Exit status 1 if a rate misses its bound. Stakes, memory and the form of the bets were chosen on
other seeds, on nine of the markets and on forecasts with normal returns.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from null_markets import (
    FORECASTERS,
    MARKETS,
    NOT_NULL,
    PAST,
    Floats,
    NullMarket,
    Skill,
    draw_returns,
    outcomes,
)
from rich.console import Console
from rich.progress import track
from scipy.signal import lfilter

from ironore_lightning.evaluation.betting import (
    ENOUGH,
    direction_log_wealth,
    loss_log_wealth,
    mean_bounds,
    rank_log_wealth,
)
from ironore_lightning.evaluation.intervals import DECAY, adaptive_intervals, scaled_scores

SEED = 20_261_127
THREE_YEARS = 756
TWELVE_YEARS = 4 * THREE_YEARS
NEVER = np.inf

MOST_ALARMS = 5.0
"""Per cent, in the worst of the null cells."""

WANTED = {0.58: 215, 0.55: 550}
"""Most days to evidence of direction, by the median, where the sizes of a forecast tell."""

VALIDATION_DAYS, BREAK = 127, THREE_YEARS // 2

Row = dict[str, object]

GARCH, PLAIN = NullMarket("GARCH"), NullMarket()


# --- markets that `null_markets` does not have ----------------------------------------------------


def _wandering_drift(reps: int, num_days: int, rng: np.random.Generator) -> Floats:
    """Add a drift with a half-life of half a year and a standard deviation of 0.15."""
    keep = 0.5 ** (1 / 126)
    steps = 0.15 * np.sqrt(1 - keep**2) * rng.standard_normal((reps, PAST + num_days + 1))
    return draw_returns(PLAIN, num_days, reps, rng) + lfilter([1], [1, -keep], steps, axis=1)


def _seasons(reps: int, num_days: int, rng: np.random.Generator) -> Floats:
    """Add a drift of 0.15 that comes and goes with the year."""
    year = 2 * np.pi * np.arange(PAST + num_days + 1) / 252
    return draw_returns(PLAIN, num_days, reps, rng) + 0.15 * np.sin(year)


def _rare_falls(reps: int, num_days: int, rng: np.random.Generator) -> Floats:
    """Draw returns that mostly rise a little and seldom fall far, with mean 0 and variance 1."""
    return 1 - rng.standard_exponential((reps, PAST + num_days + 1))


def _of(market: NullMarket) -> Callable[..., Floats]:
    return lambda reps, num_days, rng: draw_returns(market, num_days, reps, rng)


DRAWS: dict[str, Callable[..., Floats]] = {
    **{name: _of(market) for name, market in MARKETS.items()},
    "drift that wanders": _wandering_drift,
    "drift with the seasons": _seasons,
    "small rises, rare falls": _rare_falls,
}
HORIZONS = {name: MARKETS[name].horizon if name in MARKETS else 1 for name in DRAWS}

WITHOUT_DRIFT = (
    *("no drift", "GARCH", "one wild weekday", "volatility break", "outliers", "horizon 5"),
    "small rises, rare falls",
)
"""Where nobody beats zero; with drift somebody does who is long by chance."""


def volatility_of(known: Floats, horizon: int = 1) -> Floats:
    """Return the EWMA volatility known at each origin, by row; `ewma_volatility` of many rows."""
    squares = pd.DataFrame(known.T**2).shift(horizon)
    return np.sqrt(squares.ewm(alpha=1 - DECAY).mean().to_numpy().T)


def first_day(is_enough: np.ndarray) -> np.ndarray:
    """Return the first day of each row, from 1; `NEVER` if there is none."""
    return np.where(is_enough.any(axis=1), is_enough.argmax(axis=1) + 1, NEVER)


def ever(is_enough: np.ndarray) -> float:
    """Return the share of rows with such a day, per cent."""
    return 100 * float(is_enough.any(axis=1).mean())


def daily_z_test(forecast: Floats, actual: Floats) -> np.ndarray:
    """Test the correlation so far at 5 %, one-sided, on each day from the 20th, shape (reps, N)."""
    count = np.arange(1, forecast.shape[1] + 1)
    mean = {
        name: np.cumsum(values, axis=1) / count
        for name, values in {
            "f": forecast,
            "r": actual,
            "fr": forecast * actual,
            "ff": forecast**2,
            "rr": actual**2,
        }.items()
    }
    together = mean["fr"] - mean["f"] * mean["r"]
    apart = (mean["ff"] - mean["f"] ** 2) * (mean["rr"] - mean["r"] ** 2)
    z = np.sqrt(count) * together / np.sqrt(np.maximum(apart, 1e-12))
    return (z > 1.645) & (count >= 20)


# --- the cells ------------------------------------------------------------------------------------


def null_cell(names: tuple[str], reps: int, rng: np.random.Generator) -> list[Row]:
    """Let all forecasters without skill try a kind of market, each day of three years."""
    (name,) = names
    horizon = HORIZONS[name]
    returns = DRAWS[name](reps, THREE_YEARS, rng)
    known = outcomes(returns, horizon)
    days = slice(PAST, PAST + THREE_YEARS, horizon)
    actual, volatility = known[:, days], volatility_of(known, horizon)[:, days]
    rows = []
    for forecaster, draw in FORECASTERS.items():
        forecast = draw(returns, rng)[:, days]
        rates = {
            "direction": direction_log_wealth(forecast, actual, volatility) >= np.log(ENOUGH),
            "z-test": daily_z_test(forecast, actual),
        }
        if name in WITHOUT_DRIFT:
            small = 0.1 * forecast * np.sqrt(horizon)
            rates["loss"] = loss_log_wealth(small, actual, volatility) >= np.log(ENOUGH)
        found = {what: ever(is_enough) for what, is_enough in rates.items()}
        rows.append({"market": name, "forecast": forecaster, "loss": np.nan, **found})
    return rows


def signs_only(
    accuracy: float, reps: int, rng: np.random.Generator, market: NullMarket
) -> tuple[Floats, Floats]:
    """Draw forecasts whose sign is right that often, whatever their size and that of the return."""
    returns = draw_returns(market, TWELVE_YEARS, reps, rng)[:, :-1]
    is_right = rng.random((reps, TWELVE_YEARS)) < accuracy
    sizes = np.abs(rng.standard_normal((reps, TWELVE_YEARS)))
    return sizes * np.where(is_right, 1, -1) * np.sign(returns[:, PAST:]), returns


def power_cell(names: tuple[float, str], reps: int, rng: np.random.Generator) -> list[Row]:
    """Count the days until a forecast with a known skill is found."""
    accuracy, kind = names
    if kind.startswith("signs"):
        forecast, returns = signs_only(accuracy, reps, rng, GARCH if "GARCH" in kind else PLAIN)
    else:
        noise = 0.15 if "noisy" in kind else 0.0
        forecast, returns = Skill(accuracy, noise).draw(TWELVE_YEARS, reps, rng)
    actual, volatility = returns[:, PAST:], volatility_of(returns)[:, PAST:]
    direction, loss = (
        first_day(log_wealth(forecast, actual, volatility) >= np.log(ENOUGH))
        for log_wealth in (direction_log_wealth, loss_log_wealth)
    )
    right = np.sign(forecast) == np.sign(actual)
    ratio = np.cumsum(np.log(np.where(right, 2 * accuracy, 2 - 2 * accuracy)), axis=1)
    row = {
        "true accuracy": f"{100 * accuracy:g} %, {kind}",
        "sign right %": 100 * float(right.mean()),
        "direction, median days": np.median(direction),
        "three of four by": np.quantile(direction, 0.75, method="higher"),
        "within 756 days %": 100 * float((direction <= THREE_YEARS).mean()),
        "signs alone, accuracy known": np.median(first_day(ratio >= np.log(ENOUGH))),
        "loss, median days": NEVER if kind.startswith("signs") else np.median(loss),
    }
    return [row]


Market = tuple[Floats, Floats]
"""Forecasts and returns, both of shape (reps, days)."""

SIGNAL = 0.25
"""Standard deviation of what the forecast knows: right on 58 %."""


def _returns(market: NullMarket, reps: int, rng: np.random.Generator) -> tuple[Floats, np.ndarray]:
    """Draw days of which the last are scored, and whether each comes after the break."""
    returns = draw_returns(market, THREE_YEARS, reps, rng)[:, :-1]
    return returns, np.arange(returns.shape[1]) >= PAST + BREAK


def _skilled(
    reps: int,
    rng: np.random.Generator,
    *,
    known: float = SIGNAL,
    unknown_later: float = 1.0,
    noise_later: float = 0.0,
    offset_later: float = 0.0,
) -> Market:
    """Draw a forecast that knows something, and perhaps less from the break on."""
    returns, is_after = _returns(PLAIN, reps, rng)
    signal, noise = rng.standard_normal((2, *returns.shape))
    later = is_after * (noise_later * noise + offset_later)
    returns += known * signal * np.where(is_after, unknown_later, 1)
    return known * signal + later, returns


def _scaled(
    reps: int, rng: np.random.Generator, *, market: NullMarket = PLAIN, later: float = 1.0
) -> Market:
    """Forecast zero in a market whose moves are larger from the break on."""
    returns, is_after = _returns(market, reps, rng)
    return np.zeros_like(returns), returns * np.where(is_after, later, 1)


def _jumps(reps: int, rng: np.random.Generator) -> Market:
    forecast, returns = _scaled(reps, rng)
    is_jump = (rng.random(returns.shape) < 0.05) & _returns(PLAIN, 1, rng)[1]
    return forecast, returns * np.where(is_jump, 6, 1)


BREAKS: dict[str, tuple[Callable[..., Market], dict[str, object]]] = {
    "none: right on 58 %": (_skilled, {}),
    "none: fat tails, forecast of 0": (_scaled, {}),
    "none: GARCH": (_scaled, {"market": GARCH}),
    "none: one wild weekday": (_scaled, {"market": NullMarket("weekday")}),
    "none: outliers": (_scaled, {"market": NullMarket("outliers")}),
    "volatility doubles": (_scaled, {"later": 2.0}),
    "volatility times four": (_scaled, {"later": 4.0}),
    "one day in twenty moves six times as far": (_jumps, {}),
    "right on 58 %, then on 50 %": (_skilled, {"unknown_later": 0.0}),
    "right on 70 %, then on 50 %": (_skilled, {"known": 0.7, "unknown_later": 0.0}),
    "forecast off by one deviation": (_skilled, {"offset_later": 1.0}),
    "noise of one deviation in the forecast": (_skilled, {"noise_later": 1.0}),
    "noise of three, as of a wrong unit": (_skilled, {"noise_later": 3.0}),
}


def rank_on_validation(scores: Floats, num_scores: int) -> Floats:
    """Return the ranks that outcomes get of the scores behind the first `num_scores`, by row."""
    ranks = []
    for row in scores:
        smaller = np.searchsorted(np.sort(row[:num_scores]), row[num_scores:], side="left")
        ranks.append((num_scores - smaller + 1) / (num_scores + 1))
    return np.array(ranks)


def coverage_alarm(forecast: Floats, actual: Floats, volatility: Floats, coverage: float) -> Floats:
    """Return whether the bounds of a run are found too narrow on each day, by row."""
    scores = scaled_scores(actual, forecast, volatility)
    held = []
    for row in range(len(actual)):
        own = slice(VALIDATION_DAYS, None)
        bounds = adaptive_intervals(
            scores[row, :VALIDATION_DAYS],
            actual=actual[row, own],
            forecast=forecast[row, own],
            volatility=volatility[row, own],
            coverage=coverage,
            horizon=1,
            adaptation=0.005,
        )
        held.append((actual[row, own] >= bounds.lower) & (actual[row, own] <= bounds.upper))
    counted = np.cumsum(np.array(held), axis=1).astype(np.float64)
    trials = np.broadcast_to(np.arange(1.0, counted.shape[1] + 1), counted.shape)
    return mean_bounds(counted, trials)[1] < coverage


def break_cell(names: tuple[str], reps: int, rng: np.random.Generator) -> list[Row]:
    """Look for larger errors on each day of three years, with a break in the middle or without."""
    draw, how = BREAKS[names[0]]
    forecast, actual = draw(reps, rng, **how)
    used = slice(PAST - VALIDATION_DAYS, PAST + THREE_YEARS)
    volatility = volatility_of(actual)[:, used]
    forecast, actual = forecast[:, used], actual[:, used]
    rank = rank_on_validation(scaled_scores(actual, forecast, volatility), VALIDATION_DAYS)
    num_scores = np.full(THREE_YEARS, float(VALIDATION_DAYS))
    found = first_day(rank_log_wealth(rank, num_scores) >= np.log(ENOUGH))
    few = slice(0, max(reps // 5, 1))
    too_narrow = np.any(
        [
            coverage_alarm(forecast[few], actual[few], volatility[few], level)
            for level in (0.8, 0.9)
        ],
        axis=0,
    )
    later = found[found > BREAK] - BREAK
    row = {
        "break in the middle": names[0],
        "alarm before %": 100 * float((found <= BREAK).mean()),
        "alarm after %": 100 * float(((found > BREAK) & (found < NEVER)).mean()),
        "median delay, days": np.median(later),
        "coverage, alarm before %": ever(too_narrow[:, :BREAK]),
        "coverage, alarm ever %": ever(too_narrow),
    }
    return [row]


CHANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "50 %": lambda day: np.full(day.shape, 0.5),
    "58 %": lambda day: np.full(day.shape, 0.58),
    "58 %, then 42 %": lambda day: np.where(day < BREAK, 0.58, 0.42),
    "80 %": lambda day: np.full(day.shape, 0.8),
    "90 %": lambda day: np.full(day.shape, 0.9),
    "90 % with the seasons, ±9": lambda day: 0.9 + 0.09 * np.sin(2 * np.pi * day / 252),
}


def chance_cell(names: tuple[str], reps: int, rng: np.random.Generator) -> list[Row]:
    """Count how often the confidence sequence ever loses the true mean chance, and its width."""
    day = np.arange(THREE_YEARS)
    chance = CHANCES[names[0]](day)
    counted = np.cumsum(rng.random((reps, THREE_YEARS)) < chance, axis=1).astype(np.float64)
    trials = np.broadcast_to(day + 1.0, counted.shape)
    low, high = mean_bounds(counted, trials)
    true = np.cumsum(chance) / (day + 1)
    widths = 100 * (high - low).mean(axis=0)
    row = {
        "chance of a hit": names[0],
        "ever outside %": ever((low > true) | (high < true)),
        **{f"width at {num_days} days": widths[num_days - 1] for num_days in (63, 252, 756)},
    }
    return [row]


CELLS = {"null": null_cell, "power": power_cell, "break": break_cell, "chance": chance_cell}
POWER_KINDS = ("sizes tell", "sizes tell, noisy", "signs only, fat tails", "signs only, GARCH")


def plan(reps: int) -> list[tuple[str, tuple[object, ...], int]]:
    """List table, names and repetitions of all cells."""
    return [
        *(("null", (name,), reps) for name in DRAWS),
        *(("power", names, reps // 4) for names in product((0.58, 0.55, 0.53), POWER_KINDS)),
        *(("break", (name,), reps // 4) for name in BREAKS),
        *(("chance", (name,), reps // 10) for name in CHANCES),
    ]


def run_cell(numbered: tuple[int, tuple[str, tuple[object, ...], int]]) -> list[Row]:
    """Simulate a cell."""
    number, (table, names, reps) = numbered
    rows = CELLS[table](names, reps, np.random.default_rng([SEED, number]))
    return [{"table": table, **row} for row in rows]


def null_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Sum up the null cells by market: means, and the worst forecaster."""
    rows = []
    for market, of_market in cells.groupby("market", sort=False):
        worst = of_market.loc[of_market["direction"].idxmax()]
        rows.append(
            {
                "market": market,
                "direction %": of_market["direction"].mean(),
                "worst %": worst["direction"],
                "of": worst["forecast"],
                "loss %": of_market["loss"].mean(),
                "worst loss %": of_market["loss"].max(),
                "daily z-test %": of_market["z-test"].mean(),
                "worst z-test %": of_market["z-test"].max(),
            }
        )
    return pd.DataFrame(rows)


def cell_text(value: object) -> str:
    """Write a cell; what was never found, or not measured, is a dash."""
    if isinstance(value, str):
        return value
    if not value < NEVER:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def markdown(table: pd.DataFrame) -> str:
    """Write a table."""
    lines = [table.columns, ["---"] * len(table.columns), *table.map(cell_text).to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missed(null: pd.DataFrame, power: pd.DataFrame) -> list[str]:
    """Name the targets that are missed."""
    counted = null[null["market"] != NOT_NULL]
    misses = []
    for name in ("direction", "loss"):
        mean, worst = counted[name].mean(), counted[name].max()
        line = f"{name}: {mean:.2f} % of the null cells on average, {worst:.1f} % in the worst"
        print(line)
        if worst > MOST_ALARMS:
            misses.append(line)
    for accuracy, most in WANTED.items():
        row = power[power["true accuracy"] == f"{100 * accuracy:g} %, sizes tell"].iloc[0]
        if row["direction, median days"] > most:
            misses.append(f"{row['true accuracy']}: {row['direction, median days']:.0f} days")
    return misses


def main() -> int:
    """Simulate, count, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--reps", type=int, default=2000, help="markets of each kind without signal"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    numbered, started = list(enumerate(plan(arguments.reps))), time.perf_counter()
    with multiprocessing.Pool(arguments.jobs) as pool:
        ran = pool.imap(run_cell, numbered)
        cells = track(ran, "cells", len(numbered), console=Console(stderr=True))
        rows = [row for cell in cells for row in cell]
    frames = {
        name: pd.DataFrame([row for row in rows if row["table"] == name]).drop(columns="table")
        for name in CELLS
    }
    tables = {**frames, "null": null_table(frames["null"])}
    text = "\n\n".join(map(markdown, tables.values()))
    print(text, "", sep="\n")
    misses = missed(frames["null"], frames["power"])
    print(
        *(f"MISSED {miss}" for miss in misses), f"{time.perf_counter() - started:.0f} s", sep="\n"
    )
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
        frames["null"].to_csv(arguments.output.with_suffix(".csv"), index=False)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
