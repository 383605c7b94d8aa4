"""What the morning page says of a forecast, in numbers and words."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ironore_lightning.desk.entries import Driver, Forecast, Outcome, Refusal
from ironore_lightning.evaluation.days import to_price
from ironore_lightning.evaluation.risk import RISK_WINDOW
from ironore_lightning.evaluation.tradability import UNSKILLED
from ironore_lightning.report.style import counted

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

MOST_DRIVERS = 10
"""Rows of the table of drivers; one that is out of range or too old has a row in any case."""

UNKNOWN = "not known"


@dataclass(frozen=True)
class LargeNumber:
    """A number to be read from afar: a label, the number with its unit, and a line below."""

    label: str
    text: str
    remark: str


@dataclass(frozen=True)
class DriverRow:
    """An input of the forecast.

    Attributes:
        name: Of the column.
        value: With four digits.
        place: Where it lies in its training range, per cent of the way up, from 0 to 100.
        where: The same in words.
        is_outside: Whether it lies beyond the range.
        age: Its rows, and the most of the training rows.
        is_old: Whether it is older than it ever was there.
        share: What it adds to the forecast.
    """

    name: str
    value: str
    place: float
    where: str
    is_outside: bool
    age: str
    is_old: bool
    share: str


@dataclass(frozen=True)
class RiskRow:
    """What a lot may lose: a position with a level, and two moves with what they are worth."""

    position: str
    at_risk: str
    shortfall: str


def headline(forecast: Forecast) -> str:
    """Return what is forecast, and for which day."""
    contract = f", contract {forecast.contract}" if forecast.contract else ""
    day = f"{WEEKDAYS[forecast.date.weekday()]}, {forecast.date}"
    return f"{forecast.series}{contract}: {forecast.word} until {day}"


def refusal_title(refusal: Refusal) -> str:
    """Return what is not forecast, by the names of the runs."""
    return f"No forecast by {', '.join(Path(run).name for run in refusal.runs)}"


def last_forecast(forecast: Forecast) -> str:
    """Return what was forecast before a refusal, in a sentence."""
    return (
        f"The last forecast was {move_text(forecast, forecast.forecast)}, from {forecast.origin}: "
        f"{headline(forecast)}."
    )


def is_refit(forecast: Forecast) -> bool:
    """Return whether a network was fitted on all days."""
    return any(source.is_refit for source in forecast.sources)


def large_numbers(forecast: Forecast) -> list[LargeNumber]:
    """Return the forecast, its price, and the bounds."""
    numbers = [
        LargeNumber("forecast", move_text(forecast, forecast.forecast), f"from {forecast.origin}")
    ]
    has_price = forecast.word != "outcome"
    if has_price:
        newest = f"newest price {price_text(forecast, forecast.price)}"
        target = price_text(forecast, forecast.price_forecast)
        numbers.append(LargeNumber("price forecast", target, newest))
    for coverage in (80, 90):
        low, high = f"lower_{coverage}", f"upper_{coverage}"
        ends = forecast.price_bounds[low], forecast.price_bounds[high]
        numbers.append(
            LargeNumber(
                f"{coverage} % bounds",
                span_text(forecast, coverage),
                _price_span(forecast, *ends) if has_price else "",
            )
        )
    return numbers


def move_text(forecast: Forecast, move: float | None, *, sign: str = "+") -> str:
    """Return a move in the unit of the forecast, with three digits of its volatility."""
    if move is None:
        return UNKNOWN
    number = _rounded(move, _decimals(forecast.volatility, 3), sign)
    return f"{number}\N{NO-BREAK SPACE}{forecast.unit}"


def span_text(forecast: Forecast, coverage: int) -> str:
    """Return both bounds of an interval, in per cent of days."""
    low, high = (forecast.bounds[f"{side}_{coverage}"] for side in ("lower", "upper"))
    if low is None or high is None:
        return UNKNOWN
    start = _rounded(low, _decimals(forecast.volatility, 3), "+")
    return f"{start} to {move_text(forecast, high)}"


def price_text(forecast: Forecast, price: float | None) -> str:
    """Return a price with five digits of the newest one."""
    if price is None:
        return UNKNOWN
    decimals = min(2, _decimals(forecast.price or price, 5))
    return f"{_rounded(price, decimals)}\N{NO-BREAK SPACE}{forecast.size.currency}"


def money_text(forecast: Forecast, move: float, position: Literal["long", "short"]) -> str:
    """Return what one lot loses if the price moves against it; empty where no price is known.

    Args:
        forecast: Says from where, and how an outcome moves a price.
        move: Size of the move, in the unit of the forecast.
        position: Who holds the contract is `long`, who has sold it `short`.
    """
    kind, sign = forecast.kind_of_target, -1 if position == "long" else 1
    base = 0.0 if kind == "change" else forecast.price
    moved = None if kind == "given" else to_price(sign * move, base, kind)
    if base is None or moved is None:
        return ""
    loss = sign * (moved - base) * forecast.size.lot_size
    return f"{_rounded(loss, 0)}\N{NO-BREAK SPACE}{forecast.size.currency}"


def size_text(forecast: Forecast) -> str:
    """Return how much may be held, in a few words."""
    size = forecast.size
    if size.budget is None:
        return "no budget set"
    if size.lots is None:
        return UNKNOWN
    side = "long or short" if size.side == "either" else size.side
    return f"at most {counted(size.lots, 'lot')}, {side}" if size.lots else "not one lot"


def size_remark(forecast: Forecast) -> str:
    """Return what the budget pays for, and how large moves are expected to be."""
    size = forecast.size
    volatility = f"Volatility (EWMA) is {move_text(forecast, forecast.volatility, sign='-')}."
    if size.budget is None:
        return f"desk.risk_budget says what a day may lose. {volatility}"
    budget = f"{_rounded(size.budget, 0)} {size.currency}"
    level = f"{100 * size.level:g}\N{NO-BREAK SPACE}%"
    return f"The budget of {budget} pays for the expected shortfall at {level}. {volatility}"


def risk_rows(forecast: Forecast) -> list[RiskRow]:
    """Return what a lot may lose, first of who holds the contract, then of who has sold it."""

    def row(position: Literal["long", "short"], level: float, *moves: float) -> RiskRow:
        texts = []
        for move in moves:
            money = money_text(forecast, move, position)
            size = move_text(forecast, move, sign="-")
            texts.append(f"{size} · {money}" if money else size)
        return RiskRow(f"{position}, {100 * level:g} %", *texts)

    longs = [row("long", risk.level, risk.long_var, risk.long_es) for risk in forecast.risk]
    shorts = [row("short", risk.level, risk.short_var, risk.short_es) for risk in forecast.risk]
    return longs + shorts


def driver_rows(forecast: Forecast) -> list[DriverRow]:
    """Return the inputs that are out of range or too old, and then those that add most."""
    rows = [
        (_is_odd(driver), abs(driver.share or 0.0), _driver_row(forecast, driver))
        for driver in forecast.drivers
    ]
    rows.sort(key=lambda row: row[:2], reverse=True)
    return [row for place, (is_odd, _, row) in enumerate(rows) if is_odd or place < MOST_DRIVERS]


def reasons_why(forecast: Forecast) -> list[str]:
    """Return sentences on the drivers, and on what their explanation is worth."""
    sentences = []
    if left_out := len(forecast.drivers) - len(driver_rows(forecast)):
        inputs = counted(left_out, "other input")
        sentences.append(f"{inputs} in range and no older than in training.")
    if forecast.lags:
        sentences.append(_lags_sentence(forecast))
    if forecast.agreement is not None:
        sentences.append(f"Explanations of its networks correlate by {forecast.agreement:.2f}.")
    if any(driver.share is not None for driver in forecast.drivers):
        if forecast.grade in UNSKILLED:
            sentences.append(
                f"The grade is {forecast.grade}: what explains such a forecast explains noise."
            )
        sentences.append(_shares_sentence(forecast))
    if forecast.contract:
        sentences.append(
            "Prices of contracts are continuous levels, anchored at the oldest contract: they are "
            "not today's prices."
        )
    return sentences


def _shares_sentence(forecast: Forecast) -> str:
    added = sum(driver.share or 0.0 for driver in forecast.drivers)
    return (
        "A share is what the input adds beside its mean in training. The shares of all inputs add "
        f"up to {move_text(forecast, added)}; the rest of the forecast, "
        f"{move_text(forecast, forecast.forecast - added)}, is that of a usual window."
    )


def risk_remark(forecast: Forecast) -> str:
    """Return why the table of risk and the bounds of the forecast differ."""
    return (
        "A value at risk is exceeded as seldom as its level says, and the expected shortfall is "
        f"the mean loss then. Both are centred at zero and come from up to {RISK_WINDOW} past "
        f"{forecast.noun}s by filtered history. The bounds are centred at the forecast and come "
        "from its errors on validation, so they differ."
    )


def last_outcome(forecast: Forecast, outcome: Outcome) -> str:
    """Return what became of a forecast, in a few sentences."""
    actual = move_text(forecast, outcome.actual)
    said = move_text(forecast, forecast.forecast)
    direction = "right" if forecast.forecast * outcome.actual > 0 else "wrong"
    if outcome.actual == 0:
        direction = "neither right nor wrong"
    return (
        f"{outcome.date}: {actual} after a forecast of {said}, so the direction was {direction}; "
        f"{_place_among(forecast, outcome.actual)}. Such an error or a larger one, relative to the "
        f"volatility: {100 * outcome.rank:.0f} % of the {forecast.noun}s of validation."
        f"{_other_day(forecast, outcome)}"
    )


def _other_day(forecast: Forecast, outcome: Outcome) -> str:
    """Return why the outcome is not that of the day that was forecast; empty if it is."""
    if outcome.date == forecast.date:
        return ""
    if forecast.horizon == 1 and outcome.date > forecast.date:
        return (
            f" Nobody traded on {forecast.date}, the day of the forecast: the outcome is that of "
            f"the next row, {outcome.date}."
        )
    return (
        f" The forecast was for {forecast.date}; the market was open on other days than its "
        f"calendar said, so the outcome is that of {outcome.date}."
    )


def shortened(name: str, most: int) -> str:
    """Return a long name without its middle, as names differ at their ends."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def _price_span(forecast: Forecast, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"{price_text(forecast, low)} to {price_text(forecast, high)}"


def _place_among(forecast: Forecast, actual: float) -> str:
    for coverage in (80, 90):
        low, high = (forecast.bounds[f"{side}_{coverage}"] for side in ("lower", "upper"))
        if low is None or high is None:
            return "its bounds were not known"
        if low <= actual <= high:
            return f"it lies inside of the {coverage} % bounds ({span_text(forecast, coverage)})"
    return f"it lies outside of the 90 % bounds ({span_text(forecast, 90)})"


def _lags_sentence(forecast: Forecast) -> str:
    newest, *others = reversed(forecast.lags)
    parts = [f"the newest {forecast.noun} adds {move_text(forecast, newest)}"]
    if others[:4]:
        nouns = counted(len(others[:4]), forecast.noun)
        parts.append(f"the {nouns} before {move_text(forecast, sum(others[:4]))}")
    if others[4:]:
        parts.append(f"older ones {move_text(forecast, sum(others[4:]))}")
    return f"By age, {', '.join(parts)}."


def _is_odd(driver: Driver) -> bool:
    return driver.age > driver.oldest or not driver.low <= driver.value <= driver.high


def _driver_row(forecast: Forecast, driver: Driver) -> DriverRow:
    width = driver.high - driver.low
    place = 100 * (driver.value - driver.low) / width if width > 0 else 50.0
    is_outside = not driver.low <= driver.value <= driver.high
    beyond = "above" if driver.value > driver.high else "below"
    return DriverRow(
        name=driver.name,
        value=f"{driver.value:.4g}",
        place=min(100.0, max(0.0, place)),
        where=beyond if is_outside else f"{place:.0f} %",
        is_outside=is_outside,
        age=f"{driver.age} / {driver.oldest}",
        is_old=driver.age > driver.oldest,
        share="" if driver.share is None else move_text(forecast, driver.share),
    )


def _decimals(size: float, digits: int) -> int:
    """Return how many decimals show so many digits of a number."""
    if size == 0:
        return digits - 1
    return min(8, max(0, digits - 1 - math.floor(math.log10(abs(size)))))


def _rounded(value: float, decimals: int, sign: str = "-") -> str:
    # Adding zero turns a rounded -0.0 into 0.0, which has no sign.
    rounded = round(value, decimals) + 0.0
    return f"{rounded:{sign if rounded else '-'},.{decimals}f}"
