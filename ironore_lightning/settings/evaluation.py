"""Settings of labels, evidence and report."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ironore_lightning.settings.base import Settings, Share


class ThresholdSettings(Settings):
    """Limits of the original system's labels."""

    plateau_tolerance: float = Field(ge=0)
    """Distance of the validation loss from the best one that still counts as a plateau."""
    fast_epoch_time: float = Field(gt=0)
    """Seconds an epoch."""
    medium_epoch_time: float = Field(gt=0)
    """Seconds an epoch."""
    quick_training_time: float = Field(gt=0)
    """Seconds a fit."""
    moderate_training_time: float = Field(gt=0)
    """Seconds a fit."""
    simple_model_params: int = Field(gt=0)
    """Parameters below which a network is called simple."""
    moderate_model_params: int = Field(gt=0)
    """Parameters below which a network is called moderate."""
    excellent_accuracy: float = Field(ge=0, le=100)
    """Direction accuracy, per cent, of a market that rises on half of its days."""
    good_accuracy: float = Field(ge=0, le=100)
    """The same for GOOD."""
    fair_accuracy: float = Field(ge=0, le=100)
    """The same for FAIR; below it is POOR."""
    strong_correlation: float = Field(ge=0, le=1)
    """Correlation of forecast and outcome that is called strong."""
    moderate_correlation: float = Field(ge=0, le=1)
    """Correlation of forecast and outcome that is called moderate."""
    low_rmse: float = Field(gt=0)
    """Per cent of return."""
    moderate_rmse: float = Field(gt=0)
    """RMSE that is still called moderate, per cent of return."""

    @model_validator(mode="after")
    def _are_in_order(self) -> Self:
        for low, high in (
            ("fast_epoch_time", "medium_epoch_time"),
            ("quick_training_time", "moderate_training_time"),
            ("simple_model_params", "moderate_model_params"),
            ("fair_accuracy", "good_accuracy"),
            ("good_accuracy", "excellent_accuracy"),
            ("moderate_correlation", "strong_correlation"),
            ("low_rmse", "moderate_rmse"),
        ):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}")
        return self


class EvaluationSettings(Settings):
    """Limits of the grade of evidence, bootstrap, intervals, and paper trading."""

    min_days: int = Field(ge=20)
    """Days with outcomes that do not overlap, below which the grade is INSUFFICIENT."""
    min_sign_days: int = Field(ge=2)
    """Days of each sign in forecast and market, below which the grade is INSUFFICIENT."""
    suggestive_p: float = Field(gt=0, le=0.5)
    """Largest p-value of slope and rotation test for SUGGESTIVE, at the first look."""
    supported_p: float = Field(gt=0, le=0.5)
    """Largest p-value of slope and rotation test for SUPPORTED, at the first look."""
    encompassing_p: float = Field(gt=0, le=0.5)
    """Largest p-value of what SUPPORTED must add to ridge and autoregressions."""
    block_days: int = Field(ge=5)
    """Length of the blocks for which skill is reported."""
    strong_p: float = Field(gt=0, le=0.5)
    """Largest p-value for STRONG of the skill, had the test days chosen it among all trials."""
    strong_days: int = Field(ge=20)
    """Scored days that STRONG needs."""
    strong_sharpe: Share
    """Smallest probability that the Sharpe ratio exceeds that of the luckiest trial, for STRONG."""
    strong_cost_bp: float = Field(ge=0)
    """Cost of a turn, one of `costs_bp`, after which STRONG still needs a profit."""
    suspect_lead: float = Field(gt=0, le=50)
    """Direction accuracy beyond that of the same signs in another order, points of per cent, that
    is too good to be true if its lower 95 % bound reaches it."""
    suspect_ic: Share
    """Correlation of forecast and outcome that is too good to be true if its lower 95 % bound
    reaches it."""
    bootstrap_repetitions: int = Field(ge=100, le=100_000)
    """How often the test days are drawn anew."""
    bootstrap_seed: int = Field(ge=0, lt=2**32)
    """Seed of these draws."""
    adaptation: float = Field(ge=0, lt=1)
    """Step by which the intervals' level follows its misses (gamma); 0 is plain split conformal."""
    trade_buffer: float = Field(ge=0)
    """Size of a forecast, per cent or in the unit of a target that is no return, below which the
    threshold strategy stays flat."""
    costs_bp: tuple[Annotated[float, Field(ge=0, le=10_000)], ...] = Field(
        strict=False, min_length=1, max_length=20
    )
    """Costs of a turn to show, in basis points of the notional."""

    @model_validator(mode="after")
    def _supported_is_stricter(self) -> Self:
        if self.supported_p > self.suggestive_p:
            raise ValueError("supported_p must not exceed suggestive_p")
        return self

    @model_validator(mode="after")
    def _strong_cost_is_shown(self) -> Self:
        if self.strong_cost_bp not in self.costs_bp:
            shown = ", ".join(f"{cost:g}" for cost in self.costs_bp)
            raise ValueError(f"strong_cost_bp must be one of costs_bp ({shown})")
        return self


class ReportSettings(Settings):
    """What is printed, and of which runs."""

    emoji: bool
    """Whether the console shows symbols."""
    detail: Literal["brief", "full"] = "brief"  # settings of older runs lack it
    """How much the console shows of what the log always has: `brief` is one screen, and `full` has
    the tables of scores, tests, intervals and profits."""
    assess_every_run: bool = False  # settings of older runs lack it
    """Whether a multirun assesses every run on its test days, and not only the trial that
    validation chose. Each is a look at these days."""
