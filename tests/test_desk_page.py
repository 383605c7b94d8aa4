"""The morning page and desk.json say what the entries say, and nothing else."""

import datetime
import hashlib
import html
import json
import re
import shutil

import pytest
from invented_record import clock, forecast, weekdays, write_mornings

from ironore_lightning import verify as command
from ironore_lightning.desk.entries import Outcome, Refusal, TailRisk
from ironore_lightning.desk.figures import fan_figure, hits_figure, wealth_figure
from ironore_lightning.desk.live_days import counting_forecasts, live_days
from ironore_lightning.desk.page import entries_until, page_facts, page_text, write_morning
from ironore_lightning.desk.record import open_record, read_record
from ironore_lightning.desk.sheet import (
    driver_rows,
    last_outcome,
    money_text,
    move_text,
    reasons_why,
)
from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.live import live_evidence

MONDAY, TUESDAY, WEDNESDAY = weekdays(3)


@pytest.fixture(scope="module")
def mornings(tmp_path_factory):
    """A record of three mornings, and the page of each as it was written then."""
    folder, pages = tmp_path_factory.mktemp("desk"), []
    for number in range(1, 4):
        shutil.rmtree(folder)
        with open_record(folder, rehearsal=True) as record:
            write_mornings(record, number)
        write_morning(folder, record.entries)
        pages.append((folder / "desk.html").read_bytes())
    return folder, pages


def entries_of(folder, *contents):
    """The entries of a record with these contents, one a day."""
    with open_record(folder, rehearsal=False) as record:
        for content, day in zip(contents, weekdays(len(contents)), strict=True):
            record.append(content, clock(day))
    return record.entries


def words(text):
    """What a page shows, without tags, styles and pictures."""
    text = re.sub(r"<(style|svg).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def test_the_page_says_what_the_forecast_says(tmp_path):
    said = words(page_text(entries_of(tmp_path, forecast(TUESDAY, MONDAY, alarms=["a late file"]))))
    assert said.startswith("iron ore, contract 2025-05: return until Tuesday, 2025-03-04")
    for part in (
        "Written 2025-03-03 06:00 UTC from data until 2025-03-03. Next roll 2025-04-15.",
        "a late file",
        "forecast +0.10 % from 2025-03-03",
        "price forecast 100.10 USD newest price 100.00 USD",
        "80 % bounds -1.50 to +1.70 % 98.50 USD to 101.70 USD",
        "90 % bounds -2.00 to +2.20 % 98.00 USD to 102.20 USD",
        "SUGGESTIVE forecast and return move together",
        "Before the desk began: SUGGESTIVE: p = 0.06 on 131 test days",
        "at most 12 lots, long or short the direction does not count below grade SUPPORTED",
        "The budget of 5,000 USD pays for the expected shortfall at 99 %.",
        # 10,000 USD times 1 - exp(-0.03) and 1 - exp(-0.04)
        "long, 99 % 3.00 % · 296 USD 4.00 % · 392 USD",
        # 10,000 USD times exp(0.014) - 1 and exp(0.019) - 1
        "short, 90 % 1.40 % · 141 USD 1.90 % · 192 USD",
        # 120 is half of the way from 90 to 150
        "input newest in training range rows old / most in training share",
        "port stocks 120 50 % 3 / 5 +0.08 %",
        "rebar 3600 above 1 / 4 -0.02 %",
        # 0.08 - 0.02, and 0.1 less that
        "add up to +0.06 %; the rest of the forecast, +0.04 %, is that of a usual window.",
        "anchored at the oldest contract: they are not today's prices.",
        "from up to 500 past days by filtered history.",
        "the newest day adds +0.05 %, the 3 days before -0.01 %",
        "prices.csv abababababababab",
    ):
        assert part in said, part
    assert "Rehearsal" not in said
    assert "refit" not in said


@pytest.mark.parametrize(
    ("kind", "held", "sold"),
    [
        # 10,000 USD times 1 - exp(-0.2) and exp(0.2) - 1; a fifth; 20 USD times 100 units.
        ("log_return", "1,813 USD", "2,214 USD"),
        ("simple_return", "2,000 USD", "2,000 USD"),
        ("change", "2,000 USD", "2,000 USD"),
    ],
)
def test_a_lot_loses_the_way_of_the_price(kind, held, sold):
    said = forecast(TUESDAY, MONDAY, kind_of_target=kind)
    texts = [
        money_text(said, 20.0, position).replace("\xa0", " ") for position in ("long", "short")
    ]
    assert texts == [held, sold]


def test_the_lots_of_the_page_lose_no_more_than_the_budget(tmp_path):
    # 10,000 USD times exp(0.06) - 1 are 618 USD, and 4 of them 2,473; 3.06 % would pay for 4.1.
    risk = TailRisk(level=0.975, long_var=5.0, long_es=6.0, short_var=5.0, short_es=6.0)
    size = forecast(TUESDAY, MONDAY).size.model_copy(
        update={"budget": 2474.0, "lots": 4, "level": 0.975}
    )
    text = page_text(entries_of(tmp_path, forecast(TUESDAY, MONDAY, risk=[risk], size=size)))
    assert "short, 97.5 % 5.00 % · 513 USD 6.00 % · 618 USD" in words(text)
    assert 4 * 618 <= 2474


def test_without_a_budget_there_are_no_lots_and_no_reason_for_them(tmp_path):
    size = forecast(TUESDAY, MONDAY).size.model_copy(update={"budget": None, "lots": None})
    said = words(page_text(entries_of(tmp_path, forecast(TUESDAY, MONDAY, size=size))))
    assert "no budget set desk.risk_budget says what a day may lose." in said


def test_moves_of_a_change_need_no_price_and_those_of_a_given_outcome_have_no_worth(tmp_path):
    change = {"kind_of_target": "change", "word": "change", "unit": "USD", "price": None}
    entries = entries_of(tmp_path, forecast(TUESDAY, MONDAY, **change))
    assert "long, 99 % 3.00 USD · 300 USD" in words(page_text(entries))
    given = {"kind_of_target": "given", "word": "outcome", "unit": "kt"}
    given |= {"price": None, "price_forecast": None}
    entries = entries_of(tmp_path / "given", forecast(TUESDAY, MONDAY, **given))
    said = words(page_text(entries))
    assert "long, 99 % 3.00 kt 4.00 kt" in said
    assert "price forecast" not in said


def test_an_unknown_price_and_unknown_bounds_are_not_known(tmp_path):
    sides = dict.fromkeys(("lower_80", "upper_80", "lower_90", "upper_90"))
    blind = forecast(
        TUESDAY, MONDAY, price=None, price_forecast=None, price_bounds=sides, bounds=sides
    )
    text = page_text(entries_of(tmp_path, blind))
    assert "price forecast not known newest price not known" in words(text)
    assert "80 % bounds not known 90 % bounds not known" in words(text)
    assert "<svg" not in text


@pytest.mark.parametrize(("grade", "is_said"), [("NONE", True), ("SUPPORTED", False)])
def test_an_explained_forecast_without_evidence_explains_noise(tmp_path, grade, is_said):
    entries = entries_of(tmp_path, forecast(TUESDAY, MONDAY, grade=grade))
    assert ("explains noise" in words(page_text(entries))) == is_said


def test_a_refusal_stands_before_everything_else(tmp_path):
    reasons = ["the newest row is old", "port stocks are older"]
    entries = entries_of(
        tmp_path,
        forecast(TUESDAY, MONDAY),
        Refusal(origin=MONDAY, reasons=reasons, runs=["outputs/a_run"]),
    )
    said = words(page_text(entries))
    assert said.startswith(
        "No forecast by a_run No forecast by a_run Written 2025-03-04 06:00 UTC; newest row "
        "2025-03-03. The last forecast was +0.10 %, from 2025-03-03: iron ore, contract 2025-05: "
        "return until Tuesday, 2025-03-04. "
        "No forecast, because the newest row is old "
        "No forecast, because port stocks are older What it has been worth since"
    )
    assert "outputs/a_run" in said
    facts = page_facts(entries)
    assert (facts["status"], facts["said"]["reasons"]) == ("refusal", reasons)
    assert facts["last_forecast"] == {
        "origin": "2025-03-03",
        "date": "2025-03-04",
        "series": "iron ore",
        "contract": "2025-05",
        "unit": "%",
        "forecast": 0.1,
    }


def test_the_first_refusal_follows_no_forecast(tmp_path):
    blind = Refusal(origin=None, reasons=["no file"], runs=["a_run"])
    entries = entries_of(tmp_path, blind)
    assert "newest row not known. No forecast, because no file" in words(page_text(entries))
    assert page_facts(entries)["last_forecast"] is None


@pytest.mark.parametrize(
    ("actual", "place"),
    [
        (-1.5, "right; it lies inside of the 80 % bounds (-1.50 to +1.70 %)"),
        (1.8, "wrong; it lies inside of the 90 % bounds (-2.00 to +2.20 %)"),
        (2.3, "wrong; it lies outside of the 90 % bounds (-2.00 to +2.20 %)"),
        (0.0, "neither right nor wrong; it lies inside of the 80 %"),
    ],
)
def test_the_newest_outcome_is_held_against_its_own_bounds(tmp_path, actual, place):
    became = Outcome(
        forecast=2, date=TUESDAY, actual=actual, is_roll=False, rank=0.25, num_scores=99
    )
    wide = {"lower_80": -9.0, "upper_80": 9.0, "lower_90": -9.5, "upper_90": 9.5}
    entries = entries_of(
        tmp_path,
        forecast(TUESDAY, MONDAY, forecast=-0.3),
        became,
        forecast(WEDNESDAY, TUESDAY, bounds=wide),
    )
    said = words(page_text(entries))
    size = f"{actual:+.2f}" if actual else "0.00"
    move = f"{size} % after a forecast of -0.30 %, so the direction was {place}"
    assert f"2025-03-04: {move}" in said
    assert "relative to the volatility: 25 % of the days of validation. " in said
    assert "Nobody traded" not in said


@pytest.mark.parametrize(
    ("horizon", "date", "told"),
    [
        (
            1,
            WEDNESDAY,
            "Nobody traded on 2025-03-04, the day of the forecast: the outcome is that of the next "
            "row, 2025-03-05.",
        ),
        (2, WEDNESDAY, "The forecast was for 2025-03-04; the market was open on other days"),
        (2, MONDAY, "so the outcome is that of 2025-03-03."),
    ],
)
def test_an_outcome_of_another_day_says_why(horizon, date, told):
    known = {"is_roll": False, "rank": 0.5, "num_scores": 9}
    became = Outcome(forecast=2, date=date, actual=1.0, **known)
    assert told in last_outcome(forecast(TUESDAY, MONDAY, horizon=horizon), became)


def test_a_move_that_rounds_to_zero_has_no_sign():
    said = forecast(TUESDAY, MONDAY)
    texts = [move_text(said, move) for move in (-0.004, 0.0, 0.004, -0.006)]
    assert texts == ["0.00\xa0%", "0.00\xa0%", "0.00\xa0%", "-0.01\xa0%"]


def test_inputs_that_are_odd_come_first_and_are_never_left_out():
    usual = forecast(TUESDAY, MONDAY).drivers[0]
    drivers = [
        usual.model_copy(update={"name": f"input {number}", "share": number / 100})
        for number in range(1, 13)
    ]
    drivers[0] = drivers[0].model_copy(update={"value": 89.9})  # its range begins at 90
    drivers[1] = drivers[1].model_copy(update={"age": 6})  # at most 5 in training
    said = forecast(TUESDAY, MONDAY, drivers=drivers)
    rows = driver_rows(said)
    assert [row.name for row in rows] == [
        *("input 2", "input 1"),
        *(f"input {number}" for number in range(12, 4, -1)),
    ]
    assert [(row.is_old, row.is_outside, row.where) for row in rows[:3]] == [
        (True, False, "50 %"),
        (False, True, "below"),
        (False, False, "50 %"),
    ]
    assert rows[1].place == 0
    assert "2 other inputs in range and no older than in training." in reasons_why(said)


def test_the_fan_leads_from_the_newest_price_to_the_bounds():
    prices = [(day, 90.0 + place) for place, day in enumerate(weekdays(50))]
    axes = fan_figure(forecast(TUESDAY, MONDAY, prices=prices)).axes[0]
    newest, said = (line.get_xydata() for line in axes.lines)
    assert (len(newest), newest[-1].tolist()) == (40, [0.0, 139.0])
    assert said[0].tolist() == [0.0, 100.0]
    assert said[1, 1] == pytest.approx(100.1)
    wide, narrow = (fan.get_paths()[0].vertices for fan in axes.collections)
    for fan, low, high in ((wide, 98.0, 102.2), (narrow, 98.5, 101.7)):
        ends = fan[fan[:, 0] == said[1, 0], 1]
        assert (ends.min(), ends.max()) == pytest.approx((low, high))
        assert {*fan[fan[:, 0] == 0, 1]} == {100.0}


def test_the_figures_of_the_live_days_draw_their_paths(tmp_path):
    with open_record(tmp_path, rehearsal=True) as record:
        write_mornings(record, 13)
    live = live_evidence(live_days(record.entries))
    assert len(live.dates) == 12
    line = hits_figure(live).axes[0].lines[-1]
    assert line.get_ydata().tolist() == live.hits.estimates[9:]
    ten_days = live_days(record.entries[:22])
    assert len(ten_days) == 10
    assert hits_figure(live_evidence(ten_days)) is None
    drawn = {line.get_label(): line.get_ydata() for line in wealth_figure(live).axes[0].lines}
    assert drawn["direction"].tolist() == live.direction.by_day
    assert drawn["squared error"].tolist() == live.loss.by_day
    assert drawn["break"].tolist() == live.break_bet.by_day
    assert [20.0, 20.0] in [[*values] for values in drawn.values()]


def test_names_are_escaped(tmp_path):
    evil = "<script>alert(1)</script>&\"'"
    driver = forecast(TUESDAY, MONDAY).drivers[0].model_copy(update={"name": evil})
    changes = {
        "series": evil,
        "contract": evil,
        "evidence": evil,
        "alarms": [evil],
        "drivers": [driver],
        "data": {evil: "ab" * 32},
    }
    entries = entries_of(tmp_path, forecast(TUESDAY, MONDAY, **changes))
    entries = [
        *entries,
        *entries_of(tmp_path / "no", Refusal(origin=None, reasons=[evil], runs=[evil])),
    ]
    for text in (page_text(entries[:2]), page_text(entries)):
        assert "<script" not in text
        assert html.escape(evil, quote=False)[:20] in text


def test_a_page_and_its_numbers_need_nothing_else(mornings):
    folder, pages = mornings
    text = pages[-1].decode()
    assert not re.search(r"""(src|href)=["'](?!#)|url\((?!#)|@import|<script|<link""", text)
    assert len(pages[-1]) < 200_000
    facts = json.loads((folder / "desk.json").read_bytes())
    entries = read_record(folder)
    assert list(facts) == [
        "status",
        "written_at",
        "is_rehearsal",
        "number",
        "head",
        "said",
        "last_forecast",
        "live",
    ]
    assert facts["said"] == json.loads(entries[-1].content.model_dump_json())
    lines = (folder / "record.jsonl").read_bytes().splitlines()
    assert (facts["number"], facts["head"]) == (6, hashlib.sha256(lines[-1]).hexdigest())
    assert facts["head"] in text
    assert (facts["is_rehearsal"], "Rehearsal" in text) == (True, True)
    assert facts["live"]["num_days"] == 2
    assert not any(isinstance(value, list) for value in facts["live"]["hits"].values())


def test_a_past_page_is_made_again_byte_for_byte(mornings):
    folder, pages = mornings
    entries = read_record(folder)
    for page, day in zip(pages, weekdays(4)[1:], strict=True):
        assert page_text(entries_until(entries, day)).encode() == page
    with pytest.raises(ConfigError, match="no forecast for 2024-01-01"):
        entries_until(entries, datetime.date(2024, 1, 1))


def test_the_command_makes_a_past_page_again(mornings, tmp_path, capsys):
    folder, pages = mornings
    output = tmp_path / "page.html"
    status = command.main([str(folder), "--page", str(WEDNESDAY), "--output", str(output)])
    assert status == 0
    assert output.read_bytes() == pages[1]
    assert "6 entries" in capsys.readouterr().out


def test_without_an_output_the_past_page_lies_beside_the_newest_one(mornings, tmp_path):
    folder = shutil.copytree(mornings[0], tmp_path / "desk")
    assert command.main([str(folder), "--page", str(WEDNESDAY)]) == 0
    assert (folder / f"desk_{WEDNESDAY}.html").read_bytes() == mornings[1][1]
    assert (folder / "desk.html").read_bytes() == mornings[1][2]


@pytest.mark.parametrize("name", ["record.jsonl", "head.json", "desk.html", "desk.json"])
def test_a_past_page_replaces_no_file_of_the_desk(mornings, tmp_path, capsys, name):
    folder = shutil.copytree(mornings[0], tmp_path / "desk")
    kept = (folder / name).read_bytes()
    link = tmp_path / "page.html"
    link.symlink_to(folder / name)
    for output in (folder / name, folder / ".." / "desk" / name, link):
        assert command.main([str(folder), "--page", str(WEDNESDAY), "--output", str(output)]) == 2
        assert "is a file of the desk" in capsys.readouterr().err
    assert (folder / name).read_bytes() == kept


def test_the_command_names_the_first_fault_and_has_a_status_for_it(mornings, tmp_path, capsys):
    folder = shutil.copytree(mornings[0], tmp_path / "desk")
    lines = (folder / "record.jsonl").read_bytes().splitlines(keepends=True)
    noted = hashlib.sha256(lines[3].strip()).hexdigest()
    assert command.main([str(folder), f"--expect={noted}"]) == 0
    assert "entry 4 has the expected hash" in capsys.readouterr().out
    assert command.main([str(folder), "--expect", "ab" * 32]) == 3
    assert "no entry has the expected hash" in capsys.readouterr().err
    (folder / "record.jsonl").write_bytes(b"".join(lines[:2] + lines[3:]))
    assert command.main([str(folder)]) == 3
    assert "entry 3 is missing: entry 4 follows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expect", "abc"], "64 digits"),
        (["--expect", ""], "64 digits"),
        (["--output", "page.html"], "--page DAY"),
        (["--output", ""], "--page DAY"),
        (["--page", ""], "YYYY-MM-DD"),
        (["--page", "03/04", "--output", "page.html"], "YYYY-MM-DD"),
        (["--page", "2024-01-01", "--output", "page.html"], "no forecast for 2024-01-01"),
    ],
)
def test_a_wrong_command_line_is_an_error(mornings, capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert command.main([str(mornings[0]), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_live_days_are_the_first_forecasts_with_their_outcomes(tmp_path):
    first, second = (forecast(TUESDAY, MONDAY, forecast=value) for value in (0.4, -0.9))
    known = {"is_roll": True, "rank": 0.25, "num_scores": 99}
    became = Outcome(forecast=2, date=TUESDAY, actual=1.5, **known)
    bounds = dict.fromkeys(("lower_80", "upper_80", "lower_90", "upper_90"))
    later = forecast(WEDNESDAY, TUESDAY, bounds=bounds)
    entries = entries_of(tmp_path, first, second, became, later)
    days = live_days(entries)
    (row,) = days.frame.to_dict("records")
    assert (row["actual"], row["forecast"], row["is_roll"]) == (1.5, 0.4, True)
    assert (row["lower_80"], row["upper_90"], row["volatility"]) == (-1.5, 2.2, 1.25)
    assert (row["rank"], row["num_scores"]) == (0.25, 99)
    assert (str(row["date"].date()), days.kind, days.unit) == ("2025-03-04", "log_return", "%")
    assert len(live_days(entries[:3])) == 0


def test_forecasts_that_overlap_do_not_count_whenever_their_outcomes_arrive(tmp_path):
    """With three days ahead every third of nine forecasts counts, and late outcomes change none."""
    days = weekdays(12)
    said = [
        forecast(days[place + 3], days[place], horizon=3, forecast=place / 10) for place in range(9)
    ]
    numbers = range(2, 11)
    became = [
        Outcome(
            forecast=number,
            date=days[number + 1],
            actual=1.0,
            is_roll=False,
            rank=0.5,
            num_scores=9,
        )
        for number in numbers
    ]
    late = entries_of(tmp_path / "late", *said, *became[1:], became[0])
    assert list(counting_forecasts(late)) == [2, 5, 8]
    dates = [str(days[place]) for place in (3, 6, 9)]
    # The outcome of the first one is the last entry: until then the others count all the same.
    assert live_evidence(live_days(late[:-1])).dates == dates[1:]
    assert live_evidence(live_days(late)).dates == dates
    assert live_days(late).frame["forecast"].tolist() == [0.0, 0.3, 0.6]
    in_time = entries_of(tmp_path / "in_time", *said, *became)
    for end in range(1, len(in_time) + 1):
        known = live_evidence(live_days(in_time[:end])).dates
        assert known == dates[: len(known)]


def test_a_forecast_from_an_earlier_row_than_the_last_one_does_not_count(tmp_path):
    back = forecast(WEDNESDAY, TUESDAY), forecast(TUESDAY, MONDAY)
    assert list(counting_forecasts(entries_of(tmp_path, *back))) == [2]


def test_the_rhythm_of_live_days_is_that_of_their_forecasts(tmp_path):
    weekly = forecast(TUESDAY, MONDAY, noun="week", rows_per_year=52.0)
    assert live_days(entries_of(tmp_path, weekly)).rhythm.noun == "week"


def test_one_outcome_is_no_figure(tmp_path):
    became = Outcome(forecast=2, date=TUESDAY, actual=1.0, is_roll=False, rank=0.5, num_scores=9)
    text = page_text(entries_of(tmp_path, forecast(TUESDAY, MONDAY), became))
    assert text.count("<svg") == 1
    assert "2025-03-04: +1.00 %" in words(text)
