"""The record of a finished run, read from the files that `results` and `provenance` write."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field

from ironore_lightning.errors import ConfigError, single_line
from ironore_lightning.evaluation.left_out import left_out_sentence
from ironore_lightning.files import read_json
from ironore_lightning.model.facts import TrainingFacts
from ironore_lightning.run_folder.layout import (
    PROVENANCE_FILE,
    RESULTS_FILE,
    require_local_files,
)
from ironore_lightning.settings.base import Day
from ironore_lightning.settings.experiment import Config

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A SHA-256."""

Line = Annotated[str, Field(max_length=1000), AfterValidator(single_line)]


def at_keys(*keys: str | int, default: object = ...) -> Any:  # noqa: ANN401 - as pydantic's Field
    """Return a field that is read from below some keys."""
    first, *rest = keys
    return Field(default=default, validation_alias=AliasPath(str(first), *rest))


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


class RefitFacts(Known):
    """What a refit says of itself in `final_results.json`.

    Attributes:
        of: Folder of the run that it is a refit of; a refit of a refit names the run, too.
        until: Newest day whose outcome it has learnt.
        learning_rates: Of each epoch; as many epochs as validation chose for the run.
        restated: Whether the run had learnt values that were others then.
        evidence: The grade that the run had earned, in one line; a refit earns none.
    """

    of: Line
    until: Day
    learning_rates: list[float]
    restated: bool
    evidence: Line

    @property
    def sentence(self) -> str:
        """Of what it is a refit, and until when."""
        restated = ", on values that were restated since" if self.restated else ""
        return f"refit of {self.of} until {self.until}{restated}"


class Results(Known):
    """Known fields of `final_results.json`: settings, split, training facts, evidence.

    A run that was not assessed, as most of a multirun, has no evidence. A refit has none of its
    own; its split is that of its `predictions.csv`, and its training facts are those of the run.
    """

    settings: Config
    validation_span: Validation = at_keys("split", 1)
    training_rows: Span
    training: TrainingFacts
    evidence: Line | None = at_keys("evaluation", "evidence", "line", default=None)
    left_out: LeftOutRecord | None = at_keys("evaluation", "left_out", default=None)
    refit: RefitFacts | None = None

    @property
    def earned(self) -> str | None:
        """The grade in one line, also of the run that a refit comes from; None if not assessed."""
        return self.refit.evidence if self.refit else self.evidence


class Provenance(Known):
    """Known fields of `provenance.json`: SHA-256 of files, table and training columns."""

    input_sha256: dict[str, Digest]
    table_sha256: Digest
    training_sha256: dict[str, Digest]


class RunRecord(Results, Provenance):
    """A finished run and its folder; without `evidence` it was not assessed."""

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


def read_run(folder: Path, root: str | None) -> RunRecord:
    """Read a finished run, with its data elsewhere if `root` is given.

    Raises:
        ConfigError: If the folder holds no finished run, or one of another version.
    """
    require_local_files(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no finished run: there is no such folder")
    run = RunRecord.read(folder)
    data = run.settings.data.without_saving_sample()  # the folder is untrusted: write nothing
    if root is not None:
        data = data.model_copy(update={"root": root, "sample": None})
    settings = run.settings.model_copy(update={"data": data})
    return run.model_copy(update={"settings": settings})


class _RefitOnly(Known):
    """What tells a refit from a run."""

    refit: RefitFacts | None = None


def read_refit(folder: Path) -> RefitFacts | None:
    """Return of what a folder is a refit; None of nothing, or without results.

    Raises:
        ConfigError: If the results cannot be read.
    """
    path = folder / RESULTS_FILE
    return read_json(path, _RefitOnly).refit if path.exists() else None


def require_test_days(folder: Path) -> None:
    """Raise `ConfigError` for a refit: it has learnt all its days, so none is left to test it."""
    if refit := read_refit(folder):
        raise ConfigError(
            f"{folder}: has no test days, as it is a {refit.sentence}; name {refit.of}, whose "
            "test days tell what it is worth"
        )
