"""The figures of losses and calibration show counts that were worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.distributions import LEVELS, Normal
from ironore_lightning.report.calibration import calibration_figures, draw_losses


def line(axes, start):
    (found,) = [each for each in axes.lines if str(each.get_label()).startswith(start)]
    return found


@pytest.fixture
def five_days():
    """Five days; the intervals reach to 1 and 2 on either side."""
    actual = np.array([0.0, 1.0, 1.5, -3.0, 2.5])  # on the bound is inside
    frame = pd.DataFrame({"date": pd.bdate_range("2024-01-01", periods=5), "actual": actual})
    frame = frame.assign(forecast=0.0, is_roll=False)
    for name, reach in (("80", 1.0), ("90", 2.0)):
        frame[f"lower_{name}"], frame[f"upper_{name}"] = -reach, reach
    return ScoredDays(frame, "log_return", 1)


def test_days_inside_are_counted_against_those_expected(five_days):
    figure = calibration_figures(five_days, None, title="run")["calibration"]
    over_time, misses = figure.axes
    np.testing.assert_allclose(
        line(over_time, "80 %: 2 of 5").get_ydata(), [0, 0.2, 0.4, -0.4, -1.2, -2.0]
    )
    np.testing.assert_allclose(
        line(over_time, "90 %: 3 of 5").get_ydata(), [0, 0.1, 0.2, 0.3, -0.6, -1.5]
    )
    # Below and above 80 %, then 90 %.
    assert [bar.get_height() for bar in misses.patches] == [1, 2, 1, 1]
    expected = [each.get_segments()[0][0, 1] for each in misses.collections]
    assert expected == pytest.approx([0.5, 0.25])


def test_a_day_without_an_interval_is_left_out_and_without_any_there_is_no_figure(five_days):
    frame = five_days.frame.copy()
    frame.loc[0, "lower_80"] = np.nan
    figure = calibration_figures(ScoredDays(frame, "log_return", 1), None, title="run")
    over_time, _ = figure["calibration"].axes
    assert line(over_time, "80 %: 1 of 4")
    frame["upper_90"] = np.nan
    assert calibration_figures(ScoredDays(frame, "log_return", 1), None, title="run") == {}
    bare = ScoredDays(frame[["date", "actual", "forecast"]], "log_return", 1)
    assert calibration_figures(bare, None, title="run") == {}


def test_of_a_distribution_the_outcomes_below_each_quantile_are_counted(five_days):
    distribution = Normal(mean=np.zeros(5), spread=np.ones(5))
    figure = calibration_figures(five_days, distribution, title="run")["calibration"]
    _, reliability = figure.axes
    drawn = line(reliability, "forecast distribution")
    np.testing.assert_allclose(drawn.get_xdata(), LEVELS)
    # -3 lies below all quantiles, 0 at the median; 1 is at level 0.841, 1.5 at 0.933, 2.5 beyond.
    shares = np.select([np.array(LEVELS) < 0.5, np.array(LEVELS) < 0.841], [0.2, 0.4], 0.6)
    shares[LEVELS.index(0.95)] = 0.8
    np.testing.assert_allclose(drawn.get_ydata(), shares)


def test_the_losses_are_drawn_by_epoch_with_the_kept_one_marked():
    losses = pd.DataFrame(
        {"train_loss": [3.0, 2.0, 1.0], "val_loss": [5.0, 4.0, 6.0]}, index=[1, 2, 3]
    )
    figure = draw_losses(losses, best_epoch=2, monitor="val/loss", title="run")
    assert figure.get_suptitle() == "run\n3 epochs, epoch 2 kept"
    training, validation = figure.axes
    assert training.get_title(loc="left") == "Training loss, lowest 1.0000 in epoch 3"
    assert validation.get_title(loc="left") == "Validation loss, lowest 4.0000 in epoch 2"
    for axes, name in ((training, "train_loss"), (validation, "val_loss")):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), losses[name])
        assert list(line(axes, "kept").get_xdata()) == [2, 2]
