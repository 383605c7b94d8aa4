"""How often each grade of evidence is awarded where the truth is known.

Forecasts and markets are simulated, and graded by the project's own tests and rules; baselines,
files and everything that decides no grade are left out, so that thousands of repetitions are cheap.
`fitted_models.py` asks the same of fitted models on the simulated raw files.

    python tests/benchmarks/grade_calibration.py --output calibration.md

Exit status 1 if a rate misses its bound. The rules were chosen on other seeds.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from null_markets import (
    FORECASTERS,
    MARKETS,
    NOT_NULL,
    PAST,
    Floats,
    Skill,
    draw_returns,
    fit_rivals,
    outcomes,
)
from rich.console import Console
from rich.progress import track
from scipy.stats import norm

from ironore_lightning.evaluation.assessment import collect_findings
from ironore_lightning.evaluation.comparison import Row
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.evidence import GRADES, Evidence, grade_findings
from ironore_lightning.evaluation.metrics import (
    Scores,
    chance_accuracy,
    correlation,
    count_hits,
)
from ironore_lightning.evaluation.selection import discount_for_search
from ironore_lightning.evaluation.significance import Outcome
from ironore_lightning.evaluation.skill import (
    encompassing,
    predictive_slope,
    rotation,
    skill_p,
)
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.evaluation import EvaluationSettings

CONF = Path(__file__).parents[2] / "conf"
SEED = 20_261_126

ACCURACIES, NOISES, LENGTHS = (0.51, 0.53, 0.55, 0.58), (0.0, 0.15), (63, 131, 250, 600)

LIMITS = {"SUGGESTIVE": (10.0, 13.0), "SUPPORTED": (2.5, 4.0)}
"""False alarms, per cent: mean over all null cells, and the worst cell."""

WANTED = {(0.55, 0.0, 131): (62, 33), (0.55, 0.0, 250): (85, 60), (0.55, 0.15, 600): (85, 70)}
"""Least power, per cent, by accuracy, noise and days: SUGGESTIVE and SUPPORTED, or better."""

VALIDATION_DAYS = 127
RESEARCHER_LOOKS = 50
SHARED_SKILL_TRIALS = 20


@dataclass(frozen=True)
class Cell:
    """One simulated situation, by the names of the table that it belongs to."""

    table: str
    names: tuple[object, ...]
    reps: int


Verdicts = list[Evidence]

UNASKED = Outcome(None, None, "undefined: not asked, as the grade is decided before", 0)


def grade(
    forecast: Floats,
    known: Floats,
    settings: EvaluationSettings,
    *,
    horizon: int = 1,
    **how: object,
) -> Evidence:
    """Grade the forecast of the last days of a history of outcomes; `how` is for the rules."""
    actual = known[PAST:]
    days = as_days(forecast, actual, horizon)
    slope, added, rotated = UNASKED, UNASKED, rotation(forecast, actual)
    if (rotated.p_value or 1) <= settings.suggestive_p:
        slope = predictive_slope(forecast, actual, horizon=horizon)
    if (skill_p(slope, rotated) or 1) <= settings.supported_p:
        added = encompassing(forecast, actual, fit_rivals(known, horizon), horizon=horizon)
    tests = {"predictive_slope": slope, "rotation": rotated, "encompassing": added}
    table = [Row("model", scores_that_decide(forecast, actual, horizon), None, None)]
    findings = collect_findings(days, table, tests, after_costs=1.0)
    return grade_findings(findings, settings, label="", **how)


def scores_that_decide(forecast: Floats, actual: Floats, horizon: int) -> Scores:
    """Return the scores that the rules read; the others are None."""
    hits, moved = count_hits(forecast, actual)
    decide = {
        "num_days": len(actual),
        "days_apart": moved // horizon,
        "correlation": correlation(forecast, actual),
        "direction_accuracy": 100 * hits / moved,
        "chance_accuracy": chance_accuracy(forecast, actual),
    }
    return Scores(**dict.fromkeys(field.name for field in fields(Scores)) | decide)


def as_days(forecast: Floats, actual: Floats, horizon: int = 1) -> ScoredDays:
    """Lay out test days without rolls."""
    frame = pd.DataFrame({"actual": actual, "forecast": forecast, "is_roll": False})
    return ScoredDays(frame, "log_return", horizon)


# --- the situations -------------------------------------------------------------------------------


def without_skill(
    names: tuple[str, int, str], reps: int, rng: np.random.Generator, settings: EvaluationSettings
) -> Iterable[Verdicts]:
    """Yield the verdict on a forecast without skill, one market at a time."""
    market, num_days, forecaster = MARKETS[names[0]], names[1], FORECASTERS[names[2]]
    returns = draw_returns(market, num_days, reps, rng)
    forecasts = forecaster(returns, rng)[:, PAST : PAST + num_days]
    for known, forecast in zip(outcomes(returns, market.horizon), forecasts, strict=True):
        yield [grade(forecast, known, settings, horizon=market.horizon)]


def with_skill(
    names: tuple[float, float, int],
    reps: int,
    rng: np.random.Generator,
    settings: EvaluationSettings,
) -> Iterable[Verdicts]:
    """Yield the verdict on a forecast whose skill is known."""
    accuracy, noise, num_days = names
    for forecast, known in zip(*Skill(accuracy, noise).draw(num_days, reps, rng), strict=True):
        yield [grade(forecast, known, settings)]


def many_looks(
    names: tuple[str, bool], reps: int, rng: np.random.Generator, settings: EvaluationSettings
) -> Iterable[Verdicts]:
    """Yield all verdicts that a researcher sees who runs 50 models on one null window."""
    alike = 0.9 if names[0] == "50 runs that are alike" else 0.0
    for _ in range(reps):
        known, common = rng.standard_normal(PAST + 131), rng.standard_normal(131)
        yield [
            grade(
                np.sqrt(alike) * common + np.sqrt(1 - alike) * rng.standard_normal(131),
                known,
                settings,
                look=look if names[1] else None,
            )
            for look in range(1, RESEARCHER_LOOKS + 1)
        ]


def growing_record(
    names: tuple[str, bool], reps: int, rng: np.random.Generator, settings: EvaluationSettings
) -> Iterable[Verdicts]:
    """Yield the verdicts on one record without skill, graded every five days up to day 600."""
    for _ in range(reps):
        known, forecast = rng.standard_normal(PAST + 600), rng.standard_normal(600)
        yield [
            grade(
                forecast[:num_days],
                known[: PAST + num_days],
                settings,
                look=look if names[1] else None,
            )
            for look, num_days in enumerate(range(65, 601, 5), start=1)
        ]


def best_of_hundred(
    names: tuple[str, int], reps: int, rng: np.random.Generator, settings: EvaluationSettings
) -> Iterable[Verdicts]:
    """Yield the verdict on the best of 100 trials by validation; one of them may have skill."""
    planted, num_days = Skill(0.55 if "55 %" in names[0] else 0.5, 0.0), names[1]
    for _ in range(reps):
        size = VALIDATION_DAYS + num_days
        signals, returns = planted.draw(size, 1, rng)
        trials = np.vstack([signals, 0.15 * rng.standard_normal((99, size))])
        validation = returns[0, PAST : PAST + VALIDATION_DAYS]
        errors = ((validation - trials[:, :VALIDATION_DAYS]) ** 2).sum(axis=1)
        known = np.delete(returns[0], slice(PAST, PAST + VALIDATION_DAYS))
        yield [grade(trials[errors.argmin(), VALIDATION_DAYS:], known, settings)]


def shared_skill(
    names: tuple[str, int], reps: int, rng: np.random.Generator, settings: EvaluationSettings
) -> Iterable[Verdicts]:
    """Yield the verdict on the first of 20 trials that all know the same, each with its noise."""
    skill, num_days = Skill(0.58 if "58 %" in names[0] else 0.5, 0.0), names[1]
    for _ in range(reps):
        signals, returns = skill.draw(num_days, 1, rng)
        trials = signals + 0.1 * rng.standard_normal((SHARED_SKILL_TRIALS, num_days))
        days = as_days(trials[0], returns[0, PAST:])
        forecasts = {str(number): trial for number, trial in enumerate(trials)}
        discount = discount_for_search(days, forecasts, chosen="0", num_trials=len(trials))
        yield [grade(trials[0], returns[0], settings, discount=discount)]


SITUATIONS: Mapping[str, Callable[..., Iterable[Verdicts]]] = {
    "null": without_skill,
    "skill": with_skill,
    "looks": many_looks,
    "record": growing_record,
    "search": best_of_hundred,
    "shared": shared_skill,
}


def plan(arguments: argparse.Namespace) -> list[Cell]:
    """List all cells."""
    reps, few = arguments.reps, arguments.researchers
    cells = [
        Cell("null", (name, num_days, forecaster), reps)
        for name, market in MARKETS.items()
        for num_days, forecaster in product(market.lengths, FORECASTERS)
    ]
    cells += [Cell("skill", names, 2 * reps) for names in product(ACCURACIES, NOISES, LENGTHS)]
    kinds = ("50 runs of independent noise", "50 runs that are alike")
    cells += [Cell("looks", names, few) for names in product(kinds, (False, True))]
    record = "graded every 5 days, to day 600"
    cells += [Cell("record", (record, counted), few) for counted in (False, True)]
    searches = ("100 trials of noise", "99 of noise and one right on 55 %")
    cells += [Cell("search", names, 2 * few) for names in product(searches, (131, 600))]
    shared = ("20 trials without skill", "20 trials that are right on 58 %")
    return [*cells, *(Cell("shared", (name, 600), few // 2) for name in shared)]


def run_cell(cell: tuple[int, Cell], settings: EvaluationSettings) -> dict[str, object]:
    """Simulate a cell, and count in how many of its repetitions each grade was ever reached."""
    number, situation = cell
    rng = np.random.default_rng([SEED, number])
    drawn = SITUATIONS[situation.table](situation.names, situation.reps, rng, settings)
    counts = dict.fromkeys(["INSUFFICIENT", *GRADES[2:], "SUSPECT"], 0)
    for verdicts in drawn:
        best = max(GRADES.index(verdict.earned) for verdict in verdicts)
        counts["INSUFFICIENT"] += best == 0
        counts["SUSPECT"] += any(verdict.grade == "SUSPECT" for verdict in verdicts)
        for grade_name in GRADES[2:]:
            counts[grade_name] += best >= GRADES.index(grade_name)
    rates = {name: 100 * count / situation.reps for name, count in counts.items()}
    return {"table": situation.table, "names": situation.names, "reps": situation.reps, **rates}


# --- tables and bounds ----------------------------------------------------------------------------


def null_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Sum up the null cells by market; those in which nothing can be judged are left out."""
    judged = cells[cells["INSUFFICIENT"] < 50]
    rows = {}
    for market, of_market in judged.groupby("market", sort=False):
        row = {"cells": len(of_market)}
        for grade_name in LIMITS:
            worst = of_market.loc[of_market[grade_name].idxmax()]
            row[f"{grade_name}+ %"] = of_market[grade_name].mean()
            row[f"worst {grade_name}+ %"] = worst[grade_name]
            row[f"in {grade_name}"] = f"{worst['forecast']}, {worst['days']} days"
        rows[market] = {**row, "SUSPECT, worst %": of_market["SUSPECT"].max()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("market").reset_index()


def skill_table(cells: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """Lay the power beside that of the best possible test, which knows all but the sign."""
    rows = []
    for (accuracy, noise, num_days), cell in cells.set_index("names").iterrows():
        lead = np.sqrt(num_days) * Skill(accuracy, noise).correlation
        best = [
            100 * norm.cdf(lead - norm.isf(level))
            for level in (settings.suggestive_p, settings.supported_p)
        ]
        rows.append(
            {
                "true accuracy": f"{100 * accuracy:g} %{', noisy' if noise else ''}",
                "days": num_days,
                "SUGGESTIVE+ %": cell["SUGGESTIVE"],
                "best possible": best[0],
                "SUPPORTED+ %": cell["SUPPORTED"],
                "best possible ": best[1],
                "SUSPECT %": cell["SUSPECT"],
            }
        )
    return pd.DataFrame(rows)


def other_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Lay out looks, records and searches."""
    said = {False: "looks not counted", True: "every look counted"}
    first = [", ".join(str(said.get(name, name)) for name in names) for names in cells["names"]]
    rates = cells[list(GRADES[2:])].add_suffix("+ %")
    return pd.concat([pd.Series(first, cells.index, name="ever reached"), rates], axis=1)


def missed(null: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Name the rates that miss their bounds."""
    counted = null[(null["market"] != NOT_NULL) & (null["INSUFFICIENT"] < 50)]
    found = {}
    for grade_name, (mean, worst) in LIMITS.items():
        found[f"{grade_name}+, mean of {len(counted)} null cells"] = (
            counted[grade_name].mean(),
            mean,
        )
        found[f"{grade_name}+, worst null cell"] = counted[grade_name].max(), worst
        for row in cells[cells["table"].isin(["looks", "record"])].itertuples():
            if row.names[1]:
                found[f"{grade_name}+, {row.names[0]}"] = getattr(row, grade_name), mean
    lines = [f"{name}: {rate:.1f} %, at most {most:g}" for name, (rate, most) in found.items()]
    misses = [line for line, (rate, most) in zip(lines, found.values(), strict=True) if rate > most]
    for names, wanted in WANTED.items():
        power = cells[cells["names"] == names].iloc[0]
        for grade_name, least in zip(LIMITS, wanted, strict=True):
            if power[grade_name] < least:
                misses.append(f"{names}: {grade_name}+ {power[grade_name]:.1f} %, not {least}")
    print(*lines, sep="\n")
    return misses


def markdown(table: pd.DataFrame) -> str:
    """Write a table."""
    text = table.map(lambda value: f"{value:.1f}" if isinstance(value, float) else str(value))
    lines = [table.columns, ["---"] * len(table.columns), *text.to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Simulate, grade, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--reps", type=int, default=1000, help="of each null cell; skill has twice")
    parser.add_argument("--researchers", type=int, default=400, help="of each kind of many looks")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--output", type=Path, help="file for the tables; the cells are beside it")
    arguments = parser.parse_args()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = to_config(compose("config")).evaluation
    numbered, started = list(enumerate(plan(arguments))), time.perf_counter()
    with multiprocessing.Pool(arguments.jobs) as pool:
        ran = pool.imap(partial(run_cell, settings=settings), numbered)
        cells = pd.DataFrame(track(ran, "cells", len(numbered), console=Console(stderr=True)))
    null = cells[cells["table"] == "null"].reset_index(drop=True)
    null[["market", "days", "forecast"]] = null["names"].tolist()
    others = cells[~cells["table"].isin(["null", "skill"])]
    tables = [
        null_table(null),
        skill_table(cells[cells["table"] == "skill"], settings),
        other_table(others),
    ]
    text = "\n\n".join(map(markdown, tables))
    print(text, "", sep="\n")
    misses = missed(null, cells)
    print(
        *(f"MISSED {miss}" for miss in misses), f"{time.perf_counter() - started:.0f} s", sep="\n"
    )
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
        null.drop(columns=["table", "names"]).to_csv(
            arguments.output.with_suffix(".csv"), index=False
        )
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
