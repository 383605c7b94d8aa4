"""The record of a finished run, read from the files that `results` and `provenance` write."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field

from ironore_lightning.errors import single_line
from ironore_lightning.evaluation.left_out import left_out_sentence
from ironore_lightning.files import read_json
from ironore_lightning.run_folder.layout import PROVENANCE_FILE, RESULTS_FILE
from ironore_lightning.settings.base import Day
from ironore_lightning.settings.experiment import Config

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A SHA-256."""

Line = Annotated[str, Field(max_length=1000), AfterValidator(single_line)]


def at_keys(*keys: str | int) -> Any:  # noqa: ANN401 - as pydantic's own Field
    """Return a field that is read from below some keys."""
    first, *rest = keys
    return Field(validation_alias=AliasPath(str(first), *rest))


class Known(BaseModel):
    """Known fields of a file; unknown ones are ignored."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, populate_by_name=True)


class Span(Known):
    """First and last day of some rows."""

    first_date: Day
    last_date: Day


class Validation(Span):
    """First and last outcome of the validation segment."""

    segment: Literal["val"]


class LeftOutRecord(Known):
    """What a run says of the test days that break days leave out."""

    dates: list[Day]
    direction_hits: int
    direction_days: int
    grade: Line = at_keys("evidence", "grade")

    @property
    def sentence(self) -> str:
        """What a verdict says of them."""
        return left_out_sentence(
            len(self.dates), self.direction_hits, self.direction_days, self.grade
        )


class Results(Known):
    """Known fields of `final_results.json`: settings, split, training facts, test scores."""

    settings: Config
    validation: Validation = at_keys("split", 1)
    training_rows: Span
    num_parameters: int = at_keys("training", "num_parameters")
    seconds: float = at_keys("training", "seconds")
    best_score: float = at_keys("training", "best_score")
    rmse: float = at_keys("evaluation", "scores", "rmse")
    direction_accuracy: float | None = at_keys("evaluation", "scores", "direction_accuracy")
    r2_zero: float | None = at_keys("evaluation", "scores", "r2_zero")
    evidence: Line = at_keys("evaluation", "evidence", "line")
    left_out: LeftOutRecord | None = Field(
        default=None, validation_alias=AliasPath("evaluation", "left_out")
    )


class Provenance(Known):
    """Known fields of `provenance.json`: SHA-256 of files, table and training columns."""

    input_sha256: dict[str, Digest]
    table_sha256: Digest
    training_sha256: dict[str, Digest]


class RunRecord(Results, Provenance):
    """A finished run and its folder."""

    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of a finished run; its files are untrusted.

        Raises:
            ConfigError: If the folder holds none, or one of another version.
        """
        results = read_json(folder / RESULTS_FILE, Results)
        made_of = read_json(folder / PROVENANCE_FILE, Provenance)
        return cls(folder=folder, **dict(results), **dict(made_of))
