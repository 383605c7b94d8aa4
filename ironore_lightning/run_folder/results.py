"""A run, its result, and their JSON files; `record` reads `final_results.json` back."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch.loggers import Logger

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.data.panel import Panel
from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.comparison import as_table
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import Forecasts, days_of
from ironore_lightning.evaluation.labels import Labels
from ironore_lightning.evaluation.left_out import LeftOut
from ironore_lightning.evaluation.metrics import Scores, evaluate
from ironore_lightning.evaluation.significance import Interval
from ironore_lightning.files import read_json, write_json
from ironore_lightning.model.facts import TrainingFacts
from ironore_lightning.model.training import TrainedNetwork
from ironore_lightning.run_folder.layout import RESULTS_FILE
from ironore_lightning.settings.experiment import Config


@dataclass(frozen=True)
class FittedRun:
    """A run that is trained and validated.

    Attributes:
        config: All settings of the run.
        folder: The run folder.
        panel: The market.
        datamodule: Its samples.
        trained: The network of the best epoch, and its outputs.
        predictions: Its forecasts of every sample, see `Forecasts`.
        loggers: Those of its fit, still open; none of a run that has finished.
    """

    config: Config
    folder: Path
    panel: Panel
    datamodule: WindowDataModule
    trained: TrainedNetwork
    predictions: pd.DataFrame
    loggers: Sequence[Logger] = ()

    @property
    def facts(self) -> TrainingFacts:
        """How the fit went."""
        return self.trained.facts

    @property
    def objective(self) -> float:
        """Best `monitor` on the validation segment, which a search minimises."""
        return self.facts.best_score

    @cached_property
    def validation(self) -> Scores:
        """Scores on the validation segment."""
        return evaluate(days_of(self.predictions, "val", self.config.target))


@dataclass(frozen=True)
class RunResult:
    """The result of a run that is assessed on its test days.

    Attributes:
        run: Its settings, folder, samples and network.
        forecasts: Forecasts of the best epoch and of the baselines.
        assessment: Scores, tests, intervals, trading and grade of the test segment.
        labels: The original system's words for the scores.
        sentence: The verdict, which the console prints before the paths.
        left_out: What the model scored on test days that break days leave out; None without any.
        importance: Points of R2 against zero that each driver is worth on the test days.
    """

    run: FittedRun
    forecasts: Forecasts
    assessment: Assessment
    labels: Labels
    sentence: str
    left_out: LeftOut | None
    importance: dict[str, Interval]

    @property
    def predictions(self) -> pd.DataFrame:
        """Forecasts of every sample with their bounds, see `Forecasts`."""
        return self.forecasts.predictions

    @property
    def scores(self) -> pd.DataFrame:
        """Test scores of the model and the baselines, a row each."""
        return as_table(self.assessment.table)

    @property
    def days(self) -> ScoredDays:
        """The days of the test segment."""
        return self.forecasts.test_days(self.run.config.target)


def write_fit(run: FittedRun) -> None:
    """Write the record of a run, without an evaluation."""
    training = run.datamodule.training_rows.index
    record = {
        "settings": run.config.model_dump(mode="json"),
        "split": run.datamodule.table.to_dict("records"),
        "training_rows": {
            "first_date": f"{training[0]:%Y-%m-%d}",
            "last_date": f"{training[-1]:%Y-%m-%d}",
        },
        "training": asdict(run.facts),
        "validation": asdict(run.validation),
        "evaluation": None,
    }
    write_json(run.folder / RESULTS_FILE, record)


def write_results(result: RunResult) -> None:
    """Write the assessment, also into the record of the run if the folder is that of a run."""
    folder, evaluation = result.run.folder, _evaluation(result)
    write_json(folder / "evaluation_results.json", evaluation)
    if not (folder / RESULTS_FILE).exists():
        return
    record = read_json(folder / RESULTS_FILE, dict[str, Any])
    write_json(folder / RESULTS_FILE, {**record, "evaluation": evaluation})


def _evaluation(result: RunResult) -> dict[str, Any]:
    return {
        "segment": "test",
        "mape_is": "of the price rebuilt from the return; of a return it has no meaning",
        **asdict(result.assessment),
        "left_out": asdict(result.left_out) if result.left_out else None,
        "importance": {name: asdict(points) for name, points in result.importance.items()},
        "labels": asdict(result.labels),
        "sentence": result.sentence,
    }
