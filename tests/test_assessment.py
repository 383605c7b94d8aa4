"""Everything that is asked of a frame of forecasts, on frames whose answer is known."""

import json
import logging
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from ironore_lightning.evaluation.assessment import (
    assess,
    collect_findings,
    net_sharpe,
    skill_blocks,
    skill_tests,
    skill_years,
)
from ironore_lightning.evaluation.comparison import compare
from ironore_lightning.evaluation.days import ScoredDays
from ironore_lightning.evaluation.significance import (
    anatolyev_gerko,
    binomial_test,
    clark_west,
    diebold_mariano,
    pesaran_timmermann,
)
from ironore_lightning.evaluation.skill import encompassing, predictive_slope, rotation
from ironore_lightning.report.console import report_tables
from ironore_lightning.settings.evaluation import ReportSettings

NUM_DAYS = 320
BASELINES = ["zero", "expanding mean", "AR(1)", "ridge"]


def make_days(actual, forecast):
    """Put constant bounds around forecasts, and roll every twenty days."""
    actual, forecast = (np.asarray(values, dtype=np.float64) for values in (actual, forecast))
    days = pd.DataFrame(
        {
            "date": pd.bdate_range("2024-01-01", periods=len(actual)),
            "actual": actual,
            "forecast": forecast,
            "is_roll": np.arange(len(actual)) % 20 == 19,
        }
    )
    for coverage, width in ((80, 1.3), (90, 1.7)):
        days[f"lower_{coverage}"] = forecast - width
        days[f"upper_{coverage}"] = forecast + width
    return days


def make_market(num_days=NUM_DAYS, *, skill, seed=0):
    """Draw days whose forecast correlates by `skill`, baselines that know nothing, and losses."""
    rng = np.random.default_rng(seed)
    known, unknown = rng.standard_normal((2, num_days))
    forecast = skill * known if skill else 0.3 * known
    days = make_days(skill * known + np.sqrt(1 - skill**2) * unknown, forecast)
    baselines = pd.DataFrame(
        {
            "zero": np.zeros(num_days),
            "expanding mean": rng.normal(0.02, 0.01, num_days),
            "AR(1)": rng.normal(0, 0.1, num_days),
            "ridge": rng.normal(0, 0.2, num_days),
        }
    )
    density = pd.DataFrame(
        {
            ("pinball", "model"): rng.uniform(0.2, 0.4, num_days),
            ("crps", "model"): np.full(num_days, np.nan),
            ("pinball", "EWMA"): rng.uniform(0.2, 0.4, num_days),
            ("crps", "EWMA"): rng.uniform(0.4, 0.8, num_days),
        }
    )
    return days, baselines, density


@pytest.fixture(scope="module")
def settings(compose):
    return compose("evaluation.bootstrap_repetitions=100").evaluation


@pytest.fixture(scope="module")
def judge(settings):
    def run(days, baselines, density, *, kind="log_return", horizon=1):
        scored = ScoredDays(days, kind, horizon)
        return assess(scored, baselines, density, settings, label="GOOD")

    return run


@pytest.fixture(scope="module")
def skilled(judge):
    return judge(*make_market(skill=0.2))


def as_json(assessment):
    """Write an assessment down; a number that is none cannot be."""
    return json.loads(json.dumps(asdict(assessment), allow_nan=False))


def test_the_parts_speak_of_the_same_days(skilled):
    assert [row.name for row in skilled.table] == ["model", *BASELINES]
    model = skilled.table[0]
    assert skilled.scores is model.scores
    assert skilled.scores.num_days == NUM_DAYS
    resampled = skilled.bootstrap
    assert resampled.direction_accuracy.estimate == pytest.approx(model.scores.direction_accuracy)
    assert resampled.rmse_ratio.estimate == pytest.approx(model.scores.rmse_ratio)
    assert skilled.tests["clark_west"].p_value == model.clark_west_p
    assert skilled.tests["diebold_mariano"].p_value == model.diebold_mariano_p
    assert {test.num_days for test in skilled.tests.values()} == {NUM_DAYS}


def test_skill_is_seen_and_the_line_carries_the_label(skilled):
    assert skilled.evidence.earned == "SUPPORTED"
    assert (
        f"({skilled.table[0].scores.direction_hits}/{NUM_DAYS}) GOOD, evidence "
        in skilled.evidence.line
    )
    assert "model" in skilled.confidence_set.kept
    assert skilled.superior_ability_p < 0.10


def test_noise_is_seen_as_noise(judge):
    days, baselines, density = make_market(skill=0.0)
    found = judge(days, baselines, density)
    assert found.evidence.grade == "NONE"
    assert "no evidence" in found.evidence.sentence
    assert found.evidence.line.endswith("; larger error than expanding mean")


def test_perfect_foresight_is_suspect(judge):
    days, baselines, density = make_market(skill=0.2)
    found = judge(days.assign(forecast=days["actual"]), baselines, density)
    assert found.evidence.grade == "SUSPECT"


def test_a_constant_in_a_rising_market_is_not_too_good_to_be_true(judge):
    """Up by 1.0 on 63 of 100 days and down by 0.6 on the others; R2 against zero is 0.192."""
    _, baselines, density = make_market(300, skill=0.0)
    actual = np.where(np.arange(300) % 100 < 63, 1.0, -0.6)
    baselines["expanding mean"] = 0.408
    found = judge(make_days(actual, np.full(300, 0.408)), baselines, density)
    assert found.scores.r2_zero == pytest.approx(0.408**2 / (0.63 + 0.37 * 0.36))
    assert (found.scores.direction_accuracy, found.evidence.grade) == (63.0, "INSUFFICIENT")


def test_the_console_says_at_which_cost_a_return_stands(skilled, caplog):
    with caplog.at_level(logging.INFO):
        report_tables(skilled, ReportSettings(emoji=False, detail="full"))
    (table,) = (record.message for record in caplog.records if "each cost" in record.message)
    shown = [line.split() for line in table.splitlines() if line.split()[0] == "sign"]
    results = [result for result in skilled.trading if result.name == "sign"]
    at_once = sorted(
        (result for result in results if not result.delay_days), key=lambda result: result.cost_bp
    )
    assert len(at_once) == 4
    assert shown[:4] == [
        [
            "sign",
            f"{result.cost_bp:g}",
            f"{result.total_return:.2f}",
            f"{result.sharpe:.2f}",
            f"{result.sharpe_error:.2f}",
            f"{result.max_drawdown:.2f}",
            f"{result.turnover:.3f}",
            f"{result.num_trades}",
        ]
        for result in at_once
    ]


def test_few_days_are_insufficient(judge):
    days, baselines, density = (table[:40] for table in make_market(skill=0.1))
    found = judge(days, baselines, density)
    assert found.evidence.earned == "INSUFFICIENT"
    assert found.blocks == []
    as_json(found)


def test_every_cost_and_coverage_of_the_settings_is_answered(skilled, settings):
    assert [interval.coverage_nominal for interval in skilled.intervals] == [0.8, 0.9]
    assert {trade.cost_bp for trade in skilled.trading} == set(settings.costs_bp)


def test_density_is_named_by_distribution_and_an_unknown_score_is_none(skilled):
    assert set(skilled.density) == {"model", "EWMA"}
    assert skilled.density["model"]["crps"] is None
    assert 0.2 < skilled.density["model"]["pinball"] < 0.4
    assert 0.4 < skilled.density["EWMA"]["crps"] < 0.8


def test_an_assessment_can_be_written_as_json(skilled):
    written = as_json(skilled)
    assert set(written) == set(asdict(skilled))
    assert written["table"][0]["name"] == "model"


def test_the_same_days_are_assessed_the_same(skilled, judge):
    assert as_json(judge(*make_market(skill=0.2))) == as_json(skilled)


def test_a_market_that_never_moves_is_no_evidence_and_no_crash(judge):
    days, baselines, density = make_market(skill=0.2)
    found = judge(days.assign(actual=0.0), baselines, density)
    assert found.evidence.grade == "INSUFFICIENT"
    assert found.evidence.missing == (
        "0 outcomes, 60 are needed",
        "the rarer sign of the market is there on 0 days, 10 are needed",
    )
    assert "direction undefined (0/0) GOOD" in found.evidence.line
    assert {(block.accuracy, block.r2_zero) for block in found.blocks} == {(None, None)}
    as_json(found)


def test_a_forecast_of_zero_is_insufficient(judge):
    days, baselines, density = make_market(skill=0.2)
    found = judge(days.assign(forecast=0.0), baselines, density)
    assert found.evidence.grade == "INSUFFICIENT"
    assert found.evidence.missing == (
        "the rarer sign of the forecast is there on 0 days, 10 are needed",
    )
    as_json(found)


def test_intervals_may_be_unknown(judge):
    days, baselines, density = make_market(skill=0.2)
    bounds = [name for name in days if str(name).startswith(("lower", "upper"))]
    found = judge(days.assign(**dict.fromkeys(bounds, np.nan)), baselines, density)
    assert [interval.coverage for interval in found.intervals] == [None, None]
    as_json(found)


def test_a_given_target_has_no_price_to_trade(judge):
    found = judge(*make_market(skill=0.2), kind="given")
    assert found.trading == []
    assert found.scores.mape is None
    assert found.bootstrap.sharpe.note == "undefined: nobody says what a position earns"
    as_json(found)


@pytest.mark.parametrize("kind", ["log_return", "simple_return"])
@pytest.mark.parametrize("horizon", [1, 3])
def test_the_resampled_sharpe_ratio_is_that_of_the_sign_strategy_without_costs(
    judge, horizon, kind
):
    found = judge(*make_market(skill=0.2), kind=kind, horizon=horizon)
    (sign,) = [
        trade
        for trade in found.trading
        if (trade.name, trade.delay_days, trade.cost_bp) == ("sign", 0, 0.0)
    ]
    assert sign.num_periods == len(range(0, NUM_DAYS, horizon))
    resampled = found.bootstrap.sharpe
    assert resampled.estimate == sign.sharpe
    assert resampled.low < sign.sharpe < resampled.high
    width = 2 * 1.96 * sign.sharpe_error
    assert resampled.high - resampled.low == pytest.approx(width, rel=0.2)


def test_overlapping_outcomes_are_taken_apart_for_the_sign_tests(judge):
    days, baselines, density = make_market(skill=0.2)
    found = judge(days, baselines, density, horizon=3)
    lengths = {name: test.num_days for name, test in found.tests.items()}
    assert lengths["clark_west"] == lengths["diebold_mariano"] == NUM_DAYS
    assert lengths["pesaran_timmermann"] == lengths["anatolyev_gerko"] == 107
    assert found.bootstrap.direction_accuracy.estimate is not None
    as_json(found)


def test_the_tests_are_those_of_their_names():
    days, _, _ = make_market(skill=0.2)
    actual, forecast = days["actual"].to_numpy(), days["forecast"].to_numpy()
    zero = np.zeros(NUM_DAYS)
    rivals = {"ridge": np.cos(np.arange(NUM_DAYS))}
    found = skill_tests(forecast, actual, rivals, horizon=3)
    assert found["predictive_slope"] == predictive_slope(forecast, actual, horizon=3)
    assert found["rotation"] == rotation(forecast, actual)
    assert found["encompassing"] == encompassing(forecast, actual, rivals, horizon=3)
    against_zero = {"benchmark": zero, "horizon": 3}
    assert found["clark_west"] == clark_west(forecast, actual, **against_zero)
    assert found["diebold_mariano"] == diebold_mariano(forecast, actual, **against_zero)
    apart, moved = forecast[::3], actual[::3]
    assert found["pesaran_timmermann"] == pesaran_timmermann(apart, moved)
    assert found["anatolyev_gerko"] == anatolyev_gerko(apart, moved)
    ups = int((moved > 0).sum())
    rate = 100 * max(ups, 107 - ups) / 107
    hits = int((apart * moved > 0).sum())
    assert found["binomial"] == binomial_test(hits, 107, base_rate=rate)


def test_blocks_by_hand():
    actual = [1, -1, 0, 2, 1, 0, 0, 0, 0, 0, 3, 3]
    forecast = [1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 3, 3]
    first, second = skill_blocks(make_days(actual, forecast), 5)
    assert (first.first_date, first.last_date) == ("2024-01-01", "2024-01-05")
    assert first.accuracy == 50.0  # the third day did not move
    assert first.r2_zero == pytest.approx(1 - (0 + 4 + 1 + 1 + 4) / 7)
    assert (second.first_date, second.last_date) == ("2024-01-08", "2024-01-12")
    assert (second.accuracy, second.r2_zero) == (None, None)


def test_what_is_left_over_is_no_block():
    assert skill_blocks(make_days(np.ones(4), np.ones(4)), 5) == []
    assert len(skill_blocks(make_days(np.ones(5), np.ones(5)), 5)) == 1


def test_findings_are_collected_from_days_table_and_tests():
    days, baselines, _ = make_market(skill=0.2)
    scored = ScoredDays(days, "log_return", 3)
    forecasts = {"model": scored.forecast, "expanding mean": baselines["expanding mean"].to_numpy()}
    table = compare(scored, forecasts)
    tests = skill_tests(scored.forecast, scored.actual, {}, horizon=3)
    found = collect_findings(scored, table, tests, after_costs=0.5)
    assert (found.table, found.net_sharpe, found.scores) == (table, 0.5, table[0].scores)
    assert found.slope == tests["predictive_slope"]
    assert found.skill_p == max(found.slope.p_value, found.rotation.p_value)
    ups = int((scored.forecast[::3] > 0).sum())
    assert found.fewest_signs["forecast"] == min(ups, 107 - ups)


def test_years_are_cut_by_the_calendar():
    dates = pd.to_datetime(["2023-12-28", "2023-12-29", "2024-01-02", "2025-01-02"])
    actual = [1.0, -2.0, 1.0, 3.0]
    days = pd.DataFrame({"date": dates, "actual": actual, "forecast": [1.0, 1.0, 0.5, -1.0]})
    years = skill_years(days)
    assert [(year.first_date, year.last_date, year.num_days) for year in years] == [
        ("2023-12-28", "2023-12-29", 2),
        ("2024-01-02", "2024-01-02", 1),
        ("2025-01-02", "2025-01-02", 1),
    ]
    assert [year.accuracy for year in years] == [50.0, 100.0, 0.0]
    # Squared errors 9, 0.25 and 16 over squared outcomes 5, 1 and 9.
    assert [year.r2_zero for year in years] == pytest.approx([-0.8, 0.75, -7 / 9])


def test_the_net_sharpe_ratio_is_that_of_the_sign_strategy_at_its_cost(skilled, settings):
    (sign,) = [
        trade
        for trade in skilled.trading
        if (trade.name, trade.delay_days, trade.cost_bp) == ("sign", 0, settings.strong_cost_bp)
    ]
    assert net_sharpe(skilled.trading, settings.strong_cost_bp) == sign.sharpe
    assert net_sharpe([], 5.0) is None
