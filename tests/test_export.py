"""A run as ONNX, run by another library."""

import contextlib
import io
import json

import numpy as np
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from ironore_lightning.experiment import fit_run
from ironore_lightning.export import __main__ as export
from ironore_lightning.export import network_file

RUNS = {
    "point": ("model.head=point",),
    "gaussian": ("model.head=gaussian", "scaling.method=standard"),
    "student_t": ("model.head=student_t", "features=stationary"),
    "quantile": ("model.head=quantile",),
    "nlinear": ("model=nlinear", "window.sequence_length=7"),
}


@pytest.fixture(scope="module", params=RUNS)
def exported(request, compose, tmp_path_factory):
    """A run of one epoch, its file opened by ONNX Runtime, and what that says of all samples."""
    folder = tmp_path_factory.mktemp("run")
    config = compose("model=tiny", "training.max_epochs=1", "logger=[]", *RUNS[request.param])
    run = fit_run(config, folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        assert export.main([str(folder)]) == 0
    length = config.window.sequence_length
    assert said.getvalue() == f"{folder / 'forecaster.onnx'}: windows of {length} days\n"
    session = onnxruntime.InferenceSession(folder / "forecaster.onnx")
    names = [output.name for output in session.get_outputs()]
    values = run.datamodule.features.to_numpy()
    windows = sliding_window_view(values, length, axis=0)
    ends = run.datamodule.origins - (length - 1)
    raw = np.ascontiguousarray(windows[ends].swapaxes(1, 2))
    outputs = dict(zip(names, session.run(None, {"windows": raw}), strict=True))
    return run, session, raw, outputs


def require_close(given, expected):
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5 * largest)


def test_the_file_forecasts_as_the_run_did_on_every_sample(exported):
    run, session, raw, outputs = exported
    assert len(run.predictions) > 800
    require_close(outputs["forecast"], run.predictions["forecast"].to_numpy())
    (alone,) = session.run(["forecast"], {"windows": raw[-1:]})
    require_close(alone, outputs["forecast"][-1:])


def test_a_distribution_comes_with_its_parameters_which_give_the_bounds_of_the_run(exported):
    run, _, _, outputs = exported
    kind = run.config.model.head
    if kind == "point":
        assert list(outputs) == ["forecast"]
        return
    is_test = (run.predictions["segment"] == "test").to_numpy()
    forecast = outputs["forecast"].astype(float)
    if kind == "gaussian":
        upper = stats.norm.ppf(0.95, forecast, outputs["standard_deviation"])
    elif kind == "student_t":
        upper = stats.t.ppf(0.95, outputs["degrees_of_freedom"], forecast, outputs["scale"])
    else:
        assert outputs["quantiles"].shape == (len(forecast), 19)
        upper = outputs["quantiles"][:, 18]
    require_close(upper[is_test], run.predictions["upper_90"].to_numpy()[is_test])


def test_the_file_says_what_it_reads_and_what_it_is_worth(exported):
    run, session, raw, _ = exported
    said = session.get_modelmeta().custom_metadata_map
    columns = json.loads(said["columns"])
    assert columns == list(run.datamodule.features.columns)
    assert raw.shape[2] == len(columns)
    assert int(said["sequence_length"]) == raw.shape[1]
    assert (said["target"], said["kind"], said["horizon"]) == ("price_65_m1", "log_return", "1")
    assert said["evidence"] == "not assessed"
    assert said["trained_until"] == f"{run.datamodule.training_rows.index[-1]:%Y-%m-%d}"
    levels = json.loads(said.get("quantile_levels", "[]"))
    assert levels == (
        [step / 20 for step in range(1, 20)] if run.config.model.head == "quantile" else []
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no run", "ConfigError: {folder} is no finished run: there is no such folder"),
        ("no extra", "ConfigError: export: onnx is not installed; install it with pip install "),
        ("no folder", "MachineError: "),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    change, said, write_run, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    if change == "no extra":
        monkeypatch.setattr(export, "find_spec", lambda _: None)
    elif change == "no folder":
        write_run(folder, ["model=tiny"], [0.0] * 9, [0.1] * 9, objective=1.0, borders=(3, 6))
        monkeypatch.setattr(network_file, "to_onnx", lambda _: b"")
    code = export.main([str(folder), "--output", str(tmp_path / "missing" / "x.onnx")])
    error = capsys.readouterr().err
    assert code == (1 if change == "no folder" else 2)
    assert error.startswith(said.format(folder=folder))
    assert error.count("\n") == 1
