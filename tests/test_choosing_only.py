"""A run of a multirun fits, validates and remembers; the chosen trial alone is assessed."""

import contextlib
import json
import shutil
import sqlite3
import struct
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from ironore_lightning.data.market_cache import _build, _read
from ironore_lightning.errors import ConfigError
from ironore_lightning.evaluate import main as evaluate_command
from ironore_lightning.experiment import fit_run, run_experiment
from ironore_lightning.files import write_json
from ironore_lightning.forecast.next_day import evidence_of
from ironore_lightning.judge.judgement import judge_run
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.summarize import main as summary_command
from ironore_lightning.summary.outputs import run_table
from ironore_lightning.summary.ranking import summarize

pytestmark = pytest.mark.usefixtures("one_quick_figure")

BREAK = "data.panel.break_days=[{leg:price_65_m1,day:2025-06-19}]"
QUICK = (
    *("model=tiny", "training.max_epochs=3", "monitor=val/rmse"),
    *("evaluation.bootstrap_repetitions=100", BREAK),
)
HEADS = ("point", "gaussian")
NO_SUMMARY = "~hydra.callbacks.many_runs"
TABLES = ("baselines.csv", "density.csv", "risk.csv", "price_clues.csv")


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def untouched(train, tmp_path_factory):
    """A sweep over two heads before its summary."""
    folder = tmp_path_factory.mktemp("sweep")
    heads = f"model.head={','.join(HEADS)}"
    code, said = train("-m", *QUICK, heads, f"hydra.sweep.dir={folder}", NO_SUMMARY)
    assert (code, said) == (0, "")
    return folder


@pytest.fixture(scope="module")
def alone(compose, tmp_path_factory):
    """The same runs, each started by itself."""
    folder = tmp_path_factory.mktemp("alone")
    for head in HEADS:
        run_experiment(compose(*QUICK, f"model.head={head}"), folder / f"model.head={head}")
    return folder


@pytest.fixture
def sweep(untouched, tmp_path):
    """A copy of the sweep, to be summarised."""
    return shutil.copytree(untouched, tmp_path / "sweep")


def prefer(sweep, head):
    """Make validation choose a head."""
    for name in HEADS:
        path = sweep / f"model.head={name}" / "status.json"
        status = read_json(path) | {"objective": 1.0 if name == head else 2.0}
        path.write_text(json.dumps(status), encoding="utf-8")


# --- what a sweep leaves before its summary -------------------------------------------------------


def numbers_of(tree):
    """Every number of a tree of results that is long enough to be no other's."""
    if isinstance(tree, dict | list):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers_of(branch)
    elif isinstance(tree, float) and len(repr(tree)) > 9:
        yield tree


def files_that_hold(scores, folder):
    """The files below a folder in which a score stands, as text or as a packed number."""
    packed = [struct.pack(kind, score) for score in scores for kind in ("<d", "<f")]
    written = [repr(score).encode() for score in scores]
    found, files = set(), [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        # Four bytes of weights may be equal by chance.
        sought = written if path.suffix == ".ckpt" else written + packed
        if any(score in content for score in sought):
            found.add(path.name.split(".")[0])
    return found


def test_no_file_of_a_sweep_holds_a_test_score(untouched, alone):
    scores = set()
    for head in HEADS:
        evaluation = read_json(alone / f"model.head={head}" / "evaluation_results.json")
        scores |= set(numbers_of(evaluation))
    assert len(scores) > 300
    assert files_that_hold(scores, untouched) == set()
    # The search finds them where they are.
    assert {"evaluation_results", "final_results", "events"} <= files_that_hold(scores, alone)


def test_what_a_sweep_leaves_says_nothing_of_the_test_segment(untouched):
    for head in HEADS:
        folder = untouched / f"model.head={head}"
        names = {path.name.partition(".tfevents")[0] for path in folder.iterdir()}
        assert names == {
            *(".hydra", ".lock", "checkpoints", "events.out", "hparams.yaml"),
            *("final_results.json", "predictions.csv", "provenance.json", "status.json"),
            *("losses.csv", "training.log"),
        }
        record = read_json(folder / "final_results.json")
        assert record["evaluation"] is None
        assert record["validation"]["rmse"] > 0
        log = (folder / "training.log").read_text(encoding="utf-8")
        assert "best val/rmse: " in log
        for word in ("test,", "R2", "evidence", "guessing", "Direction", "baseline"):
            assert word not in log


def test_the_forecasts_are_those_of_a_run_that_is_started_alone(untouched, alone):
    for head in HEADS:
        name = f"model.head={head}/predictions.csv"
        assert (untouched / name).read_bytes() == (alone / name).read_bytes()


# --- the summary ----------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_the_chosen_trial_is_assessed_number_for_number_as_a_run_alone(sweep, alone, head):
    prefer(sweep, head)
    choice = summarize(sweep).choice
    assert choice.trial.name == f"head={head}"
    write_json(sweep / "found.json", asdict(choice.assessment))
    found = read_json(sweep / "found.json")
    wanted = read_json(alone / f"model.head={head}" / "evaluation_results.json")
    same = ("scores", "table", "tests", "bootstrap", "confidence_set", "superior_ability_p")
    for key in (*same, "intervals", "density", "trading", "blocks", "tradability"):
        assert found[key] == wanted[key], key
    assert found["evidence"]["skill_p"] == wanted["evidence"]["skill_p"]
    for name in TABLES:
        table = sweep / f"model.head={head}" / name
        assert table.read_bytes() == (alone / f"model.head={head}" / name).read_bytes()


def test_only_the_chosen_run_has_tables_after_the_summary_and_none_has_scores(sweep):
    prefer(sweep, "gaussian")
    summary = summarize(sweep)
    for head in HEADS:
        folder = sweep / f"model.head={head}"
        assert [(folder / name).exists() for name in TABLES] == [head == "gaussian"] * 4
        assert read_json(folder / "final_results.json")["evaluation"] is None
    assert not [name for name in run_table(summary) if "test" in name]


def test_a_later_summary_needs_neither_data_nor_checkpoint_of_a_run_without_break_days(
    train, tmp_path
):
    folder = tmp_path / "one"
    train("-m", *QUICK[:-1], "seed=0", f"hydra.sweep.dir={folder}")
    first = read_json(folder / "summary.json")
    shutil.rmtree(folder / "run" / "checkpoints")
    assert summary_command([str(folder)]) == 0
    assert read_json(folder / "summary.json") == first


def test_the_summary_says_what_break_days_leave_out_as_the_run_alone_does(sweep, alone):
    left_out = read_json(alone / "model.head=point" / "evaluation_results.json")["left_out"]
    assert left_out["dates"]
    prefer(sweep, "point")
    for summary in (summarize(sweep), summarize(sweep)):  # the second one finds the tables
        (note,) = summary.choice.left_out
        assert note == (
            "model.head=point: Break days leave out 1 test day, of which "
            f"{left_out['direction_hits']} of 1 were right; with them the evidence is "
            f"{left_out['evidence']['grade']}."
        )
        assert note in summary.notes


def test_data_that_have_changed_since_leave_no_verdict_and_say_so(sweep):
    for head in HEADS:
        path = sweep / f"model.head={head}" / "provenance.json"
        made_of = read_json(path) | {"table_sha256": 64 * "0"}
        path.write_text(json.dumps(made_of), encoding="utf-8")
    summary = summarize(sweep)
    assert summary.choice is None
    assert "the data have changed since this run began; put back those of then" in summary.sentence


def test_damaged_or_half_written_tables_of_the_chosen_run_are_computed_again(sweep):
    prefer(sweep, "gaussian")
    folder = sweep / "model.head=gaussian"
    first = summarize(sweep).choice.assessment
    tables = {name: (folder / name).read_bytes() for name in TABLES}
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("x")):
        damage(folder / "density.csv")
        assert summarize(sweep).choice.assessment == first
        assert {name: (folder / name).read_bytes() for name in TABLES} == tables


def test_forecasts_that_the_network_did_not_make_are_refused(sweep, capsys):
    one, other = (sweep / f"model.head={head}" for head in HEADS)
    path = one / "predictions.csv"
    rows = pd.read_csv(path)
    rows["forecast"] += 1e-3 * np.sign(rows["actual"])  # a thousandth of a per cent
    rows.to_csv(path, index=False)
    assert evaluate_command([str(one)]) == 2
    assert "is not the network that wrote predictions.csv beside it" in capsys.readouterr().err
    shutil.copy(one / "checkpoints" / "best.ckpt", other / "checkpoints" / "best.ckpt")
    assert evaluate_command([str(other)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_settings_of_a_version_without_the_new_key_are_read(sweep):
    path = sweep / "model.head=point" / "final_results.json"
    record = read_json(path)
    del record["settings"]["report"]["assess_every_run"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert RunRecord.read(path.parent).settings.report.assess_every_run is False


def test_a_run_without_a_verdict_says_how_to_get_one(untouched, alone, tmp_path):
    folders = [tmp_path / f"model.head={head}" for head in HEADS]  # no longer one of many
    for folder in folders:
        shutil.copytree(untouched / folder.name, folder)
    with pytest.raises(ConfigError) as caught:
        judge_run(folders[0], looks=None)
    command = f"python -m ironore_lightning.evaluate {folders[0]}"
    assert str(caught.value) == (
        f"{folders[0]}: its test days were never assessed; {command} does that"
    )
    assert evidence_of([RunRecord.read(folders[0])]) == (
        f"not known: its test days were never assessed; {command} does that"
    )
    moved, known = (
        [RunRecord.read(place / folder.name) for folder in folders] for place in (tmp_path, alone)
    )
    assert evidence_of(moved) == evidence_of(known)  # of the mean of both


# --- evaluate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_evaluate_leaves_what_a_run_alone_leaves(sweep, alone, head, capsys):
    folder, wanted = sweep / f"model.head={head}", alone / f"model.head={head}"
    for _ in range(2):
        assert evaluate_command([str(folder)]) == 0
        said = capsys.readouterr().out.splitlines()
        assert read_json(folder / "evaluation_results.json") == read_json(
            wanted / "evaluation_results.json"
        )
        for name in TABLES:
            assert (folder / name).read_bytes() == (wanted / name).read_bytes()
        assert read_json(folder / "final_results.json")["evaluation"]["segment"] == "test"
        assert list((folder / "plots").glob("*.png"))
        assert read_json(wanted / "evaluation_results.json")["sentence"] in said[-4]
        assert said[-1].startswith("Earned so far: not known: one of several runs")


@pytest.mark.usefixtures("bfloat16")
def test_a_run_in_mixed_precision_is_evaluated_in_it(compose, tmp_path):
    config = compose(*QUICK, "hardware.precision=bf16-mixed")
    fit_run(config, tmp_path / "run")
    assert evaluate_command([str(tmp_path / "run")]) == 0
    run_experiment(config, tmp_path / "alone")
    found, wanted = (
        read_json(tmp_path / name / "evaluation_results.json") for name in ("run", "alone")
    )
    assert found == wanted


def test_a_given_target_is_evaluated_with_its_data_elsewhere(compose, tmp_path):
    days = pd.date_range("2023-01-02", periods=260, freq="B")
    noise = np.random.default_rng(0).normal(size=(260, 2))
    table = pd.DataFrame({"date": days, "a": noise[:, 0], "Y": noise[:, 1]})
    table.to_csv(tmp_path / "table.csv", index=False)
    settings = ("data=table", "features.names=[a]", "target.series=Y", "target.kind=given")
    config = compose(*QUICK[:-1], *settings, f"data.root={tmp_path}")
    fit_run(config, tmp_path / "run")
    run_experiment(config, tmp_path / "alone")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "table.csv").rename(tmp_path / "elsewhere" / "table.csv")
    _read.cache_clear()  # as a new process would find it
    _build.cache_clear()
    assert evaluate_command([str(tmp_path / "run")]) == 2
    root = ("--data-root", str(tmp_path / "elsewhere"))
    assert evaluate_command([str(tmp_path / "run"), *root]) == 0
    found, wanted = (
        read_json(tmp_path / name / "evaluation_results.json") for name in ("run", "alone")
    )
    assert found == wanted
    assert found["trading"] == []


def test_each_look_is_written_down(sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("IRONORE_LOOKS", str(tmp_path / "looks.sqlite"))
    prefer(sweep, "point")
    summarize(sweep, looks=tmp_path / "looks.sqlite")
    for head in HEADS:  # the first one shows what the summary has shown
        assert evaluate_command([str(sweep / f"model.head={head}")]) == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "looks.sqlite")) as ledger:
        looks = [what for (what,) in ledger.execute("SELECT what FROM looks")]
    assert looks == [str(sweep), str(sweep / "model.head=gaussian")]


def test_a_run_that_has_not_finished_and_a_folder_of_many_are_a_line(sweep, capsys):
    folder = sweep / "model.head=point"
    status = read_json(folder / "status.json") | {"state": "pruned", "objective": None}
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")
    for path, said in (
        (folder, "this run is pruned and not complete, so there is nothing to assess"),
        (sweep, "holds many runs; name one of its folders, or summarise them with "),
    ):
        assert evaluate_command([str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"ConfigError: {path}: {said}")


def test_a_folder_that_is_no_finished_run_is_a_line(tmp_path, capsys):
    assert evaluate_command([str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err == (
        f"ConfigError: {tmp_path / 'nothing'} is no finished run: there is no such folder\n"
    )


# --- every run assessed ---------------------------------------------------------------------------


def test_every_run_is_assessed_where_somebody_wants_it_and_each_is_a_look(
    train, monkeypatch, tmp_path, alone
):
    monkeypatch.setenv("IRONORE_LOOKS", str(tmp_path / "looks.sqlite"))
    folder = tmp_path / "sweep"
    heads = f"model.head={','.join(HEADS)}"
    wanted = ("report.assess_every_run=true", f"hydra.sweep.dir={folder}")
    assert train("-m", *QUICK, heads, *wanted) == (0, "")
    for number, head in enumerate(HEADS, start=1):
        found = read_json(folder / f"model.head={head}" / "evaluation_results.json")
        assert (
            found["scores"]
            == read_json(alone / f"model.head={head}" / "evaluation_results.json")["scores"]
        )
        assert found["evidence"]["look"] == number
    with contextlib.closing(sqlite3.connect(tmp_path / "looks.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM looks").fetchone() == (2,)


# --- a run that goes on alone ---------------------------------------------------------------------


def test_a_run_of_a_sweep_that_is_resumed_alone_still_scores_no_test_day(train, sweep, untouched):
    folder = sweep / "model.head=point"
    status = read_json(folder / "status.json")
    interrupted = status | {"state": "interrupted", "objective": None}
    (folder / "status.json").write_text(json.dumps(interrupted), encoding="utf-8")
    (folder / "final_results.json").unlink()
    (folder / "predictions.csv").unlink()
    assert train(f"resume={folder}") == (0, "")
    assert read_json(folder / "final_results.json")["evaluation"] is None
    forecasts = (folder / "predictions.csv").read_bytes()
    assert forecasts == (untouched / "model.head=point" / "predictions.csv").read_bytes()
    assert not (folder / "plots").exists()


def test_a_single_run_in_the_folder_of_a_multirun_is_as_any_other(train, sweep):
    folder = sweep / "mine"
    assert train(*QUICK, f"hydra.run.dir={folder}") == (0, "")
    assert read_json(folder / "final_results.json")["evaluation"]["segment"] == "test"


def test_what_a_run_reports_does_not_tell_it_from_a_finished_one(train, sweep):
    for head in HEADS:  # as an older version has written it
        path = sweep / f"model.head={head}" / "final_results.json"
        record = read_json(path)
        del record["settings"]["report"]["assess_every_run"]
        path.write_text(json.dumps(record), encoding="utf-8")
    before = {path: path.read_bytes() for path in sweep.glob("*/predictions.csv")}
    again = (f"model.head={','.join(HEADS)}", f"hydra.sweep.dir={sweep}", NO_SUMMARY)
    assert train("-m", *QUICK, *again, "report.assess_every_run=true") == (0, "")
    assert len(before) == 2
    assert {path: path.read_bytes() for path in before} == before
    assert not list(sweep.glob("*/evaluation_results.json"))


# --- TensorBoard ----------------------------------------------------------------------------------


def test_the_hparams_tab_begins_with_what_varies_and_shows_validation_only(untouched):
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(untouched))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(untouched))
    context = Context(TBContext(data_provider=provider))
    request = RequestContext()
    experiment = context.experiment_from_metadata(
        request, "", True, context.hparams_metadata(request, ""), None
    )
    assert [info.name for info in experiment.hparam_infos if info.differs] == ["head"]
    assert experiment.hparam_infos[0].name == "head"
    shown = [info.name.tag for info in experiment.metric_infos]
    assert {"val_kept/epoch", "val_kept/rmse", "val_kept/direction_accuracy"} <= set(shown)
    assert {tag.split("/")[0] for tag in shown} == {"train", "val", "val_kept"}
    scores = context.read_last_scalars(request, "", None)
    for head in HEADS:
        record = read_json(untouched / f"model.head={head}" / "final_results.json")
        value = scores[f"model.head={head}"]["val_kept/rmse"].value
        np.testing.assert_allclose(value, record["validation"]["rmse"], rtol=1e-6)
