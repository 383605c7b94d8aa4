"""The leak audit: what is honest passes, and every leak planted here is named."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from parts_of_a_run import samples_of

from ironore_lightning.audit import __main__ as audit
from ironore_lightning.audit import black_box as leaks
from ironore_lightning.audit import statistics as suspicion
from ironore_lightning.data import datamodule as datamodules
from ironore_lightning.data import features as features_module
from ironore_lightning.data import panel as panels
from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.data.windows import Batch, WindowDataset
from ironore_lightning.errors import ConfigError, LeakageError
from ironore_lightning.evaluation.forecasts import BOUNDS
from ironore_lightning.settings.samples import WindowSettings

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
    assert len(clean.features) == 12
    assert {part: len(columns) for part, columns in clean.ahead.items()} == {
        "features": 12,
        "target": 1,
        "scaler": 12,
        "windows": 12,
    }
    assert not any(days for columns in clean.ahead.values() for days in columns.values())
    assert clean.shuffled.num_fits == 40
    assert not clean.shuffled.is_leak
    assert not clean.copy.is_copy
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
    assert len(found.features) == 12


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
        "2 leaks",
    ]
    assert done.stderr == "LeakageError: 2 leaks: IOCJ Inventory, IOCJ Weekly shipment\n"
    record = json.loads((tmp_path / "leak_audit.json").read_text())
    assert record["verdict"] == "2 leaks"
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
    join = panels._join

    def filled_backwards(driver, days):
        source, _ = driver
        values, staleness = join(driver, days)
        if source.name == "lump premium":
            values = source.reindex(days, method="bfill").ffill()
        return values, staleness

    monkeypatch.setattr(panels, "_join", filled_backwards)
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
    assert [finding.name for finding in found.findings] == ["planted"]
    assert found.findings[0].kind == "suspect"
    assert "planted: SUSPECT, it correlates" in found.findings[0].text
    assert audit.TABLE_REMARK in found.remarks
    with pytest.raises(LeakageError, match=r"^1 leak: planted$"):
        audit.require_clean(found)


def test_a_table_with_lagged_columns_is_clean_and_remarked_upon(compose, tmp_path):
    columns = {
        "late price": lambda price, _: price.shift(1),
        "late driver": lambda _, driver: driver.shift(2),
        "mean": lambda price, _: price.rolling(20).mean(),
    }
    found = audit.audit_run(compose(*make_table(tmp_path, **columns)), run=None)
    audit.require_clean(found)
    assert len(found.features) == 5
    assert [line.split(":")[0] for line in found.remarks] == [
        "price is late price of 1 trading day(s) later",
        "driver is late driver of 2 trading day(s) later",
        audit.TABLE_REMARK,
    ]


def test_few_rows_are_not_called_suspicious(compose, tmp_path):
    table = make_table(tmp_path, num_rows=200, planted=lambda price, _: price.shift(-1))
    config = compose(*table)
    module = samples_of(config)
    knowledge, remarks = audit.correlate_features(module, config)
    assert knowledge.loc["planted", "correlation"] > 0.9
    assert not knowledge["is_suspect"].any()
    assert remarks[0] == "199 rows have a target; below 250 no correlation is suspicious"


def test_overlapping_returns_count_for_less():
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2020-01-01", periods=800)
    daily = pd.Series(rng.normal(0, 1, 800), days)
    outcome = daily.rolling(40).sum().shift(-40)
    features = pd.DataFrame({"level": pd.Series(rng.normal(0, 1, 800), days).cumsum()})
    judge = partial(
        suspicion.correlations_with_later_returns, features, too_large=0.25, fewest_rows=250
    )
    assert abs(judge(outcome, horizon=40).loc["level", "correlation"]) > 0.25
    assert not judge(outcome, horizon=40).loc["level", "is_suspect"]
    assert judge(outcome, horizon=1).loc["level", "is_suspect"]


# --- fits and forecasts ---------------------------------------------------------------------------


def test_fits_to_shuffled_targets_have_skill_where_the_answer_is_among_the_features(
    compose, sample
):
    config = compose("features=prices")
    honest = samples_of(config, sample[1])
    answer = honest.target["value"].fillna(0.0)
    told = datamodules.WindowDataModule(
        pd.DataFrame({"answer": answer}),
        honest.target,
        replace(config.dataset_settings, window=WindowSettings.model_construct(sequence_length=1)),
    )
    assert suspicion.fit_shuffled(honest, horizon=1).num_skilled <= 2
    fits = suspicion.fit_shuffled(told, horizon=1)
    # Every other order of the targets happens to point the right way.
    assert 10 < fits.num_skilled < 30
    assert fits.is_leak
    nothing = suspicion.Copy(correlation=0.1, lag=1)
    found = suspicion.fit_findings(fits, nothing)
    assert [finding.name for finding in found] == ["shuffled targets"]


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_forecasts_that_repeat_an_outcome_are_found(lag):
    rng = np.random.default_rng(0)
    actual = rng.normal(0, 2, 131)
    forecast = -0.1 * np.roll(actual, lag) + rng.normal(0, 0.02, 131)
    copy = suspicion.compare_with_outcomes(forecast, actual)
    assert copy.lag == lag
    assert copy.is_copy
    assert copy.correlation < -0.95
    text = suspicion.fit_findings(suspicion.ShuffledFits(40, 0), copy)[0].text
    what = f"the outcome {lag} sample(s) before" if lag else "the outcome itself"
    assert text == f"forecasts: SUSPECT, they are {what} (correlation {copy.correlation:+.2f})"


def test_forecasts_of_their_own_are_no_copy():
    forecast, actual = np.random.default_rng(0).normal(0, 1, (2, 131))
    assert not suspicion.compare_with_outcomes(forecast, actual).is_copy
    assert suspicion.compare_with_outcomes(np.ones(131), actual).correlation == 0


def test_the_forecasts_of_a_run_are_looked_at(sample, tmp_path, monkeypatch):
    monkeypatch.setattr(leaks, "audit_days", lambda _: FEW_DAYS[:1])
    actual = np.random.default_rng(0).normal(0, 2, 100)
    frame = pd.DataFrame(
        {
            "date": pd.bdate_range("2024-01-01", periods=100),
            "segment": ["train"] * 20 + ["val"] * 20 + ["test"] * 60,
            "actual": actual,
            # The training rows are no copy.
            "forecast": np.where(np.arange(100) < 40, 1.0, 0.2 * np.roll(actual, 1)),
            **dict.fromkeys(BOUNDS, np.nan),
            "is_roll": False,
        }
    )
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    found = audit.audit_run(sample[0], run=tmp_path)
    assert found.forecasts == f"run {tmp_path}"
    assert found.copy.lag == 1
    assert [finding.text for finding in found.findings] == [
        "forecasts: SUSPECT, they are the outcome 1 sample(s) before (correlation +1.00)"
    ]


def test_a_folder_without_forecasts_is_refused(sample, tmp_path):
    with pytest.raises(ConfigError, match=r"predictions\.csv: there is no such file"):
        audit.audit_run(sample[0], run=tmp_path)
    (tmp_path / "predictions.csv").write_text("date,forecast\n2024-01-02,1\n")
    with pytest.raises(ConfigError, match=r"is no table of a finished run: .*'actual'"):
        audit.audit_run(sample[0], run=tmp_path)
