"""The verdict on anybody's forecasts: a broker's, a spreadsheet's, our own."""

import datetime
import html
import json
import pickle
import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf
from parts_of_a_run import draw_one_quick_figure
from test_layers import ROOT

from ironore_lightning.data.features import build_table
from ironore_lightning.data.market_cache import build_market
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.evaluation.forecasts import BOUNDS
from ironore_lightning.experiment import run_experiment
from ironore_lightning.files import write_json
from ironore_lightning.judge import output
from ironore_lightning.judge.__main__ import names_a_market, require_no_settings
from ironore_lightning.judge.forecast_file import read_forecast_file
from ironore_lightning.judge.judgement import judge_file, judge_run
from ironore_lightning.judge.outcomes import take_from_market
from ironore_lightning.judge.output import print_judgement, write_judgement
from ironore_lightning.run_folder.looks import count_look
from ironore_lightning.settings.base import parse_day

NUM_DAYS = 150
SKIPPED = 40
QUICK = "evaluation.bootstrap_repetitions=100"


@pytest.fixture(scope="module")
def config(compose):
    return compose(QUICK)


@pytest.fixture(scope="module")
def broker():
    """A broker's table: forecasts that know a little, bounds, and what happened."""
    generator = np.random.default_rng(3)
    days = pd.bdate_range("2024-01-01", periods=NUM_DAYS + 1)
    actual = generator.normal(0, 1.5, NUM_DAYS).round(3)
    forecast = (0.05 * actual + generator.normal(0, 0.2, NUM_DAYS)).round(3)
    table = pd.DataFrame({"origin": days[:-1], "date": days[1:], "forecast": forecast})
    table["actual"] = actual
    for name, reach in zip(BOUNDS, (-2, 2, -3, 3), strict=True):
        table[name] = forecast + reach
    return table


@pytest.fixture
def write(tmp_path):
    """Write a table as csv, whose dates are text."""

    def write_csv(table, name="broker.csv"):
        table.to_csv(tmp_path / name, index=False, date_format="%Y-%m-%d")
        return tmp_path / name

    return write_csv


@pytest.fixture
def judge(write, config):
    """Judge a table that holds its own outcomes."""

    def judge_table(table, trained_until=None, looks=None):
        path = write(table)
        day = trained_until and parse_day("trained_until", trained_until)
        return judge_file(path, config, has_market=False, trained_until=day, looks=looks)

    return judge_table


# --- the verdict ----------------------------------------------------------------------------------


def test_the_scores_are_those_of_the_file(judge, broker):
    judgement = judge(broker)
    error = broker["actual"] - broker["forecast"]
    right = np.sign(broker["actual"]) == np.sign(broker["forecast"])
    assert judgement.assessment.scores.num_days == NUM_DAYS
    assert judgement.assessment.scores.rmse == pytest.approx((error**2).mean() ** 0.5)
    assert judgement.assessment.scores.direction_hits == right.sum()
    inside = (broker["actual"] - broker["forecast"]).abs() <= 2
    assert judgement.assessment.intervals[0].coverage == pytest.approx(inside.mean())
    names = [row.name for row in judgement.assessment.table]
    assert names == [
        *("model", "zero", "expanding mean", "majority sign", "last return"),
        *("AR(1)", "AR(5)", "ridge"),
    ]


def test_without_bounds_no_interval_is_scored(judge, broker):
    judgement = judge(broker.drop(columns=[*BOUNDS]))
    assert [scores.num_days for scores in judgement.assessment.intervals] == [0, 0]
    assert judgement.assessment.density == {}


def test_days_that_begin_before_training_ended_do_not_count(judge, broker):
    judgement = judge(broker, f"{broker['origin'][SKIPPED]:%Y-%m-%d}")
    assert list(judgement.days.dates) == list(broker["date"][SKIPPED:])
    assert f"{SKIPPED} days do not count: they begin before" in judgement.notes[0]
    changed = broker.copy()
    changed.loc[: SKIPPED - 1, "forecast"] = -changed.loc[: SKIPPED - 1, "forecast"]
    changed[[*BOUNDS]] = broker[[*BOUNDS]].add(changed["forecast"] - broker["forecast"], axis=0)
    again = judge(changed, f"{broker['origin'][SKIPPED]:%Y-%m-%d}")
    assert again.assessment == judgement.assessment


def test_the_verdict_says_if_nobody_declared_when_training_ended(judge, broker):
    assert "Nobody has said until when" in judge(broker).sentence
    assert "Nobody has said" not in judge(broker, "2023-12-01").sentence


@pytest.mark.parametrize(
    ("freq", "noun", "per_year"), [("7D", "week", 52), ("BME", "month", 12), ("D", "day", 365)]
)
def test_a_file_is_judged_in_its_own_rhythm(judge, broker, freq, noun, per_year):
    dates = pd.date_range("2010-01-01", periods=NUM_DAYS + 1, freq=freq)
    judgement = judge(broker.assign(origin=dates[:-1], date=dates[1:]))
    assert judgement.assessment.rhythm.per_year == per_year
    assert f"of {NUM_DAYS} test {noun}s" in judgement.sentence
    assert judgement.sentence.endswith(f"so it may know these {noun}s.")


def test_the_verdict_says_if_the_skill_is_a_bounce(judge, broker):
    generator = np.random.default_rng(5)
    struck = generator.normal(0, 1.5, NUM_DAYS + 1)  # each close is off by this
    actual = generator.normal(0, 1, NUM_DAYS) + np.diff(struck)
    table = broker.assign(actual=actual, forecast=-struck[:-1]).drop(columns=[*BOUNDS])
    judgement = judge(table)
    assert judgement.assessment.evidence.grade not in {"INSUFFICIENT", "NONE"}
    assert "The skill may not be tradable: it bets against the" in judgement.sentence


def test_a_day_left_out_without_a_market_is_named_by_the_next_origin(judge, broker):
    named = f"there is no forecast of {broker['date'][7]:%Y-%m-%d}"
    with pytest.raises(DataError, match=rf"{named}.* \(2 are missing\); a verdict on chosen days"):
        judge(broker.drop(index=[7, 30]))
    assert len(judge(broker.drop(index=0)).days) == NUM_DAYS - 1  # it starts a day later


def test_forecasts_of_days_to_come_do_not_count(judge, broker):
    later = broker.copy()
    later.loc[NUM_DAYS - 2 :, "actual"] = np.nan
    judgement = judge(later)
    assert len(judgement.days) == NUM_DAYS - 2
    assert "2 days do not count: their outcome is not known" in judgement.notes


def test_every_other_file_on_the_same_days_is_one_more_look(judge, broker, tmp_path):
    ledger = tmp_path / "looks.sqlite"
    other = broker.assign(forecast=broker["forecast"] / 2)
    found = [judge(table, looks=ledger).assessment.evidence.look for table in (broker, other) * 2]
    assert found == [1, 2, 1, 2]


def test_all_formats_give_the_same_table(broker, tmp_path, write):
    plain = read_forecast_file(write(broker)).rows
    broker.to_csv(tmp_path / "b.tsv", sep="\t", index=False, date_format="%Y-%m-%d")
    broker.to_csv(tmp_path / "c.csv", sep=";", index=False, encoding="utf-8-sig")
    broker.to_parquet(tmp_path / "d.parquet", index=False)
    broker.to_excel(tmp_path / "e.xlsx", index=False)
    for name in ("b.tsv", "c.csv", "d.parquet", "e.xlsx"):
        pd.testing.assert_frame_equal(read_forecast_file(tmp_path / name).rows, plain)
    assert len(plain) == NUM_DAYS


def test_the_page_and_the_json_hold_the_verdict(judge, broker, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(output, "draw_figures", lambda *_, **__: {})  # they take a second
    judgement = judge(broker.assign(remark="<b>buy</b>"))
    write_judgement(judgement, tmp_path)
    page = html.unescape((tmp_path / "judgement.html").read_text(encoding="utf-8"))
    assert page.count("<svg") == 2
    assert judgement.assessment.evidence.line in page
    assert "columns that are not read: remark" in page
    written = json.loads((tmp_path / "judgement.json").read_text(encoding="utf-8"))
    assert written["sentence"] == judgement.sentence
    assert written["evidence"]["grade"] == judgement.assessment.evidence.grade
    with caplog.at_level("INFO"):
        print_judgement(judgement, tmp_path)
    assert caplog.messages[-2] == judgement.sentence
    assert caplog.messages[-1] == f"page: {tmp_path / 'judgement.html'}"


# --- our own runs, and the market of the settings -------------------------------------------------


@pytest.fixture(scope="module")
def run(compose, tmp_path_factory):
    """A finished run on the sample market, and a ledger beside it."""
    folder = tmp_path_factory.mktemp("own") / "run"
    config = compose("model=tiny", "training.max_epochs=1", QUICK, "data.sample.signal=0.3")
    with pytest.MonkeyPatch.context() as patch:
        draw_one_quick_figure(patch.setattr)
        return run_experiment(config, folder, looks=folder.parent / "looks.sqlite")


def test_the_verdict_on_a_run_of_ours_is_its_own(run, tmp_path):
    ledger = run.run.folder.parent / "looks.sqlite"
    assert count_look(ledger, run.days.with_forecast(-run.days.forecast), what="another") == 2
    judgement = judge_run(run.run.folder, looks=ledger)
    recorded = json.loads((run.run.folder / "evaluation_results.json").read_text(encoding="utf-8"))
    write_json(tmp_path / "judged.json", asdict(judgement.assessment))
    judged = json.loads((tmp_path / "judged.json").read_text(encoding="utf-8"))
    assert judged["evidence"]["look"] == 1
    assert {name: recorded[name] for name in judged} == judged
    assert judgement.sentence == recorded["sentence"] == run.sentence
    assert judgement.notes == ()


def test_the_verdict_on_a_run_of_ours_tells_what_break_days_leave_out(run, tmp_path):
    shutil.copytree(run.run.folder, tmp_path / "run")
    results = tmp_path / "run" / "final_results.json"
    record = json.loads(results.read_text(encoding="utf-8"))
    left_out = {"dates": ["2025-06-16"], "direction_hits": 0, "direction_days": 1}
    record["evaluation"]["left_out"] = left_out | {"evidence": {"grade": "NONE"}}
    results.write_text(json.dumps(record), encoding="utf-8")
    sentence = judge_run(tmp_path / "run", looks=None).sentence
    assert sentence.endswith(
        "Break days leave out 1 test day, of which 0 of 1 were right; with them the evidence is "
        "NONE."
    )


@pytest.fixture(scope="module")
def own_table(run):
    """The test days of the run as somebody else would send them."""
    config = run.run.config
    panel = build_market(config.data, config.target).panel
    _, target = build_table(panel, config.features.names, config.target)
    origin = pd.Series(target.index, index=pd.DatetimeIndex(target["date"]))
    rows = run.days.frame
    table = rows[["date", "forecast", "actual", *BOUNDS]]
    return table.assign(origin=origin.loc[rows["date"]].to_numpy())


def judge_by_market(path, run, trained_until="2024-12-31"):
    day = trained_until and parse_day("trained_until", trained_until)
    return judge_file(path, run.run.config, has_market=True, trained_until=day, looks=None)


def test_the_market_has_the_outcomes_and_all_nine_baselines(run, own_table, write):
    judgement = judge_by_market(write(own_table.drop(columns="actual")), run)
    assert judgement.assessment.scores == run.assessment.scores
    assert judgement.assessment.trading == run.assessment.trading  # the same rolls
    assert judgement.assessment.intervals == run.assessment.intervals
    ours = {row.name: row for row in run.assessment.table}
    theirs = {row.name: row for row in judgement.assessment.table}
    assert list(theirs) == list(ours)
    for name in ("zero", "expanding mean", "last return"):  # which are not fitted
        assert theirs[name].scores == ours[name].scores


def test_outcomes_in_the_file_must_be_those_of_the_market(run, own_table, write):
    rounded = own_table.assign(actual=own_table["actual"].round(2))
    assert judge_by_market(write(rounded), run).assessment.scores.num_days == 131
    wrong = own_table.assign(actual=own_table["actual"].shift(-1))
    with pytest.raises(DataError, match=r"actual of 2025-02-10 is \S+, and \S+ in the market"):
        judge_by_market(write(wrong), run)


MARKET_DAMAGE = {
    "chosen days only": (
        lambda table: table.drop(index=[7, 9]),
        "there is no forecast of 2025-02-19, a trading day of the market (2 are missing)",
    ),
    "a Saturday": (
        lambda table: table.assign(date=table["date"].where(table.index != 4, "2025-02-15")),
        "2025-02-15 is no trading day of the market",
    ),
    "an origin inside the return": (
        lambda table: table.assign(origin=table["date"] - pd.Timedelta(hours=24)),
        "but that return begins on",
    ),
    "the wrong horizon": (
        lambda table: table.assign(origin=table["origin"] - pd.Timedelta(days=7)),
        "most forecasts reach 6 weekdays from origin to date, and target.horizon is 1",
    ),
    "days after the market": (
        lambda table: table.assign(
            origin=table["origin"] + pd.Timedelta(days=3640),
            date=table["date"] + pd.Timedelta(days=3640),
        ),
        "the market ends on 2025-08-13, before it",
    ),
}


@pytest.mark.parametrize("case", MARKET_DAMAGE)
def test_days_that_are_not_those_of_the_market_are_one_line(case, run, own_table, write):
    damage, said = MARKET_DAMAGE[case]
    with pytest.raises(DataError) as refused:
        judge_by_market(write(damage(own_table)), run)
    (line,) = refused.value.lines
    assert f"broker.csv: {said}" in line or said in line


def test_later_days_change_no_baseline_of_earlier_ones(run, own_table, write):
    files = [read_forecast_file(write(table)) for table in (own_table[:60], own_table)]
    early, whole = (take_from_market(file, run.run.config, None).baselines for file in files)
    assert (len(early), len(whole)) == (60, 131)
    pd.testing.assert_frame_equal(early, whole[:60], check_exact=True)


def test_baselines_need_a_market_before_the_first_day(own_table, write, compose):
    late = compose(QUICK, "data.sample.signal=0.3", "data.panel.start=2024-12-02")
    with pytest.raises(DataError, match=r"windows before 2025-02-10, and the baselines need 100"):
        judge_file(write(own_table), late, has_market=True, trained_until=None, looks=None)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["file=x.csv", "target.horizon=5"], False),
        (["data.sample.seed=1"], True),
        (["experiment=leaky_demo"], True),
    ],
)
def test_the_market_is_used_only_where_it_is_named(overrides, expected):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = hydra_compose("judge", overrides=overrides, return_hydra_config=True)
    assert names_a_market(composed.hydra) is expected


def test_a_training_cutoff_is_a_date():
    assert parse_day("trained_until", "2025-01-31") == datetime.date(2025, 1, 31)
    for text in ("31.01.2025", "2025-02-30", "20250131", "yesterday"):
        with pytest.raises(ConfigError, match=f"written YYYY-MM-DD, got {text}"):
            parse_day("trained_until", text)


# --- damaged files --------------------------------------------------------------------------------


def in_column(name, row, value):
    """Put a value into a cell of the table."""

    def damage(table):
        cells = table[name].astype(object)
        cells[row] = value
        return table.assign(**{name: cells})

    return damage


def times(factor, *names):
    return lambda table: table.assign(**{name: factor * table[name] for name in names})


def to_prices(table):
    return table.assign(forecast=100 + table["forecast"].cumsum())


def swapped(first, second):
    return lambda table: table.rename(columns={first: second, second: first})


NUMBERS = ("forecast", "actual", *BOUNDS)
TABLES = {
    "no origin": (lambda table: table.drop(columns="origin"), "there is no column 'origin'"),
    "no date": (
        lambda table: table.rename(columns={"date": "dates"}),
        "there is no column 'date'; did you mean 'dates'?",
    ),
    "no forecast": (lambda table: table.drop(columns="forecast"), "there is no column 'forecast'"),
    "no outcome": (lambda table: table.drop(columns="actual"), "name the market that has them"),
    "only one bound": (
        lambda table: table.drop(columns="upper_90"),
        "of lower_90 and upper_90, only lower_90 is there",
    ),
    "no row": (lambda table: table[:0], "holds a header and no row below it"),
    "too few rows": (lambda table: table[:19], "19 days with an outcome count, at least 20"),
    "blank rows": (lambda table: table.map(lambda _: ""), "every row is blank"),
    "blank origin": (in_column("origin", 4, ""), "line 6: origin is blank"),
    "blank date": (in_column("date", 4, ""), "line 6: date is blank"),
    "blank forecast": (in_column("forecast", 4, ""), "line 6: forecast is blank"),
    "NaN forecast": (in_column("forecast", 4, "nan"), "line 6: forecast is blank"),
    "infinite forecast": (in_column("forecast", 4, "inf"), "'inf' is infinite"),
    "text for a forecast": (in_column("forecast", 4, "buy"), "'buy' is not a number"),
    "decimal comma": (in_column("forecast", 4, "0,31"), "'0,31' is not a number"),
    "per cent sign": (in_column("forecast", 4, "0.3 %"), "'0.3 %' is not a number"),
    "blank outcome": (in_column("actual", 4, ""), "line 6: actual is blank, though a later one is"),
    "no outcome at all": (lambda table: table.assign(actual=""), "'actual' holds no value"),
    "blank bound": (in_column("lower_80", 4, ""), "line 6: 80 % interval: one bound is blank"),
    "crossed bounds": (swapped("lower_90", "upper_90"), "the lower bound lies above the upper one"),
    "nested bounds": (
        lambda table: table.rename(columns=lambda name: name.translate({56: 57, 57: 56})),
        "the 80 % interval reaches beyond the 90 % one",
    ),
    "bounds elsewhere": (
        lambda table: table.assign(lower_80=table["lower_80"] + 2.5, upper_80=table["upper_90"]),
        "80 % interval: the forecast lies outside its own bounds",
    ),
    "date twice": (
        in_column("date", 4, "2024-01-05"),
        "line 6: the date 2024-01-05 is there twice",
    ),
    "newest first": (lambda table: table[::-1], "line 3: the date 2024-07-26 follows 2024-07-29"),
    "origin on the date": (
        lambda table: table.assign(origin=table["date"]),
        "line 2: origin 2024-01-02 is not before the date 2024-01-02",
    ),
    "origin and date swapped": (swapped("origin", "date"), "is not before the date"),
    "German dates": (
        lambda table: table.assign(date=table["date"].dt.strftime("%d.%m.%Y")),
        "'02.01.2024' is not a date written as '%Y-%m-%d'",
    ),
    "a day that does not exist": (in_column("date", 4, "2024-02-30"), "'2024-02-30' is not a date"),
    "time of day": (
        in_column("date", 4, "2024-01-08 17:00"),
        "'2024-01-08 17:00' is not a date written as",
    ),
    "a week's days": (
        lambda table: table[::5],
        "most forecasts reach 0 weeks from origin to date, and target.horizon is 1; correct them",
    ),
    "fortnights": (lambda table: table[::10], "rows are 14 days apart"),
    "a month is missing": (
        lambda table: table.drop(index=range(60, 82)),
        "there is no trading day between",
    ),
    "five days ahead": (
        lambda table: table.assign(origin=table["origin"].shift(4)).dropna(),
        "set target.horizon=5",
    ),
    "all in fractions": (times(0.01, *NUMBERS), "are they fractions? multiply outcomes"),
    "forecasts in fractions": (times(1e-4, "forecast"), "are they fractions? expected are returns"),
    "basis points": (times(100, "forecast"), "are they prices or basis points?"),
    "prices": (to_prices, "forecast of 2024-01-02 is 100.22, which is no return"),
    "outcome of a lost point": (
        in_column("actual", 4, "1500"),
        "actual of 2024-01-08 is 1500, which is no return",
    ),
    "training ended today": (lambda table: table, "0 days with an outcome count after"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_damaged_table_is_one_line(case, judge, broker):
    damage, said = TABLES[case]
    cutoff = "2026-01-01" if case == "training ended today" else None
    # Bounds would notice some of it first.
    keeps_bounds = "bound" in case or case == "all in fractions"
    table = broker if keeps_bounds else broker.drop(columns=[*BOUNDS])
    with pytest.raises(DataError) as refused:
        judge(damage(table), cutoff)
    (line,) = refused.value.lines
    assert line.startswith("DataError: broker.csv: ")
    assert said in line
    assert len(line) < 400


FILES = {
    "empty": ("a.csv", b"", "a.csv: is empty (no bytes)"),
    "blank": ("a.csv", b"\n\n", "a.csv: is empty (only blank lines)"),
    "latin 1": ("a.csv", "origin,date,forecast,höhe\n1,2,3,4".encode("latin-1"), "is not UTF-8"),
    "utf-16": ("a.csv", "origin,date,forecast\n".encode("utf-16"), "is not UTF-8"),
    "one column": ("a.csv", b"forecast\n0.3\n", "only one column was found"),
    "ragged": ("a.csv", b"origin,date,forecast\n2024-01-01,2024-01-02\n", "line 2 has 2 cells"),
    "open quote": (
        "a.csv",
        b'origin,date,forecast\n"2024,1,2\n',
        "line 2 cannot be split into cells",
    ),
    "header twice": (
        "a.csv",
        b"origin,date,forecast,date\n2024-01-01,,,\n",
        "'date' is there twice",
    ),
    "a pickle": ("a.pkl", pickle.dumps({}), "a pickle can run code, so it is not read"),
    "a pickle called parquet": ("a.parquet", pickle.dumps({}), "a.parquet: "),
    "no workbook": ("a.xlsx", b"PK\x03\x04 and no more", "is not a readable .xlsx workbook"),
    "an old workbook": ("a.xls", b"\xd0\xcf\x11\xe0", "'.xls' is no table; expected one of .csv"),
    "no suffix": ("forecasts", b"origin,date,forecast\n", "'' is no table"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_damaged_file_is_one_line(case, tmp_path):
    name, content, said = FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_forecast_file(tmp_path / name)
    (line,) = refused.value.lines
    assert said in line
    assert len(line) < 400


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "brokers.csv").write_text("x")
    for name, said in (("broker.csv", "did you mean 'brokers.csv'?"), (".", "is no table")):
        with pytest.raises(DataError) as refused:
            read_forecast_file(tmp_path / name)
        assert said in refused.value.lines[0]


def test_forty_files_were_damaged():
    assert len(TABLES) + len(FILES) + len(MARKET_DAMAGE) >= 40


@pytest.mark.parametrize("setting", ["features=single", "trained_until=2024-01-31"])
def test_a_run_of_ours_is_judged_by_its_own_settings_alone(setting):
    hydra_config = OmegaConf.create({"overrides": {"task": ["file=a", "report.emoji=0", setting]}})
    with pytest.raises(ConfigError, match=setting.partition("=")[0] + ": a run of ours is judged"):
        require_no_settings(hydra_config)
    hydra_config.overrides.task.pop()
    require_no_settings(hydra_config)
