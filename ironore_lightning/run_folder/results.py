"""The result of a run, and its tables and JSON files; `record` reads `final_results.json` back."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ironore_lightning.data.datamodule import WindowDataModule
from ironore_lightning.evaluation.assessment import Assessment
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.forecasts import Forecasts
from ironore_lightning.evaluation.labels import Labels
from ironore_lightning.evaluation.left_out import LeftOut
from ironore_lightning.files import write_csv, write_json
from ironore_lightning.model.training import TrainingFacts
from ironore_lightning.run_folder.layout import RESULTS_FILE
from ironore_lightning.settings.experiment import Config


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        config: All settings of the run.
        folder: The run folder.
        facts: How the fit went.
        forecasts: Forecasts of the best epoch and of the baselines.
        assessment: Scores, tests, intervals, trading and grade of the test segment.
        labels: The original system's words for the scores.
        sentence: The verdict, the last line of the console.
        left_out: What the model scored on test days that break days leave out; None without any.
    """

    config: Config
    folder: Path
    facts: TrainingFacts
    forecasts: Forecasts
    assessment: Assessment
    labels: Labels
    sentence: str
    left_out: LeftOut | None

    @property
    def objective(self) -> float:
        """Best `monitor` on the validation segment, which a search minimises."""
        return self.facts.best_score

    @property
    def days(self) -> ScoredDays:
        """The days of the test segment."""
        return self.forecasts.test_days(self.config.target)


def write_results(result: RunResult, datamodule: WindowDataModule) -> None:
    """Write forecasts, assessment and, last, the record of the whole run."""
    folder, dates = result.folder, result.days.frame["date"]
    write_csv(folder / "predictions.csv", result.forecasts.predictions, index=False)
    forecasts = result.forecasts
    # As in "crps model", "pinball EWMA" and "unknown 62 Index".
    density, clues = (
        table.set_axis([" ".join(column) for column in table.columns.to_list()], axis=1)
        for table in (forecasts.density, forecasts.clues)
    )
    tables = {"baselines": forecasts.baselines, "density": density, "price_clues": clues}
    for name, frame in tables.items():
        write_csv(folder / f"{name}.csv", pd.concat([dates, frame], axis=1), index=False)
    evaluation = _evaluation(result)
    write_json(folder / "evaluation_results.json", evaluation)
    training = datamodule.training_rows.index
    record = {
        "settings": result.config.model_dump(mode="json"),
        "split": datamodule.table.to_dict("records"),
        "training_rows": {
            "first_date": f"{training[0]:%Y-%m-%d}",
            "last_date": f"{training[-1]:%Y-%m-%d}",
        },
        "training": asdict(result.facts),
        "evaluation": evaluation,
    }
    write_json(folder / RESULTS_FILE, record)


def _evaluation(result: RunResult) -> dict[str, Any]:
    return {
        "segment": "test",
        "mape_is": "of the price rebuilt from the return; of a return it has no meaning",
        **asdict(result.assessment),
        "left_out": asdict(result.left_out) if result.left_out else None,
        "labels": asdict(result.labels),
        "sentence": result.sentence,
    }
