"""A finished run as its folder tells it: what is known, typed and bounded, and nothing else."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from ironore_lightning.config.experiment import Config
from ironore_lightning.config.settings import Day
from ironore_lightning.errors import single_line
from ironore_lightning.record import PROVENANCE_FILE, RESULTS_FILE, read_json

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A SHA-256."""


class Known(BaseModel):
    """What is taken from a file of a run folder; whatever else it holds is left there."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Span(Known):
    """First and last day of some rows."""

    first_date: Day
    last_date: Day


class Segment(Span):
    """Outcomes of a segment of the split."""

    segment: str


class Training(Known):
    """How the fit went."""

    num_parameters: int = Field(ge=0, lt=2**63)
    seconds: float = Field(ge=0)
    best_score: float


class TestScores(Known):
    """What was reached on the test segment; None where undefined."""

    rmse: float
    direction_accuracy: float | None
    r2_zero: float | None


class Evidence(Known):
    """The grade that was earned, in one line."""

    line: Annotated[str, Field(max_length=1000), AfterValidator(single_line)]


class Evaluation(Known):
    """What the test segment said."""

    scores: TestScores
    evidence: Evidence


class Results(Known):
    """What is known of `final_results.json`."""

    settings: Config
    split: tuple[Segment, ...]
    training_rows: Span
    training: Training
    evaluation: Evaluation

    @field_validator("split")
    @classmethod
    def _has_three_segments(cls, split: tuple[Segment, ...]) -> tuple[Segment, ...]:
        if [part.segment for part in split] != ["train", "val", "test"]:
            raise ValueError("its segments must be train, val and test")
        return split


class Provenance(Known):
    """What is known of `provenance.json`: SHA-256 by file, of the table, and by training column."""

    input_sha256: dict[str, Digest]
    table_sha256: Digest
    training_sha256: dict[str, Digest]


class RunRecord(Results, Provenance):
    """A finished run.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of a finished run, whoever wrote it.

        Raises:
            ConfigError: If the folder holds none, or one of another version.
        """
        results = read_json(folder / RESULTS_FILE, Results)
        made_of = read_json(folder / PROVENANCE_FILE, Provenance)
        return cls(folder=folder, **dict(results), **dict(made_of))

    @property
    def validation(self) -> Span:
        """Outcomes of the validation segment."""
        _, validation, _ = self.split
        return validation
