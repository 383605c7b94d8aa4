"""Every combination once, in a folder of its own, and all folds that the data have."""

import math
import random
import re
from pathlib import Path

import pytest
from conftest import write_status
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from ironore_lightning.data.features import build_features, build_target
from ironore_lightning.data.market_cache import build_market
from ironore_lightning.data.splits import build_split
from ironore_lightning.errors import ConfigError
from ironore_lightning.run_folder import lock
from ironore_lightning.run_folder.lock import lock_folder
from ironore_lightning.settings.samples import WalkForwardSplit
from ironore_lightning.sweep.folds import with_all_folds
from ironore_lightning.sweep.grid_sweeper import GridSweeper, combinations, folder_name
from ironore_lightning.sweep.jobs import JobComposer
from ironore_lightning.sweep.sweeper import require_none_refused

ROOT = Path(__file__).parents[1]
SAFE = re.compile(r"[A-Za-z0-9_.,=+-]+")
SUBDIR = "hydra.sweep.subdir="


def parse(*overrides):
    return OverridesParser.create().parse_overrides(list(overrides))


def jobs_of(*overrides):
    """Return each job's overrides without the folder, and the folder as Hydra reads it."""
    jobs = []
    for job in combinations(parse(*overrides)):
        *settings, folder = job
        assert folder.startswith(SUBDIR)
        (read,) = parse(folder)
        jobs.append((tuple(settings), read.value()))
    return jobs


# --- combinations ---------------------------------------------------------------------------------


def test_the_last_setting_varies_fastest_and_the_folder_says_what_varies():
    jobs = jobs_of("seed=0,1", "training.max_epochs=3", "model=tiny,bilstm")
    assert jobs == [
        (("seed=0", "training.max_epochs=3", "model=tiny"), "seed=0,model=tiny"),
        (("seed=0", "training.max_epochs=3", "model=bilstm"), "seed=0,model=bilstm"),
        (("seed=1", "training.max_epochs=3", "model=tiny"), "seed=1,model=tiny"),
        (("seed=1", "training.max_epochs=3", "model=bilstm"), "seed=1,model=bilstm"),
    ]


VALUES = {
    "x=choice(3,1,2)": ["x=3", "x=1", "x=2"],
    "x=range(3)": ["x=0", "x=1", "x=2"],
    "x=range(1,8,3)": ["x=1", "x=4", "x=7"],
    "x=range(2,0,-1)": ["x=2", "x=1"],
    "x=sort(3,1,2)": ["x=1", "x=2", "x=3"],
    "x=int(choice(1.5,2.5))": ["x=1", "x=2"],
    "x=null,true": ["x=null", "x=True"],
    "x=[a,b],[c]": ["x=[a,b]", "x=[c]"],
    "x={a:1},{a:2}": ["x={a:1}", "x={a:2}"],
    '+x="a b","c,d"': ['+x="a b"', '+x="c,d"'],
    "x@y=a,b": ["x@y=a", "x@y=b"],
    "x=1,2,1": ["x=1", "x=2"],  # one job a folder
}


@pytest.mark.parametrize("override", VALUES)
def test_values_are_enumerated_in_the_order_in_which_they_are_written(override):
    jobs = jobs_of(override)
    assert [job for job, _ in jobs] == [(setting,) for setting in VALUES[override]]
    assert len({folder for _, folder in jobs}) == len(jobs)


def test_the_later_override_wins_whether_it_sweeps_or_not():
    assert jobs_of("seed=0,1", "model=tiny", "seed=3") == [(("seed=3", "model=tiny"), "run")]
    assert jobs_of("seed=3", "seed=0,1") == [(("seed=0",), "seed=0"), (("seed=1",), "seed=1")]


@pytest.mark.parametrize(
    "overrides", [(), ("model=tiny",), ("seed=choice(1)",), ("seed=range(4,5)",), ("seed=2,2",)]
)
def test_without_anything_to_tell_apart_there_is_one_job_called_run(overrides):
    assert [folder for _, folder in jobs_of(*overrides)] == ["run"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=interval(0,1)", "seed=interval(0,1): a grid needs values; an interval is for"),
        ("seed=tag(log,interval(1,2))", "seed=tag(log,interval(1,2)): a grid needs values"),
        ("seed=range(5,5)", "seed=range(5,5): there is no value in it"),
        ("seed=range(5,1)", "seed=range(5,1): there is no value in it"),
    ],
    ids=lambda value: value.split(":")[0],
)
def test_what_has_no_list_of_values_is_refused_in_a_line(override, line):
    with pytest.raises(ConfigError) as caught:
        combinations(parse("model=tiny,bilstm", override))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["seed=range(0,1000000000)"], "seed=range(0,1000000000): 1,000,000,000 values, a mult"),
        (["seed=shuffle(range(10001))"], "seed=shuffle(range(10001)): 10,001 values, a multirun m"),
        (["x=range(0,1,1e-12)"], "x=range(0,1,1e-12): 1,000,000,000,00"),
        (["x=range(0,inf)"], "x=range(0,inf): nan values, a multirun may have 10000 runs"),
        (
            ["seed=range(0,3000)", "model=tiny,bilstm", "name=a", "x=1,2"],
            "seed (3000 values) x model (2 values) x x (2 values): 12000 runs, a multirun may have",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_grid_is_counted_before_it_is_enumerated(overrides, line):
    with pytest.raises(ConfigError) as caught:
        combinations(parse(*overrides))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_as_many_runs_as_there_may_be_are_enumerated():
    jobs = combinations(parse("x=range(5,-9995,-1)"))
    assert (len(jobs), jobs[0][0], jobs[-1][0]) == (10_000, "x=5", "x=-9994")


# --- folder names ---------------------------------------------------------------------------------

NAMES = {
    ("seed=0", "model=tiny"): "seed=0,model=tiny",
    ("training.learning_rate=1e-4",): "training.learning_rate=1e-4",
    ("+x=-1.5",): "+x=-1.5",
    # The first eight digits that sha256sum says.
    ("features.names=[a,b]",): "features.names=-a,b--c9540b8a",
    ("data.root=../a b",): "data.root=..-a-b-7b98961b",
    ("name='铁矿石'",): "name=--f2d9ebd8",
    ("x=" + "a" * 118,): "x=" + "a" * 118,
    ("x=" + "a" * 119,): "x=" + "a" * 118 + "-37fdc088",
    (): "run",
}


@pytest.mark.parametrize("overrides", NAMES, ids=lambda overrides: ",".join(overrides)[:30])
def test_a_folder_is_named_by_its_overrides_as_far_as_a_folder_can_be(overrides):
    assert folder_name(overrides) == NAMES[overrides]


def odd_overrides():
    """Return 1,000 different overrides of the characters that make trouble, some very long."""
    generator = random.Random(0)  # noqa: S311 - no secret
    alphabet = "ab01 ,=/\\'\"[]{}()$:;|&<>*?!~#%@^`+-._\n\tß铁é\u202e🙂"
    made = {
        "x=" + "".join(generator.choices(alphabet, k=generator.choice((1, 2, 3, 8, 60, 119, 900))))
        for _ in range(1200)
    }
    long = {f"features.names=[{','.join(['lump premium'] * size)}]" for size in range(1, 200)}
    return sorted(made)[:801] + sorted(long)


def test_no_two_jobs_share_a_folder_however_odd_their_values(tmp_path):
    overrides = odd_overrides()
    assert len(set(overrides)) == len(overrides) == 1000
    names = {override: folder_name([override]) for override in overrides}
    assert len(set(names.values())) == 1000
    assert max(map(len, names.values())) == 120 + 1 + 8
    wrong = [name for name in names.values() if not SAFE.fullmatch(name)]
    assert wrong == []
    read = parse(*(f"{SUBDIR}'{name}'" for name in names.values()))
    assert [override.value() for override in read] == list(names.values())
    for name in names.values():
        (tmp_path / name).mkdir()
    assert len(list(tmp_path.iterdir())) == 1000


def test_names_that_are_cut_or_cleaned_alike_are_told_apart_by_their_digest():
    alike = ["x=a b", "x=a/b", "x=a  b", "x=a-b", "x='a b'", "x=[a]", "x={a}", "x=(a)"]
    alike += [f"x={'a' * 500}{last}" for last in "bc"]
    assert len({folder_name([override]) for override in alike}) == 10
    # Where the comma stands does not matter for the name, and must for the folder.
    assert folder_name(["x=[a]", "y=b"]) != folder_name(["x=[a,y=b]"])


ODD = [
    "a b",
    "a/b",
    r"a\\b",
    "it's",
    '"quoted"',
    "[a]",
    "{a: 1}",
    "a,b",
    "${seed}",
    "a=b",
    "铁矿石",
    "../../up",
    "",
    " ",
    "a" * 400,
]


def test_odd_values_reach_their_job_as_they_were_written():
    quoted = ["'" + value.replace("'", r"\'") + "'" for value in ODD]
    jobs = jobs_of(f"data.root={','.join(quoted)}", "seed=0,1")
    assert len(jobs) == 2 * len(ODD)
    assert len({folder for _, folder in jobs}) == len(jobs)
    assert all(SAFE.fullmatch(folder) for _, folder in jobs)
    roots = [parse(*job)[0].value() for job, _ in jobs]
    assert [getattr(root, "text", root) for root in roots[::2]] == ODD
    assert roots[::2] == roots[1::2]


# --- the sweeper ----------------------------------------------------------------------------------


class Launcher:
    """Stands in for Hydra's: keeps the jobs, and tries the lock of the sweep's folder."""

    def __init__(self, folder):
        self.folder = folder
        self.jobs = []
        self.is_locked = False

    def launch(self, job_overrides, initial_job_idx):
        assert initial_job_idx == 0
        self.jobs += job_overrides
        try:
            with lock_folder(self.folder):
                pass
        except ConfigError:
            self.is_locked = True
        return []


@pytest.fixture
def sweep(hydra_context, tmp_path, monkeypatch):
    """Sweep over a command line, and return the launcher."""
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.1)

    def run(*arguments, params):
        overrides = [text for text in arguments if "," not in text and "(" not in text]
        sweeper = GridSweeper(params)
        config = hydra_context.config_loader.load_configuration(
            "config", [*overrides, f"hydra.sweep.dir={tmp_path}"], RunMode.MULTIRUN
        )
        sweeper.setup(hydra_context=hydra_context, task_function=str, config=config)
        sweeper.launcher = Launcher(tmp_path)
        sweeper.sweep(list(arguments))
        return sweeper.launcher

    return run


def test_a_sweep_locks_its_folder_and_leaves_its_settings(sweep, tmp_path):
    launcher = sweep("seed=0,1", params={})
    assert launcher.jobs == [
        ["seed=0", f"{SUBDIR}'seed=0'"],
        ["seed=1", f"{SUBDIR}'seed=1'"],
    ]
    assert launcher.is_locked
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "multirun.yaml"]
    with lock_folder(tmp_path):  # free again
        pass


def test_a_folder_in_which_another_sweep_works_is_refused(sweep, tmp_path):
    with (
        lock_folder(tmp_path),
        pytest.raises(ConfigError, match="another process works in this folder"),
    ):
        sweep("seed=0,1", params={})
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_jobs_that_found_another_finished_run_in_their_folder_are_refused_in_a_line(tmp_path):
    def job(name, state, value):
        write_status(tmp_path / name, state=state, objective=1.0)
        node = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path / name)}}})
        return JobReturn(hydra_cfg=node, status=JobStatus.COMPLETED, _return_value=value)

    others = [job("a", "complete", 1.0), job("b", "failed", math.nan), job("c", "failed", None)]
    require_none_refused(others)
    with pytest.raises(ConfigError) as caught:
        require_none_refused([*others, job("d", "complete", math.nan)])
    assert str(caught.value) == (
        f"{tmp_path / 'd'} holds another run that has finished, so 1 of 4 jobs were not run; "
        "choose another hydra.sweep.dir"
    )


def test_the_original_grid_has_108_jobs(hydra_context):
    config = hydra_context.config_loader.load_configuration(
        "config", ["hparams_search=original_grid"], RunMode.MULTIRUN
    )
    jobs = jobs_of(*(f"{key}={values}" for key, values in config.hydra.sweeper.params.items()))
    assert len(jobs) == 2 * 3 * 3 * 2 * 3 == 108
    assert len({folder for _, folder in jobs}) == 108
    assert jobs[0] == (
        (
            "training.learning_rate=0.001",
            "training.gradient_clip_norm=0.5",
            "model.hidden_size=8",
            "model.num_layers=1",
            "model.dropout=0.2",
        ),
        "training.learning_rate=0.001,training.gradient_clip_norm=0.5,model.hidden_size=8,"
        "model.num_layers=1,model.dropout=0.2",
    )


def test_the_command_line_comes_after_what_the_settings_sweep(sweep):
    params = {"model.hidden_size": "8,16,32", "model.dropout": "0.2,0.35"}
    jobs = sweep("model.hidden_size=4", "seed=1", params=params).jobs
    fixed = ["model.hidden_size=4", "model.dropout={}", "seed=1"]
    assert jobs == [
        [*(override.format(value) for override in fixed), f"{SUBDIR}'model.dropout={value}'"]
        for value in ("0.2", "0.35")
    ]


def test_a_pattern_stands_for_the_members_that_it_fits(sweep):
    jobs = sweep("model=glob(bilstm_*)", params={}).jobs
    members = ["bilstm_gaussian", "bilstm_quantile", "bilstm_small", "bilstm_student_t"]
    assert [job[0] for job in jobs] == [f"model={name}" for name in members]


def test_a_wrong_key_is_refused_before_anything_is_launched(sweep, tmp_path):
    with pytest.raises(HydraException, match="hiden_size"):
        sweep("model.hiden_size=1,2", params={})
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_member_is_refused_wherever_it_stands(sweep, tmp_path):
    with pytest.raises(HydraException, match="no_such_model"):
        sweep("seed=0,1", "model=tiny,bilstm,no_such_model", params={})
    assert list(tmp_path.iterdir()) == []


def test_the_wrong_settings_of_all_jobs_are_refused_together_and_each_once(sweep, tmp_path):
    with pytest.raises(ConfigError) as caught:
        sweep("seed=0,a,1", "model=tiny,bilstm", "model.hidden_size=8,0", params={})
    assert str(caught.value).splitlines() == [
        "model.hidden_size: input should be greater than or equal to 1, got 0",
        "seed: input should be a valid integer, got 'a'",
    ]
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_wrong_only_beside_each_other_are_refused(sweep):
    with pytest.raises(ConfigError) as caught:
        sweep("split.train=0.7,0.65", "split.val=0.15,0.2", params={})
    assert str(caught.value).splitlines() == [
        "split: train + val + test must be 1, they sum to 1.05",
        "split: train + val + test must be 1, they sum to 0.95",
    ]


def test_each_choice_of_members_is_composed_once_however_many_jobs_there_are(
    sweep, hydra_context, monkeypatch
):
    loader = hydra_context.config_loader
    composed, compose = [], loader.load_sweep_config
    monkeypatch.setattr(
        loader, "load_sweep_config", lambda *given: composed.append(given[1]) or compose(*given)
    )
    jobs = sweep("seed=range(0,54)", "model=tiny,bilstm", params={}).jobs
    assert len(jobs) == 108
    assert composed == [["model=tiny"], ["model=bilstm"]]


JOBS = (
    ("seed=1", "features.names=[a]", "model.dropout=null"),
    ("seed=2", "features.names=[b,c]", "model.dropout='0.5'", f"{SUBDIR}'x y,=1'"),
    ("seed=3", "model=tiny", f"{SUBDIR}c"),
    ("model=tiny", "seed=4", "split=walk_forward", "split.fold=2"),
    ("model=tiny", "split.fold=3", "seed=5", "split=walk_forward"),
    ("seed=1", "+new.key=1"),
    ("seed=2", "+new.key={x:1}"),
    ("seed=3", "++new.key=[1]", "++seed=4"),
    ("report.emoji=false", "~report"),
    ("report.emoji=true", "~report"),
    ("data.root=${hydra:job.num}", "seed=${window.sequence_length}"),
    ("experiment=stationary_small", "training.learning_rate=5e-4"),
    ("experiment=[walk_forward,debug]", "split.fold=1", "seed=7"),
    ("experiment=stationary_small", "training.learning_rate=1e-3", "hydra/launcher=basic"),
)


def test_jobs_are_composed_as_hydra_composes_them_to_the_last_key(hydra_context):
    loader = hydra_context.config_loader
    config = loader.load_configuration("config", ["name=kept", "hydra.verbose=false"], RunMode.RUN)
    composer = JobComposer(config, hydra_context)
    for job in [*JOBS, *JOBS]:
        wanted = loader.load_sweep_config(config, list(job))
        composed = composer.compose(job)
        assert OmegaConf.to_container(composed) == OmegaConf.to_container(wanted), job
        assert OmegaConf.get_cache(composed) == OmegaConf.get_cache(wanted)
        with open_dict(wanted):
            del wanted["hydra"]
        assert composer.settings(job) == wanted


def test_a_job_with_a_key_that_is_unknown_is_refused_as_by_hydra(hydra_context):
    config = hydra_context.config_loader.load_configuration("config", [], RunMode.MULTIRUN)
    composer = JobComposer(config, hydra_context)
    with pytest.raises(HydraException, match="Could not override 'sead'"):
        composer.compose(["sead=1"])


def test_what_only_hydra_knows_of_a_job_is_left_to_that_job(sweep):
    assert len(sweep("data.root=${hydra:job.num}", "seed=1,2", params={}).jobs) == 2


# --- all folds ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def expand(hydra_context):
    """Replace `split.fold=all` on a command line."""
    config = hydra_context.config_loader.load_configuration("config", [], RunMode.MULTIRUN)
    return lambda *overrides: with_all_folds(overrides, config, hydra_context)


@pytest.fixture(scope="module")
def make_target(compose):
    """Return the target of the sample market's rows that have all features."""
    config = compose()
    panel = build_market(config.data, config.target).panel
    days = build_features(panel, config.features.names).index

    def target(horizon):
        return build_target(panel, config.target.model_copy(update={"horizon": horizon})).loc[days]

    return target


def test_the_sample_market_has_867_rows_of_which_the_last_has_no_target_yet(make_target):
    target = make_target(1)
    assert len(target) == 867
    assert int(target["value"].notna().sum()) == 866


FOLDS = [
    # 866 rows with a target and windows of 20 are 847 samples; 252 + 9 x 63 = 819 come before the
    # tenth test segment, which holds 28, and 882 would come before an eleventh.
    (252, 63, 20, 1, 10),
    (252, 595, 20, 1, 1),
    (252, 594, 20, 1, 2),
    (846, 1, 20, 1, 1),
    (807, 20, 20, 1, 2),
    (806, 20, 20, 1, 3),
    # 827 samples
    (806, 20, 40, 1, 2),
    # 864 rows with a target, 845 samples, and two between past and test.
    (803, 20, 20, 3, 2),
    (802, 20, 20, 3, 3),
]


@pytest.mark.parametrize(("initial", "step", "window", "horizon", "total"), FOLDS)
def test_all_folds_are_as_many_as_the_split_admits_and_no_more(
    expand, make_target, initial, step, window, horizon, total
):
    arguments = ["split=walk_forward", f"split.initial={initial}", f"split.step={step}"]
    arguments += [f"window.sequence_length={window}", f"target.horizon={horizon}"]
    assert expand(*arguments, "split.fold=all") == [*arguments, f"split.fold=range(0,{total})"]
    target = make_target(horizon)

    def tested_in(fold):
        settings = WalkForwardSplit(
            method="walk_forward", initial=initial, step=step, val=0.15, rolling=False, fold=fold
        )
        return build_split(target, settings, sequence_length=window, horizon=horizon).test

    tested = [row for fold in range(total) for row in tested_in(fold)]
    first, last = initial + window - 1 + horizon - 1, 867 - horizon - 1
    assert tested == list(range(first, last + 1))
    with pytest.raises(ConfigError, match=f"there is no fold {total};"):
        tested_in(total)


def test_folds_are_counted_with_the_other_swept_settings_left_alone(expand):
    arguments = ["split.fold=all", "seed=0,1", "experiment=walk_forward", "model=tiny,bilstm"]
    assert expand(*arguments) == ["split.fold=range(0,10)", *arguments[1:]]


def test_folds_that_were_named_are_left_as_they_are(expand):
    for arguments in (["seed=0,1"], ["split.fold=all", "split.fold=0,3"], ["split.fold=2"]):
        assert expand(*arguments) == arguments
    wanted = ["split=walk_forward", "split.fold=0,3", "split.fold=all"]
    assert expand(*wanted) == [*wanted[:2], "split.fold=range(0,10)"]


def test_a_walk_forward_runs_each_fold_with_each_seed(sweep):
    arguments = ("experiment=walk_forward", "split.step=300", "seed=0,1")
    jobs = sweep(*arguments, params={"split.fold": "all"}).jobs
    folders = [job[-1] for job in jobs]
    # 847 samples less the first 252 are 595.
    wanted = [f"split.fold={fold},seed={seed}" for fold in (0, 1) for seed in (0, 1)]
    assert folders == [f"{SUBDIR}'{name}'" for name in wanted]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], "split.fold=all needs split=walk_forward"),
        (["split=chronological"], "split.fold=all needs split=walk_forward"),
        (
            ["split=walk_forward", "split.initial=847"],
            "split.fold=all: 866 rows with a target have no fold after the first 847 samples; "
            "lower split.initial",
        ),
        (
            ["split=walk_forward", "window.sequence_length=900"],
            "split.fold=all: 866 rows with a target have no fold",
        ),
        (["split=walk_forward", "split.step=0"], "split.step: input should be greater than or"),
    ],
    ids=["default", "chronological", "too short", "windows too long", "wrong setting"],
)
def test_a_split_without_folds_is_refused_in_a_line(expand, overrides, line):
    with pytest.raises(ConfigError) as caught:
        expand(*overrides, "split.fold=all")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
