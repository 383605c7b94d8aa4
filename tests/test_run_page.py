"""The page of a run says what its files say, and shows what a stranger wrote as text."""

import html
import json
import re

import pandas as pd
import pytest
from parts_of_a_run import draw_one_quick_figure

from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluation.assessment import net_sharpe
from ironore_lightning.evaluation.evidence import GRADES, MEANINGS
from ironore_lightning.evaluation.risk import score_risk
from ironore_lightning.experiment import run_experiment
from ironore_lightning.report.run_page import write_run_page
from ironore_lightning.run_folder.forecast_tables import read_forecasts
from ironore_lightning.run_folder.losses import LossFile, read_losses


@pytest.fixture(scope="module")
def result(compose, tmp_path_factory):
    """A run of two epochs, with one quick figure."""
    folder = tmp_path_factory.mktemp("page") / "run"
    overrides = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")
    with pytest.MonkeyPatch.context() as patch:
        draw_one_quick_figure(patch.setattr)
        return run_experiment(compose(*overrides), folder)


@pytest.fixture(scope="module")
def page(result):
    return html.unescape((result.run.folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_begins_with_grade_sentence_and_evidence(result, page):
    evidence = result.assessment.evidence
    _, _, verdict = page.partition('<div class="verdict')
    grade, sentence, line = (
        verdict.index(text)
        for text in (f">{evidence.grade}</span>", result.sentence, f"<p>{evidence.line}")
    )
    assert grade < sentence < line < verdict.index("<nav")


def test_every_section_is_there_in_the_order_of_a_reader(page):
    assert re.findall("<h2>(.*?)</h2>", page) == [
        "What the grade means",
        "Scores beside the baselines",
        "Training",
        "Hits against guessing",
        "Tests of skill",
        "Paper trading after costs",
        "Intervals and calibration",
        "Tail risk",
        "What the drivers are worth",
        "Data and staleness",
        "Settings",
        "Provenance",
    ]
    assert page.count("<svg") == 1  # the one quick figure


def test_the_page_says_what_explaining_noise_is_worth(result, page):
    assert result.assessment.evidence.grade == "INSUFFICIENT"
    _, _, worth = page.partition("<h2>What the drivers are worth</h2>")
    section, _, _ = worth.partition("<h2>")
    for name, points in result.importance.items():
        assert f'<td class="text">{name}</td>' in section
        assert f">{round(points.estimate, 2) + 0.0:.2f}</td>" in section.replace("−", "-")
    assert "The evidence is INSUFFICIENT: what explains such forecasts explains noise." in section


def test_tail_risk_is_a_table_with_the_numbers_of_the_results(result, page):
    _, _, rest = page.partition("<h2>Tail risk</h2>")
    assert "Filtered history, which the morning desk uses" in rest
    assert "<details" not in rest.partition("<h2>")[0]
    table, _, _ = rest.partition("</table>")
    risk = result.assessment.risk
    assert len(risk) == 12
    assert table.count("<tr") == 13
    for found in risk:
        assert f">{found.mean_var:.2f}</td>" in table
        assert f">{found.shortfall_z:.2f}</td>" in table.replace("−", "-")
    tables = read_forecasts(result.run.folder, "log_return")
    assert score_risk(result.days.actual, tables.risk) == risk


def test_a_run_of_an_earlier_version_has_no_tail_risk(result):
    table = result.run.folder / "risk.csv"
    content = table.read_bytes()
    table.unlink()
    forecasts = read_forecasts(result.run.folder, "log_return")
    assert score_risk(result.days.actual, forecasts.risk) == []
    for damaged in (content.replace(b"long_var_90", b"long_90", 1), content[: len(content) // 2]):
        table.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"risk\.csv: is no table of a finished run"):
            read_forecasts(result.run.folder, "log_return")
    table.write_bytes(content)


def test_the_page_explains_all_grades_and_what_the_next_would_take(result, page):
    assert set(MEANINGS) == {*GRADES, "SUSPECT"}
    for meaning in MEANINGS.values():
        assert f'<td class="text">{meaning}</td>' in page
    for missing in result.assessment.evidence.missing:
        assert missing in page


def test_the_numbers_are_those_of_the_results(result, page):
    assessment = result.assessment
    assert f'<td class="number">{assessment.scores.rmse:.4f}</td>' in page
    rows = [re.findall("<td.*?>(.*?)</td>", row) for row in re.findall("(?s)<tr>(.*?)</tr>", page)]
    # Every cost has a row of its own, with its own Sharpe ratio, drawdown and turnover.
    sign = {cells[1]: cells for cells in rows if cells[:1] == ["sign"]}
    assert list(sign) == ["0", "2", "5", "10"]
    for traded in (
        each for each in assessment.trading if (each.name, each.delay_days) == ("sign", 0)
    ):
        cells = sign[f"{traded.cost_bp:g}"]
        assert cells[2:5] == [
            f"{traded.total_return:.1f}",
            f"{traded.max_drawdown:.1f}",
            f"{net_sharpe(assessment.trading, traded.cost_bp):.2f}",
        ]
    # Its last row is that of the columns; the importances have one, too.
    *_, shipments = (cells for cells in rows if cells[:1] == ["IOCJ Weekly shipment"])
    staleness = result.run.panel.staleness["IOCJ Weekly shipment"]
    inside = staleness.loc[result.run.datamodule.features.index]
    assert shipments[2:4] == [str((inside > 0).sum()), str(int(inside.max()))]


def test_what_a_stranger_wrote_is_text(result):
    folder = result.run.folder
    before = {name: (folder / name).read_bytes() for name in ("provenance.json", "report.html")}
    made_of = json.loads(before["provenance.json"])
    tag = "<script>alert(1)</script>"
    hostile = {**made_of, "command": [tag], "git": {"commit": tag}, "packages": {tag: tag}}
    (folder / "provenance.json").write_text(json.dumps({**hostile, "input_sha256": {tag: tag}}))
    write_run_page(result, {})
    text = (folder / "report.html").read_text(encoding="utf-8")
    for name, content in before.items():
        (folder / name).write_bytes(content)
    assert html.escape(tag) in text
    assert "<script" not in text


def test_the_losses_are_those_of_the_log(result):
    folder = result.run.folder
    losses = read_losses(folder)
    assert list(losses.index) == [1, 2]
    assert list(losses) == ["train_loss", "val_loss", "learning_rate"]
    assert losses["val_loss"].min() == result.run.facts.best_score
    assert losses["val_loss"].idxmin() == result.run.facts.best_epoch


def test_a_run_that_goes_on_keeps_the_losses_up_to_its_checkpoint(tmp_path):
    rows = pd.DataFrame(
        {"train_loss": [3.0, 2.0, 1.0], "val_loss": 4.0, "learning_rate": 0.1}, index=[1, 2, 3]
    )
    rows.rename_axis("epoch").to_csv(tmp_path / "losses.csv")
    assert LossFile(tmp_path, {"epoch": 1}).rows == [(1, 3.0, 4.0, 0.1), (2, 2.0, 4.0, 0.1)]
    assert LossFile(tmp_path, {}).rows == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch\n1\n",
        "epoch,train_loss,val_loss,learning_rate\n1,inf,1,1\n",
        "epoch,train_loss,val_loss,learning_rate\n1,x,1,1\n",
        "\0\xff",
    ],
)
def test_losses_that_cannot_be_read_are_left_out_with_a_word(tmp_path, caplog, text):
    assert read_losses(tmp_path).empty
    assert caplog.messages == []
    (tmp_path / "losses.csv").write_text(text, encoding="latin-1")
    assert read_losses(tmp_path).empty
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / 'losses.csv'}: is no table of losses: ")
