"""The morning desk, fed day by day with the files of a market."""

import datetime
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from small_market import cut_market, date_of, write_small_market

from ironore_lightning.desk import morning
from ironore_lightning.desk.__main__ import main
from ironore_lightning.desk.entries import Forecast, Outcome, Refusal, Restatement
from ironore_lightning.desk.record import read_record, verify
from ironore_lightning.experiment import run_experiment

pytestmark = pytest.mark.usefixtures("one_quick_figure")

TRAINED_UNTIL = "2025-07-11"
FIRST, LAST = "2025-07-14", "2025-08-08"
"""Mornings on which the desk is asked."""


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """All files of a small market, those of days to come with them."""
    folder = tmp_path_factory.mktemp("market") / "raw"
    folder.mkdir()
    write_small_market(folder)
    return folder


@pytest.fixture(scope="module")
def run(compose, market, tmp_path_factory):
    """A finished run that knows nothing of the days of the desk."""
    top = tmp_path_factory.mktemp("run")
    root = cut_market(market, top / "raw", TRAINED_UNTIL)
    settings = (
        *("data=original", f"data.root={root}", "data.panel.start=null", "features=prices"),
        *("model=tiny", "training.max_epochs=2", "window.sequence_length=5"),
        "split.train=0.6",
        "split.test=0.1",
        "split.val=0.3",
    )
    run_experiment(compose(*settings), top / "run")
    return top / "run"


ONLY_62 = (
    *("data=original", "data.panel.start=null", "features.names=[price_62_m1]", "split.train=0.6"),
    *("split.test=0.1", "split.val=0.3", "model=tiny", "training.max_epochs=1"),
    "window.sequence_length=5",
)
"""A run that does not read the series that it forecasts."""


def clock(day, hour=6):
    return datetime.datetime.combine(pd.Timestamp(day), datetime.time(hour), datetime.UTC)


def newest_before(market, day):
    """The newest day of the market's files before a day."""
    days = pd.DatetimeIndex(pd.read_pickle(market / "Raw_M65F_DSP.pkl")[pd.Period("2025-09")].index)
    return days[days < pd.Timestamp(day)][-1]


class Desk:
    """A desk that is asked with the files of a day."""

    def __init__(self, folder, run, market):
        self.folder, self.run, self.market = folder, run, market

    def ask(self, day, *overrides, known=None, hour=6, damage=None):
        """Ask on a morning; the files hold what was `known`, and perhaps a damage."""
        root = self.folder.parent / "raw"
        shutil.rmtree(root, ignore_errors=True)
        cut_market(self.market, root, known or newest_before(self.market, day))
        if damage:
            damage(root)
        settings = {"runs": f"[{self.run}]", "folder": self.folder, "data_root": root}
        arguments = [f"desk.{key}={value}" for key, value in settings.items()]
        return main([*arguments, *overrides], clock=lambda: clock(day, hour))

    @property
    def entries(self):
        return read_record(self.folder)

    def contents(self, kind):
        return [entry.content for entry in self.entries if isinstance(entry.content, kind)]

    @property
    def page(self):
        return (self.folder / "desk.html").read_bytes()


@pytest.fixture(scope="module")
def month(tmp_path_factory, run, market):
    """A desk of four weeks, and its page of each morning."""
    desk = Desk(tmp_path_factory.mktemp("month") / "desk", run, market)
    pages = {}
    for day in pd.bdate_range(FIRST, LAST):
        assert desk.ask(day, "desk.beyond_range=1") == 0  # prices rise, and training was short
        pages[f"{day:%Y-%m-%d}"] = desk.page
    return desk, pages


@pytest.fixture
def desk(tmp_path, run, market):
    return Desk(tmp_path / "desk", run, market)


def test_a_month_has_a_forecast_for_each_trading_day_and_an_outcome_of_each_before(month):
    desk, _ = month
    forecasts, outcomes = desk.contents(Forecast), desk.contents(Outcome)
    days = [day.date() for day in pd.bdate_range(FIRST, LAST)]
    assert [forecast.date for forecast in forecasts] == days
    assert [outcome.date for outcome in outcomes] == days[:-1]
    assert verify(desk.folder).fault is None


def test_outcomes_are_the_returns_of_the_contract_that_was_held(month, market):
    desk, _ = month
    prices = pd.read_pickle(market / "Raw_M65F_DSP.pkl")
    forecasts = {entry.number: entry.content for entry in desk.entries}
    rolled = 0
    for outcome in desk.contents(Outcome):
        forecast = forecasts[outcome.forecast]
        month_after = (pd.Timestamp(outcome.date) + pd.DateOffset(months=1)).strftime("%Y-%m")
        closes = prices[pd.Period(month_after)]
        before, after = closes[str(forecast.origin)], closes[str(outcome.date)]
        assert outcome.actual == pytest.approx(100 * np.log(after / before), abs=1e-12)
        assert (forecast.contract, forecast.price) == (month_after, before)
        rolled += outcome.is_roll
    assert rolled == 1  # on 1 August


def test_forecasts_and_bounds_are_those_of_the_run_scored_on_the_same_days(month, run, market):
    """Whoever evaluates the run on these days later reads the same numbers."""
    from ironore_lightning import api

    desk, _ = month
    root = cut_market(market, desk.folder.parent / "later", LAST)
    result = api.evaluate(run, data_root=str(root), first=FIRST, last=LAST)
    later = result.predictions.set_index("date")
    for forecast in desk.contents(Forecast):
        if pd.Timestamp(forecast.date) in later.index:
            row = later.loc[pd.Timestamp(forecast.date)]
            assert forecast.forecast == pytest.approx(row["forecast"], abs=1e-6)
            for name, bound in forecast.bounds.items():
                assert bound == pytest.approx(row[name], abs=1e-5)


def test_the_page_of_any_past_morning_is_made_again_byte_for_byte(month, tmp_path):
    desk, pages = month
    assert len(pages) == 20
    for day, page in pages.items():
        until = [entry for entry in desk.entries if entry.written_at <= clock(day)]
        morning.write_morning(tmp_path, until)
        assert (tmp_path / "desk.html").read_bytes() == page


def test_asked_again_the_desk_writes_nothing_new(month):
    desk, pages = month
    before = (desk.folder / "record.jsonl").read_bytes()
    assert desk.ask(LAST, "desk.beyond_range=1", hour=9) == 0
    assert (desk.folder / "record.jsonl").read_bytes() == before
    assert desk.page == pages[LAST]


def test_the_future_of_the_files_changes_no_word_of_the_past(desk, month, market):
    """A rehearsal on files that reach further says what the desk said on the day."""
    forecasts = {forecast.date: forecast for forecast in month[0].contents(Forecast)}
    for day in (FIRST, "2025-08-01", LAST):
        end = str(newest_before(market, "2025-09-30").date())
        rehearsal = (f"desk.now={day}T06:00", "desk.beyond_range=1")
        assert desk.ask(day, *rehearsal, known=end) == 0
        rehearsed = desk.contents(Forecast)[-1]
        known = forecasts[pd.Timestamp(day).date()]
        assert rehearsed.model_copy(update={"data": known.data}) == known


def test_a_late_source_is_refused_until_it_comes(desk):
    assert desk.ask("2025-07-16") == 0
    assert desk.ask("2025-07-17", known="2025-07-15") == 4
    (refusal,) = desk.contents(Refusal)
    assert refusal.reasons[0].startswith("the newest row is 2025-07-15, 1 trading day before")
    assert "No forecast" in desk.page.decode()
    assert desk.ask("2025-07-17", hour=8) == 0
    assert "No forecast" not in desk.page.decode()
    assert [forecast.date.day for forecast in desk.contents(Forecast)] == [16, 17]


def test_a_forecast_after_its_outcome_is_known_is_none(desk):
    assert desk.ask("2025-07-16", hour=12) == 4
    (refusal,) = desk.contents(Refusal)
    assert refusal.reasons[0].startswith(
        "the outcome of 2025-07-16 is known since 2025-07-16 12:00"
    )
    assert desk.ask("2025-07-16", hour=13) == 4
    assert len(desk.contents(Refusal)) == 1
    other = f"desk.folder={desk.folder.parent / 'later'}"
    assert desk.ask("2025-07-16", "desk.settles_at=18:00", other, hour=13) == 0


def test_a_row_that_is_not_settled_is_refused(desk):
    assert desk.ask("2025-07-16", known="2025-07-16", hour=11) == 4
    (refusal,) = desk.contents(Refusal)
    assert refusal.reasons[0].startswith("the newest row is of 2025-07-16, which settles at 12:00")
    assert desk.ask("2025-07-16", known="2025-07-16", hour=12) == 0
    assert desk.contents(Forecast)[-1].date.day == 17


def restate(root, day="2025-07-15", file="Raw_FEF_Close.pkl"):
    """Add a dollar to every price of a day."""
    contracts = pd.read_pickle(root / file)
    for prices in contracts.values():
        if pd.Timestamp(day) in prices.index:
            prices.loc[day] += 1.0
    pd.to_pickle(contracts, root / file)


def test_a_row_inside_the_first_window_is_guarded_too(desk):
    assert desk.ask("2025-07-16") == 0
    earlier = {"damage": lambda root: restate(root, day="2025-07-10")}
    assert desk.ask("2025-07-17", **earlier) == 4
    (reason,) = desk.contents(Refusal)[0].reasons
    assert reason.startswith("price_62_m1: its value of 2025-07-10 was ")


def test_an_outcome_and_the_price_before_it_are_guarded_though_no_input(desk, run, compose):
    config = compose(*ONLY_62, f"data.root={run.parent / 'raw'}")
    run_experiment(config, desk.folder.parent / "run")
    desk.run = desk.folder.parent / "run"
    for day in ("2025-07-16", "2025-07-17"):
        assert desk.ask(day) == 0

    def raise_65(root):
        restate(root, day="2025-07-16", file="Raw_M65F_DSP.pkl")

    assert desk.ask("2025-07-18", damage=raise_65) == 4
    said = desk.contents(Refusal)[0].reasons
    assert [reason.partition(":")[0] for reason in said] == [
        "outcome of price_65_m1",
        "price of price_65_m1",
    ]


def test_what_is_accepted_stands_on_the_next_page_and_the_told_outcome_counts(desk):
    for day in ("2025-07-16", "2025-07-17"):
        assert desk.ask(day) == 0
    told = desk.contents(Outcome)
    fix = {"damage": lambda root: restate(root, day="2025-07-16", file="Raw_M65F_DSP.pkl")}
    assert desk.ask("2025-07-18", "desk.accept_restated=true", **fix) == 0
    assert desk.contents(Outcome)[:1] == told
    (alarm,) = [line for line in desk.contents(Forecast)[-1].alarms if "accepted" in line]
    assert "outcome of price_65_m1" in alarm


def test_a_restated_past_is_refused_until_somebody_accepts_it(desk):
    for day in ("2025-07-16", "2025-07-17"):
        assert desk.ask(day) == 0
    assert desk.ask("2025-07-18", damage=restate) == 4
    (refusal,) = desk.contents(Refusal)
    (reason,) = refusal.reasons
    assert reason.startswith("price_62_m1: its value of 2025-07-15 was ")
    assert desk.ask("2025-07-18", "desk.accept_restated=true", damage=restate, hour=7) == 0
    (accepted,) = desk.contents(Restatement)
    assert list(accepted.values) == ["2025-07-15"]
    assert desk.ask("2025-07-21", damage=restate) == 0
    assert desk.ask("2025-07-22") == 4  # the old values again


def test_a_restated_training_row_is_refused(desk):
    assert desk.ask("2025-07-16", damage=lambda root: restate(root, day="2025-05-06")) == 4
    (refusal,) = desk.contents(Refusal)
    assert "price_62_m1" in refusal.reasons[0]


def test_a_contract_without_a_price_is_refused(desk):
    def lose_august(root):
        contracts = pd.read_pickle(root / "Raw_M65F_DSP.pkl")
        contracts[pd.Period("2025-09")].loc["2025-07-31":] = np.nan
        pd.to_pickle(contracts, root / "Raw_M65F_DSP.pkl")

    assert desk.ask("2025-08-01", damage=lose_august) == 4
    assert "contract 2025-09 is held on 2025-08-01" in desk.contents(Refusal)[0].reasons[0]


def test_an_input_beyond_what_training_has_seen_is_refused(desk):
    def soar(root):  # both legs, as a jump of one alone looks like a change of specification
        for file in ("Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"):
            contracts = pd.read_pickle(root / file)
            for prices in contracts.values():
                prices.loc["2025-07-15":] += 30.0
            pd.to_pickle(contracts, root / file)

    assert desk.ask("2025-07-16", damage=soar) == 4
    said = " ".join(desk.contents(Refusal)[0].reasons)
    assert "price_62_m1: its value" in said
    assert "which training has seen" in said


def test_contracts_that_all_jump_against_the_other_leg_are_refused(desk):
    assert desk.ask("2025-07-16", "desk.beyond_range=100", damage=restate_by_ten) == 4
    said = desk.contents(Refusal)[0].reasons
    assert any("all its contracts jump against the other legs" in reason for reason in said)


def restate_by_ten(root):
    for _ in range(10):
        restate(root)


def test_an_unreadable_file_is_a_refusal_and_no_traceback(desk):
    def cut(root):
        (root / "Raw_FEF_Close.pkl").write_bytes(b"\x80")

    assert desk.ask("2025-07-16", damage=cut) == 4
    (refusal,) = desk.contents(Refusal)
    assert "Raw_FEF_Close.pkl" in refusal.reasons[0]


def test_a_day_that_comes_later_is_restated_and_leaves_the_outcome_as_it_was_told(desk):
    def without_the_18th(root):
        for path in root.glob("*.csv"):
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            kept = [line for line in lines[1:] if date_of(line) != pd.Timestamp("2025-07-18")]
            path.write_text("\n".join([lines[0], *kept]), encoding="utf-8")
        for name in ("Raw_M65F_DSP.pkl", "Raw_FEF_Close.pkl"):
            contracts = pd.read_pickle(root / name)
            day = pd.Timestamp("2025-07-18")
            pd.to_pickle(
                {k: p.drop(day, errors="ignore") for k, p in contracts.items()}, root / name
            )

    assert desk.ask("2025-07-18") == 0
    assert desk.ask("2025-07-22", damage=without_the_18th) == 0
    told = desk.contents(Outcome)
    assert [(outcome.forecast, outcome.date.day) for outcome in told] == [(2, 21)]
    assert desk.ask("2025-07-23") == 4
    assert "its value of 2025-07-18 was missing" in desk.contents(Refusal)[-1].reasons[-1]
    assert desk.ask("2025-07-23", "desk.accept_restated=true", hour=7) == 0
    assert desk.contents(Outcome)[0] == told[0]
    assert verify(desk.folder).fault is None


def test_a_killed_desk_goes_on_where_it_was(desk, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(morning, "write_morning", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.ask("2025-07-16")
    assert not (desk.folder / "desk.html").exists()
    before = (desk.folder / "record.jsonl").read_bytes()
    assert desk.ask("2025-07-16", hour=7) == 0
    assert (desk.folder / "record.jsonl").read_bytes() == before
    assert (desk.folder / "desk.html").exists()


def test_a_changed_record_ends_the_desk_with_its_own_status(desk, capsys):
    assert desk.ask("2025-07-16") == 0
    path = desk.folder / "record.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"volatility":', b'"volatility":1', 1))
    assert desk.ask("2025-07-17") == 3
    assert "entry 2" in capsys.readouterr().err


def test_a_second_forecast_from_the_same_origin_names_the_first_which_counts(desk):
    assert desk.ask("2025-07-16") == 0
    for hour in (7, 8):
        budget = ("desk.risk_budget=9000", "desk.risk_level=0.9")
        assert desk.ask("2025-07-16", *budget, hour=hour) == 0
    first, second = desk.contents(Forecast)
    (risk,) = [risk for risk in second.risk if risk.level == 0.9]
    falls = second.price * (1 - np.exp(-risk.long_es / 100))
    rises = second.price * (np.exp(risk.short_es / 100) - 1)
    assert first.size.lots is None
    assert second.size.lots == int(9000 / (100 * max(falls, rises))) > 5
    assert second.alarms[-1].startswith("entry 2 is the first forecast from 2025-07-15")
    assert desk.ask("2025-07-17") == 0
    (outcome,) = desk.contents(Outcome)
    assert outcome.forecast == 2


def test_a_desk_whose_networks_change_says_so(desk, run, tmp_path):
    assert desk.ask("2025-07-16") == 0
    desk.run = shutil.copytree(run, tmp_path / "copy")
    assert desk.ask("2025-07-17") == 0
    assert desk.contents(Forecast)[-1].alarms[-1] == (
        "the networks are others than those of the forecast for 2025-07-16"
    )


def test_a_desk_of_another_target_is_refused_before_any_outcome(desk, run, compose, tmp_path):
    assert desk.ask("2025-07-16") == 0
    config = compose(*ONLY_62, "target.kind=simple_return", f"data.root={run.parent / 'raw'}")
    run_experiment(config, tmp_path / "other")
    desk.run = tmp_path / "other"
    assert desk.ask("2025-07-17") == 4
    assert (
        "kind of target of this desk is simple_return, and that of its record log_return"
        in (desk.contents(Refusal)[0].reasons[0])
    )
    assert not desk.contents(Outcome)


@pytest.mark.parametrize(
    ("overrides", "settings", "said"),
    [
        (["data.futures.month_offset=2"], [], "hash of the settings of target and roll"),
        ([], ["desk.settles_at=23:00"], "time of settlement of this desk is 23:00"),
    ],
)
def test_what_decides_an_outcome_stays_as_it_was(
    desk, run, compose, tmp_path, overrides, settings, said
):
    for name, changed in (("first", []), ("second", overrides)):
        config = compose(*ONLY_62, *changed, f"data.root={run.parent / 'raw'}")
        run_experiment(config, tmp_path / name)
    desk.run = tmp_path / "first"
    assert desk.ask("2025-07-16") == 0
    desk.run = tmp_path / "second"
    assert desk.ask("2025-07-17", *settings) == 4
    assert said in desk.contents(Refusal)[0].reasons[0]
    assert not desk.contents(Outcome)


def test_runs_with_other_inputs_go_on_with_the_same_record(desk, run, compose, tmp_path):
    root = f"data.root={run.parent / 'raw'}"
    run_experiment(compose(*ONLY_62, root), tmp_path / "one")
    run_experiment(compose(*ONLY_62, "features.names=[price_65_m1]", root), tmp_path / "two")
    desk.run = tmp_path / "one"
    assert desk.ask("2025-07-16") == 0
    desk.run = tmp_path / "two"
    assert desk.ask("2025-07-17") == 0
    assert len(desk.contents(Outcome)) == 1


def test_a_given_target_whose_outcome_is_in_the_files_is_refused(desk, run, compose, tmp_path):
    given = ("target.kind=given", "target.series=lump premium")
    run_experiment(compose(*ONLY_62, *given, f"data.root={run.parent / 'raw'}"), tmp_path / "given")
    desk.run = tmp_path / "given"
    assert desk.ask("2025-07-16") == 4
    assert "hold the outcome of 2025-07-16 already" in " ".join(desk.contents(Refusal)[0].reasons)


def test_a_network_that_has_learnt_the_outcome_is_refused(desk, market, run, tmp_path):
    from ironore_lightning import api

    later = cut_market(market, tmp_path / "later", "2025-07-16")
    (desk.run,) = api.refit(shutil.copytree(run, tmp_path / "copy"), data_root=str(later))
    assert desk.ask("2025-07-16") == 4
    assert "has learnt outcomes until 2025-07-16" in desk.contents(Refusal)[0].reasons[0]
    assert desk.ask("2025-07-17") == 0
    other = f"desk.folder={tmp_path / 'rehearsal'}"
    assert desk.ask("2025-07-16", "desk.now=2025-07-16T06:00", other) == 2
    assert not (tmp_path / "rehearsal").exists()


def test_a_restatement_that_a_refit_has_learnt_is_accepted_by_a_new_refit(desk):
    policy = "desk.refit_every=5"
    assert desk.ask("2025-07-18", policy) == 0
    earlier = {"damage": lambda root: restate(root, day="2025-07-10")}
    assert desk.ask("2025-07-21", policy, **earlier) == 4
    assert desk.ask("2025-07-21", policy, "desk.accept_restated=true", hour=7, **earlier) == 0
    assert desk.ask("2025-07-22", policy, **earlier) == 0
    refits = [forecast.sources[0].trained_until.day for forecast in desk.contents(Forecast)]
    assert refits == [17, 18, 18]


def test_a_run_that_is_gone_is_a_reason_for_no_forecast_once_a_record_has_begun(desk, tmp_path):
    known, desk.run = desk.run, tmp_path / "gone"
    assert desk.ask("2025-07-16") == 2
    desk.run = known
    assert desk.ask("2025-07-16") == 0
    desk.run = tmp_path / "gone"
    assert desk.ask("2025-07-17") == 4
    assert "there is no such folder" in desk.page.decode()


def test_the_time_of_an_entry_is_that_of_its_writing(desk):
    moments = iter(pd.date_range("2025-07-16T06:00Z", periods=100, freq="min"))
    cut_market(desk.market, desk.folder.parent / "raw", "2025-07-15")
    settings = (f"desk.runs={desk.run}", f"desk.folder={desk.folder}")
    root = f"desk.data_root={desk.folder.parent / 'raw'}"
    assert main([*settings, root], clock=lambda: next(moments).to_pydatetime()) == 0
    start, forecast = desk.entries
    assert forecast.written_at > clock("2025-07-16")
    assert start.written_at == forecast.written_at


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("desk.settles_at=24:00", "HH:MM"),
        ("desk.settles_at=8", "HH:MM"),
        ("desk.settles_at=15:00+08:00", "HH:MM"),
        ("desk.now=2025", "YYYY-MM-DDTHH:MM"),
        ("desk.now=9999-12-31T23:59", "a year from 1990"),
        ("desk.folder=", "desk.folder"),
        ("desk.risk_budget=0", "greater than 0"),
    ],
)
def test_wrong_settings_end_with_status_2_and_a_line(capsys, override, said):
    assert main(["desk.runs=[somewhere]", override]) == 2
    line = capsys.readouterr().err
    assert line.startswith("ConfigError: desk.")
    assert line.count("\n") == 1
    assert said in line


def test_a_rehearsal_goes_into_no_real_record(desk, capsys):
    assert desk.ask("2025-07-16") == 0
    assert desk.ask("2025-07-17", "desk.now=2025-07-17T06:00") == 2
    assert "rehearsal" in capsys.readouterr().err


def test_desk_json_says_what_the_page_says(month):
    desk, _ = month
    said = json.loads((desk.folder / "desk.json").read_text(encoding="utf-8"))
    assert said["status"] == "forecast"
