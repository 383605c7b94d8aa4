"""The page holds all there is to say, escapes it, and loads nothing."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from ironore_lightning.summary.page import Page, render_page
from matplotlib.figure import Figure

from ironore_lightning.report.style import open_sheet, printable, style_axes, write

HOSTILE = "<script>alert('1')</script> & \"two\" $x_1$ 铁"


def make_figure(title="a figure"):
    figure = open_sheet(title, "all of it")
    axes = figure.subplots()
    axes.plot([0, 1, 2], [1, 3, 2], "o-", label=title)
    axes.fill_between([0, 2], 0, 1, alpha=0.3)
    write(axes, 1, 1, printable(title))
    style_axes(axes, printable(title), "x", "y")
    return figure


def make_page(**changes):
    page = Page(
        title="a search",
        verdict_lines=("direction 51 %", "best of 4 trials", "There is no evidence."),
        counts="4 trials, 5 runs",
        table=pd.DataFrame(
            {
                "run": ["1", "2", "3", "4", "5"],
                "status": ["complete", "pruned", "failed", "running", "lost"],
                "objective": [0.123456789, np.nan, np.nan, np.nan, 1e-7],
                "rank": pd.array([1, None, None, None, 2], dtype="Int64"),
            }
        ),
        chosen_table=pd.DataFrame(
            {"rmse": [2.0, 2.1]}, index=pd.Index(["model", "zero"], name="of")
        ),
        discount=[("expected of the luckiest", "58 %"), ("overfitting", "0.5")],
        advice=["Try more seeds."],
        figures={"first": make_figure(), "second_one": make_figure("another")},
        captions={"first": "What the first shows"},
        notes=["Read with care."],
    )
    return replace(page, **changes)


class Reader(HTMLParser):
    """Collect tags with their attributes, and the texts outside of styles and pictures."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and not {"style", "svg"} & set(self.open):
            self.texts.append(" ".join(data.split()))

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def html():
    return render_page(make_page())


@pytest.fixture(scope="module")
def hostile():
    """Hostile text wherever text can be."""
    frame = pd.DataFrame({HOSTILE: [HOSTILE], "status": [HOSTILE]})
    return render_page(
        Page(
            title=HOSTILE,
            verdict_lines=(HOSTILE,),
            counts=HOSTILE,
            table=frame,
            chosen_table=frame,
            discount=[(HOSTILE, HOSTILE)],
            advice=[HOSTILE],
            figures={HOSTILE: make_figure(HOSTILE)},
            captions={HOSTILE: HOSTILE},
            notes=[HOSTILE],
        )
    )


def test_every_tag_is_closed_and_the_page_says_what_it_is(html):
    page = Reader(html)
    assert page.open == []
    assert html.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    viewport = {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    assert viewport in page.all("meta")
    assert page.texts[0] == "a search"


def test_the_verdict_comes_first_and_the_runs_after_the_pictures(html):
    texts = Reader(html).texts
    assert texts[1:6] == [
        "a search",
        "There is no evidence.",
        "direction 51 %",
        "best of 4 trials",
        "4 trials, 5 runs",
    ]
    order = [
        "What the search takes off",
        "Scores beside those of the baselines on the same test days",
        "Pictures",
        "What a further search should try",
        "All runs",
        "Notes",
    ]
    places = [texts.index(heading) for heading in order]
    assert places == sorted(places)
    assert texts[places[0] + 1 : places[1]] == [
        "expected of the luckiest",
        "58 %",
        "overfitting",
        "0.5",
    ]
    assert texts[places[3] + 1] == "Try more seeds."
    assert texts[-1] == "Read with care."


def test_a_status_is_worded_and_has_a_class(html):
    cells = re.findall(r'<td class="state (\w+)">(\w+)</td>', html)
    assert cells == [
        ("complete", "complete"),
        ("pruned", "pruned"),
        ("failed", "failed"),
        ("running", "running"),
        ("other", "lost"),
    ]
    for state in ("complete", "pruned", "failed", "running"):
        assert f"td.{state} {{ background: " in html


def test_numbers_are_short_and_a_missing_one_is_a_dash(html):
    assert re.findall(r'<td class="number">(.*?)</td>', html) == [
        *("2", "2.1"),
        *("0.12346", "1", "–", "–", "–", "–", "–", "–", "1e-07", "2"),
    ]


def test_an_index_with_a_name_is_a_column(html):
    texts = Reader(html).texts
    place = texts.index("Scores beside those of the baselines on the same test days")
    assert texts[place + 1 : place + 7] == ["of", "rmse", "model", "2", "zero", "2.1"]


def test_a_wide_table_and_a_wide_picture_scroll_in_their_own_box(html):
    boxes = [each for each in Reader(html).all("div") if each.get("class") == "scroll"]
    assert len(boxes) == 4
    assert all(box["tabindex"] == "0" for box in boxes)
    assert ".scroll { overflow-x: auto; }" in html


def test_every_picture_has_a_text_alternative_and_a_caption(html):
    page = Reader(html)
    pictures = page.all("svg")
    assert [(each["role"], each["aria-label"]) for each in pictures] == [
        ("img", "What the first shows"),
        ("img", "second one"),
    ]
    assert {"What the first shows", "second one"} <= set(page.texts)
    for picture in pictures:
        assert picture["viewbox"] == "0 0 864 504"
        assert not {"width", "height"} & set(picture)


def test_names_inside_the_pictures_are_unique_and_known(html):
    page = Reader(html)
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) > 50
    assert len(set(names)) == len(names)
    targets = set(re.findall(r'(?:href="|url\()#([^")]+)', html))
    assert len(targets) > 20
    assert targets <= set(names)


def test_nothing_is_loaded_and_nothing_runs(html, hostile):
    for text in (html, hostile):
        page = Reader(text)
        assert not {"script", "link", "img", "iframe", "object", "embed", "image", "a"} & {
            tag for tag, _ in page.tags
        }
        names = {name for _, attributes in page.tags for name in attributes}
        assert not {name for name in names if name.startswith("on")}
        assert not {"src", "srcset", "data", "action", "style.src"} & names
        links = [each[name] for _, each in page.tags for name in each if name.endswith("href")]
        assert len(links) > 20
        assert all(link.startswith("#") for link in links)
        assert "@import" not in text
        assert set(re.findall(r"https?://[^\"]+", text)) == {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]+"', "", text)
        assert "http" not in without_namespaces


def test_all_text_is_escaped(hostile):
    assert "<script" not in hostile
    page = Reader(hostile)
    assert page.open == []
    # Title twice, verdict, counts, discount twice, advice, caption, notes, and three cells twice.
    assert page.texts.count(HOSTILE) == 15
    assert page.all("svg")[0]["aria-label"] == HOSTILE


def test_no_xml_prolog_and_no_day_is_left(html):
    assert "<?xml" not in html
    assert html.count("<!") == html.count("<!--") + 1
    assert "<metadata" not in html
    assert not re.search(r"20\d\d-\d\d-\d\dT", html)


def test_equal_pages_give_equal_bytes(html):
    options = dict(mpl.rcParams)
    assert render_page(make_page()) == html
    assert dict(mpl.rcParams) == options


def test_what_is_empty_is_left_out():
    empty = pd.DataFrame()
    page = make_page(chosen_table=empty, discount=[], advice=[], figures={}, captions={}, notes=[])
    texts = Reader(render_page(page)).texts
    assert "All runs" in texts
    assert not {"Pictures", "Notes", "What the search takes off"} & set(texts)
    assert not [text for text in texts if "baselines" in text or "further" in text]


def test_a_page_of_many_runs_is_small():
    table = pd.DataFrame({"run": range(400), "status": "complete", "trial": "a=1,b=2"})
    page = make_page(table=table, figures={"one": Figure()}, captions={})
    assert len(render_page(page)) < 150_000
