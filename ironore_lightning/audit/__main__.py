"""Look for leaks: ``python -m ironore_lightning.audit``, with the settings of train.py.

Exit status 0 is clean, 1 a leak, 2 wrong settings or data. The result is written to
`leak_audit.json`. With `run=FOLDER` the forecasts of a finished run are audited, too.
"""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import to_absolute_path
from omegaconf import DictConfig

from ironore_lightning.cli.hydra_command import run_command, run_job
from ironore_lightning.errors import LeakageError
from ironore_lightning.files import write_json
from ironore_lightning.run_folder.layout import require_local_files
from ironore_lightning.settings.checking import command_keys, to_config
from ironore_lightning.settings.experiment import Config

if TYPE_CHECKING:  # they import torch, which --help does not need
    from ironore_lightning.audit.statistics import Copy, Finding, ShuffledFits
    from ironore_lightning.data.datamodule import WindowDataModule

log = logging.getLogger(__name__)

TABLE_REMARK = (
    "columns of a prepared table were made elsewhere; this audit cannot see how, only whether "
    "their numbers are suspicious"
)


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        data: Name of the data settings.
        rows: Number of rows, first day and last day.
        days: Days after which the data were replaced.
        ahead: Longest look-ahead by part and column, in calendar days; 0 is none.
        canary: Days that the canary looks ahead; 0 if the audit is broken.
        features: By feature, `correlation` with a later return and `lead`.
        shuffled: Fits to shuffled targets.
        forecasts: Source of the forecasts.
        copy: Their largest correlation with outcomes.
        remarks: Observations that are no leaks.
        findings: Leaks and suspicions.
    """

    data: str
    rows: tuple[int, str, str]
    days: tuple[str, ...]
    ahead: "dict[str, dict[str, int]]"
    canary: int
    features: pd.DataFrame
    shuffled: "ShuffledFits"
    forecasts: str
    copy: "Copy"
    remarks: tuple[str, ...]
    findings: "tuple[Finding, ...]"


@hydra.main(version_base="1.3", config_path="../../conf", config_name="audit")
def main(composed: DictConfig) -> None:
    """Check the settings, run the audit, report it, and raise if it finds a leak."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def job() -> None:
        config = to_config(composed, besides=command_keys("audit"))
        started = time.perf_counter()
        run = None if composed.run is None else Path(to_absolute_path(str(composed.run)))
        audit = audit_run(config, run=run)
        write_json(folder / "leak_audit.json", as_record(audit))
        log.info("%s", f"took {time.perf_counter() - started:.1f} s; all of it is in {folder}")
        report_audit(audit)
        require_clean(audit)

    run_job(job)


def audit_run(config: Config, *, run: Path | None) -> Audit:
    """Return the audit of a run's features, target, scaler, windows and forecasts.

    Args:
        config: Settings of the run.
        run: Folder of the finished run; None audits the forecasts of a ridge regression.

    Raises:
        ConfigError: If the settings do not fit the data, or the folder holds no forecasts.
        DataError: If a raw file or the table made of it is wrong.
    """
    from ironore_lightning.audit import black_box, statistics
    from ironore_lightning.data.datamodule import build_datamodule
    from ironore_lightning.data.panel import build_panel
    from ironore_lightning.data.raw_data import read_raw

    finished = None if run is None else read_finished(run, config)
    raw = read_raw(config.data)
    panel = build_panel(raw, config.data, config.target)
    module = build_datamodule(panel, config.dataset_settings)
    box = black_box.build_black_box(raw, config)
    days = black_box.audit_days(box)
    ahead = black_box.find_leaks(box, days)
    knowledge, remarks = correlate_features(module, config)
    shuffled = statistics.fit_shuffled(module, horizon=config.target.horizon)
    tested = forecast_by_ridge(module) if finished is None else finished.query("segment == 'test'")
    copy = statistics.compare_with_outcomes(*tested[["forecast", "actual"]].to_numpy().T)
    findings = [
        *black_box.leak_findings(ahead),
        *statistics.suspicions(knowledge),
        *statistics.fit_findings(shuffled, None if finished is None else copy),
    ]
    rows = pd.DatetimeIndex(module.features.index)
    return Audit(
        data=config.data.name,
        rows=(len(rows), f"{rows[0]:%Y-%m-%d}", f"{rows[-1]:%Y-%m-%d}"),
        days=tuple(f"{day:%Y-%m-%d}" for day in days),
        canary=ahead["features"].pop(black_box.CANARY),
        ahead=ahead,
        features=knowledge,
        shuffled=shuffled,
        forecasts="a ridge regression" if run is None else f"run {run}",
        copy=copy,
        remarks=remarks,
        findings=tuple(findings),
    )


def read_finished(run: Path, config: Config) -> pd.DataFrame:
    """Read the predictions of a finished run, whoever wrote its folder."""
    from ironore_lightning.run_folder.forecast_tables import read_predictions

    require_local_files(run)
    return read_predictions(run, config.target.kind)


def correlate_features(
    module: "WindowDataModule", config: Config
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the features' correlations with later returns, and remarks."""
    from ironore_lightning.audit import statistics

    knowledge = statistics.correlations_with_later_returns(
        module.features,
        module.target["value"],
        horizon=config.target.horizon,
        too_large=config.evaluation.suspect_ic,
        fewest_rows=config.evaluation.strong_days,
    )
    fewest = config.evaluation.strong_days
    remarks = statistics.late_copies(module.features, fewest_rows=fewest)
    if (known := int(module.target["value"].notna().sum())) < fewest:
        remarks.append(f"{known} rows have a target; below {fewest} no correlation is suspicious")
    if config.data.table is not None:
        remarks.append(TABLE_REMARK)
    return knowledge, tuple(remarks)


def forecast_by_ridge(module: "WindowDataModule") -> pd.DataFrame:
    """Return `forecast` and `actual` of a ridge regression on the test samples."""
    from ironore_lightning.audit import statistics

    targets = statistics.segment_returns(module, "train")
    forecast = statistics.fit_ridge(module, targets[:, None])[:, 0]
    return pd.DataFrame(
        {"forecast": forecast, "actual": statistics.segment_returns(module, "test")}
    )


def report_audit(audit: Audit) -> None:
    """Print the audit, one line per finding; the last line is `clean` or the number of leaks."""
    num_rows, first, last = audit.rows
    log.info(
        "%s",
        f"data={audit.data}, {num_rows} rows from {first} to {last}; after each of "
        f"{len(audit.days)} days all data published later were replaced",
    )
    table = pd.DataFrame(
        {
            "feature": audit.features.index,
            "looks ahead": [_days(audit.ahead["features"][name]) for name in audit.features.index],
            "largest correlation with a later return": [
                f"{row.correlation:+.2f} ({row.lead} d)" for row in audit.features.itertuples()
            ],
        }
    )
    for line in table.to_string(index=False).splitlines():
        log.info("%s", line)
    for part in ("target", "scaler", "windows"):
        log.info("%s", f"{part}: {_part_line(audit, part)}")
    log.info("%s", f"canary: {'caught' if audit.canary else 'NOT CAUGHT'}")
    fits = audit.shuffled
    log.info("%s", f"shuffled targets: {fits.num_skilled} of {fits.num_fits} fits show skill")
    log.info(
        "%s",
        f"forecasts of {audit.forecasts}: correlation {audit.copy.correlation:+.2f} with the "
        f"outcome {audit.copy.lag} sample(s) before theirs",
    )
    for line in (*audit.remarks, *(finding.text for finding in audit.findings)):
        log.info("%s", line)
    if audit.canary:
        log.info("%s", _verdict(audit))


def require_clean(audit: Audit) -> None:
    """Raise `LeakageError` if there is a leak, or if the audit misses the canary."""
    if not audit.canary:
        raise LeakageError(
            "the audit itself is broken: it did not catch a planted mean over the days around each "
            "day, so its other results cannot be trusted"
        )
    if audit.findings:
        names = dict.fromkeys(finding.name for finding in audit.findings)
        raise LeakageError(f"{_verdict(audit)}: {', '.join(names)}")


def as_record(audit: Audit) -> dict[str, Any]:
    """Return an audit as JSON."""
    return {
        "verdict": _verdict(audit) if audit.canary else "broken",
        "findings": [asdict(finding) for finding in audit.findings],
        "remarks": list(audit.remarks),
        "data": audit.data,
        "rows": dict(zip(("count", "first_date", "last_date"), audit.rows, strict=True)),
        "days": list(audit.days),
        "days_ahead": audit.ahead,
        "canary_days_ahead": audit.canary,
        "later_returns": {
            str(row.Index): {"correlation": row.correlation, "lead": row.lead}
            for row in audit.features.itertuples()
        },
        "shuffled_fits": asdict(audit.shuffled),
        "forecasts": {"of": audit.forecasts, **asdict(audit.copy)},
    }


def _verdict(audit: Audit) -> str:
    count = len(audit.findings)
    return f"{count} leak{'s' if count > 1 else ''}" if count else "clean"


def _part_line(audit: Audit, part: str) -> str:
    """Return the look-ahead of target, scaler or windows, and whether it has another cause."""
    ahead = max(audit.ahead[part].values())
    if not ahead:
        return "nothing ahead"
    is_own = any(finding.part == part for finding in audit.findings)
    return f"{_days(ahead)} ahead" + ("" if is_own else ", caused by a finding below")


def _days(ahead: int) -> str:
    return f"{ahead} day(s)" if ahead else "no"


if __name__ == "__main__":
    run_command(main, "audit")
