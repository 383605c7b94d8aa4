"""Labels of scores (the original system's words), and the sentence on the direction."""

from dataclasses import dataclass

from ironore_lightning.evaluation.metrics import Scores
from ironore_lightning.settings.evaluation import ThresholdSettings


@dataclass(frozen=True)
class Labels:
    """Labels of a run, which rate numbers and say nothing about significance.

    Attributes:
        complexity: SIMPLE, MODERATE or COMPLEX, by trainable parameters.
        training: QUICK, MODERATE or LENGTHY, by seconds of fitting.
        direction: EXCELLENT, GOOD, FAIR or POOR, by direction accuracy beyond the base rate.
        error: LOW, MODERATE or HIGH, by RMSE; blank unless it is in per cent of return.
        correlation: STRONG, MODERATE or WEAK.
    """

    complexity: str
    training: str
    direction: str
    error: str
    correlation: str


def label(
    scores: Scores,
    thresholds: ThresholdSettings,
    *,
    is_return: bool,
    num_parameters: int,
    training_seconds: float,
) -> Labels:
    """Return the labels of scores; an undefined score gets the lowest.

    Args:
        scores: Of the test days.
        thresholds: Limits of the labels.
        is_return: Whether the errors are in per cent of return, as their limits are.
        num_parameters: Trainable parameters.
        training_seconds: Of the fit.
    """
    correlation = scores.correlation or 0.0
    return Labels(
        complexity=_rank(
            num_parameters,
            (thresholds.simple_model_params, thresholds.moderate_model_params),
            ("SIMPLE", "MODERATE", "COMPLEX"),
        ),
        training=_rank(
            training_seconds,
            (thresholds.quick_training_time, thresholds.moderate_training_time),
            ("QUICK", "MODERATE", "LENGTHY"),
        ),
        direction=direction_label(scores, thresholds),
        error=_rank(
            scores.rmse,
            (thresholds.low_rmse, thresholds.moderate_rmse),
            ("LOW", "MODERATE", "HIGH"),
        )
        if is_return
        else "",
        correlation=_rank(
            -correlation,
            (-thresholds.strong_correlation, -thresholds.moderate_correlation),
            ("STRONG", "MODERATE", "WEAK"),
        ),
    )


def direction_label(scores: Scores, thresholds: ThresholdSettings) -> str:
    """Return EXCELLENT, GOOD, FAIR or POOR for a direction accuracy.

    The thresholds are for a market that rises on half of its days, so the lead of a constant sign
    over 50 % is subtracted.
    """
    accuracy = scores.direction_accuracy or 0.0
    if scores.up_share is not None:
        accuracy -= max(scores.up_share, 100 - scores.up_share) - 50
    if accuracy >= thresholds.excellent_accuracy:
        return "EXCELLENT"
    if accuracy >= thresholds.good_accuracy:
        return "GOOD"
    return "FAIR" if accuracy >= thresholds.fair_accuracy else "POOR"


def epoch_speed(seconds: float, thresholds: ThresholdSettings) -> str:
    """Return FAST, MEDIUM or SLOW for the seconds of an epoch."""
    bounds = (thresholds.fast_epoch_time, thresholds.medium_epoch_time)
    return _rank(seconds, bounds, ("FAST", "MEDIUM", "SLOW"))


def loss_trend(loss: float, best_before: float, thresholds: ThresholdSettings) -> str:
    """Return IMPROVING, PLATEAU or DECLINING for the validation loss of an epoch.

    Args:
        loss: Of the epoch.
        best_before: Lowest one of the epochs before, infinite in the first epoch.
        thresholds: How far from the best one is still a plateau.
    """
    if loss < best_before:
        return "IMPROVING"
    return "PLATEAU" if loss - best_before <= thresholds.plateau_tolerance else "DECLINING"


def direction_sentence(scores: Scores) -> str:
    """Return a sentence that compares the direction accuracy with guessing and a constant sign."""
    if scores.direction_accuracy is None:
        return "No test day moved, so there was no direction to forecast."
    assert scores.guessing_low is not None  # known if a day moved
    assert scores.guessing_high is not None
    assert scores.up_share is not None
    mostly_up = scores.up_share >= 100 - scores.up_share
    constant = "up" if mostly_up else "down"
    share = scores.up_share if mostly_up else 100 - scores.up_share
    is_same = scores.days_apart == scores.direction_days
    where = "as many days" if is_same else f"the {scores.days_apart} whose returns do not overlap"
    return (
        f"Direction was right on {scores.direction_hits} of {scores.direction_days} test days "
        f"({scores.direction_accuracy:.1f} %); guessing reaches {scores.guessing_low:.1f} to "
        f"{scores.guessing_high:.1f} % on {where}, and always saying {constant} reaches "
        f"{share:.1f} %."
    )


def _rank(value: float, bounds: tuple[float, float], words: tuple[str, str, str]) -> str:
    low, high = bounds
    if value <= low:
        return words[0]
    return words[1] if value <= high else words[2]
