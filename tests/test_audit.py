"""The leak audit: what is honest passes, and every leak planted here is named."""

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import torch
from parts_of_a_run import samples_of
from scipy.signal import lfilter

from ironore_lightning.audit import __main__ as audit
from ironore_lightning.audit import black_box as leaks
from ironore_lightning.audit import correlations
from ironore_lightning.audit import statistics as suspicion
from ironore_lightning.data import datamodule as datamodules
from ironore_lightning.data import features as features_module
from ironore_lightning.data import panel as panels
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data.windows import Batch, WindowDataset
from ironore_lightning.errors import ConfigError, LeakageError
from ironore_lightning.evaluation.forecasts import BOUNDS

WEEKLY = {"IOCJ Inventory": 3, "IOCJ Weekly shipment": 1}
FEW_DAYS = pd.to_datetime(["2023-01-31", "2024-02-20", "2024-08-08", "2025-03-03"])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep many small operations from waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sample(compose):
    """Settings and raw data of the sample market."""
    config = compose()
    return config, read_raw(config.data)


@pytest.fixture(scope="module")
def clean(sample):
    """The audit of the sample market."""
    return audit.audit_run(sample[0], run=None)


def named(config, raw, days=FEW_DAYS):
    """Look ahead of every column, by part, where there is any; and the findings' texts."""
    ahead = leaks.find_leaks(leaks.build_black_box(raw, config), days)
    assert ahead["features"][leaks.CANARY] >= 2
    return {
        part: {name: days for name, days in columns.items() if days and name != leaks.CANARY}
        for part, columns in ahead.items()
    }, [finding.text for finding in leaks.leak_findings(ahead)]


# --- the bundled members --------------------------------------------------------------------------


def test_the_sample_is_clean(clean, caplog):
    audit.require_clean(clean)
    assert clean.findings == ()
    assert clean.canary >= 2
    columns = clean.judgement.columns
    assert columns["name"].tolist() == [*clean.ahead["features"], "ridge", "gradient boosting"]
    assert clean.judgement.num_comparisons == 22 * (1 + 5 * 12) + 2
    assert {part: len(columns) for part, columns in clean.ahead.items()} == {
        "features": 12,
        "target": 1,
        "scaler": 12,
        "windows": 12,
    }
    assert not any(days for columns in clean.ahead.values() for days in columns.values())
    with caplog.at_level("INFO", logger="ironore_lightning.audit"):
        audit.report_audit(clean)
    assert caplog.messages[0].startswith("data=sample, 867 rows from 2022-03-30 to 2025-08-13;")
    assert caplog.messages[-1] == "clean"


def test_the_days_lie_where_a_leak_would_show(clean, sample):
    days = pd.to_datetime(list(clean.days))
    assert days.is_monotonic_increasing
    assert days.is_unique
    assert 15 <= len(days) <= 25
    module = samples_of(sample[0], sample[1])
    features, border = module.features.index, leaks.training_border(module)
    assert border in days
    assert {0, 1, 4} <= set(days.day_of_week)
    assert len(days[days > border]) >= 3
    is_roll = features[:-1][features[:-1].month != features[1:].month]
    rolls = [features.get_loc(day) for day in days if day in is_roll]
    assert any({features[row - 1], features[row + 1]} <= set(days) for row in rolls)


def test_an_audit_repeats_itself(compose, tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "audit_days", lambda box: box.base["features"].days[[100, 200]])
    config = compose(*make_table(tmp_path, num_rows=300))
    first, again = (audit.as_record(audit.audit_run(config, run=None)) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(again, allow_nan=False)
    assert first["verdict"] == "clean"
    assert len(first["days"]) == 2


def test_the_original_is_clean(compose, real_data, monkeypatch):
    monkeypatch.setattr(leaks, "audit_days", lambda _: FEW_DAYS)
    found = audit.audit_run(compose("data=original", f"data.root={real_data}"), run=None)
    audit.require_clean(found)
    assert found.findings == ()
    assert len(found.judgement.columns) == 14


def test_the_replica_reads_exactly_the_weekly_figures_early(compose, real_data):
    config = compose("data=original_replica", f"data.root={real_data}")
    box = leaks.build_black_box(read_raw(config.data), config)
    ahead = leaks.find_leaks(box, leaks.audit_days(box)[1::3])  # a third of them says it
    assert {found.name: found.days_ahead for found in leaks.leak_findings(ahead)} == WEEKLY
    # Their scalers and windows change as well, which follows and is not named again.
    assert sum(ahead["windows"].values()) > 0


def test_the_demonstration_is_caught(run_command, tmp_path):
    done = run_command(
        "-m", "ironore_lightning.audit", "experiment=leaky_demo", f"hydra.run.dir={tmp_path}"
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-3:] == [
        "IOCJ Inventory: looks 3 day(s) ahead",
        "IOCJ Weekly shipment: looks 1 day(s) ahead",
        "leak: IOCJ Inventory, IOCJ Weekly shipment",
    ]
    assert done.stderr == "LeakageError: leak: IOCJ Inventory, IOCJ Weekly shipment\n"
    record = json.loads((tmp_path / "leak_audit.json").read_text())
    assert record["verdict"] == "leak: IOCJ Inventory, IOCJ Weekly shipment"
    assert {leak["name"]: leak["days_ahead"] for leak in record["findings"]} == WEEKLY
    assert {leak["kind"] for leak in record["findings"]} == {"leak"}
    early = {name: days for name, days in record["days_ahead"]["features"].items() if days}
    assert early == WEEKLY
    assert record["canary_days_ahead"] >= 2


# --- the audit of the audit -----------------------------------------------------------------------


def test_an_audit_whose_canary_is_not_caught_is_broken(sample, monkeypatch, caplog):
    monkeypatch.setattr(leaks, "audit_days", lambda _: FEW_DAYS[:2])
    monkeypatch.setattr(leaks, "plant_canary", lambda price: price.rolling(5).mean())
    found = audit.audit_run(sample[0], run=None)
    assert found.canary == 0
    assert audit.as_record(found)["verdict"] == "broken"
    with pytest.raises(LeakageError, match="the audit itself is broken"):
        audit.require_clean(found)
    with caplog.at_level("INFO", logger="ironore_lightning.audit"):
        audit.report_audit(found)
    assert "canary: NOT CAUGHT" in caplog.messages
    assert "clean" not in caplog.messages


def test_what_is_made_up_keeps_dates_blanks_and_signs(sample):
    config, raw = sample
    box = leaks.build_black_box(raw, config)
    pairs = [(raw.contracts[name], box.noise.contracts[name]) for name in raw.contracts]
    pairs += [(raw.sources[name], box.noise.sources[name]) for name in raw.sources]
    assert len(pairs) == 6
    for true, noise in pairs:
        pd.testing.assert_index_equal(true.index, noise.index)
        pd.testing.assert_frame_equal(true.isna(), noise.isna())
        is_positive = true.min() > 0
        assert (noise.min() > 0)[is_positive].all()
        assert (noise != true)[true.notna()].sum().sum() == true.notna().sum().sum()


# --- leaks planted in the code --------------------------------------------------------------------


def test_a_scaler_fitted_on_all_rows_is_named(sample, monkeypatch):
    fit, build = datamodules.fit_scaler, features_module.build_features
    seen = {}

    def build_and_keep(*arguments):
        seen["all"] = build(*arguments)
        return seen["all"]

    monkeypatch.setattr(features_module, "build_features", build_and_keep)
    monkeypatch.setattr(datamodules, "fit_scaler", lambda _, how: fit(seen["all"].to_numpy(), how))
    ahead, texts = named(*sample, FEW_DAYS[2:3])
    assert ahead["features"] == ahead["target"] == {}
    assert len(ahead["scaler"]) == len(ahead["windows"]) == 12
    assert len(texts) == 12
    assert texts[0].startswith("scaler of price_65_m1: looks ")
    # The last row is 371 days after the last training row, and what it reads is up to 5 days old.
    assert set(ahead["scaler"].values()) == {366, 370, 371}


def test_a_level_anchored_at_the_newest_contract_is_named(sample, monkeypatch):
    build = panels.build_continuous

    def repainted(*arguments, **options):
        series = build(*arguments, **options)
        days = series.days.assign(level=series.days["adjusted_price"])
        return replace(series, days=days)

    monkeypatch.setattr(panels, "build_continuous", repainted)
    ahead, texts = named(*sample, FEW_DAYS[:1])
    assert list(ahead["features"]) == ["price_65_m1", "price_62_m1"]
    assert ahead["target"] == {}
    # The last roll, on 31 July 2025, is 912 days after 31 January 2023.
    assert texts == [f"price_6{leg}_m1: looks 912 day(s) ahead" for leg in "52"]


def test_a_column_filled_backwards_is_named(sample, monkeypatch):
    join = panels.join_values

    def filled_backwards(driver, days):
        source, _ = driver
        values, staleness = join(driver, days)
        if source.name == "lump premium":
            values = source.reindex(days, method="bfill").ffill()
        return values, staleness

    monkeypatch.setattr(panels, "join_values", filled_backwards)
    config, raw = sample
    blanked = raw.sources["group"].copy()
    blanked.loc["2024-02-19":"2024-02-23", "lump premium"] = np.nan
    raw = replace(raw, sources={**raw.sources, "group": blanked})
    ahead, texts = named(config, raw)
    # On Tuesday the next value is that of the Monday after.
    assert ahead["features"] == {"lump premium": 6}
    assert texts == ["lump premium: looks 6 day(s) ahead"]


def test_a_window_that_ends_a_row_late_is_named(sample, monkeypatch):
    def late(self, positions):
        first = self.origins[positions] - self.sequence_length + 2
        return Batch(
            self.windows[first.clamp(max=len(self.windows) - 1)],
            self.target[self.origins[positions]],
        )

    monkeypatch.setattr(WindowDataset, "__getitem__", late)
    ahead, texts = named(*sample, FEW_DAYS[2:])
    assert ahead["features"] == ahead["scaler"] == ahead["target"] == {}
    assert len(ahead["windows"]) == len(texts) == 12
    assert texts[-1].startswith("windows of IOCJ Weekly shipment: look ")


def test_a_target_that_reaches_past_its_date_is_named(sample, monkeypatch):
    build = features_module.build_target

    def reaching(panel, settings):
        further = build(panel, settings.model_copy(update={"horizon": 2}))
        return build(panel, settings).assign(value=further["value"])

    monkeypatch.setattr(features_module, "build_target", reaching)
    ahead, texts = named(*sample)
    assert ahead["features"] == {}
    assert texts == ["target price_65_m1: looks 1 day(s) past its own outcome"]


def test_a_count_of_days_that_knows_dates_early_is_named(compose, sample):
    chosen = "features.names=[price_65_m1,{name: IOCJ Inventory, transform: staleness}]"
    tuesday = pd.to_datetime(["2023-06-13"])
    early, texts = named(compose(chosen, "data.panel.as_published=false"), sample[1], tuesday)
    assert early["features"] == {"IOCJ Inventory staleness": 3}
    assert texts == ["IOCJ Inventory staleness: looks 3 day(s) ahead"]
    assert named(compose(chosen), sample[1], tuesday)[1] == []


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.futures.adjustment=difference", "features=stationary", "scaling.method=standard"],
        ["target.horizon=5", "target.kind=simple_return", "scaling.method=robust"],
        ["split=walk_forward", "split.fold=3", "data.panel.start=null"],
        ["target.series=62 Index", "features=prices_and_indices"],
    ],
    ids=["difference", "five days", "walk forward", "driver"],
)
def test_other_honest_settings_are_clean(compose, sample, overrides):
    ahead, texts = named(compose(*overrides), sample[1], FEW_DAYS[::2])
    assert texts == []
    assert not any(ahead.values())


# --- what a prepared table gives away -------------------------------------------------------------


def make_table(folder, num_rows=600, **columns):
    """Write a table of a price, a driver and columns made of them."""
    rng = np.random.default_rng(3)
    days = pd.bdate_range("2021-01-04", periods=num_rows, name="date")
    price = pd.Series(100 * np.exp(np.cumsum(rng.normal(0, 0.02, num_rows))), days)
    driver = pd.Series(np.cumsum(rng.normal(0, 1, num_rows)), days)
    made = {name: make(price, driver).ffill().bfill() for name, make in columns.items()}
    pd.DataFrame({"price": price, "driver": driver, **made}).to_csv(folder / "table.csv")
    names = ",".join(["price", "driver", *columns])
    return [
        "data=table",
        f"data.root={folder}",
        "target.series=price",
        f"features.names=[{names}]",
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda price, _: price.shift(-3),
        lambda price, _: price.rolling(21, center=True).mean(),
        lambda price, _: price.diff().shift(-1) + price.diff().std() * np.sin(np.arange(600)),
    ],
    ids=["in three days", "centred", "noisy return"],
)
def test_a_column_of_a_table_that_knows_the_price_is_named(compose, tmp_path, monkeypatch, make):
    monkeypatch.setattr(leaks, "audit_days", lambda box: box.base["features"].days[[100]])
    config = compose(*make_table(tmp_path, planted=make))
    found = audit.audit_run(config, run=None)
    named = {finding.name: finding.kind for finding in found.findings}
    assert named.pop("planted") == "suspect"
    assert set(named) <= {"ridge", "gradient boosting"}  # they read it
    assert audit.TABLE_REMARK in found.remarks
    with pytest.raises(LeakageError, match=r"^suspect: planted"):
        audit.require_clean(found)


def test_a_table_with_lagged_columns_is_clean_and_remarked_upon(compose, tmp_path):
    columns = {
        "late price": lambda price, _: price.shift(1),
        "late driver": lambda _, driver: driver.shift(2),
        "mean": lambda price, _: price.rolling(20).mean(),
    }
    found = audit.audit_run(compose(*make_table(tmp_path, **columns)), run=None)
    audit.require_clean(found)
    assert found.findings == ()
    assert len(found.judgement.columns) == 7
    assert [line.split(":")[0] for line in found.remarks] == [
        "price is late price of 1 trading day(s) later",
        "driver is late driver of 2 trading day(s) later",
        audit.TABLE_REMARK,
    ]


def test_few_rows_are_not_called_suspicious(compose, tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "audit_days", lambda box: box.base["features"].days[[100]])
    table = make_table(tmp_path, num_rows=200, planted=lambda price, _: price.shift(-1))
    found = audit.audit_run(compose(*table), run=None)
    assert found.judgement.findings[0].kind == "suspect"
    assert found.findings == ()
    assert found.remarks[0] == "199 rows have a target; below 250 no correlation is judged"


# --- what numbers tell ----------------------------------------------------------------------------

DAYS = pd.bdate_range("2021-01-04", periods=800)


def draw(seed=0):
    """Draw a column of noise."""
    return pd.Series(np.random.default_rng(seed).normal(size=len(DAYS)), DAYS)


def judged(features, following, **forecasts):
    """The findings on columns, given the return after each row, by name."""
    table = pd.DataFrame(features)
    return {
        finding.name: finding
        for finding in suspicion.judge(
            table.ffill().bfill(),
            table.notna(),
            following.rename("target"),
            pd.DataFrame(forecasts, DAYS),
            horizon=1,
            window=20,
            too_large=0.25,
        ).findings
    }


def test_normal_scores_are_quantiles_of_the_ranks():
    scores = correlations.normal_scores(np.array([[5.0], [np.nan], [-2.0], [900.0]]))
    quartile = NormalDist().inv_cdf(0.75)
    np.testing.assert_allclose(scores[:, 0], [0, 0, -quartile, quartile], atol=1e-15)


def test_a_rotation_is_the_correlation_with_the_shifted_outcome():
    scores = correlations.normal_scores(np.column_stack([draw(1), draw(2)]))
    outcome = correlations.normal_scores(draw(3).to_numpy()[:, None])[:, 0]
    rotated, errors = correlations.rotated(scores, outcome)
    assert rotated.shape == errors.shape == (800, 2)
    np.testing.assert_allclose(errors * np.sqrt(800), 1, atol=0.2)
    for shift in (0, 7, 799):
        for column in (0, 1):
            by_hand = np.corrcoef(scores[:, column], np.roll(outcome, -shift))[0, 1]
            assert rotated[shift, column] == pytest.approx(by_hand, abs=1e-12)


def test_a_weekly_column_is_compared_on_its_days_only():
    move = draw(1)
    column = pd.DataFrame({"weekly": move.where(DAYS.day_of_week == 4, 0.0).cumsum()})
    scores = correlations.candidates(column, column.notna())["weekly", correlations.CHANGE]
    assert (scores != 0).sum() == (DAYS[1:].day_of_week == 4).sum()
    same = correlations.rotated(scores.to_numpy()[:, None], move.to_numpy())[0][0, 0]
    assert same > 0.9  # on all days it would be the root of a fifth


def test_the_own_past_ends_with_the_outcome_known_on_the_row():
    past = correlations.own_past(
        pd.Series([9.0, 1.0, 5.0, 7.0, 3.0], DAYS[:5]), horizon=2, num_rows=2
    )
    assert (past[0].iloc[:2] == 0).all()
    np.testing.assert_array_equal(np.sign(past[0].iloc[2:]), [1, -1, 0])  # 9, 1, 5
    np.testing.assert_array_equal(np.sign(past[1].iloc[2:]), [0, 1, -1])  # unknown, 9, 1


@pytest.mark.parametrize(
    ("lead", "make"),
    [
        (1, lambda following: following.cumsum()),
        (20, lambda following: following.shift(-19).cumsum()),
        (20, lambda following: following.cumsum().shift(1).rolling(41, center=True).mean()),
        (1, lambda following: draw(5).mask((following < 0) & (draw(6) > -0.3))),
        (1, lambda following: (draw(7).apply(np.sign) * np.exp(0.5 * following)).cumsum()),
    ],
    ids=["tomorrow", "in twenty days", "centred over 41 days", "missing before losses", "size"],
)
def test_knowledge_of_a_later_return_is_beyond_belief(lead, make):
    following = draw(0)
    found = judged({"honest": draw(4).cumsum(), "planted": make(following)}, following)
    assert list(found) == ["planted"]
    assert found["planted"].kind == "suspect"
    assert found["planted"].days_ahead == lead


def test_a_little_knowledge_is_a_look_without_a_cause():
    following = draw(0)
    (found,) = judged({"planted": draw(1) + 0.25 * following}, following).values()
    assert found.kind == "look"
    assert found.text.startswith("planted: LOOK, its level goes +0.2")
    assert found.text.endswith(
        "with the return that ends 1 trading day(s) ahead: beyond luck, without a known honest "
        "cause"
    )


def test_an_evening_index_is_a_look_with_its_reason():
    returns = draw(0)
    price, later = returns.cumsum(), 0.25 * returns.shift(-1, fill_value=0.0)
    noise = 0.2 * draw(1)
    honest = {"price": price, "index": price + later + noise}
    found = judged(honest, returns.shift(-1))
    assert {name: finding.kind for name, finding in found.items()} == {"index": "look"}
    assert "honest only of a price that is struck after the target's" in found["index"].text
    early = judged({"price": price, "index": price.shift(-1) + noise}, returns.shift(-1))
    assert {name: finding.kind for name, finding in early.items()} == {"index": "suspect"}


def test_a_smoothed_index_is_no_evening_index():
    returns = draw(0)
    weights = np.exp(-0.5 * (np.arange(-6, 7) / 1.3) ** 2)
    index = pd.Series(np.convolve(returns.cumsum(), weights / weights.sum(), "same"), DAYS)
    found = judged({"index": index}, returns.shift(-1))
    assert {name: finding.kind for name, finding in found.items()} == {"index": "suspect"}


def test_bounce_and_mean_reversion_are_a_look_at_the_target_alone():
    true = 1.5 * draw(0).cumsum()
    seen = true + draw(1)
    reverting = lfilter([1], [1, -0.8], draw(0))
    for price in (seen, pd.Series(reverting, DAYS)):
        (found,) = judged({"price": price}, price.diff().shift(-1)).values()
        assert (found.kind, found.part, found.name) == ("look", "target", "target")
        assert "prices that bounce, are stale or revert to a mean do so honestly" in found.text


def test_a_target_of_smoothed_prices_is_beyond_belief():
    price = draw(0).cumsum().rolling(5, center=True, min_periods=1).mean()
    found = judged({"driver": draw(1).cumsum()}, price.diff().shift(-1))
    assert found["target"].kind == "suspect"
    assert "as for prices smoothed by later ones" in found["target"].text


def test_markets_without_a_link_are_clean():
    for seed in range(5):
        columns = {f"{number}": draw(10 * seed + number).cumsum() for number in range(5)}
        assert judged(columns, draw(10 * seed + 9), honest=draw(10 * seed + 8)) == {}


def test_overlapping_returns_count_for_less():
    columns = pd.DataFrame({("a", "level"): draw(1).cumsum(), ("b", "level"): draw(2)})
    scores = pd.DataFrame(correlations.normal_scores(columns.to_numpy()), DAYS, columns.columns)
    overlapping = draw(3).rolling(40).sum().shift(-40)
    outcome = correlations.normal_scores(overlapping.to_numpy()[:, None])[:, 0]
    found = correlations.search(scores, outcome, horizon=40, leads=(0,), sums=())
    assert found["lead"].tolist() == found["days"].tolist() == [40, 40]
    level, noise = found["error"] * np.sqrt(800)
    assert noise == pytest.approx(1, abs=0.1)
    assert 4 < level < 8  # about the root of 40, as of 800 days only 20 do not overlap


@pytest.mark.parametrize("num_known", [0, 300])
def test_returns_that_never_change_tell_nothing(num_known):
    following = pd.Series(0.0, DAYS).where(np.arange(800) < num_known)
    constant = pd.Series(7.0, DAYS)
    assert judged({"driver": draw(1).cumsum(), "constant": constant}, following) == {}


def test_the_worst_word_of_a_column_stays():
    kinds = ("look", "suspect", "leak", "look")
    names = ("index", "index", "stock", "stock")
    parts = ("features", "features", "features", "target")
    found = suspicion.worst_of_each(
        [suspicion.Finding(*given, None, "") for given in zip(kinds, parts, names, strict=True)]
    )
    assert [(finding.kind, finding.name, finding.part) for finding in found] == [
        ("leak", "stock", "features"),
        ("suspect", "index", "features"),
        ("look", "stock", "target"),
    ]


def test_a_look_ends_with_status_0_and_is_named(clean):
    look = suspicion.Finding("look", "features", "62 Index", 1, "62 Index: LOOK")
    found = replace(clean, findings=(look,))
    audit.require_clean(found)
    assert audit.as_record(found)["verdict"] == "look: 62 Index"
    suspect = replace(look, kind="suspect", name="stock")
    with pytest.raises(LeakageError, match=r"^suspect: stock; look: 62 Index$"):
        audit.require_clean(replace(found, findings=(suspect, look)))


def test_a_column_on_lines_between_its_weekly_values_is_beyond_belief():
    weekly = (100 + 10 * draw(0).cumsum()).where(DAYS.day_of_week == 4)
    table = pd.DataFrame(
        {
            "honest": draw(1).cumsum().round(2),
            "weekly": weekly,
            "held": weekly.ffill(),
            "trend": np.arange(800.0),
            "days to expiry": np.arange(800.0) % 21,
            "steps": draw(2).apply(np.sign).cumsum(),
            "by row": weekly.interpolate().round(2),
            "by day": weekly.interpolate("time").round(2),
        }
    )
    found = suspicion.interpolated_columns(table)
    assert [(finding.name, finding.kind) for finding in found] == [
        ("by row", "suspect"),
        ("by day", "suspect"),
    ]
    assert found[0].text.startswith("by row: SUSPECT, 79 % of its values lie on a line")


# --- fits and forecasts ---------------------------------------------------------------------------


def test_learners_are_judged_on_rows_that_they_have_not_seen(compose, tmp_path):
    config = compose(*make_table(tmp_path, planted=lambda price, _: price.shift(-1)))
    module = samples_of(config)
    made = suspicion.honest_forecasts(module, horizon=1)
    num_samples = len(module.origins)
    assert made.shape == (600, 2)
    assert made.notna().all(axis=1).sum() == round(0.4 * num_samples)
    assert made.dropna().index[-1] == module.features.index[module.origins[-1]]
    both = pd.concat([made, module.target["value"]], axis=1).dropna()
    assert both.corr()["value"]["ridge"] > 0.9
    is_seen = pd.Series(module.target.index < made.dropna().index[0], module.target.index)
    changed = module.target.assign(value=module.target["value"].where(is_seen, 1.0))
    other = datamodules.WindowDataModule(module.features, changed, config.dataset_settings)
    pd.testing.assert_frame_equal(suspicion.honest_forecasts(other, horizon=1), made)


def test_forecasts_of_held_out_rows_that_are_too_good_are_named():
    following = draw(0)
    forecast = (following + draw(1)).where(np.arange(800) >= 480)
    (found,) = judged({"driver": draw(2).cumsum()}, following, ridge=forecast).values()
    assert (found.kind, found.part, found.name) == ("suspect", "forecasts", "ridge")
    assert found.text.startswith("ridge: SUSPECT, its forecast goes +0.64 with the return")


def test_the_forecasts_of_a_run_are_judged(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "audit_days", lambda _: FEW_DAYS[:1])
    module = samples_of(*sample)
    outcomes = module.outcomes.iloc[-350:].reset_index(drop=True)
    segment = np.repeat(["train", "val", "test"], [20, 20, 310])
    told = outcomes["actual"] + np.random.default_rng(0).normal(0, 2, 350)
    frame = outcomes.assign(
        segment=segment,
        forecast=told.where(segment == "test", 1.0),
        **dict.fromkeys(BOUNDS, np.nan),
    )
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    found = audit.audit_run(sample[0], run=tmp_path)
    assert found.judgement.columns["name"].iloc[-1] == "run"
    (suspect,) = found.findings
    assert (suspect.kind, suspect.part, suspect.name) == ("suspect", "forecasts", "run")
    assert suspect.days_ahead == 1


def test_a_folder_without_forecasts_is_refused(sample, tmp_path):
    with pytest.raises(ConfigError, match=r"predictions\.csv: there is no such file"):
        audit.audit_run(sample[0], run=tmp_path)
    (tmp_path / "predictions.csv").write_text("date,forecast\n2024-01-02,1\n")
    with pytest.raises(ConfigError, match=r"is no table of a finished run: .*'actual'"):
        audit.audit_run(sample[0], run=tmp_path)
