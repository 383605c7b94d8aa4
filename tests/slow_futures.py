"""Continuous futures once more: loops over days and contracts, dictionaries and nothing else."""

import datetime
import math
import random

DAY = datetime.timedelta(days=1)
FIRST, LAST = datetime.date(2018, 1, 2), datetime.date(2023, 12, 29)
FURTHEST, LAST_DAY_OF_MONTH = 14, 15
"""Contracts trade from 14 months before their own month until the 15th of it."""


class Market:
    """Invented prices, volume and open interest: {day: {(year, month): number}}."""

    def __init__(self, seed, *, negative=False, blanks=0.0):
        rng = random.Random(seed)  # noqa: S311 - invented numbers
        self.prices, self.volume, self.open_interest, self.holidays = {}, {}, {}, []
        level, day = (8.0 if negative else 100.0), FIRST
        while day <= LAST:
            if day.weekday() < 5 and rng.random() < 0.025:
                self.holidays.append(day)
            elif day.weekday() < 5:
                level = level + rng.gauss(0, 0.5) if negative else level * (1 + rng.gauss(0, 0.01))
                self._add_day(rng, day, level, blanks)
            day += DAY

    def _add_day(self, rng, day, level, blanks):
        prices, volume, interest = {}, {}, {}
        for ahead in range(FURTHEST + 1):
            number = day.year * 12 + day.month - 1 + ahead
            contract = (number // 12, number % 12 + 1)
            if ahead == 0 and day.day > LAST_DAY_OF_MONTH:
                continue
            if rng.random() >= blanks:
                prices[contract] = round(level - 0.4 * ahead + rng.gauss(0, 0.05), 2)
            for figures, peak in ((volume, 40), (interest, 55)):
                distance = (30 * ahead + 15 - day.day - peak) / 30
                if rng.random() >= 0.03:
                    figures[contract] = int(9000 * math.exp(-(distance**2)) * rng.uniform(0.8, 1.2))
        self.prices[day], self.volume[day], self.open_interest[day] = prices, volume, interest

    @property
    def contracts(self):
        """All contracts, the nearest first."""
        return sorted({contract for prices in self.prices.values() for contract in prices})

    def last_days(self):
        """The last trading day of each contract, stated in advance."""
        return {contract: self._last_day(contract) for contract in self.contracts}

    def _last_day(self, contract):
        day = datetime.date(*contract, LAST_DAY_OF_MONTH)
        while day.weekday() > 4 or day in self.holidays:
            day -= DAY
        return day


def held_by_month(market, offset, listed):
    """The first listed contract from `offset` months on."""
    held = {}
    for day in market.prices:
        year, month = day.year, day.month + offset
        while True:
            if month > 12:
                year, month = year + 1, month - 12
            if month in listed:
                break
            month += 1
        held[day] = (year, month)
    return held


def held_until_last_price(market):
    """The nearest contract that is not over."""
    last = {}
    for day, prices in market.prices.items():
        for contract in prices:
            last[contract] = day
    return {
        day: next(contract for contract in sorted(last) if last[contract] >= day)
        for day in market.prices
    }


def held_until_last_day(market, days_before):
    """The nearest contract, until some trading days before its last one."""
    roll_days = {}
    for contract, last in market.last_days().items():
        day = last
        for _ in range(days_before):
            day -= DAY
            while day.weekday() > 4 or day in market.holidays:
                day -= DAY
        roll_days[contract] = day
    return {
        day: next(contract for contract in sorted(roll_days) if roll_days[contract] >= day)
        for day in market.prices
    }


def held_by_figures(figures):
    """The contract with the highest last known figure of the day before, and never back."""
    known, held, holder = {}, {}, None
    for day, own in figures.items():
        held[day] = holder
        known |= own
        for contract in sorted(known):
            if holder is None or contract < holder:
                continue
            if known[contract] > known[holder]:
                holder = contract
        if holder is None:
            holder = max(sorted(known), key=lambda contract: known[contract])
    return held


def held_by_calendar(market, entries):
    """The contract of the newest entry; `entries` are (first day, contract)."""
    held = {}
    for day in market.prices:
        begun = [contract for first, contract in entries if first <= day]
        held[day] = begun[-1] if begun else None
    return held


class SlowSeries:
    """The series of a held contract: lists by row."""

    def __init__(self, market, held, adjustment, *, positive=True):
        self.market, self.adjustment, self.positive = market, adjustment, positive
        self.days = [day for day, month in held.items() if month in market.prices[day]]
        self.contracts = [held[day] for day in self.days]
        self.raw = [market.prices[day][held[day]] for day in self.days]
        self.rolls = self._find_rolls()
        self.returns, self.changes = [math.nan], [math.nan]
        for row in range(1, len(self.days)):
            self._add_move(row)
        self.level, self.adjusted = self._levels()

    def _find_rolls(self):
        """By row of the first day of each newer contract: both prices on the roll day."""
        rolls = {}
        for row in range(1, len(self.days)):
            older, newer = self.contracts[row - 1], self.contracts[row]
            back = row - 1
            while older != newer:
                prices = self.market.prices[self.days[back]]
                if older in prices and newer in prices:
                    rolls[row] = (prices[older], prices[newer])
                    break
                back -= 1
        return rolls

    def _add_move(self, row):
        before, newer = self.raw[row - 1], self.contracts[row]
        times, plus = before, before
        if row in self.rolls:
            older_price, newer_price = self.rolls[row]
            prices = self.market.prices[self.days[row - 1]]
            plus = prices.get(newer, before + newer_price - older_price)
            times = prices.get(newer, before * newer_price / older_price)
        self.changes.append(self.raw[row] - plus)
        self.returns.append(math.log(self.raw[row] / times) if self.positive else math.nan)

    def _levels(self):
        """The level anchored at the oldest contract and the one anchored at the newest."""
        ratio, shift = [1.0], [0.0]
        for row in range(1, len(self.days)):
            older, newer = self.rolls.get(row, (1.0, 1.0))
            ratio.append(ratio[-1] * (newer / older))
            shift.append(shift[-1] + (newer - older))
        rows = range(len(self.days))
        if self.adjustment == "ratio":
            return (
                [self.raw[row] / ratio[row] for row in rows],
                [self.raw[row] * ratio[-1] / ratio[row] for row in rows],
            )
        if self.adjustment == "difference":
            return (
                [self.raw[row] - shift[row] for row in rows],
                [self.raw[row] + shift[-1] - shift[row] for row in rows],
            )
        return self.raw, self.raw


def target(moves, horizon):
    """The sum of the next moves, NaN where they are not known yet."""
    return [
        sum(moves[row + 1 : row + 1 + horizon]) if row + horizon < len(moves) else math.nan
        for row in range(len(moves))
    ]


def join(values, lag, days):
    """The newest value that is out on each day, and the rows since the one where it was new."""
    dates, number, newest, new_on = sorted(values), 0, None, 0
    joined, stale = [], []
    for row, day in enumerate(days):
        while number < len(dates) and dates[number] + lag * DAY <= day:
            newest, new_on, number = dates[number], row, number + 1
        joined.append(math.nan if newest is None else values[newest])
        stale.append(math.nan if newest is None else row - new_on)
    return joined, stale
