"""The ledger of looks: how often forecasts were assessed on the same test days.

Who tries again and again on the same days finds a good result by luck, whether the tries are trials
of a search or single runs. The ledger is one SQLite file beside the run folders, so that it
remembers a run whose folder is gone.
"""

import datetime
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ironore_lightning.errors import ConfigError, MachineError, machine_errors
from ironore_lightning.files import readable

if TYPE_CHECKING:  # the start of a multirun checks the ledger and has no time for pandas
    from ironore_lightning.evaluation.days import Floats, ScoredDays

VARIABLE = "IRONORE_LOOKS"
"""Environment variable that names the ledger; if it is empty, looks are not counted.

It is no setting of a run: settings may come from a stranger's folder, which must not choose a file
that is written.
"""

DEFAULT = "outputs/looks.sqlite"

PATIENCE_SECONDS = 60.0
"""How long to wait for other processes, each of which takes milliseconds."""

TOLERANCE = 0.01
"""Relative difference within which outcomes agree, as log and simple returns do."""

ROUNDING = 0.05
"""The same as a share of the mean size of the outcomes, for those written with few decimals."""

SCHEMA = (
    "CREATE TABLE windows (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE)",
    "CREATE TABLE test_days (window INTEGER NOT NULL, date TEXT NOT NULL, outcome REAL NOT NULL, "
    "PRIMARY KEY (window, date)) WITHOUT ROWID",
    "CREATE INDEX test_days_by_date ON test_days (date)",
    "CREATE TABLE looks (id INTEGER PRIMARY KEY, window INTEGER NOT NULL, "
    "forecasts TEXT NOT NULL, seen_at TEXT NOT NULL, what TEXT NOT NULL, "
    "UNIQUE (window, forecasts))",
)

# A window shares days with another if at least half of the dates in both have the same outcome:
# some may have been restated, and on some days no market moves.
COUNT_SHARED = """
SELECT count(*) FROM looks WHERE id <= :look AND window IN (
    SELECT other.window FROM test_days AS own JOIN test_days AS other ON own.date = other.date
    WHERE own.window = :window GROUP BY other.window
    HAVING 2 * sum(abs(own.outcome - other.outcome)
                   <= max(:tolerance * max(abs(own.outcome), abs(other.outcome)), :rounding))
           >= count(*)
)
"""

BUSY_OR_REFUSED = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""Errors of the machine; all others are those of a file that is no ledger."""


def ledger_path(directory: Path) -> Path | None:
    """Return the ledger that the environment names; None if looks are not counted.

    Args:
        directory: Where a relative path starts: where the command was given.
    """
    name = os.environ.get(VARIABLE, DEFAULT)
    return directory / name if name else None


def require_ledger(ledger: Path | None) -> None:
    """Create the ledger if it is missing, and raise as `count_look` does if it cannot be used."""
    if ledger is not None:
        with _open(ledger):
            pass


def count_look(ledger: Path | None, days: "ScoredDays", *, what: object) -> int | None:
    """Record an assessment, and return how many there have been of these days, this one included.

    Looks at windows that overlap count each other, also where the outcome is another kind of return
    or rounded. The same dates of another market do not. The same forecasts of the same days are the
    same look, which keeps its number.

    Args:
        ledger: Its file; None counts nothing.
        days: Forecasts and outcomes, of which at least one.
        what: The run or file that is assessed, for people who read the ledger.

    Returns:
        1 for the first look; None without a ledger.

    Raises:
        MachineError: If the operating system refuses the file.
        ConfigError: If it is no ledger, or damaged.
    """
    if ledger is None:
        return None
    dates = [f"{date:%Y-%m-%d}" for date in days.dates]
    forecasts = _digest(dates, days.forecast)
    with _open(ledger) as connection:
        window = _window(connection, dates, days.actual)
        now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
        connection.execute(
            "INSERT OR IGNORE INTO looks (window, forecasts, seen_at, what) VALUES (?, ?, ?, ?)",
            (window, forecasts, now, readable(what)),
        )
        wanted = "SELECT id FROM looks WHERE window = ? AND forecasts = ?"
        (look,) = connection.execute(wanted, (window, forecasts)).fetchone()
        rounding = ROUNDING * float(abs(days.actual).mean())
        values = {"look": look, "window": window, "tolerance": TOLERANCE, "rounding": rounding}
        (number,) = connection.execute(COUNT_SHARED, values).fetchone()
    return int(number)


def _window(connection: sqlite3.Connection, dates: list[str], actual: "Floats") -> int:
    """Return the id of a window of days, which is stored if it is new."""
    digest = _digest(dates, actual)
    wanted = "SELECT id FROM windows WHERE digest = ?"
    if known := connection.execute(wanted, (digest,)).fetchone():
        return int(known[0])
    window = connection.execute("INSERT INTO windows (digest) VALUES (?)", (digest,)).lastrowid
    assert window is not None
    rows = [(window, date, float(value)) for date, value in zip(dates, actual, strict=True)]
    connection.executemany("INSERT INTO test_days VALUES (?, ?, ?)", rows)
    return window


def _digest(dates: list[str], values: "Floats") -> str:
    """Return a hash of values by date; processors differ in digits beyond the ninth."""
    # Adding zero takes the sign off a negative zero.
    lines = [f"{date} {value + 0.0:.9g}\n" for date, value in zip(dates, values, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@contextmanager
def _open(ledger: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger for one transaction, which happens whole or not at all."""
    with machine_errors(ledger):
        ledger.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(ledger, PATIENCE_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            _require_schema(ledger, connection)
            yield connection
            connection.execute("COMMIT")  # closing without it takes everything back
    except sqlite3.Error as error:
        # The low byte is the kind of the error; the others say more about it.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        kind = MachineError if code in BUSY_OR_REFUSED else ConfigError
        raise kind(
            f"{ledger}: the ledger of looks cannot be used: {error}; repair it, name another file "
            f"with {VARIABLE}=FILE, or count no looks with {VARIABLE}="
        ) from None


def _require_schema(ledger: Path, connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file; raise `ConfigError` for a database of something else."""
    select = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        for statement in SCHEMA:
            connection.execute(statement)
    if {statement for (statement,) in connection.execute(select)} != {*SCHEMA}:
        raise ConfigError(
            f"{ledger}: is a database, but no ledger of looks of this version; name another file "
            f"with {VARIABLE}=FILE"
        )
