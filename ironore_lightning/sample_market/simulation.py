"""A simulated iron ore market, written in the raw layout of the real files.

The curve is the two-factor model of Schwartz & Smith: a mean-reverting short-term factor and a
long-term one that does not revert. The factors move each futures contract directly, so every
futures price is a martingale (to second order: half the variance is subtracted from each log
return) and returns are unpredictable by construction. Shocks have fat tails (Student t) and
volatility clusters (GARCH). Only `signal` makes returns predictable: it is the share of the next
day's variance that two drivers predict.

References:
    Schwartz & Smith (2000), "Short-Term Variations and Long-Term Dynamics in Commodity Prices",
    Management Science 46(7).
    Bollerslev (1987), "A Conditionally Heteroskedastic Time Series Model for Speculative Prices
    and Rates of Return", Review of Economics and Statistics 69(3).
"""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.holiday import AbstractHolidayCalendar, GoodFriday, Holiday, sunday_to_monday

from ironore_lightning.settings.data import SimulationSettings

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedMarket:
    """The simulated market. T counts days, C contracts; each table has its own days."""

    closes_65: pd.DataFrame
    """Settlements of the 65 % contracts, (T, C), USD/dmt; NaN where not listed and on holidays."""
    closes_62: pd.DataFrame
    """Closes of the 62 % contracts, (T, C), USD/dmt; NaN where not listed and not traded."""
    group: pd.DataFrame
    """The six daily drivers, (T, 6), each in its unit, with blanks."""
    index: pd.DataFrame
    """The 62 % and the 65 % index, (T, 2), USD/dmt, blank on holidays."""
    inventory: pd.Series
    """Weekly stock, (T,), 10 kt, by Tuesday."""
    shipment: pd.Series
    """Weekly shipments, (T,), 10 kt, by Sunday."""
    planted: pd.Series
    """Predictable part of the log return from trading day t to t+1, by t, (T,), per cent.

    It is in the return of every contract that is not in its own month on day t+1, and of the held
    contract, which on the first day of its month still moves fully.
    """


def simulate_market(settings: SimulationSettings) -> SimulatedMarket:
    """Return a simulated market; equal settings give equal numbers."""
    children = np.random.SeedSequence(settings.seed).spawn(5)
    exogenous_rng, curve_rng, responding_rng, trading_rng, weekly_rng = map(
        np.random.default_rng, children
    )
    days = _trading_days(FIRST_DAY, LAST_DAY)
    exogenous = {name: driver for name, driver in DRIVERS.items() if driver.response == 0}
    responding = {name: driver for name, driver in DRIVERS.items() if driver.response != 0}

    no_news = pd.Series(0.0, index=days)
    independent = _simulate_drivers(exogenous, news=no_news, rng=exogenous_rng)
    planted = _planted(independent, days=days, variance=settings.signal * _held_variance(days))
    noise = np.sqrt(1 - settings.signal) * _shocks(len(days), rng=curve_rng)
    curve_62, curve_65 = _simulate_curves(days, noise=noise, planted=planted)

    news = pd.Series(100 * np.log(curve_62.spot), index=days).diff().fillna(0.0)
    responses = _simulate_drivers(responding, news=news, rng=responding_rng)
    return SimulatedMarket(
        closes_65=_closes_65(curve_65, days=days),
        closes_62=_closes_62(curve_62, days=days, rng=trading_rng),
        group=pd.concat([independent, responses], axis=1)[list(DRIVERS)],
        index=_indices(curve_62, curve_65, days=days, rng=trading_rng),
        inventory=_simulate_weekly(INVENTORY, frequency="W-TUE", rng=weekly_rng),
        shipment=_simulate_weekly(SHIPMENT, frequency="W-SUN", rng=weekly_rng),
        planted=planted.loc[FIRST_DAY_65:],
    )


# --- the calendars --------------------------------------------------------------------------------

CONTRACTS_65 = pd.period_range("2020-01", "2025-09", freq="M")
CONTRACTS_62 = pd.period_range("2020-01", "2026-09", freq="M")
LISTED_YEARS_65 = 2
"""A contract is listed from January, this many calendar years before its own."""
LISTED_YEARS_62 = 3
MONTHS = pd.period_range("2016-12", "2026-09", freq="M")
"""Simulated delivery months, including earlier ones for the spot price."""

FIRST_DAY = pd.Timestamp("2017-01-03")
FIRST_DAY_65 = pd.Timestamp("2018-12-03")
FIRST_DAY_INDEX = pd.Timestamp("2018-01-02")
FIRST_DAY_GROUP = pd.Timestamp("2019-01-02")
LAST_DAY = pd.Timestamp("2025-08-13")

SPRING_DAYS = ["02-16", "02-05", "01-25", "02-12", "02-01", "01-22", "02-10", "01-29"]
"""First days of the Chinese years from 2018."""
SPRING_FESTIVALS = pd.to_datetime([f"{year}-{day}" for year, day in enumerate(SPRING_DAYS, 2018)])
NEW_YEAR = [Holiday("New Year", month=1, day=1, observance=sunday_to_monday)]
"""Days on which no price file has a row."""
EXCHANGE_HOLIDAYS = [
    GoodFriday,
    Holiday("Labour Day", month=5, day=1, observance=sunday_to_monday),
    Holiday("Christmas", month=12, day=25, observance=sunday_to_monday),
]
"""Days without trading: the 65 % file has a blank row, the 62 % file repeats the day before."""


def _weekdays(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Monday to Friday, both ends included."""
    return pd.bdate_range(first, last, name="Date").as_unit("ns")


def _price_days(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Days on which a price file has a row."""
    days = _weekdays(first, last)
    return days[~days.isin(AbstractHolidayCalendar(rules=NEW_YEAR).holidays(first, last))]


def _trading_days(first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Days on which prices move."""
    days = _price_days(first, last)
    return days[~days.isin(AbstractHolidayCalendar(rules=EXCHANGE_HOLIDAYS).holidays(first, last))]


def _is_singapore_holiday(days: pd.DatetimeIndex) -> Flags:
    """Whether a weekday is no trading day, National Day or in the first two of Chinese New Year."""
    festival = days.isin(SPRING_FESTIVALS) | days.isin(SPRING_FESTIVALS + pd.Timedelta(days=1))
    is_open = days.isin(_trading_days(days[0], days[-1]))
    return np.asarray(~is_open | festival | (days.strftime("%m-%d") == "08-09"))


def _is_chinese_holiday(days: pd.DatetimeIndex) -> Flags:
    """Whether a day is in the week from Chinese New Year's Eve, or in 1 to 7 October."""
    spring = [days.isin(SPRING_FESTIVALS + pd.Timedelta(days=offset)) for offset in range(-1, 6)]
    golden_week = days.strftime("%m-%d").isin([f"10-0{day}" for day in range(1, 8)])
    return np.asarray(np.any(spring, axis=0) | golden_week)


def _is_listed(days: pd.DatetimeIndex, contracts: pd.PeriodIndex, *, years: int) -> Flags:
    """Whether a contract has a row on a day, (T, C): until the last trading day of its month."""
    calendar = _trading_days(FIRST_DAY, contracts[-1].end_time.normalize())
    last_days = calendar.to_series().groupby(calendar.to_period("M")).max().reindex(contracts)
    is_young = contracts.year.to_numpy() - days.year.to_numpy()[:, None] <= years
    return np.asarray(is_young & (days.to_numpy()[:, None] <= last_days.to_numpy()))


def _months_ahead(days: pd.DatetimeIndex, contracts: pd.PeriodIndex) -> NDArray[np.int64]:
    """Months from the day's own to the contract's, (T, C)."""
    return contracts.asi8 - days.to_period("M").asi8[:, None]


# --- the curve ------------------------------------------------------------------------------------

START_PRICE_62 = 160.0
"""Price for delivery on the first day, USD/dmt."""
START_PREMIUM_65 = 0.12
"""Log of the 65 % price over the 62 % price on the first day."""
LONG_DRIFT = -0.02
"""Slope of the first curve, log price per year (backwardation)."""
SHORT_REVERSION = 1.5
"""Mean reversion of the short-term factor, per year: a half-life of five and a half months."""
PREMIUM_REVERSION = 2.0
SHORT_DEVIATION = 0.32 / np.sqrt(252)
"""Daily standard deviation of the shock to the short-term factor, log price."""
LONG_DEVIATION = 0.10 / np.sqrt(252)
PREMIUM_DEVIATION = 0.08 / np.sqrt(252)
DEGREES_OF_FREEDOM = 6.0
"""Of the Student t; the shocks of a day share its mixing variable, so they are large together."""
NEWS_WEIGHT = 0.10
"""Weight of yesterday's squared shock in today's variance (alpha of the GARCH)."""
VARIANCE_MEMORY = 0.82
"""Weight of yesterday's variance in today's (beta of the GARCH)."""
ASSESSMENT_DEVIATION = 0.003
"""Standard deviation of the log index around the spot price."""
ALWAYS_TRADED_MONTHS = 2
"""Months ahead up to which a 62 % contract trades every day; the roll needs two."""
TRADED_SHARE = 0.8
"""Factor on the share of traded days for each month further ahead."""


@dataclass(frozen=True)
class _Curve:
    """One grade on the trading days."""

    futures: Array
    """Price of each of `MONTHS`, (T, C), USD/dmt; flat after its own month."""
    spot: Array
    """Price for delivery on the day itself, (T,), USD/dmt."""


def _middles(months: pd.PeriodIndex) -> pd.DatetimeIndex:
    """Return the middle of each delivery month, the mean time of its settlement prices."""
    return months.start_time + pd.to_timedelta(months.days_in_month.to_numpy() / 2, unit="D")


def _years_until_delivery(days: pd.DatetimeIndex) -> Array:
    """Years from a day to the middle of each of `MONTHS`, (T, C); 0 from then on."""
    until = _middles(MONTHS).to_numpy() - days.to_numpy()[:, None]
    return np.asarray(np.maximum(until / np.timedelta64(1, "D"), 0.0) / 365.25)


def _held_variance(days: pd.DatetimeIndex) -> float:
    """Return the mean variance of the daily log return of the held 65 % contract, M+1."""
    years = _years_until_delivery(days)[_months_ahead(days, MONTHS) == 1]
    short = np.square(SHORT_DEVIATION * np.exp(-SHORT_REVERSION * years))
    premium = np.square(PREMIUM_DEVIATION * np.exp(-PREMIUM_REVERSION * years))
    return float((short + premium).mean() + LONG_DEVIATION**2)


def _averaging(days: pd.DatetimeIndex) -> Array:
    """Return the share of a shock that moves each contract, (T, C).

    In its own month a contract settles against the mean of the month's prices: on trading day k
    of N a shock changes only the N-k+1 remaining prices. After its month nothing moves it.
    """
    calendar = _trading_days(FIRST_DAY, LAST_DAY + pd.offsets.MonthEnd())
    by_month = calendar.to_series().groupby(calendar.to_period("M"))
    remaining = 1 - by_month.cumcount() / by_month.transform("size")
    ahead = _months_ahead(days, MONTHS)
    own_month = remaining.reindex(days).to_numpy()[:, None]
    return np.where(ahead > 0, 1.0, np.where(ahead == 0, own_month, 0.0))


def _shocks(num_days: int, *, rng: np.random.Generator) -> Array:
    """Draw fat-tailed, clustered shocks of unit variance: short-term, long-term, premium, (T, 3).

    The three are uncorrelated, yet share the day's volatility.
    """
    mixing = rng.chisquare(DEGREES_OF_FREEDOM, num_days)
    tails = np.sqrt((DEGREES_OF_FREEDOM - 2) / mixing)
    unit = rng.standard_normal((num_days, 3)) * tails[:, None]
    variance = np.ones(num_days)
    for row in range(1, num_days):
        # The short-term factor dominates the front of the curve.
        reaction = NEWS_WEIGHT * unit[row - 1, 0] ** 2 + VARIANCE_MEMORY
        variance[row] = 1 - NEWS_WEIGHT - VARIANCE_MEMORY + reaction * variance[row - 1]
    return unit * np.sqrt(variance)[:, None]


def _simulate_curves(
    days: pd.DatetimeIndex, *, noise: Array, planted: pd.Series
) -> tuple[_Curve, _Curve]:
    """Simulate both grades by common shocks; the 65 % curve also has those of its premium.

    Shocks to a mean-reverting factor fade with the time to delivery.

    Args:
        days: Trading days, (T,).
        noise: Unpredictable shocks, (T, 3).
        planted: Predictable part of the next day's return, (T,), per cent.

    Returns:
        The 62 % and the 65 % curve.
    """
    years = _years_until_delivery(days)
    short = SHORT_DEVIATION * np.exp(-SHORT_REVERSION * years)
    premium = PREMIUM_DEVIATION * np.exp(-PREMIUM_REVERSION * years)
    known = planted.shift(1, fill_value=0.0).to_numpy() / 100
    common = LONG_DEVIATION * noise[:, 1] + known
    moves = short * noise[:, [0]] + common[:, None]
    variance = np.square(short) + LONG_DEVIATION**2
    start = np.log(START_PRICE_62) + LONG_DRIFT * years[0]
    return _build_curve(days, moves=moves, variance=variance, start=start), _build_curve(
        days,
        moves=moves + premium * noise[:, [2]],
        variance=variance + np.square(premium),
        start=start + START_PREMIUM_65,
    )


def _build_curve(days: pd.DatetimeIndex, *, moves: Array, variance: Array, start: Array) -> _Curve:
    """Add up log returns, with the settlement averaging (futures) and without it (spot).

    The spot price lies between the two delivery months whose middles are around the day.
    """
    share = _averaging(days)
    futures = start + np.cumsum(share * moves - share**2 * variance / 2, axis=0)
    unaveraged = start + np.cumsum(moves - variance / 2, axis=0)
    middles = _middles(MONTHS).to_numpy()
    rows, before = np.arange(len(days)), np.searchsorted(middles, days.to_numpy()) - 1
    weight = (days.to_numpy() - middles[before]) / (middles[before + 1] - middles[before])
    spot = (1 - weight) * unaveraged[rows, before] + weight * unaveraged[rows, before + 1]
    return _Curve(futures=np.exp(futures), spot=np.exp(spot))


def _closes_65(curve: _Curve, *, days: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a settlement of every listed contract on trading days, blank on holidays."""
    rows = _price_days(FIRST_DAY_65, LAST_DAY)
    closes = pd.DataFrame(curve.futures.round(2), index=days, columns=MONTHS)[CONTRACTS_65]
    return closes.reindex(rows).where(_is_listed(rows, CONTRACTS_65, years=LISTED_YEARS_65))


def _closes_62(curve: _Curve, *, days: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Return a close where a contract traded; a holiday repeats the day before."""
    rows = _price_days(FIRST_DAY, LAST_DAY)
    far = np.maximum(_months_ahead(days, CONTRACTS_62) - ALWAYS_TRADED_MONTHS, 0)
    is_traded = rng.random(far.shape) < TRADED_SHARE**far
    closes = pd.DataFrame(curve.futures.round(2), index=days, columns=MONTHS)[CONTRACTS_62]
    shown = closes.where(is_traded).reindex(rows, method="ffill")
    return shown.where(_is_listed(rows, CONTRACTS_62, years=LISTED_YEARS_62))


def _indices(
    curve_62: _Curve, curve_65: _Curve, *, days: pd.DatetimeIndex, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the spot prices with independent assessment errors."""
    rows = _weekdays(FIRST_DAY_INDEX, LAST_DAY)
    errors = rng.normal(0.0, ASSESSMENT_DEVIATION, (len(days), 2))
    spot = np.column_stack([curve_62.spot, curve_65.spot]) * np.exp(errors)
    assessed = pd.DataFrame(spot.round(2), index=days, columns=["62 Index", "65 Index"])
    return assessed[~_is_singapore_holiday(days)].reindex(rows)


# --- the drivers ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DriverProcess:
    """A mean-reverting driver, moved by its own shocks and the market's."""

    mean: float
    """In the driver's unit, like every value that is not a share."""
    persistence: float
    """Share of the distance from the mean that remains one row later."""
    deviation: float
    """Standard deviation of its own shocks per row."""
    response: float = 0.0
    """Move per 1 % gain of the 62 % spot price; 0 is independent of the market."""
    positive: bool = False
    """Whether the distance from the mean acts on the logarithm, so that no value is below 0."""
    decimals: int
    first_day: str = "2019-01-02"
    is_chinese: bool = True
    """Whether it is blank on Chinese holidays; other daily drivers are on those of Singapore."""


DRIVERS = {
    "Ukraine Concentrate fines": DriverProcess(
        mean=1000, persistence=0.995, deviation=8, response=6, positive=True, decimals=0
    ),
    "lump premium": DriverProcess(
        mean=0.2, persistence=0.98, deviation=0.011, decimals=4, is_chinese=False
    ),
    "IOCJ Import margin": DriverProcess(
        mean=0, persistence=0.93, deviation=11, response=-3, decimals=2, first_day="2022-01-04"
    ),
    "rebar steel margin": DriverProcess(mean=100, persistence=0.99, deviation=20, decimals=0),
    "indian pellet premium": DriverProcess(
        mean=15, persistence=0.99, deviation=0.8, decimals=2, first_day="2020-03-30"
    ),
    "(IOCJ+SSF)/2-PBF": DriverProcess(
        mean=-14, persistence=0.96, deviation=5, response=0.8, decimals=1, first_day="2021-01-04"
    ),
}
"""The daily drivers by header, in the order of the file."""
BLANK_SHARE = 0.02
"""Share of the days, holidays aside, on which a Chinese driver has no value."""
INVENTORY = DriverProcess(
    mean=1500, persistence=0.97, deviation=40, positive=True, decimals=2, first_day="2017-06-20"
)
"""Weekly stock of Carajas fines, 10 kt; a row is a week."""
SHIPMENT = DriverProcess(
    mean=400, persistence=0.6, deviation=45, positive=True, decimals=1, is_chinese=False
)
"""Weekly shipments of Carajas fines, 10 kt; a row is a week."""
PLANTED_SHARES = {"lump premium": 0.5, "rebar steel margin": 0.5}
"""Drivers whose rise predicts a rise on the next day, each with its share of the signal.

Neither responds to the market, so no other driver predicts the same.
"""


def _simulate_drivers(
    drivers: Mapping[str, DriverProcess], *, news: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw drivers as they are written, (T, F); `news` is the 62 % spot log return, per cent."""
    rows = _weekdays(FIRST_DAY_GROUP, LAST_DAY)
    moves = news.reindex(rows, fill_value=0.0).to_numpy()
    table = {}
    for name, driver in drivers.items():
        shocks = driver.deviation * rng.standard_normal(len(rows)) + driver.response * moves
        is_missed = rng.random(len(rows)) < BLANK_SHARE
        if driver.is_chinese:
            is_blank = _is_chinese_holiday(rows) | is_missed
        else:
            is_blank = _is_singapore_holiday(rows)
        level = pd.Series(_levels(driver, shocks), index=rows)
        table[name] = level.mask(is_blank | (rows < pd.Timestamp(driver.first_day)))
    return pd.DataFrame(table)


def _levels(process: DriverProcess, shocks: Array) -> Array:
    """Return the levels of a mean-reverting process, (T,), which starts in its stationary state."""
    inputs = shocks / (1 - process.persistence)
    inputs[0] = shocks[0] / np.sqrt(1 - process.persistence**2)
    # This weighted mean is the recursion: `persistence` times the row before, plus the shock.
    weighted = pd.Series(inputs).ewm(alpha=1 - process.persistence, adjust=False).mean()
    distance = weighted.to_numpy()
    if process.positive:
        levels = process.mean * np.exp(distance / process.mean)
    else:
        levels = process.mean + distance
    return np.asarray(levels.round(process.decimals) + 0.0)  # no negative zero


def _planted(drivers: pd.DataFrame, *, days: pd.DatetimeIndex, variance: float) -> pd.Series:
    """Return the predictable part of the next day's return, from the drivers as written.

    A blank is no change; the value after it has the whole change, so blanks keep the variance.

    Args:
        drivers: As written, (T, F), with at least those of `PLANTED_SHARES`.
        days: Trading days, (T,).
        variance: Of the predictable part of log returns.

    Returns:
        By trading day, (T,), per cent.
    """
    changes = drivers.ffill().reindex(days, method="ffill").diff().fillna(0.0)
    planted = pd.Series(0.0, index=days, name="planted")
    for name, share in PLANTED_SHARES.items():
        deviation = DRIVERS[name].deviation * np.sqrt(2 / (1 + DRIVERS[name].persistence))
        planted += 100 * np.sqrt(variance * share) * changes[name] / deviation
    return planted


def _simulate_weekly(
    process: DriverProcess, *, frequency: str, rng: np.random.Generator
) -> pd.Series:
    """Return a weekly series, (T,), 10 kt; Chinese ones have no row on holidays."""
    weeks = pd.date_range(process.first_day, LAST_DAY, freq=frequency, name="Date").as_unit("ns")
    if process.is_chinese:
        weeks = weeks[~_is_chinese_holiday(weeks)]
    shocks = process.deviation * rng.standard_normal(len(weeks))
    return pd.Series(_levels(process, shocks), index=weeks)


# --- the files ------------------------------------------------------------------------------------


def write_market(market: SimulatedMarket, folder: Path) -> None:
    """Write the six raw files with the quirks of the real ones; equal markets give equal bytes.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_contracts(
        folder / "Raw_M65F_DSP.pkl", market.closes_65, header="Settlement", years=LISTED_YEARS_65
    )
    _write_contracts(
        folder / "Raw_FEF_Close.pkl", market.closes_62, header="Close", years=LISTED_YEARS_62
    )
    group = _cells(market.group, decimals=[driver.decimals for driver in DRIVERS.values()])
    # The real header of this one column ends in a space.
    header = ",".join(["Date", *DRIVERS]).replace("rebar steel margin", "rebar steel margin ")
    _write_lines(folder / "group.csv", [header, *group])
    index = _cells(market.index, decimals=[2, 2], is_iso=True)
    _write_lines(folder / "Raw_65and62_Index.csv", ["Date,62 Index,65 Index", *reversed(index)])
    inventory = _cells(market.inventory.to_frame(), decimals=[INVENTORY.decimals])
    padded = [f"{line} ," for line in reversed(inventory)]
    _write_lines(folder / "IOCJ Inventory.csv", ["Date,IOCJ Inventory,", *padded])
    shipment = _cells(market.shipment.to_frame(), decimals=[SHIPMENT.decimals])
    lines = ["Date,IOCJ Weekly shipment", *shipment, *[","] * 4]
    _write_lines(folder / "IOCJ Weekly Shipment.csv", lines)


def _write_contracts(path: Path, closes: pd.DataFrame, *, header: str, years: int) -> None:
    """Pickle one series per contract, with the rows of its listing only."""
    days, columns = pd.DatetimeIndex(closes.index), pd.PeriodIndex(closes.columns)
    listings = _is_listed(days, columns, years=years).T
    contracts = {
        contract: closes[contract][is_listed].rename(header)
        for contract, is_listed in zip(columns, listings, strict=True)
    }
    path.write_bytes(pickle.dumps(contracts, protocol=4))


def _cells(table: pd.DataFrame, *, decimals: Iterable[int], is_iso: bool = False) -> list[str]:
    """Return each row as a line: its date (D/M/YYYY or ISO), and an empty cell for a blank."""
    days = pd.DatetimeIndex(table.index)
    dates = [f"{day:%Y-%m-%d}" if is_iso else f"{day.day}/{day.month}/{day.year}" for day in days]
    columns = [
        ["" if np.isnan(value) else f"{value:.{places}f}" for value in table.iloc[:, column]]
        for column, places in enumerate(decimals)
    ]
    return [",".join(cells) for cells in zip(dates, *columns, strict=True)]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write as spreadsheets do: a byte order mark, and CRLF after each line."""
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("utf-8-sig"))
