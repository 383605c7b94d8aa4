"""The forecast command on finished runs."""

import datetime
import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from small_market import cut_market

from ironore_lightning.data.raw_data import read_raw
from ironore_lightning.errors import ConfigError, DataError
from ironore_lightning.experiment import run_experiment
from ironore_lightning.forecast.__main__ import main
from ironore_lightning.forecast.next_day import describe, forecast_next
from ironore_lightning.judge.judgement import judge_run
from ironore_lightning.run_folder.record import read_run
from ironore_lightning.trading_calendar.rhythm import WEEKLY

TODAY = datetime.date(2025, 8, 14)
pytestmark = pytest.mark.usefixtures("one_quick_figure")


@pytest.fixture(scope="module")
def market(compose, tmp_path_factory):
    """Raw files of a market, as a user would have them."""
    root = tmp_path_factory.mktemp("market") / "raw"
    read_raw(compose(f"data.root={root}").data)
    return root


@pytest.fixture(scope="module")
def make_run(compose, market, tmp_path_factory):
    def make(*overrides):
        folder = tmp_path_factory.mktemp("run")
        shared = ("data=original", f"data.root={market}", "model=tiny", "training.max_epochs=2")
        result = run_experiment(compose(*shared, *overrides), folder)
        return folder, result

    return make


@pytest.fixture(scope="module")
def run(make_run):
    return make_run()


@pytest.fixture(scope="module")
def other(make_run):
    return make_run("seed=1")


def test_help_says_how_to_ask(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"], today=TODAY)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: ironore forecast")
    assert "newer files in place of the run's own" in said


def test_the_newest_row_is_forecast_and_written(run, capsys):
    folder, _ = run
    assert main([str(folder)], today=TODAY) == 0
    said = json.loads((folder / "forecast.json").read_text(encoding="utf-8"))
    assert (said["origin"], said["date"]) == ("2025-08-13", "2025-08-14")
    bounds = said["bounds"]
    assert bounds["lower_90"] < bounds["lower_80"] < said["forecast"]
    assert said["forecast"] < bounds["upper_80"] < bounds["upper_90"]
    lines = capsys.readouterr().out.splitlines()
    shown = {line.rsplit(maxsplit=2)[0]: line.rsplit(maxsplit=2)[1:] for line in lines[1:6]}
    assert shown == {
        "forecast": [f"{said['forecast']:+.2f}", f"{said['price']:.2f}"],
        **{
            f"{percent} %, {side} bound": [
                f"{bounds[f'{side}_{percent}']:+.2f}",
                f"{said['price_bounds'][f'{side}_{percent}']:.2f}",
            ]
            for percent in (80, 90)
            for side in ("lower", "upper")
        },
    }
    assert lines[7].startswith("for the day    2025-08-14")
    assert lines[8] == "newest row     2025-08-13, 0 trading days old"
    assert lines[10].startswith("earned so far  direction")
    assert "evidence" in lines[10]
    assert len(lines) == 11


def test_the_price_is_that_of_the_contract_that_is_held_then(run, market):
    folder, _ = run
    said = forecast_next([read_run(folder, None)], today=TODAY)
    contracts = pd.read_pickle(market / "Raw_M65F_DSP.pkl")
    base = contracts[pd.Period("2025-09", "M")].loc["2025-08-13"]
    assert said.contract_month == "2025-09"
    assert said.price == pytest.approx(base * np.exp(said.forecast / 100))
    assert said.price_bounds["lower_80"] == pytest.approx(
        base * np.exp(said.bounds["lower_80"] / 100)
    )


def test_what_was_forecast_in_the_run_is_forecast_again_from_the_data_of_that_day(
    run, market, tmp_path
):
    folder, result = run
    predictions = result.forecasts.predictions.set_index("date")
    # The files end on 30 June: the newest row is the origin of the forecast for 1 July.
    cut_root = cut_market(market, tmp_path / "cut", "2025-06-30")
    said = forecast_next([read_run(folder, str(cut_root))], today=datetime.date(2025, 7, 1))
    assert said.origin == "2025-06-30"
    assert said.date == "2025-07-01"
    then = predictions.loc["2025-07-01"]
    assert said.forecast == pytest.approx(then["forecast"], abs=1e-6)
    for name in ("lower_80", "upper_80", "lower_90", "upper_90"):
        assert said.bounds[name] == pytest.approx(then[name], abs=1e-6)
    assert said.contract_month == "2025-08"  # on 1 July that of August is held, and on the 2nd
    assert said.warnings == []


@pytest.mark.usefixtures("bfloat16")
def test_a_run_speaks_in_the_precision_in_which_it_was_tested(make_run, market, tmp_path):
    folder, result = make_run("model=bilstm_small", "hardware.precision=bf16-mixed")
    root = cut_market(market, tmp_path / "cut", "2025-06-30")
    mixed = read_run(folder, str(root))
    whole = mixed.settings.hardware.model_copy(update={"precision": "32-true"})
    settings = mixed.settings.model_copy(update={"hardware": whole})
    plain = mixed.model_copy(update={"settings": settings})
    then = result.forecasts.predictions.set_index("date").loc["2025-07-01", "forecast"]
    today = datetime.date(2025, 7, 1)
    assert forecast_next([mixed], today=today).forecast == pytest.approx(then, abs=1e-6)
    assert forecast_next([plain], today=today).forecast != pytest.approx(then, abs=1e-5)


@pytest.fixture(scope="module")
def early(make_run, market):
    """A run that was trained until the summer of 2023, and knows the holidays of its market."""
    (market / "holidays.txt").write_text("2024-03-29\n2024-12-25\n")
    split = ("split=by_date", "split.val_start=2023-06-01", "split.test_start=2023-10-02")
    return make_run(*split, "data.holidays=holidays.txt")[0]


@pytest.mark.parametrize(
    ("day", "date", "contract"),
    [("2024-03-28", "2024-04-01", "2024-05"), ("2024-12-24", "2024-12-26", "2025-01")],
)
def test_the_next_day_is_no_holiday_and_has_the_contract_that_is_held_then(
    early, market, tmp_path, day, date, contract
):
    root = cut_market(market, tmp_path / "cut", day)
    said = forecast_next([read_run(early, str(root))], today=datetime.date.fromisoformat(date))
    assert (said.origin, said.date, said.contract_month) == (day, date, contract)
    assert (said.warnings, said.age_days, said.holidays_known) == ([], 0, True)
    base = pd.read_pickle(market / "Raw_M65F_DSP.pkl")[pd.Period(contract, "M")].loc[day]
    assert said.price == pytest.approx(base * np.exp(said.forecast / 100))


def test_the_holidays_of_an_exchange_are_skipped_as_those_of_a_file_are(early, market, tmp_path):
    pytest.importorskip("exchange_calendars")
    record = read_run(early, str(cut_market(market, tmp_path / "cut", "2024-03-28")))
    data = record.settings.data.model_copy(update={"holidays": None, "exchange": "XSES"})
    settings = record.settings.model_copy(update={"data": data})
    run = record.model_copy(update={"settings": settings})
    said = forecast_next([run], today=datetime.date(2024, 4, 1))
    assert (said.date, said.contract_month) == ("2024-04-01", "2024-05")
    assert (said.age_days, said.holidays_known) == (0, True)
    (doubt,) = said.warnings  # the simulated market has holidays of its own
    assert re.fullmatch(
        r"price_65_m1 has a price on \d+ day\(s\) without a session of XSES, the last on 2024-\S+",
        doubt,
    )


def test_a_weekly_run_is_trained_told_and_continued_in_weeks(
    compose, tmp_path, tmp_path_factory, caplog, capsys
):
    fridays = pd.date_range("2018-01-05", periods=300, freq="7D")
    generator = np.random.default_rng(1)
    price = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, 300)))
    table = pd.DataFrame({"date": fridays.astype(str), "price": price, "driver": price[::-1]})
    table.to_csv(tmp_path / "weekly.csv", index=False)
    folder = tmp_path_factory.mktemp("weekly")
    overrides = ("data=table", f"data.root={tmp_path}", "data.table.file=weekly.csv")
    features = ("target.series=price", "features.names=[driver]", "experiment=debug")
    with caplog.at_level("INFO"):
        result = run_experiment(compose(*overrides, *features), folder)
    assert "rhythm: weekly rows, 52 a year" in caplog.text
    num_test = len(result.days)
    assert f"test, {num_test} weeks" in caplog.text
    assert f"of {num_test} test weeks" in result.sentence
    said = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{num_test} test weeks, " in said
    assert not re.search(
        r"[^-]\bdays?\b(?! =)", re.sub(r"<(style|svg).*?</\1>", "", said, flags=re.S)
    )
    # The last Friday is 29 September 2023; two more have passed by Monday 16 October.
    assert main([str(folder)], today=datetime.date(2023, 10, 16)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(
        "the newest row is 2023-09-29, 2 week(s) before the last one that has closed by "
        "2023-10-16; this is a forecast for the week after it"
    )
    assert "for the week   2023-10-06" in lines
    assert "newest row     2023-09-29, 2 weeks old" in lines
    # A judge of the run's own file finds the same rhythm.
    judged = judge_run(folder, looks=None)
    assert judged.assessment.rhythm == result.assessment.rhythm == WEEKLY
    assert judged.sentence.split(". ")[0] == result.sentence.split(". ")[0]


def test_a_month_end_without_known_holidays_is_warned_of(early, market, tmp_path):
    root = cut_market(market, tmp_path / "cut", "2024-03-28")
    (root / "holidays.txt").write_text("2023-12-25\n")
    said = forecast_next([read_run(early, str(root))], today=datetime.date(2024, 3, 29))
    assert (said.date, said.contract_month) == ("2024-03-29", "2024-04")
    assert said.warnings == [
        "holidays are not known (data.holidays): if nobody trades on 2024-03-29, this is a "
        "forecast for 2024-04-01 and contract 2024-05"
    ]
    assert "if that is no holiday (they are not known)" in "\n".join(map(str, describe(said)))


def test_the_file_of_holidays_is_an_input_of_the_run(early):
    made_of = json.loads((early / "provenance.json").read_text())
    digest = hashlib.sha256(b"2024-03-29\n2024-12-25\n").hexdigest()
    assert made_of["input_sha256"]["holidays.txt"] == digest


def test_several_runs_give_their_mean_and_its_own_grade(run, other):
    folders = (run[0], other[0])
    alone = [forecast_next([read_run(folder, None)], today=TODAY) for folder in folders]
    both = forecast_next([read_run(folder, None) for folder in folders], today=TODAY)
    assert both.forecast == pytest.approx(np.mean([forecast.forecast for forecast in alone]))
    assert "of the mean of 2 runs" in both.evidence
    assert len(both.runs) == 2


def test_a_distribution_speaks_for_itself(make_run):
    folder, _ = make_run("model.head=gaussian")
    said = forecast_next([read_run(folder, None)], today=TODAY)
    half = {name: abs(bound - said.forecast) for name, bound in said.bounds.items()}
    assert half["lower_80"] == pytest.approx(half["upper_80"], rel=1e-4)
    assert half["upper_90"] / half["upper_80"] == pytest.approx(1.6449 / 1.2816, rel=1e-3)


def test_runs_of_different_targets_have_no_mean(make_run, run):
    other, _ = make_run("target.kind=simple_return")
    with pytest.raises(ConfigError, match="differ in target"):
        forecast_next([read_run(folder, None) for folder in (run[0], other)], today=TODAY)


def test_a_restated_history_is_refused_by_name(run, market, tmp_path):
    root = tmp_path / "restated"
    shutil.copytree(market, root)
    path = root / "Raw_65and62_Index.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("2023-03-15"))
    day, low, _ = lines[place].split(",")
    lines[place] = f"{day},{low},99.99"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    with pytest.raises(DataError, match=r"65 Index: its values from .* are not those"):
        forecast_next([read_run(run[0], str(root))], today=TODAY)


def test_another_unit_is_refused_by_name(run, market, tmp_path):
    root = tmp_path / "units"
    shutil.copytree(market, root)
    path = root / "group.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    cells = lines[-1].split(",")
    cells[1] = "900000"
    path.write_text("\n".join([*lines[:-1], ",".join(cells)]), encoding="utf-8-sig")
    with pytest.raises(DataError, match=r"Ukraine .* newest value 900000 .* has its unit changed"):
        forecast_next([read_run(run[0], str(root))], today=TODAY)


def test_a_missing_column_is_refused_by_name(run, market, tmp_path):
    root = tmp_path / "column"
    shutil.copytree(market, root)
    path = root / "group.csv"
    text = path.read_text(encoding="utf-8-sig").replace("lump premium", "lumps")
    path.write_text(text, encoding="utf-8-sig")
    with pytest.raises(DataError, match="lump premium"):
        forecast_next([read_run(run[0], str(root))], today=TODAY)


@pytest.mark.parametrize(
    ("today", "missed"),
    [("2025-08-14", 0), ("2025-08-15", 1), ("2025-08-18", 2), ("2025-08-13", 0)],
)
def test_old_data_are_warned_of_in_weekdays(run, today, missed):
    said = forecast_next([read_run(run[0], None)], today=datetime.date.fromisoformat(today))
    assert [warning.split()[5] for warning in said.warnings] == [str(missed)] * (missed > 0)


@pytest.mark.parametrize(
    ("today", "options", "status"),
    [
        ("2025-08-21", [], 0),  # after five trading days: 14, 15, 18, 19 and 20 August
        ("2025-08-22", [], 2),
        ("2025-08-22", ["--max-age-days=6"], 0),
        ("2025-08-15", ["--max-age-days=0"], 2),
        ("2026-12-03", ["--max-age-days=340"], 0),
        ("2026-12-04", ["--max-age-days=340"], 2),
    ],
)
def test_data_that_are_too_old_end_with_status_2_after_the_forecast(
    run, tmp_path, capsys, today, options, status
):
    arguments = [str(run[0]), f"--output-dir={tmp_path}", *options]
    assert main(arguments, today=datetime.date.fromisoformat(today)) == status
    said = capsys.readouterr()
    assert "for the day    2025-08-14" in said.out
    written = json.loads((tmp_path / "forecast.json").read_text(encoding="utf-8"))
    assert (written["date"], len(written["warnings"])) == ("2025-08-14", 1)
    assert said.err.startswith("DataError: the newest row is 2025-08-13, ") == (status == 2)
    assert said.err.count("\n") == (status == 2)


def test_a_row_from_the_future_is_refused(run):
    yesterday = datetime.date(2025, 8, 12)  # the market may be a time zone ahead
    assert forecast_next([read_run(run[0], None)], today=yesterday).age_days == 0
    with pytest.raises(DataError, match=r"newest row is 2025-08-13, and today is 2025-08-11;"):
        forecast_next([read_run(run[0], None)], today=datetime.date(2025, 8, 11))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "ConfigError: the following arguments are required: RUN; --help says what"),
        (["x", "--max-age-days=few"], "ConfigError: argument --max-age-days: invalid int value"),
        (["x", "--age=3"], "ConfigError: unrecognized arguments: --age=3; --help says what"),
        (["nowhere"], "ConfigError: nowhere is no finished run: there is no such folder"),
        ([__file__], f"ConfigError: {__file__} is no finished run: there is no such folder"),
        (["x" * 300], f"MachineError: {'x' * 300}: file name too long"),
    ],
)
def test_wrong_arguments_end_with_a_line(capsys, arguments, line):
    assert main(arguments, today=TODAY) == (1 if line.startswith("Machine") else 2)
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_a_folder_of_another_version_is_a_line(tmp_path):
    (tmp_path / "final_results.json").write_text('{"settings": {}}', encoding="utf-8")
    (tmp_path / "provenance.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.name: Field required") as caught:
        read_run(tmp_path, None)
    assert "\n" not in str(caught.value)


@pytest.fixture
def edited(run, tmp_path):
    """Return a copy of the run whose results were edited: values by dotted key."""

    def edit(changes):
        said_before = shutil.ignore_patterns("forecast.json")
        folder = shutil.copytree(run[0], tmp_path / "edited", ignore=said_before)
        path = folder / "final_results.json"
        results = json.loads(path.read_text(encoding="utf-8"))
        for key, value in changes.items():
            *above, last = key.split(".")
            node = results
            for part in above:
                node = node[int(part) if part.isdigit() else part]
            node[last] = value
        path.write_text(json.dumps(results), encoding="utf-8")
        return folder

    return edit


SOURCE = "settings.data.sources.index.file"
EDITED = {
    "a window longer than the data": (
        {"settings.window.sequence_length": 900},
        "DataError: ",
        "its window has 900 rows, and the data only 867",
    ),
    "a file anywhere": ({SOURCE: "/etc/passwd"}, "ConfigError: ", "must be a path below data.root"),
    "standard input": ({SOURCE: "/dev/stdin"}, "ConfigError: ", "must be a path below data.root"),
    "a file above": ({SOURCE: "../a.csv"}, "ConfigError: ", "must be a path below data.root"),
    "a folder of devices": ({"settings.data.root": "/dev"}, "DataError: /dev/", "no such file"),
    "a segment of another time": (
        {"split.1.first_date": "1900-01-01", "split.1.last_date": "1900-01-01"},
        "ConfigError: ",
        "no outcome between 1900-01-01 and 1900-01-01",
    ),
    "a date beyond any calendar": (
        {"training_rows.last_date": "9999-12-31"},
        "DataError: ",
        "are not those that",
    ),
    "a date that is a number": ({"training_rows.last_date": 1}, "ConfigError: ", "YYYY-MM-DD"),
    "another training": (
        {"training_rows.last_date": "2023-01-31"},
        "DataError: ",
        "not those that",
    ),
    "a segment less": ({"split": []}, "ConfigError: ", "split.1: Field required"),
    "a horizon beyond the data": ({"settings.target.horizon": 10**9}, "ConfigError: ", "horizon"),
    "a grade of two lines": ({"evaluation.evidence.line": ["a"]}, "ConfigError: ", "valid string"),
}


@pytest.mark.parametrize("case", EDITED)
def test_edited_results_are_a_line(edited, case, capsys):
    changes, kind, said = EDITED[case]
    folder = edited(changes)
    assert main([str(folder)], today=TODAY) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(kind)
    assert said in line
    assert not (folder / "forecast.json").exists()


def test_no_market_is_written_on_the_word_of_a_folder(edited, compose, tmp_path, run):
    sample = compose(f"data.root={tmp_path / 'root'}").data.model_dump(mode="json")
    said, expected = (
        forecast_next([read_run(folder, None)], today=TODAY)
        for folder in (edited({"settings.data": sample}), run[0])
    )
    assert said.forecast == expected.forecast
    assert not (tmp_path / "root").exists()


def test_a_run_without_digests_of_its_training_rows_is_refused(run, tmp_path, capsys):
    folder = shutil.copytree(run[0], tmp_path / "edited")
    path = folder / "provenance.json"
    made_of = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**made_of, "training_sha256": {}}), encoding="utf-8")
    assert main([str(folder)], today=TODAY) == 2
    assert "are not those that" in capsys.readouterr().err


def test_what_a_folder_says_is_printed_and_not_obeyed(edited, capsys):
    folder = edited({"evaluation.evidence.line": "\x1b[2Jevidence:\nSTRONG \u202e"})
    assert main([str(folder)], today=TODAY) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "earned so far  \\x1b[2Jevidence: STRONG \\u202e"
    assert len(lines) == 11


def test_a_run_has_one_voice(run, capsys):
    assert main([str(run[0]), f"{run[0]}/."], today=TODAY) == 2
    assert capsys.readouterr().err.startswith("ConfigError: a run is named twice")


def test_a_target_with_holes_is_forecast_as_its_run_was_tested(make_run):
    """The return of the day that changes the specification is none, as that of a holiday."""
    hole = "data.panel.break_days=[{leg:price_65_m1,day:2025-07-01}]"
    folder, result = make_run(hole)
    said = forecast_next([read_run(folder, None)], today=TODAY)
    last = result.forecasts.predictions.iloc[-1]
    assert "2025-07-01" not in set(result.forecasts.predictions["date"].astype(str))
    width = said.bounds["upper_80"] - said.bounds["lower_80"]
    assert width == pytest.approx(last["upper_80"] - last["lower_80"], rel=0.2)


def test_runs_that_were_tested_on_other_days_have_no_mean(run, other, tmp_path):
    folder = tmp_path / "a day less"
    shutil.copytree(other[0], folder)
    for name in ("predictions", "baselines", "density", "price_clues"):
        path = folder / f"{name}.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ConfigError, match="trained and tested on different days"):
        forecast_next([read_run(member, None) for member in (run[0], folder)], today=TODAY)


def test_a_broken_table_of_a_member_is_a_line_with_its_name(run, other, tmp_path, capsys):
    folder = tmp_path / "broken"
    shutil.copytree(other[0], folder)
    (folder / "predictions.csv").unlink()
    assert main([str(run[0]), str(folder)], today=TODAY) == 2
    said = capsys.readouterr().err
    assert said == f"ConfigError: {folder / 'predictions.csv'}: there is no such file\n"
