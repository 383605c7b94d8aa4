"""The verdict on a file of forecasts, or on the predictions of a finished run."""

import datetime
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.evaluation.assessment import Assessment, assess
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.labels import direction_label
from ironore_lightning.evaluation.metrics import evaluate
from ironore_lightning.judge.forecast_file import read_forecast_file
from ironore_lightning.judge.outcomes import UNDECLARED, take_from_file, take_from_market
from ironore_lightning.run_folder.forecast_tables import has_tables, read_forecasts
from ironore_lightning.run_folder.layout import require_local_files
from ironore_lightning.run_folder.looks import count_look
from ironore_lightning.run_folder.record import RunRecord, require_test_days
from ironore_lightning.settings.experiment import Config
from ironore_lightning.summary.membership import member_evidence, read_membership


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdict on some forecasts.

    Attributes:
        file: Where they are.
        config: Settings by which they are judged.
        days: The days that count.
        assessment: Scores, tests, intervals, trading and grade.
        sentence: The verdict.
        notes: Which days do not count, and what is not known.
    """

    file: Path
    config: Config
    days: ScoredDays
    assessment: Assessment
    sentence: str
    notes: tuple[str, ...]


def judge_run(folder: Path, *, looks: Path | None) -> Judgement:
    """Return the verdict on the test days of a finished run, which is the run's own.

    Raises:
        ConfigError: If the folder, which may be a stranger's, holds no finished run.
    """
    require_local_files(folder)
    require_test_days(folder)
    record = RunRecord.read(folder)
    config = record.settings
    if not has_tables(folder):
        raise ConfigError(
            f"{folder}: its test days were never assessed; python -m ironore_lightning.evaluate "
            f"{folder} does that"
        )
    forecasts = read_forecasts(folder, config.target.kind)
    days = forecasts.test_days(config.target)
    member = read_membership(folder)
    notes = (f"Earned so far: {member_evidence([member])}.",) if member else ()
    file = folder / "predictions.csv"
    judgement = _judge(
        file, config, days, forecasts.baselines, forecasts.density, notes, looks=looks
    )
    left_out = (record.left_out.sentence,) if record.left_out else ()
    return replace(judgement, sentence=" ".join([judgement.sentence, *left_out, *notes]))


def judge_file(
    path: Path,
    config: Config,
    *,
    has_market: bool,
    trained_until: datetime.date | None,
    looks: Path | None,
) -> Judgement:
    """Return the verdict on anybody's forecasts.

    Args:
        path: The file.
        config: Target, rules of the grade and, if it is to be used, the market.
        has_market: Whether outcomes are those of the market; otherwise the file holds them.
        trained_until: Last day that the forecaster was trained on; returns that begin earlier do
            not count.
        looks: Ledger that counts the look.

    Raises:
        DataError: If the file is damaged or does not fit the market, or too few days count.
    """
    file = read_forecast_file(path)
    if has_market:
        judged = take_from_market(file, config, trained_until)
    elif file.has_actual:
        judged = take_from_file(file, config.target, trained_until)
    else:
        unit = "per cent" if config.target.is_return else config.target.unit_name
        raise DataError(
            f"{file.name}: there is no column 'actual'; add the outcomes in {unit}, or name the "
            "market that has them, as in data=original data.root=../raw"
        )
    no_density = pd.DataFrame(index=judged.days.frame.index)
    return _judge(
        path, config, judged.days, judged.baselines, no_density, judged.notes, looks=looks
    )


def _judge(
    file: Path,
    config: Config,
    days: ScoredDays,
    baselines: pd.DataFrame,
    density: pd.DataFrame,
    notes: tuple[str, ...],
    *,
    looks: Path | None,
) -> Judgement:
    """Count the look, and assess as the end of a run does."""
    look = count_look(looks, days, what=file)
    label = direction_label(evaluate(days), config.thresholds)
    assessment = assess(days, baselines, density, config.evaluation, label=label, look=look)
    sentence = assessment.verdict
    if (undeclared := days.rhythm.words(UNDECLARED)) in notes:
        sentence = f"{sentence} {undeclared}"
    return Judgement(file, config, days, assessment, sentence, notes)
