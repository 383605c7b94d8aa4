"""A search by Optuna: what may vary, what is asked, what is told, and how it goes on."""

import contextlib
import math
import shutil
import sqlite3
from pathlib import Path

import optuna
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from ironore_lightning.errors import ConfigError, RunPruned, TrainingError
from ironore_lightning.files import write_json
from ironore_lightning.run_folder import lock
from ironore_lightning.run_folder.attempt import run_attempt
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.run_folder.status import Status, read_status
from ironore_lightning.sweep import optuna_study as studies
from ironore_lightning.sweep.optuna_study import SearchSettings, ask, pruning, read_settings, tell
from ironore_lightning.sweep.optuna_sweeper import OptunaSweeper, search_space

ROOT = Path(__file__).parents[1]
SETTINGS = {
    "n_trials": 3,
    "n_jobs": 1,
    "sampler": "random",
    "pruner": "none",
    "seed": 0,
    "startup_trials": 1,
    "warmup_epochs": 0,
    "params": {},
    "trial": None,
}
SPACE = ("model.dropout=interval(0,0.5)", "model.num_layers=1,2", "model.hidden_size=range(8,65,8)")


def settings(**changes):
    return SearchSettings(**{**SETTINGS, **changes})


def space_of(*overrides, monitor="val/loss"):
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return search_space(parsed, monitor=monitor)


def open_study(folder, chosen, space, fixed=()):
    return studies.open_study(folder, chosen, space, fixed)


# --- what may vary --------------------------------------------------------------------------------

DISTRIBUTIONS = {
    "x=8,16,32": CategoricalDistribution(["8", "16", "32"]),
    "x=choice(all,prices)": CategoricalDistribution(["all", "prices"]),
    "x=[a,b],[c]": CategoricalDistribution(["[a,b]", "[c]"]),
    'x="lump premium",b': CategoricalDistribution(['"lump premium"', "b"]),
    "x=true,null,1.5": CategoricalDistribution(["True", "null", "1.5"]),
    "x=range(1,5)": IntDistribution(1, 4),
    "x=range(0,10,3)": IntDistribution(0, 9, step=3),
    "x=range(8,65,8)": IntDistribution(8, 64, step=8),
    "x=range(5,6)": IntDistribution(5, 5),
    "x=range(0,1000000000)": IntDistribution(0, 999_999_999),
    "x=interval(0,1)": FloatDistribution(0.0, 1.0),
    "x=interval(-1.5,2)": FloatDistribution(-1.5, 2.0),
    "x=int(interval(8,64))": IntDistribution(8, 64),
    "x=tag(log,interval(1e-4,1e-2))": FloatDistribution(1e-4, 1e-2, log=True),
    "x=tag(log,int(interval(1,64)))": IntDistribution(1, 64, log=True),
}


@pytest.mark.parametrize("override", DISTRIBUTIONS)
def test_a_sweep_is_read_with_its_bounds_step_and_scale(override):
    assert space_of(override) == {"x": DISTRIBUTIONS[override]}


def test_a_space_keeps_the_order_of_its_settings():
    assert list(space_of("b=1,2", "a=interval(0,1)", "c=range(3)")) == ["b", "a", "c"]


REFUSED = {
    "seed=0,1": "seed: a search may not choose it: the luckiest seed says nothing of the next",
    "seed=range(0,10)": "seed: a search may not choose it",
    "+seed=0,1": "+seed: a search may not choose it",
    "++seed=0,1": "++seed: a search may not choose it",
    "monitor=val/loss,val/mae": "monitor: a search may not choose it: trials that minimise",
    "split.fold=range(0,9)": "split.fold: a search may not choose it: trials of different days",
    "data.panel.start=2022-03-30,2024-06-03": "data.panel.start: a search may not choose it",
    "data.futures=second,first": "data.futures: a search may not choose it: trials on different",
    "evaluation.costs_bp=[5],[0]": "evaluation.costs_bp: a search may not choose it: it judges",
    "name=a,b": "name: a search may not choose it: it changes nothing",
    "x=tag(log,interval(0,1))": "x: cannot be searched: `low > 0` must hold",
    "x=tag(log,interval(-1,1))": "x: cannot be searched: `low > 0` must hold",
    "x=tag(log,int(interval(0,8)))": "x: cannot be searched: `low >= 1` must hold",
    "x=interval(2,1)": "x: cannot be searched: `low <= high` must hold",
    "x=interval(0,inf)": "x: cannot be searched: an interval needs two finite ends",
    "x=interval(nan,1)": "x: cannot be searched: an interval needs two finite ends",
    "x=range(5,5)": "x: cannot be searched: there is no value in it",
    "x=range(5,1)": "x: cannot be searched: there is no value in it",
    "x=range(9,1,-2)": "x: cannot be searched: `low <= high` must hold",
    "x=range(1,9,0)": "x: cannot be searched: range() arg 3 must not be zero",
    "x=range(0.1,1,0.3)": "x: cannot be searched: a range of fractions is better an interval",
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_cannot_be_searched_is_refused_in_a_line_with_its_reason(override):
    with pytest.raises(ConfigError) as caught:
        space_of("model.dropout=interval(0,1)", override)
    assert str(caught.value).startswith(REFUSED[override])
    assert "\n" not in str(caught.value)


def test_a_loss_may_be_searched_where_it_is_not_the_objective():
    space = space_of("training.loss=mse,mae", monitor="val/rmse")
    assert space["training.loss"].choices == ("mse", "mae")
    for override in ("training.loss=mse,mae", "model.head=point,gaussian"):
        with pytest.raises(ConfigError, match="with monitor=val/rmse it may be searched"):
            space_of(override)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("target.horizon=1,5", "trials that forecast different things"),
        ("split=chronological,by_date", "trials of different days"),
        ("data=sample,original", "trials on different data"),
        ("model.dropout=tag(lgo,interval(0.1,0.5))", "there is no tag lgo, only log"),
        ("model.hidden_size=tag(log,range(8,64))", "a range takes no tag"),
    ],
)
def test_what_would_make_no_sense_is_refused_with_the_reason(override, reason):
    with pytest.raises(ConfigError, match=reason):
        space_of(override)


def test_a_search_for_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"^hydra.sweeper.params: there is nothing to search"):
        space_of()


def test_the_search_in_the_settings_can_be_searched():
    node = OmegaConf.load(ROOT / "conf" / "hparams_search" / "bilstm_optuna.yaml")
    params = node.hydra.sweeper.params
    space = space_of(*(f"{key}={value}" for key, value in params.items()))
    assert len(space) == 8
    assert space["training.weight_decay"] == FloatDistribution(1e-6, 1e-2, log=True)
    assert space["model.hidden_size"].choices == ("8", "16", "32", "64", "96")


# --- settings of the search -----------------------------------------------------------------------

WRONG = {
    "n_trials": (0, "hydra.sweeper.n_trials: input should be greater than or equal to 1, got 0"),
    "n_jobs": ("two", "hydra.sweeper.n_jobs: input should be a valid integer, got 'two'"),
    "sampler": ("tpee", "hydra.sweeper.sampler: input should be 'tpe' or 'random', got 'tpee'"),
    "pruner": (None, "hydra.sweeper.pruner: input should be 'median', 'hyperband' or 'none', got"),
    "seed": (-1, "hydra.sweeper.seed: input should be greater than or equal to 0, got -1"),
    "startup_trials": (1.5, "hydra.sweeper.startup_trials: input should be a valid integer, got"),
    "params": ("a", "hydra.sweeper.params: input should be a valid dictionary, got 'a'"),
    "direction": ("max", "hydra.sweeper.direction: extra inputs are not permitted, got 'max'"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_setting_of_the_search_is_named_with_its_value(key):
    value, line = WRONG[key]
    with pytest.raises(ConfigError) as caught:
        read_settings({"_target_": "somewhere", **SETTINGS, key: value})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_each_wrong_setting_of_the_search_is_a_line():
    with pytest.raises(ConfigError) as caught:
        read_settings({**SETTINGS, "n_trials": 0, "pruner": "best"})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "hydra.sweeper.n_trials",
        "hydra.sweeper.pruner",
    ]


def test_the_settings_in_conf_are_right():
    node = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/hydra/sweeper/optuna.yaml"))
    assert set(node) - {"_target_"} == set(SETTINGS)
    assert read_settings(node).n_trials == 40


# --- the study ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Return a database without a study; making its tables takes half a second."""
    path = tmp_path_factory.mktemp("tables") / "study.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path


@pytest.fixture
def folder(tables, tmp_path):
    shutil.copy(tables, tmp_path)
    return tmp_path


def finish(folder, chosen, space, *, objective=1.0):
    """Run a study to its end with complete trials, and return what was proposed, batch by batch."""
    study = open_study(folder, chosen, space)
    batches = []
    while trials := ask(study, chosen, space):
        batches.append([(trial.number, trial.params) for trial in trials])
        for trial in trials:
            tell(study, trial, Status("complete", objective=objective))
    return batches


def stored(folder):
    storage = f"sqlite:///{folder / 'study.db'}"
    return optuna.load_study(study_name="search", storage=storage)


def test_the_number_of_trials_is_that_of_all_commands_and_no_proposal_comes_twice(folder):
    space = space_of(*SPACE)
    first = finish(folder, settings(n_trials=3), space)
    second = finish(folder, settings(n_trials=5), space)
    third = finish(folder, settings(n_trials=4), space)
    assert [[number for number, _ in batch] for batch in first] == [[0], [1], [2]]
    assert [[number for number, _ in batch] for batch in second] == [[3], [4]]
    assert third == []
    proposed = [params for batch in [*first, *second] for _, params in batch]
    assert len({params["model.dropout"] for params in proposed}) == 5
    assert [trial.params for trial in stored(folder).trials] == proposed
    for params in proposed:
        assert list(params) == ["model.dropout", "model.num_layers", "model.hidden_size"]
        assert 0 <= params["model.dropout"] <= 0.5
        assert params["model.num_layers"] in {"1", "2"}
        assert params["model.hidden_size"] in range(8, 65, 8)


def test_the_same_seed_proposes_the_same_trials_and_another_one_others(tables, tmp_path):
    space = space_of(*SPACE)
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        shutil.copy(tables, tmp_path / name)
        found.append(finish(tmp_path / name, settings(n_trials=2, n_jobs=2, seed=seed), space))
    assert len(found[0][0]) == 2
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_as_many_trials_as_there_are_jobs_are_asked_for_at_once(folder):
    chosen = settings(n_trials=5, n_jobs=2, sampler="tpe")
    batches = finish(folder, chosen, space_of(*SPACE))
    assert [[number for number, _ in batch] for batch in batches] == [[0, 1], [2, 3], [4]]


def test_trials_that_were_cut_off_run_again_with_their_number_and_parameters(folder):
    space = space_of(*SPACE)
    chosen = settings(n_trials=4, n_jobs=3)
    study = open_study(folder, chosen, space)
    cut = ask(study, chosen, space)
    tell(study, cut[1], Status("complete", objective=1.0))
    before = {trial.number: trial.params for trial in cut}
    del study  # killed while trials 0 and 2 run
    batches = finish(folder, chosen, space)
    assert [[number for number, _ in batch] for batch in batches] == [[0, 2, 3]]
    assert dict(batches[0][:2]) == {0: before[0], 2: before[2]}
    assert batches[0][2][1] not in before.values()
    states = [trial.state for trial in stored(folder).trials]
    assert states == [TrialState.COMPLETE] * 4


def test_a_smaller_number_of_trials_still_ends_those_that_were_cut_off(folder):
    space = space_of(*SPACE)
    ask(open_study(folder, settings(), space), settings(n_jobs=3), space)
    batches = finish(folder, settings(n_trials=1), space)
    assert [[number for number, _ in batch] for batch in batches] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        (("model.dropout=interval(0,0.6)", *SPACE[1:]), "model.dropout"),
        (SPACE[:2], "model.hidden_size"),
        ((*SPACE, "training.batch_size=16,32"), "training.batch_size"),
        (("model.dropout=0.1,0.2", "model.num_layers=2,1", SPACE[2]), "dropout, model.num_layers"),
    ],
    ids=["bound", "fewer", "more", "kind and order"],
)
def test_a_search_over_another_space_is_refused_by_what_differs(folder, changed, keys):
    space = space_of(*SPACE)
    open_study(folder, settings(), space)
    with pytest.raises(ConfigError) as caught:
        open_study(folder, settings(), space_of(*changed))
    message = str(caught.value)
    assert f"{folder} holds a search that differs in " in message
    assert f"{keys}; choose another hydra.sweep.dir" in message
    assert "\n" not in message
    assert open_study(folder, settings(), space).trials == []


TOLD = [
    (Status("complete", objective=2.5), TrialState.COMPLETE, 2.5, {}),
    (Status("pruned", error="pruned after epoch 1"), TrialState.PRUNED, None, {}),
    (
        Status("failed", error="DataError: too short", exit_status=2),
        TrialState.FAIL,
        None,
        {"error": "DataError: too short"},
    ),
    (Status("interrupted"), TrialState.FAIL, None, {"error": "interrupted"}),
]


def test_the_study_hears_what_became_of_each_trial_and_all_of_them_count(folder):
    space = space_of(*SPACE)
    chosen = settings(n_trials=4, n_jobs=4)
    study = open_study(folder, chosen, space)
    trials = ask(study, chosen, space)
    assert len(trials) == len(TOLD) == 4
    for trial, (found, _, _, _) in zip(trials, TOLD, strict=True):
        tell(study, trial, found)
    assert ask(study, chosen, space) == []
    again = stored(folder)
    for trial, (_, state, value, attributes) in zip(again.trials, TOLD, strict=True):
        assert (trial.state, trial.value, trial.user_attrs) == (state, value, attributes)
    assert again.best_trial.number == 0
    assert open_study(folder, chosen, space).trials == again.trials


def test_a_search_that_goes_on_otherwise_is_refused(folder):
    space = space_of(*SPACE)
    open_study(folder, settings(n_trials=3), space)
    open_study(folder, settings(n_trials=9, n_jobs=2), space)
    with pytest.raises(ConfigError, match=r"differs in hydra.sweeper.pruner, hydra.sweeper.seed;"):
        open_study(folder, settings(seed=5, pruner="median"), space)


def test_a_search_with_other_settings_beside_its_space_is_refused(folder):
    space = space_of(*SPACE)
    fixed = ["model=tiny", "monitor=val/loss"]
    open_study(folder, settings(), space, fixed)
    open_study(folder, settings(), space, fixed)
    with pytest.raises(ConfigError, match=r"differs in model, monitor; choose another"):
        open_study(folder, settings(), space, ["model=bilstm", "monitor=val/mae"])
    with pytest.raises(ConfigError, match=r"differs in features; choose another"):
        open_study(folder, settings(), space, [*fixed, "features=prices"])


@pytest.mark.parametrize("name", ["what?", "p%20q", "a#b", "ü x"])
def test_a_study_lies_in_its_folder_whatever_that_is_called(tmp_path, name):
    (tmp_path / name).mkdir()
    open_study(tmp_path / name, settings(), space_of(*SPACE))
    assert [path.parent.name for path in tmp_path.rglob("study.db")] == [name]


class Epoch:
    """What a trainer says of itself after an epoch."""

    sanity_checking = False

    def __init__(self, number, loss):
        self.current_epoch = number
        self.callback_metrics = {"val/loss": torch.tensor(loss)}


def watch(folder, trial, chosen, losses):
    """Let a job report its epochs; return what is said where it is pruned."""
    callback = pruning(folder, trial.number, chosen, "val/loss")
    for number, loss in enumerate(losses):
        epoch = Epoch(number, loss)
        try:
            callback.on_validation_end(epoch, epoch)
        except RunPruned as pruned:
            return str(pruned)
    return None


def test_a_job_finds_its_trial_and_is_pruned_when_the_others_were_better(folder):
    space = space_of(*SPACE)
    chosen = settings(n_trials=3, pruner="median")
    study = open_study(folder, chosen, space)
    said = []
    for losses in ((2.0, 1.0), (2.0, 1.0), (2.5, 0.1)):
        (trial,) = ask(study, chosen, space)
        said.append(watch(folder, trial, chosen, losses))
        tell(study, trial, Status("pruned") if said[-1] else Status("complete", objective=1.0))
    assert said == [None, None, "pruned after epoch 1: other trials were better by then"]
    values = [trial.intermediate_values for trial in stored(folder).trials]
    assert values == [{0: 2.0, 1: 1.0}, {0: 2.0, 1: 1.0}, {0: 2.5}]


def test_a_trial_that_starts_again_is_not_judged_by_epochs_it_has_not_reached(folder):
    space = space_of(*SPACE)
    chosen = settings(n_trials=2, pruner="median")
    study = open_study(folder, chosen, space)
    (first,) = ask(study, chosen, space)
    watch(folder, first, chosen, [2.0, 1.0, 0.5])
    tell(study, first, Status("complete", objective=0.5))
    (cut,) = ask(study, chosen, space)
    for number, loss in enumerate((1.9, 1.2)):  # cut off before it was judged
        cut.report(loss, number)
    assert watch(folder, cut, chosen, [1.9]) is None
    assert watch(folder, cut, chosen, [1.9, 1.2]) is None
    assert watch(folder, cut, chosen, [1.9, 1.2, 0.7]).startswith("pruned after epoch 3")


# --- the sweeper ----------------------------------------------------------------------------------


class Launcher:
    """Stands in for Hydra's: a job is complete, fails or is pruned by its number of layers."""

    def __init__(self, folder):
        self.folder = folder
        self.batches = []

    def launch(self, job_overrides, initial_job_idx):
        self.batches.append((initial_job_idx, [list(job) for job in job_overrides]))
        return [self._run(dict(setting.split("=", 1) for setting in job)) for job in job_overrides]

    def _run(self, job):
        folder, objective = self.folder / job["hydra.sweep.subdir"], math.nan
        try:
            with run_attempt(folder) as this:
                this.finished(job)
                this.start(job)
                if job["model.num_layers"] == "2":
                    raise TrainingError("loss is nan")
                if job["model.num_layers"] == "3":
                    raise RunPruned("pruned after epoch 1")
                objective = float(job["model.dropout"])
                write_json(folder / "final_results.json", {"settings": job})
                this.complete(objective)
        except (TrainingError, RunPruned, ConfigError):
            pass
        node = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}}})
        return JobReturn(hydra_cfg=node, status=JobStatus.COMPLETED, _return_value=objective)


@pytest.fixture
def search(hydra_context, tmp_path, monkeypatch):
    """Search over a command line, and return the launcher."""
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.1)

    def run(*arguments, **changes):
        sweeper = OptunaSweeper(**{**SETTINGS, **changes})
        config = hydra_context.config_loader.load_configuration(
            "config",
            ["hydra/sweeper=optuna", f"hydra.sweep.dir={tmp_path}"],
            RunMode.MULTIRUN,
        )
        sweeper.setup(hydra_context=hydra_context, task_function=str, config=config)
        sweeper.launcher = Launcher(tmp_path)
        sweeper.sweep(list(arguments))
        return sweeper.launcher

    return run


def test_a_search_hands_its_trials_to_the_launcher_and_tells_what_their_folders_say(
    search, tmp_path, caplog
):
    params = {"model.dropout": "interval(0,0.5)", "model.num_layers": "1,2,3"}
    with caplog.at_level("INFO", logger="ironore_lightning"):
        batches = search("model=tiny", params=params, n_trials=5, n_jobs=2).batches
    assert [(first, len(jobs)) for first, jobs in batches] == [(0, 2), (2, 2), (4, 1)]
    study = stored(tmp_path)
    jobs = [job for _, batch in batches for job in batch]
    assert len(jobs) == len(study.trials) == 5
    states = {"1": TrialState.COMPLETE, "2": TrialState.FAIL, "3": TrialState.PRUNED}
    for number, (job, trial) in enumerate(zip(jobs, study.trials, strict=True)):
        dropout, layers = trial.params["model.dropout"], trial.params["model.num_layers"]
        assert job == [
            "model=tiny",
            f"model.dropout={dropout}",
            f"model.num_layers={layers}",
            f"hydra.sweep.subdir=trial_{number}",
            f"hydra.sweeper.trial={number}",
        ]
        assert trial.state == states[layers]
        assert trial.value == (dropout if layers == "1" else None)
        failed = {"error": "TrainingError: loss is nan"} if layers == "2" else {}
        assert trial.user_attrs == failed
    counts = [sum(trial.state == state for trial in study.trials) for state in states.values()]
    assert all(counts)  # of each kind there is one
    complete, failed, pruned = counts
    assert f"trials: {complete} complete, {pruned} pruned, {failed} failed" in caplog.messages
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "multirun.yaml",
        "study.db",
        *(f"trial_{number}" for number in range(5)),
    ]
    assert search("model=tiny", params=params, n_trials=5).batches == []


def spoilt(first):
    """Write over the beginning of each page from `first` on."""

    def spoil(path):
        content = bytearray(path.read_bytes())
        for page in range(first, len(content), 4096):
            content[page : page + 200] = b"x" * 200
        path.write_bytes(content)

    return spoil


def told(*statements):
    """Run SQL on the file."""

    def tell_sql(path):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(";".join(statements))

    return tell_sql


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT"
COLUMNS = "x AS trial_id, x AS number, 1 AS study_id, 'FAIL' AS state, NULL, NULL"
STUDIES = {
    "no study": spoilt(0),
    "damaged pages": spoilt(4096),
    "bad JSON of a distribution": told("UPDATE trial_params SET distribution_json = '{'"),
    "another JSON": told("UPDATE trial_params SET distribution_json = '[]'"),
    "deep JSON": told("UPDATE trial_params SET distribution_json = printf('%.99999c', '[')"),
    "a class that is none": told(
        """UPDATE trial_params SET distribution_json = '{"name": "os", "attributes": {}}'"""
    ),
    "a space that is a list": told("UPDATE study_user_attributes SET value_json = '[1]'"),
    "an unknown state": told("UPDATE trials SET state = 'WON'"),
    "an unknown direction": told("UPDATE study_directions SET direction = 'UP'"),
    "a value without end": told("UPDATE trial_params SET distribution_json = zeroblob(99000000)"),
    "an endless view": told(
        "ALTER TABLE trials RENAME TO old", f"CREATE VIEW trials AS {ENDLESS} {COLUMNS} FROM n"
    ),
    "a view as a table": told(
        "ALTER TABLE trials RENAME TO old",
        "CREATE VIEW trials AS SELECT * FROM old",
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_master SET type = 'table', rootpage = 2 WHERE name = 'trials'",
    ),
    "an endless trigger": told(
        f"CREATE TRIGGER t AFTER INSERT ON trials BEGIN {ENDLESS} count(*) FROM n; END"
    ),
}


@pytest.fixture(scope="module")
def whole_study(tmp_path_factory):
    """The file of a study of two trials."""
    folder = tmp_path_factory.mktemp("study")
    space = space_of("model.dropout=interval(0,1)")
    study = open_study(folder, settings(), space, ["model.num_layers=1"])
    for _ in range(2):
        for trial in ask(study, settings(), space):
            tell(study, trial, Status("complete", objective=1.0))
    return folder / "study.db"


@pytest.mark.parametrize("case", STUDIES)
def test_a_study_that_cannot_be_read_is_a_line(search, whole_study, tmp_path, case):
    path = Path(shutil.copy(whole_study, tmp_path))
    STUDIES[case](path)
    with pytest.raises(ConfigError) as caught:
        search("model.dropout=interval(0,1)", "model.num_layers=1", n_trials=4)
    assert str(caught.value).startswith(f"{path}: cannot be used as a study: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_finished_run_of_another_search_is_not_told_as_a_trial_and_ends_the_search(
    search, tmp_path
):
    space = ("model.dropout=interval(0,1)", "model.num_layers=1")
    search(*space, n_trials=1)
    (tmp_path / "study.db").unlink()
    with pytest.raises(ConfigError, match=r"trial_0 holds another run .* 1 of 1 jobs were not run"):
        search(*space, n_trials=1, seed=1)
    (trial,) = stored(tmp_path).trials
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert trial.user_attrs == {"error": "its folder holds another run that has finished"}


def test_the_command_line_narrows_the_space_and_later_values_win(search):
    params = {"model.dropout": "interval(0,0.5)", "model.num_layers": "1,2"}
    arguments = ("model.dropout=0.25", "model.num_layers=1,3", "model.num_layers=choice(1)")
    ((_, (job,)),) = search(*arguments, params=params, n_trials=1).batches
    assert job[:2] == ["model.dropout=0.25", "model.num_layers=1"]


def test_a_pattern_is_a_choice_of_members(search, tmp_path):
    arguments = ("model=glob(bilstm_s*)", "model.num_layers=1", "model.dropout=0")
    ((_, (job,)),) = search(*arguments, n_trials=1).batches
    (trial,) = stored(tmp_path).trials
    assert trial.distributions["model"].choices == ("bilstm_small", "bilstm_student_t")
    assert f"model={trial.params['model']}" in job


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "hydra.sweeper.params: there is nothing to search"),
        (("model=tiny",), "hydra.sweeper.params: there is nothing to search"),
        (("seed=0,1", "model.dropout=interval(0,1)"), "seed: a search may not choose it"),
        (("model=glob(x*)",), "model: cannot be searched: "),
    ],
    ids=["no arguments", "nothing swept", "seed", "empty pattern"],
)
def test_a_search_that_is_refused_leaves_nothing(search, tmp_path, arguments, line):
    with pytest.raises(ConfigError) as caught:
        search(*arguments)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_of_the_search_are_refused_before_it_begins(search, tmp_path):
    with pytest.raises(ConfigError, match=r"^hydra.sweeper.n_trials: input should be a valid int"):
        search("model.dropout=interval(0,1)", n_trials="abc")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_which_another_search_works_is_refused(search, tmp_path):
    with (
        lock_folder(tmp_path),
        pytest.raises(ConfigError, match="another process works in this folder"),
    ):
        search("model.dropout=interval(0,1)")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


# --- the real command -----------------------------------------------------------------------------

REAL_SPACE = ("window.sequence_length=20,900", "training.learning_rate=0.01,1e-09")
PLANNED = (("20", "0.01"), ("900", "0.01"), ("20", "1e-09"))


FIXED = ("model=tiny", "training.max_epochs=2", "evaluation.bootstrap_repetitions=100")


@pytest.fixture(scope="module")
def searched(run_command, tmp_path_factory):
    """Go on with a search of which one trial was cut off and two were to come; add a fourth.

    Windows of 900 days do not fit, and the first trial had said 0.0 after its first epoch, which
    no other reaches.
    """
    folder = tmp_path_factory.mktemp("search")
    chosen, space = settings(pruner="median"), space_of(*REAL_SPACE)
    study = open_study(folder, chosen, space, FIXED)
    for values in PLANNED:
        study.enqueue_trial(dict(zip(space, values, strict=True)))
    (cut,) = ask(study, chosen, space)
    cut.report(0.0, step=0)
    process = run_command(
        "train.py",
        "-m",
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.startup_trials=1",
        "hydra.sweeper.warmup_epochs=0",
        *FIXED,
        *REAL_SPACE,
        f"hydra.sweep.dir={folder}",
    )
    return folder, process


def test_a_search_goes_on_where_it_was_cut_off_and_each_trial_ends_in_its_own_way(searched):
    folder, _ = searched
    trials = stored(folder).trials
    assert len(trials) == 4
    proposed = [tuple(trial.params[key.split("=")[0]] for key in REAL_SPACE) for trial in trials]
    assert proposed[:3] == list(PLANNED)
    states = [trial.state for trial in trials]
    assert states[:3] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]
    assert (states[3] == TrialState.FAIL) == (proposed[3][0] == "900")
    assert list(trials[0].intermediate_values) == [0, 1]
    assert list(trials[2].intermediate_values) == [0]
    # The value of the second epoch is the better one, or the first one's, which was told before.
    assert trials[0].value <= trials[0].intermediate_values[1]


def test_each_trial_has_a_folder_whose_status_the_study_was_told(searched):
    folder, _ = searched
    trials = stored(folder).trials
    assert len(trials) == len(list(folder.glob("trial_[0-9]"))) == 4
    words = {"COMPLETE": "complete", "FAIL": "failed", "PRUNED": "pruned"}
    for trial in trials:
        run = folder / f"trial_{trial.number}"
        found = read_status(run)
        assert found.state == words[trial.state.name]
        assert trial.user_attrs == ({"error": found.error} if found.state == "failed" else {})
        assert found.objective == (trial.value if found.state == "complete" else None)
        assert (run / "final_results.json").exists() == (found.state == "complete")
        kept = OmegaConf.load(run / ".hydra" / "overrides.yaml")
        assert {f"{key}={value}" for key, value in trial.params.items()} <= set(kept)
    failed = read_status(folder / "trial_1")
    assert failed.error.startswith("DataError: the data hold 866 rows with a target")
    assert failed.exit_status == 2
    assert read_status(folder / "trial_2").error == (
        "pruned after epoch 1: other trials were better by then"
    )


def test_a_search_with_a_trial_of_wrong_data_ends_with_status_2_and_a_line_for_each(searched):
    folder, process = searched
    assert process.returncode == 2
    failed = sum(trial.state == TrialState.FAIL for trial in stored(folder).trials)
    lines = process.stderr.splitlines()
    assert len(lines) == failed >= 1
    assert all(line.startswith("DataError: the data hold 866 rows") for line in lines)
