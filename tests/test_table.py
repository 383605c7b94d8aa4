"""Tables of the console: whole in a file, and cut to the width of a terminal with a word on it."""

import io

import pandas as pd
from rich.console import Console
from rich.text import Text

from ironore_lightning.report.table import make_facts, make_table, number

FRAME = pd.DataFrame(
    {
        "forecaster": ["model", "majority sign"],
        "rmse": [1.51234, None],
        "hits": ["69/131", "7/131"],
        "note": ["", "constant"],
    }
)


def lines(table, width):
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_numbers_stand_right_text_left_and_what_is_undefined_is_a_dash():
    assert str(make_table(FRAME, "scores")).splitlines() == [
        "scores",
        "forecaster      rmse    hits  note",
        "model          1.512  69/131",
        "majority sign      –   7/131  constant",
    ]


def test_a_table_that_fits_is_the_same_on_a_terminal():
    table = make_table(FRAME, "scores", elsewhere="the log")
    assert lines(table, 38) == str(table).splitlines()


def test_columns_that_do_not_fit_are_left_out_and_named_with_the_place_that_has_them():
    table = make_table(FRAME, elsewhere="training.log")
    assert lines(table, 37) == [
        "forecaster      rmse    hits",
        "model          1.512  69/131",
        "majority sign      –   7/131",
        "… more columns in training.log: note",
    ]
    narrow = make_table(FRAME.rename(columns={"note": "a long name"}), elsewhere="a.log")
    assert lines(narrow, 29)[-1] == "… 1 more columns in a.log"
    assert len(str(table).splitlines()[0].split()) == 4


def test_the_widest_column_wraps_before_others_are_left_out():
    long = "features=stationary,model=bilstm_small,window=20"
    table = make_table(pd.DataFrame({"trial": [long], "loss": [1.0]}))
    shown = lines(table, 34)
    assert shown[0].split() == ["trial", "loss"]
    assert "".join(line[:27].strip() for line in shown[1:]) == long
    assert shown[1].endswith("1.000")


def test_facts_wrap_beside_their_names_and_keep_their_style():
    facts = make_facts([("grade", Text("NONE", style="red")), ("words", "a b c d e f g h " * 3)])
    assert lines(facts, 31) == [
        "grade  NONE",
        "words  a b c d e f g h a b c d",
        "       e f g h a b c d e f g h",
    ]


def test_a_number_may_have_its_sign():
    assert [number(0.5, 2, sign="+"), number(None), number(float("nan"))] == ["+0.50", "–", "–"]
