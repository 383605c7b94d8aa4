"""The page holds all there is to say, escapes it, and loads nothing."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from ironore_lightning.report.page import STATES, Page, Picture, Section, Table, render_page
from ironore_lightning.report.style import open_sheet, printable, style_axes, svg_text, write

HOSTILE = "<script>alert('1')</script> & \"two\" $x_1$ 铁"


def make_picture(title="a figure"):
    figure = open_sheet(title, "all of it")
    axes = figure.subplots()
    axes.plot([0, 1, 2], [1, 3, 2], "o-", label=title)
    axes.fill_between([0, 2], 0, 1, alpha=0.3)
    write(axes, 1, 1, printable(title))
    style_axes(axes, printable(title), "x", "y")
    return Picture(title, svg_text(figure))


@pytest.fixture(scope="module")
def picture():
    return make_picture()


def make_page(picture, **changes):
    runs = pd.DataFrame(
        {
            "run": ["1", "2", "3", "4", "5"],
            "status": ["complete", "pruned", "failed", "running", "lost"],
            "objective": [12.3456789, np.nan, -0.00001, np.inf, 1e-7],
            "rank": pd.array([1, None, None, None, 2], dtype="Int64"),
            "nothing": [None] * 5,
        }
    )
    scores = pd.DataFrame({"rmse": [2.0, 2.1]}, index=pd.Index(["model", "zero"], name="of"))
    page = Page(
        title="a search",
        grade="NONE",
        verdict="There is no evidence.",
        lines=("direction 51 %", "best of 4 trials"),
        remark="4 trials, 5 runs",
        sections=[
            Section("Off", facts=[("luckiest", "58 %"), ("overfitting", "0.5")]),
            Section("Scores", tables=[Table(scores, "on the same days")]),
            Section("Pictures", pictures=[picture, replace(picture, caption="another")]),
            Section("Nothing", tables=[Table(runs.iloc[:0], "no run")]),
            Section("Runs", tables=[Table(runs, "all", links={"2": "2/report.html"})]),
            Section("Notes", text=["Read with care."], points=["Twice."]),
            Section("More", tables=[Table(scores, "all scores", is_folded=True)]),
        ],
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
def html(picture):
    return render_page(make_page(picture))


@pytest.fixture(scope="module")
def hostile():
    """Hostile text wherever text can be."""
    frame = pd.DataFrame({HOSTILE: [HOSTILE], "status": [HOSTILE]})
    section = Section(
        HOSTILE,
        text=[HOSTILE],
        facts=[(HOSTILE, HOSTILE)],
        pictures=[make_picture(HOSTILE)],
        tables=[
            Table(frame, HOSTILE, links={HOSTILE: HOSTILE}),
            Table(frame, HOSTILE, is_folded=True),
        ],
        points=[HOSTILE],
    )
    return render_page(Page(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, [section]))


def test_every_tag_is_closed_and_the_page_says_what_it_is(html):
    page = Reader(html)
    assert page.open == []
    assert html.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    viewport = {"name": "viewport", "content": "width=device-width, initial-scale=1"}
    assert viewport in page.all("meta")
    assert page.texts[0] == "a search"


def test_the_verdict_comes_first_and_the_contents_lead_to_the_sections(html):
    page = Reader(html)
    titles = ["Off", "Scores", "Pictures", "Runs", "Notes", "More"]
    assert page.texts[1:13] == [
        *("a search", "NONE", "There is no evidence.", "direction 51 %", "best of 4 trials"),
        *("4 trials, 5 runs", *titles),
    ]
    anchors = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    assert anchors == [f"#{section['id']}" for section in page.all("section")]
    assert len(anchors) == len(titles)
    first = page.texts.index("Off", 10)
    assert page.texts[first : first + 5] == ["Off", "luckiest", "58 %", "overfitting", "0.5"]
    assert page.texts[-8:-6] == ["More", "all scores"]


def test_what_is_folded_opens_without_a_script(html):
    (inside,) = re.findall("<details>(.*?)</details>", html, re.DOTALL)
    assert "<summary>all scores</summary>" in inside
    assert inside.count("<td") == 4


def test_a_status_is_worded_and_has_a_class(html):
    cells = re.findall(r'<td class="state (\w+)">(\w+)</td>', html)
    assert cells == [
        ("complete", "complete"),
        ("pruned", "pruned"),
        ("failed", "failed"),
        ("running", "running"),
        ("other", "lost"),
    ]
    for state in STATES:
        assert f"td.{state} {{ background: " in html


def test_numbers_of_a_column_have_the_same_decimals_and_a_missing_one_is_a_dash(html):
    rows = re.findall("<tr>(.*?)</tr>", html, re.DOTALL)
    numbers = [re.findall(r'<td class="number">(.*?)</td>', row) for row in rows]
    # Four digits of the largest finite number; what rounds to zero has no sign.
    assert [cells for cells in numbers if cells] == [
        ["2.000"],
        ["2.100"],
        ["12.35", "1", "–"],
        ["–", "–", "–"],
        ["0.00", "–", "–"],
        ["inf", "–", "–"],
        ["0.00", "2", "–"],
        ["2.000"],
        ["2.100"],
    ]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.5, 0.25], ["0.5000", "0.2500"]),
        ([1000.5, 2.25], ["1000", "2"]),
        ([0.0, 5.0], ["0", "5"]),
        ([1e-6, 2e-6], ["0.00000100", "0.00000200"]),
    ],
)
def test_decimals_follow_the_largest_number_and_whole_numbers_have_none(values, texts):
    table = Table(pd.DataFrame({"value": values}), "values")
    html = render_page(Page("t", "", "v", (), "", [Section("one", tables=[table])]))
    assert re.findall(r'<td class="number">(.*?)</td>', html) == texts


def test_decimals_can_be_given(picture):
    table = Table(pd.DataFrame({"p": [0.12345]}), "p-values", {"p": 1})
    html = render_page(make_page(picture, sections=[Section("one", tables=[table])]))
    assert '<td class="number">0.1</td>' in html


def test_a_run_leads_to_its_own_page_and_headers_say_what_they_head(html):
    page = Reader(html)
    assert [link["href"] for link in page.all("a")][-1] == "2/report.html"
    assert {head["scope"] for head in page.all("th")} == {"col"}


def test_an_index_with_a_name_is_a_column(html):
    texts = Reader(html).texts
    place = texts.index("on the same days")
    assert texts[place + 1 : place + 7] == ["of", "rmse", "model", "2.000", "zero", "2.100"]


def test_the_page_suits_a_phone_the_dark_and_paper(html):
    for rule in (
        "@media (prefers-color-scheme: dark)",
        "@media print",
        "@media (min-width: 45rem)",
    ):
        assert rule in html


def test_a_wide_table_and_a_wide_picture_scroll_in_their_own_box(html):
    boxes = [each for each in Reader(html).all("div") if each.get("class") == "scroll"]
    assert len(boxes) == 5
    assert all(box["tabindex"] == "0" for box in boxes)
    assert ".scroll { overflow-x: auto; }" in html


def test_every_picture_has_a_text_alternative_and_a_caption(html):
    page = Reader(html)
    pictures = page.all("svg")
    assert [(each["role"], each["aria-label"]) for each in pictures] == [
        ("img", "a figure"),
        ("img", "another"),
    ]
    assert {"a figure", "another"} <= set(page.texts)
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
        assert not {"script", "link", "img", "iframe", "object", "embed", "image"} & {
            tag for tag, _ in page.tags
        }
        names = {name for _, attributes in page.tags for name in attributes}
        assert not {name for name in names if name.startswith("on")}
        assert not {"src", "srcset", "data", "action", "style.src"} & names
        links = [each[name] for _, each in page.tags for name in each if name.endswith("href")]
        assert len(links) > 20
        led = {"2/report.html"} if text is html else {HOSTILE}
        assert {link for link in links if not link.startswith("#")} == led
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
    # Title twice, grade, verdict, line, remark; title twice, text, fact twice, caption, two tables
    # of a caption and three cells, point.
    assert page.texts.count(HOSTILE) == 6 + 6 + 2 * 4 + 1
    assert page.all("svg")[0]["aria-label"] == HOSTILE


def test_no_xml_prolog_and_no_day_is_left(html):
    assert "<?xml" not in html
    assert html.count("<!") == html.count("<!--") + 1
    assert "<metadata" not in html
    assert not re.search(r"20\d\d-\d\d-\d\dT", html)


def test_equal_pages_give_equal_bytes(html, picture):
    options = dict(mpl.rcParams)
    again = make_picture()
    assert again == picture
    assert render_page(make_page(again)) == html
    assert dict(mpl.rcParams) == options


def test_a_page_of_many_runs_is_small(picture):
    table = Table(pd.DataFrame({"run": range(400), "status": "complete", "trial": "a=1"}), "all")
    page = make_page(picture, sections=[Section("runs", tables=[table])])
    assert len(render_page(page)) < 150_000
