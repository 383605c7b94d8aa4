"""What a run of a multirun has earned: the grade after the discount, or none."""

import json
import os

import numpy as np
import pytest

from ironore_lightning.files import write_json
from ironore_lightning.forecast import next_day
from ironore_lightning.judge.judgement import judge_run
from ironore_lightning.run_folder.record import RunRecord
from ironore_lightning.summary.membership import read_membership
from ironore_lightning.summary.outputs import _results
from ironore_lightning.summary.ranking import summarize

MARKET = np.random.default_rng(1).normal(0, 1.5, 300)
QUICK = ("model=tiny", "evaluation.bootstrap_repetitions=100")


@pytest.fixture(scope="module")
def whole(write_run, tmp_path_factory):
    """A multirun of three trials with two seeds each, of which validation chose 0.2."""
    folder = tmp_path_factory.mktemp("multirun")
    for trial in (1, 2, 3):
        for seed in (0, 1):
            forecast = np.random.default_rng(10 * trial + seed).normal(0, 0.2, len(MARKET))
            write_run(
                folder / f"{trial},{seed}",
                [*QUICK, f"model.dropout=0.{trial}", f"seed={seed}"],
                MARKET,
                forecast,
                objective=abs(trial - 2.0),
                borders=(150, 200),
            )
    (folder / "multirun.yaml").write_text("{}")
    write_json(folder / "summary.json", _results(summarize(folder)))
    return folder


@pytest.fixture
def evidence_of(whole):
    """Return what a forecast with some runs says that they have earned."""
    return lambda *names: next_day.evidence_of([RunRecord.read(whole / name) for name in names])


@pytest.fixture
def edit_summary(whole):
    """Write the summary anew, and put it back after the test."""
    path = whole / "summary.json"
    before = path.read_text(encoding="utf-8")

    def edit(text):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")

    yield edit
    edit(before)


def line_of(folder):
    chosen = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["chosen"]
    return chosen["evaluation"]["evidence"]["line"]


def test_all_runs_of_the_chosen_trial_have_the_discounted_grade(whole, evidence_of):
    assert evidence_of("2,0", "2,1") == (
        "2 of 6 runs (3 trials), chosen by validation; graded for all that was tried: "
        f"{line_of(whole)}"
    )


def test_one_seed_of_the_chosen_trial_says_that_the_grade_is_that_of_all(whole, evidence_of):
    assert evidence_of("2,1") == (
        "one of 6 runs (3 trials), chosen by validation together with the others of dropout=0.2; "
        f"graded for all that was tried: {line_of(whole)}"
    )


@pytest.mark.parametrize("names", [["1,0"], ["1,0", "1,1"], ["2,0", "3,0"]])
def test_the_test_results_of_runs_that_validation_did_not_choose_are_not_shown(names, evidence_of):
    who = "one" if len(names) == 1 else len(names)
    assert evidence_of(*names) == (
        f"nothing: {who} of 6 runs (3 trials), of which validation chose others (dropout=0.2)"
    )


def test_a_single_run_keeps_its_own_grade(write_run, tmp_path):
    folder = write_run(
        tmp_path / "run", QUICK, MARKET, 0.1 * MARKET, objective=1.0, borders=(150, 200)
    )
    assert read_membership(folder) is None
    assert next_day.evidence_of([RunRecord.read(folder)]) == "evidence: NONE"


def test_a_link_to_a_member_is_the_member(whole, tmp_path):
    (tmp_path / "alone").symlink_to(whole / "1,0")
    assert next_day.evidence_of([RunRecord.read(tmp_path / "alone")]).startswith(
        "nothing: one of 6 runs"
    )


def test_the_verdict_on_a_member_says_so(whole):
    judgement = judge_run(whole / "1,0", looks=None)
    assert judgement.notes == (
        "Earned so far: nothing: one of 6 runs (3 trials), of which validation "
        "chose others (dropout=0.2).",
    )
    assert judgement.sentence.endswith(judgement.notes[0])


UNREADABLE = {
    "missing": None,
    "no JSON": "{",
    "a list": "[]",
    "a number for a name": '{"chosen": null, "runs": [{"run": 1}]}',
    "another folder's": '{"chosen": null, "runs": [{"run": "9,9"}]}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_summary_that_cannot_be_read_never_gives_a_run_its_own_grade(
    case, whole, evidence_of, edit_summary
):
    edit_summary(UNREADABLE[case])
    for names in (["1,0"], ["2,0", "2,1"]):
        assert "without a readable summary" in evidence_of(*names)
        assert f"summarize {whole}" in evidence_of(*names)


def test_a_pipe_or_a_link_in_place_of_the_summary_is_not_read(whole, evidence_of, edit_summary):
    edit_summary(None)
    os.mkfifo(whole / "summary.json")
    assert "without a readable summary" in evidence_of("1,0")
    edit_summary(None)
    (whole / "summary.json").symlink_to(whole / "1,0" / "final_results.json")
    assert "without a readable summary" in evidence_of("1,0")


def test_words_of_a_stranger_s_summary_stay_words(evidence_of, edit_summary):
    chosen = {
        "trial": "x\x1b[2J\ny",
        "runs": ["2,0"],
        "discount": {"num_trials": 5},
        "evaluation": {"evidence": {"line": "evidence \x1b[31mSTRONG"}},
    }
    edit_summary(json.dumps({"chosen": chosen, "runs": [{"run": "2,0"}, {"run": "1,0"}]}))
    assert evidence_of("2,0").endswith("graded for all that was tried: evidence \\x1b[31mSTRONG")
    assert evidence_of("1,0").endswith("chose others (x\\x1b[2J y)")


def test_a_multirun_without_a_choice_says_so(evidence_of, edit_summary):
    edit_summary(json.dumps({"chosen": None, "runs": [{"run": "2,0"}, {"run": "1,0"}]}))
    assert evidence_of("2,0") == "not known: one of 2 runs, of which no best can be named"
