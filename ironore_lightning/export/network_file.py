"""Network and scaler of a finished run as one ONNX model."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from io import StringIO

import numpy as np
import torch
from torch import Tensor, nn

from ironore_lightning.data.scaling import Scaler
from ironore_lightning.evaluation.distributions import LEVELS
from ironore_lightning.model.forecaster import Forecaster
from ironore_lightning.model.training import load_network
from ironore_lightning.run_folder.record import RunRecord

PARAMETERS = {
    "point": (),
    "gaussian": ("standard_deviation",),
    "student_t": ("scale", "degrees_of_freedom"),
    "quantile": ("quantiles",),
}
"""Outputs beside the forecast, by head."""


class RawForecaster(nn.Module):
    """A network that scales its windows itself.

    Args:
        forecaster: The trained network.
        scaler: Of its features.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, forecaster: Forecaster, scaler: Scaler) -> None:
        """Keep the network and its head, and nothing of lightning."""
        super().__init__()
        self.network, self.head = forecaster.network, forecaster.head
        for name, column in vars(scaler).items():
            self.register_buffer(name, torch.from_numpy(column))

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        """Map unscaled windows (N, L, F), in double precision, to the forecast and the rest."""
        scaled = ((windows - self.center) / self.spread).float()
        parameters = self.head.parameters(self.network(scaled))
        forecast = self.head.forecast(parameters)
        if self.head.kind == "quantile":
            return forecast, parameters
        return forecast, *parameters.unbind(dim=1)[1:]


def to_onnx(run: RunRecord) -> bytes:
    """Return the network and the scaler of a run as an ONNX model.

    Raises:
        ConfigError: If its checkpoint is not of this run.
    """
    import onnx

    config = run.settings
    columns = [feature.label for feature in config.features.names]
    path = run.folder / "checkpoints" / "best.ckpt"
    model = RawForecaster(*load_network(path, len(columns), config.fit_settings)).eval()
    # Two samples, as torch takes one for a constant.
    example = np.broadcast_to(
        model.center.numpy(), (2, config.window.sequence_length, len(columns))
    )
    with _quiet():
        program = torch.onnx.export(
            model,
            (torch.from_numpy(example.copy()),),
            input_names=["windows"],
            output_names=["forecast", *PARAMETERS[config.model.head]],
            dynamic_shapes=({0: torch.export.Dim("samples")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, _metadata(run, columns))
    return bytes(proto.SerializeToString())


def _metadata(run: RunRecord, columns: Sequence[str]) -> dict[str, str]:
    target = run.settings.target
    metadata = {
        "columns": json.dumps(columns, ensure_ascii=False),
        "sequence_length": str(run.settings.window.sequence_length),
        "target": target.series,
        "kind": target.kind,
        "horizon": str(target.horizon),
        "unit": "per cent" if target.is_return else target.unit_name,
        "trained_until": f"{run.training_rows.last_date:%Y-%m-%d}",
        "evidence": run.earned or "not assessed",
        "ironore_lightning": version("ironore_lightning"),
    }
    if run.settings.model.head == "quantile":
        metadata["quantile_levels"] = json.dumps(LEVELS)
    return metadata


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what the exporter tells of its own steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
