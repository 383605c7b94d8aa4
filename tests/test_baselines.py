"""Baselines against numbers by hand, statsmodels, arch and closed forms, and against the future."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from arch import arch_model
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor
from statsmodels.tsa.ar_model import AutoReg
from threadpoolctl import threadpool_limits

from ironore_lightning.errors import LeakageError
from ironore_lightning.evaluation import baselines
from ironore_lightning.evaluation.baselines import (
    Samples,
    outcome_baselines,
    point_baselines,
    spread_baselines,
)

TUNED = ["ridge", "gradient boosting", "NLinear"]
POINTS = ["zero", "expanding mean", "majority sign", "last return", "AR(1)", "AR(5)", *TUNED]
READ_OUTCOMES = ["expanding mean", "last return", "AR(1)", "AR(5)"]
FITTED_ONCE = [name for name in POINTS if name not in READ_OUTCOMES]
SPREADS = ["EWMA", "GARCH(1,1)-t"]


def make_samples(actual, *, counts, horizon=1, sequence_length=4, num_features=3, seed=0):
    """Give outcomes windows of noise, which overlap as those of the network do."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(len(actual) + sequence_length - 1, num_features))
    windows = np.lib.stride_tricks.sliding_window_view(rows.astype(np.float32), sequence_length, 0)
    return Samples(
        windows=windows.transpose(0, 2, 1),
        actual=np.asarray(actual, dtype=np.float64),
        segment=np.repeat(["train", "val", "test"], counts),
        horizon=horizon,
    )


def noise(num_samples, *, seed=0):
    """Draw returns from another stream than windows of the same seed."""
    return 2 * np.random.default_rng(100 + seed).standard_t(4, size=num_samples)


def garch_returns(num_samples, *, seed=0):
    """Draw returns whose variance follows 0.2 + 0.15 y^2 + 0.8 v, Student t with 5 degrees."""
    shocks = np.random.default_rng(seed).standard_t(5, size=num_samples) * np.sqrt(3 / 5)
    returns, variance = np.empty(num_samples), 4.0
    for day, shock in enumerate(shocks):
        returns[day] = np.sqrt(variance) * shock
        variance = 0.2 + 0.15 * returns[day] ** 2 + 0.8 * variance
    return returns


def noisy_samples(*, horizon=1, seed=0):
    counts = [150, 40, 40]
    return make_samples(noise(sum(counts), seed=seed), counts=counts, horizon=horizon, seed=seed)


def r2_zero(samples, forecasts):
    test = samples.segment == "test"
    actual = samples.actual[test]
    errors = forecasts[test].sub(actual, axis=0)
    return 1 - (errors**2).sum() / (actual**2).sum()


def squared_error(actual, forecast):
    return float(((actual - forecast) ** 2).sum())


# Point forecasts


def test_a_frame_has_one_row_a_sample_and_the_baselines_in_their_order():
    forecasts = point_baselines(noisy_samples())
    assert forecasts.shape == (230, 9)
    assert list(forecasts.columns) == POINTS
    assert set(forecasts.dtypes) == {np.dtype(np.float64)}
    assert list(forecasts.index) == list(range(230))
    assert np.isfinite(forecasts.to_numpy()).all()


def test_the_simple_forecasts_of_eight_days_worked_out_by_hand():
    samples = make_samples([1, -2, 0, 3, 4, -6, 7, 1], counts=[5, 1, 2])
    forecasts = point_baselines(samples)
    assert forecasts["zero"].tolist() == [0.0] * 8
    means = [0, 1, -1 / 2, -1 / 3, 2 / 4, 6 / 5, 0, 1]
    assert forecasts["expanding mean"].tolist() == pytest.approx(means)
    assert forecasts["last return"].tolist() == [0, 1, -2, 0, 3, 4, -6, 7]
    # Of the five training days 3 rise and 1 falls: p = 3/4, mean size = (1 + 2 + 0 + 3 + 4) / 5.
    assert forecasts["majority sign"].tolist() == pytest.approx([2 * 0.5] * 8)


def test_an_outcome_three_days_ahead_is_known_three_samples_later():
    samples = make_samples([1, -2, 0, 3, 4, -6, 7, 1], counts=[5, 1, 2], horizon=3)
    forecasts = point_baselines(samples)
    assert forecasts["last return"].tolist() == [0, 0, 0, 1, -2, 0, 3, 4]
    means = [0, 0, 0, 1, -1 / 2, -1 / 3, 2 / 4, 6 / 5]
    assert forecasts["expanding mean"].tolist() == pytest.approx(means)


def test_a_falling_majority_is_negative_and_a_tie_is_zero():
    falling = make_samples([-1, -2, -3, 2, 9, 9], counts=[4, 1, 1])
    assert point_baselines(falling)["majority sign"].tolist() == pytest.approx([-2 * 0.5] * 6)
    tied = make_samples([-1, -2, 3, 2, 9, 9], counts=[4, 1, 1])
    assert point_baselines(tied)["majority sign"].tolist() == [0.0] * 6


@pytest.mark.parametrize("order", [1, 5])
def test_autoregression_is_that_of_statsmodels_one_day_ahead(order):
    samples = noisy_samples()
    reference = AutoReg(samples.actual[:150], lags=order, trend="c").fit()
    extended = reference.append(samples.actual[150:])
    expected = extended.predict(start=order, end=229)
    found = point_baselines(samples)[f"AR({order})"].to_numpy()
    assert len(expected) == 230 - order
    np.testing.assert_allclose(found[order:], expected, rtol=1e-9, atol=1e-12)
    assert found[:order].tolist() == [0.0] * order


def test_autoregression_three_days_ahead_starts_from_the_newest_known_outcome():
    samples = noisy_samples(horizon=3)
    known, outcome = samples.actual[:147], samples.actual[3:150]
    slope, intercept = stats.linregress(known, outcome)[:2]
    expected = intercept + slope * samples.actual[:-3]
    found = point_baselines(samples)["AR(1)"].to_numpy()
    np.testing.assert_allclose(found[3:], expected, rtol=1e-9, atol=1e-12)
    assert found[:3].tolist() == [0.0] * 3


def flattened(windows):
    return windows.reshape(len(windows), -1).astype(np.float64)


def since_last_row(windows):
    return flattened(windows[:, :-1].astype(np.float64) - windows[:, -1:])


def closed_form_ridge(samples, columns, *, strength):
    """Solve the penalised normal equations by stacking the penalty under the training rows."""
    train = samples.segment == "train"
    inputs, actual = columns(samples.windows), samples.actual
    inputs = (inputs - inputs[train].mean(axis=0)) / inputs[train].std(axis=0)
    mean, num_columns = actual[train].mean(), inputs.shape[1]
    penalty = np.sqrt(strength * train.sum()) * np.eye(num_columns)
    stacked = np.vstack([inputs[train], penalty])
    outcomes = np.concatenate([actual[train] - mean, np.zeros(num_columns)])
    return mean + inputs @ np.linalg.lstsq(stacked, outcomes)[0]


def best_closed_form(samples, columns):
    candidates = [
        closed_form_ridge(samples, columns, strength=strength) for strength in baselines.STRENGTHS
    ]
    val = samples.segment == "val"
    losses = [squared_error(samples.actual[val], forecast[val]) for forecast in candidates]
    return int(np.argmin(losses)), candidates[int(np.argmin(losses))]


@pytest.mark.parametrize(
    ("name", "columns"),
    [("ridge", flattened), ("NLinear", since_last_row)],
    ids=["ridge", "NLinear"],
)
def test_the_linear_models_are_the_closed_form_whose_strength_validation_chose(name, columns):
    chosen = set()
    for trust in (0.0, 1.0):
        samples = noisy_samples()
        signal = 2 * samples.windows[:, -1, 0] - 2 * samples.windows[:, -2, 0]
        val = samples.segment == "val"
        # In validation the signal of the training samples holds or is turned round.
        actual = samples.actual / 2 + signal * np.where(val, 2 * trust - 1, 1)
        samples = replace(samples, actual=actual)
        position, expected = best_closed_form(samples, columns)
        found = point_baselines(samples)[name].to_numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
        chosen.add(position)
    assert min(chosen) == 0, "a signal that turns round calls for the strongest penalty"
    assert len(chosen) == 2


def test_boosting_is_the_model_with_as_many_trees_as_validation_chose():
    samples = noisy_samples()
    samples = replace(samples, actual=samples.actual / 2 + 2 * np.sign(samples.windows[:, -1, 0]))
    train, val = samples.segment == "train", samples.segment == "val"
    inputs = flattened(samples.windows)

    def fitted(num_trees):
        model = HistGradientBoostingRegressor(
            max_iter=num_trees,
            max_depth=3,
            learning_rate=0.05,
            early_stopping=False,
            random_state=0,
        )
        return model.fit(inputs[train], samples.actual[train])

    with threadpool_limits(limits=1):
        losses = [
            squared_error(samples.actual[val], forecast)
            for forecast in fitted(60).staged_predict(inputs[val])
        ]
        num_trees = 1 + int(np.argmin(losses))
        expected = fitted(num_trees).predict(inputs)
    assert len(losses) == 60
    assert 5 < num_trees < 55
    found = point_baselines(samples)["gradient boosting"].to_numpy()
    np.testing.assert_array_equal(found, expected)


def test_two_calls_agree_bit_for_bit():
    samples = noisy_samples()
    pd.testing.assert_frame_equal(
        point_baselines(samples), point_baselines(samples), check_exact=True
    )


def test_a_planted_linear_signal_is_found():
    counts = [600, 125, 125]
    samples = make_samples(noise(850), counts=counts, sequence_length=20, num_features=12)
    last = samples.windows[:, -1]
    planted = 2.0 * (last[:, 0] - samples.windows[:, -2, 0]) + last[:, 1]
    samples = replace(samples, actual=samples.actual + planted)
    scores = r2_zero(samples, point_baselines(samples))
    # The signal's variance is 4 * 2 + 1 = 9; that of the noise is 4 * 2 = 8.
    assert scores["ridge"] > 0.25
    assert scores["NLinear"] > 0.25
    assert scores["gradient boosting"] > 0.25
    assert abs(scores["expanding mean"]) < 0.03


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nothing_is_found_in_noise(seed):
    counts = [600, 125, 125]
    samples = make_samples(
        noise(850, seed=seed), counts=counts, sequence_length=20, num_features=12, seed=seed
    )
    scores = r2_zero(samples, point_baselines(samples))
    assert len(scores) == 9
    assert scores.max() < 0.03
    assert scores["zero"] == 0.0


def test_only_the_newest_training_windows_are_fitted(monkeypatch):
    samples = noisy_samples()
    cut = replace(
        samples,
        windows=samples.windows[50:],
        actual=samples.actual[50:],
        segment=samples.segment[50:],
    )
    monkeypatch.setattr(baselines, "LARGEST_FIT", 100)
    forecasts, expected = point_baselines(samples), point_baselines(cut)
    assert len(expected) == 180
    for name in TUNED:
        np.testing.assert_array_equal(forecasts[name].to_numpy()[50:], expected[name], strict=True)


def test_forecasts_made_in_many_chunks_are_those_made_in_one(monkeypatch):
    samples = noisy_samples()
    expected = point_baselines(samples)
    monkeypatch.setattr(baselines, "CHUNK", 7)
    pd.testing.assert_frame_equal(point_baselines(samples), expected, rtol=1e-12)


# Spreads


def variance_of(spread):
    """Return the variance of Student t distributions."""
    return np.array([stats.t(spread.degrees, scale=scale).var() for scale in spread.scale])


def test_ewma_two_days_ahead_worked_out_by_hand():
    samples = make_samples([1, -2, 3, 99, 99], counts=[3, 1, 1], horizon=2)
    spread = spread_baselines(samples)["EWMA"]
    # A day weighs 0.94 of the one after it.
    expected = [1, (4 + 0.94) / 1.94, (9 + 0.94 * 4 + 0.94**2) / (1.94 + 0.94**2)]
    assert spread.degrees is None
    assert np.isnan(spread.scale[:2]).all()
    assert spread.scale[2:].tolist() == pytest.approx(np.sqrt(expected).tolist())


@pytest.mark.parametrize("horizon", [1, 3])
def test_garch_is_that_of_arch_fitted_on_training_and_carried_on(horizon):
    counts = [600, 100, 100]
    samples = make_samples(garch_returns(800), counts=counts, horizon=horizon)
    spread = spread_baselines(samples)["GARCH(1,1)-t"]
    # In other units than ours, so that the two fits agree to what the optimiser leaves open.
    model = arch_model(samples.actual, mean="Zero", vol="GARCH", dist="t", rescale=False)
    fitted = model.fit(last_obs=600, disp="off")
    assert fitted.convergence_flag == 0
    expected = fitted.forecast(horizon=horizon, start=400).variance.to_numpy()[:, -1]
    # Row k holds what is known with outcome k, which is the forecast of sample k + horizon.
    found = variance_of(spread)[400 + horizon :]
    assert len(found) == 400 - horizon
    np.testing.assert_allclose(found, expected[:-horizon], rtol=5e-3)
    assert spread.degrees == pytest.approx(fitted.params["nu"], rel=1e-2)


def test_the_fitted_garch_is_carried_on_by_the_recursion_written_out():
    samples = make_samples(garch_returns(150), counts=[120, 15, 15])
    spread = spread_baselines(samples)["GARCH(1,1)-t"]
    constant, weight, decay, degrees = baselines._fit_garch(samples.actual[:120])
    assert min(constant, weight, decay) > 0.01
    variances = [np.mean(samples.actual[:120] ** 2)]
    for outcome in samples.actual[:-1]:
        variances.append(constant + weight * outcome**2 + decay * variances[-1])
    assert len(variances) == 150
    assert variance_of(spread).tolist() == pytest.approx(variances)
    assert spread.degrees == degrees


def test_garch_finds_the_parameters_that_made_the_returns():
    fitted = baselines._fit_garch(garch_returns(6000))
    assert fitted.weight == pytest.approx(0.15, abs=0.04)
    assert fitted.decay == pytest.approx(0.8, abs=0.05)
    assert fitted.constant == pytest.approx(0.2, abs=0.08)
    assert fitted.degrees == pytest.approx(5, abs=0.8)


def test_spreads_follow_the_unit_of_the_returns():
    samples = make_samples(garch_returns(500), counts=[400, 50, 50])
    larger = replace(samples, actual=128 * samples.actual)
    for name, spread in spread_baselines(samples).items():
        expected = spread_baselines(larger)[name].scale
        np.testing.assert_allclose(128 * spread.scale, expected, rtol=1e-12)


def growing(num_samples):
    return np.exp(np.linspace(0, 30, num_samples))


@pytest.mark.parametrize(
    ("actual", "counts", "reason"),
    [
        (noise(120), [99, 11, 10], "99 training outcomes, it needs 100"),
        (np.full(150, 2.0), [120, 15, 15], "all training outcomes are 2 %"),
        (np.zeros(150), [120, 15, 15], "all training outcomes are 0 %"),
        (growing(150), [120, 15, 15], "fitting 120 outcomes did not converge"),
    ],
    ids=["few", "constant", "no move", "explosive"],
)
def test_without_a_fit_there_is_no_garch_and_a_line_says_why(actual, counts, reason, caplog):
    with caplog.at_level(logging.WARNING):
        spreads = spread_baselines(make_samples(actual, counts=counts))
    assert list(spreads) == SPREADS
    assert spreads["GARCH(1,1)-t"] is None
    assert [record.getMessage() for record in caplog.records] == [f"no GARCH(1,1)-t: {reason}"]
    assert (spreads["EWMA"].scale[1:] > 0).all()


# Time has one direction


def shocked_after(samples, last):
    """Replace every outcome and window after sample `last`."""
    generator = np.random.default_rng(9)
    windows, actual = samples.windows.copy(), samples.actual.copy()
    windows[last + 1 :] = generator.normal(size=windows[last + 1 :].shape) + 5
    actual[last + 1 :] = generator.normal(size=len(actual) - last - 1) - 7
    return replace(samples, windows=windows, actual=actual)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize(
    ("last", "names"),
    [(190, POINTS), (205, POINTS), (160, [name for name in POINTS if name not in TUNED])],
    ids=["first test sample", "test", "validation"],
)
def test_later_samples_change_no_earlier_forecast(last, names, horizon):
    samples = noisy_samples(horizon=horizon)
    before, after = (point_baselines(one) for one in (samples, shocked_after(samples, last)))
    assert len(before) == 230
    for name in names:
        old, new = before[name].to_numpy(), after[name].to_numpy()
        np.testing.assert_array_equal(old[: last + 1], new[: last + 1], err_msg=name)
    assert (before["last return"] != after["last return"]).sum() == 230 - (last + 1 + horizon)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("last", [160, 205], ids=["validation", "test"])
def test_later_outcomes_change_no_earlier_spread(last, horizon):
    samples = make_samples(garch_returns(230), counts=[150, 40, 40], horizon=horizon)
    before, after = (spread_baselines(one) for one in (samples, shocked_after(samples, last)))
    first_to_know = last + 1 + horizon
    assert before["GARCH(1,1)-t"].degrees == after["GARCH(1,1)-t"].degrees
    for name in SPREADS:
        changed = before[name].scale[horizon:] != after[name].scale[horizon:]
        assert not changed[: first_to_know - horizon].any(), name
        assert changed[first_to_know - horizon :].all(), name


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_test_outcome_reaches_only_those_who_read_outcomes_and_only_once_known(horizon):
    samples = noisy_samples(horizon=horizon)
    actual = samples.actual.copy()
    actual[200] += 5.0
    before, after = (point_baselines(one) for one in (samples, replace(samples, actual=actual)))
    for name in FITTED_ONCE:
        np.testing.assert_array_equal(before[name].to_numpy(), after[name].to_numpy())
    for name in READ_OUTCOMES:
        changed = np.flatnonzero(before[name].to_numpy() != after[name].to_numpy())
        assert changed[0] == 200 + horizon, name
    assert len(FITTED_ONCE) + len(READ_OUTCOMES) == 9


def test_validation_outcomes_change_nothing_that_is_fitted():
    samples = noisy_samples()
    actual = samples.actual.copy()
    actual[150:190] = actual[150:190][::-1]
    changed = replace(samples, actual=actual)
    before, after = point_baselines(samples), point_baselines(changed)
    assert before["majority sign"].equals(after["majority sign"])
    # Once five reversed outcomes are behind, autoregression forecasts as it did.
    for name in ("AR(1)", "AR(5)"):
        np.testing.assert_array_equal(before[name][195:].to_numpy(), after[name][195:].to_numpy())
    assert not before["AR(1)"][151:190].equals(after["AR(1)"][151:190])


def test_segments_that_run_backwards_are_refused():
    samples = noisy_samples()
    with pytest.raises(LeakageError, match="order train, val, test"):
        replace(samples, segment=samples.segment[::-1])


# Samples with little in them


def constant_features(samples):
    return replace(samples, windows=np.full_like(samples.windows, 0.3))


def waking_feature(samples):
    """Let a feature move for the first time in validation."""
    windows = samples.windows.copy()
    windows[: int((samples.segment == "train").sum()), :, 0] = 0.1
    return replace(samples, windows=windows)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize(
    "samples",
    [
        make_samples(np.full(230, -2.0), counts=[150, 40, 40]),
        make_samples(np.zeros(230), counts=[150, 40, 40]),
        make_samples(np.abs(noise(230)), counts=[150, 40, 40]),
        make_samples(-np.abs(noise(230)), counts=[150, 40, 40]),
        make_samples(noise(230), counts=[189, 1, 40]),
        make_samples(noise(190), counts=[150, 40, 0]),
        make_samples(noise(40), counts=[1, 20, 19]),
        make_samples(noise(8), counts=[6, 1, 1]),
        make_samples(noise(2), counts=[1, 1, 0]),
        constant_features(noisy_samples()),
        waking_feature(noisy_samples()),
    ],
    ids=[
        "constant",
        "no move",
        "rising",
        "falling",
        "one validation sample",
        "no test",
        "one training sample",
        "eight samples",
        "two samples",
        "constant features",
        "a feature that wakes",
    ],
)
def test_samples_with_little_in_them_give_finite_forecasts(samples, horizon):
    samples = replace(samples, horizon=horizon)
    forecasts = point_baselines(samples)
    assert forecasts.shape == (len(samples.actual), 9)
    assert np.isfinite(forecasts.to_numpy()).all()
    for spread in spread_baselines(samples).values():
        if spread is not None:
            assert len(spread.scale) == len(samples.actual)
            assert np.isfinite(spread.scale[horizon:]).all()
            assert (spread.scale[horizon:] > 0).all()


def test_constant_outcomes_are_forecast_exactly_once_known():
    forecasts = point_baselines(make_samples(np.full(230, -2.0), counts=[150, 40, 40]))
    test = forecasts.iloc[190:].drop(columns="zero").to_numpy()
    np.testing.assert_allclose(test, -2.0, rtol=1e-9)


# --- baselines that need outcomes only ------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 3])
def test_outcome_baselines_are_fitted_on_what_is_known_at_each_origin(horizon):
    actual = noise(80)
    forecasts = outcome_baselines(actual, horizon=horizon)
    for sample in (55, 79):
        known = actual[: sample - horizon + 1]
        lags, later = known[:-horizon], known[horizon:]
        slope, intercept = np.polyfit(lags, later, 1)
        row = forecasts.iloc[sample]
        assert row["AR(1)"] == pytest.approx(intercept + slope * known[-1])
        assert row["expanding mean"] == pytest.approx(known.mean())
        assert row["last return"] == known[-1]
        share = (known > 0).mean()
        assert row["majority sign"] == pytest.approx((2 * share - 1) * np.abs(known).mean())


def test_the_expanding_ridge_is_that_of_the_normal_equations():
    actual = 5 * np.sin(2 * np.pi * np.arange(400) / 100) ** 3 + noise(400)
    newest = 398
    lags = np.column_stack([actual[19 - lag : newest - lag] for lag in range(20)])
    design = np.column_stack([np.ones(len(lags)), lags])
    penalty = np.diag([0.0, *(lags**2).sum(axis=0)])
    moments = design.T @ actual[20 : newest + 1]
    weights = np.linalg.solve(design.T @ design + penalty, moments)
    expected = weights @ [1.0, *actual[newest:378:-1]]
    assert outcome_baselines(actual, horizon=1)["ridge"][399] == pytest.approx(expected)


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_future_changes_no_outcome_baseline(horizon):
    actual = noise(120)
    changed = actual.copy()
    changed[90:] = 1000.0
    before, after = (outcome_baselines(series, horizon=horizon) for series in (actual, changed))
    pd.testing.assert_frame_equal(before[: 90 + horizon], after[: 90 + horizon], check_exact=True)
    assert len(before) == 120
    assert (before.iloc[90 + horizon] != after.iloc[90 + horizon]).sum() >= 4


def test_outcome_baselines_of_a_market_that_never_moves_are_zero():
    assert (outcome_baselines(np.zeros(60), horizon=1) == 0).all(axis=None)
