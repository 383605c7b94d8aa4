"""What the desk writes down: the forecast with all that its page shows, and what became of it."""

import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
import pandas as pd

from ironore_lightning.desk.checks import learnt_until
from ironore_lightning.desk.entries import (
    Driver,
    Entry,
    Forecast,
    Outcome,
    Size,
    Source,
    TailRisk,
    first_forecasts,
)
from ironore_lightning.desk.newest import Newest
from ironore_lightning.desk.why import Why
from ironore_lightning.errors import machine_errors
from ironore_lightning.evaluation.days import to_price
from ironore_lightning.evaluation.evidence import MEANINGS
from ironore_lightning.evaluation.risk import affordable_lots, tail_risk
from ironore_lightning.forecast.next_day import (
    NextDayForecast,
    contract_on,
    price_base,
)
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.settings.desk import DeskSettings

SHOWN_PRICES = 60
"""Newest prices that the page draws: about a quarter."""

ROLL_WITHIN = 70
"""Rows ahead among which the next roll is sought."""

LEVELS = (0.9, 0.99)
"""Levels of the value at risk that the page shows."""

DIRECTION_COUNTS = ("SUPPORTED", "STRONG")
"""Grades at which the direction of a forecast enters the size."""

GRADE = re.compile(rf"evidence ({'|'.join(MEANINGS)}):")


def forecast_content(
    newest: Newest,
    next_day: NextDayForecast,
    drivers: Sequence[Driver],
    why: Why,
    settings: DeskSettings,
) -> Forecast:
    """Return everything that is said of the next day."""
    date = pd.Timestamp(next_day.date)
    price, _ = price_base(newest.raw, newest.panel, newest.config, date)
    risk, grade = _risk(newest, settings), _grade(next_day.evidence)
    shares = why.by_driver
    return Forecast(
        origin=newest.origin.date(),
        rows=[day.date() for day in newest.panel.days[-len(drivers[0].window) :]],
        date=date.date(),
        settles_at=f"{settings.settles_at:%H:%M}",
        series=next_day.series,
        contract=next_day.contract_month,
        unit=next_day.unit,
        kind_of_target=newest.config.target.kind,
        rules=newest.rules,
        word=next_day.word,
        noun=next_day.noun,
        horizon=newest.config.target.horizon,
        rows_per_year=newest.panel.rhythm.per_year,
        forecast=next_day.forecast,
        bounds=next_day.bounds,
        price=price,
        price_forecast=next_day.price,
        price_bounds=next_day.price_bounds,
        volatility=float(newest.volatility.iloc[-1]),
        grade=grade,
        evidence=next_day.evidence,
        drivers=[
            driver.model_copy(update={"share": shares.get(driver.name)}) for driver in drivers
        ],
        lags=list(why.by_lag),
        agreement=why.agreement,
        risk=risk,
        size=_size(newest, next_day, price, grade, settings),
        prices=_prices(newest, next_day.contract_month),
        next_roll=_next_roll(newest, date),
        alarms=[*next_day.warnings, *_near_the_edge(drivers)],
        data=dict(newest.raw.digests),
        sources=[_source(run) for run in newest.runs],
    )


def _grade(evidence: str) -> str:
    """Return the grade that a line of evidence names; INSUFFICIENT if it names none."""
    found = GRADE.search(evidence)
    return found[1] if found else "INSUFFICIENT"


def _near_the_edge(drivers: Sequence[Driver]) -> list[str]:
    """Return the inputs that lie a little outside of what training has seen, in one line."""
    outside = [driver.name for driver in drivers if not driver.low <= driver.value <= driver.high]
    if not outside:
        return []
    verb = "lies" if len(outside) == 1 else "lie"
    return [f"{', '.join(outside)} {verb} a little outside of what training has seen"]


def _tail(newest: Newest, level: float) -> TailRisk | None:
    target = newest.config.target
    figures = tail_risk(
        newest.outcomes["value"].to_numpy(np.float64), level, horizon=target.horizon
    )
    return None if figures is None else TailRisk(level=level, **asdict(figures))


def _risk(newest: Newest, settings: DeskSettings) -> list[TailRisk]:
    """Return the tail risk at the levels of the page and that of the budget."""
    levels = sorted({*LEVELS, settings.risk_level})
    return [risk for level in levels if (risk := _tail(newest, level))]


def _size(
    newest: Newest,
    next_day: NextDayForecast,
    price: float | None,
    grade: str,
    settings: DeskSettings,
) -> Size:
    """Return how many lots the budget pays for on the side that the evidence lets count."""
    counts = grade in DIRECTION_COUNTS and next_day.forecast != 0
    side: Literal["long", "short", "either"] = "either"
    if counts:
        side = "long" if next_day.forecast > 0 else "short"
        reason = f"At grade {grade} the direction of the forecast counts."
    else:
        reason = (
            f"At grade {grade} the direction of the forecast does not count, which takes "
            f"{DIRECTION_COUNTS[0]}: what may be held is the same on either side."
        )
    loss = _loss_per_unit(newest, price, side, settings.risk_level)
    lots = None
    if settings.risk_budget is not None and loss is not None:
        lots = affordable_lots(settings.risk_budget, loss * settings.lot_size)
    elif settings.risk_budget is not None:
        missing = "a price" if price is None else "outcomes for that level"
        reason += f" There are no lots, for want of {missing}."
    return Size(
        lot_size=settings.lot_size,
        currency=settings.currency,
        budget=settings.risk_budget,
        level=settings.risk_level,
        lots=lots,
        side=side,
        reason=reason,
    )


def _loss_per_unit(newest: Newest, price: float | None, side: str, level: float) -> float | None:
    """Return what a unit, such as a tonne, loses at the expected shortfall; None if unknown."""
    tail, kind = _tail(newest, level), newest.config.target.kind
    if tail is None or price is None:
        return None
    down, up = to_price(-tail.long_es, price, kind), to_price(tail.short_es, price, kind)
    assert down is not None
    assert up is not None
    losses = {"long": price - down, "short": up - price}
    return losses.get(side, max(losses.values()))


def _prices(newest: Newest, contract: str | None) -> list[tuple[datetime.date, float]]:
    """Return the newest prices of the contract that is held, or of a series without contracts."""
    known = newest.prices(contract).dropna()
    known = known[known.index <= newest.origin].tail(SHOWN_PRICES)
    days = pd.DatetimeIndex(known.index)
    return [(day.date(), float(price)) for day, price in zip(days, known, strict=True)]


def _next_roll(newest: Newest, date: pd.Timestamp) -> datetime.date | None:
    """Return the first day after `date` on which another contract is held, if the rule tells."""
    if newest.config.target.series not in newest.raw.contracts:
        return None
    days = pd.DatetimeIndex([date] * ROLL_WITHIN)
    ahead = newest.panel.calendar.ahead(days, np.arange(1, ROLL_WITHIN + 1))
    held = contract_on(date, newest.raw, newest.config)
    for day in ahead:
        later = contract_on(day, newest.raw, newest.config)
        if later is not None and later != held:
            return pd.Timestamp(day).date()
    return None


def _source(run: RunRecord) -> Source:
    path = run.folder / "checkpoints" / "best.ckpt"
    with machine_errors(path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Source(
        folder=str(run.folder),
        checkpoint=digest,
        trained_until=learnt_until(run),
        is_refit=run.refit is not None,
    )


def known_outcomes(entries: Sequence[Entry], newest: Newest) -> Iterator[Outcome]:
    """Yield the outcomes that have become known, each of the first forecast from its origin."""
    told = {entry.content.forecast for entry in entries if isinstance(entry.content, Outcome)}
    promised = newest.promised
    for number, content in first_forecasts(entries).items():
        origin = pd.Timestamp(content.origin)
        if number in told or origin not in newest.outcomes.index:
            continue
        row = newest.outcomes.loc[origin]
        if pd.isna(row["value"]):
            continue
        score = abs(row["value"] - content.forecast) / content.volatility
        worse = int((promised >= score).sum())
        yield Outcome(
            forecast=number,
            date=row["date"].date(),
            actual=float(row["value"]),
            is_roll=bool(row["is_roll"]),
            rank=(1 + worse) / (1 + len(promised)),
            num_scores=len(promised),
        )
