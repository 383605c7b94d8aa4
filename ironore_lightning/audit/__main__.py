"""Look for leaks: ``python -m ironore_lightning.audit``, with the settings of train.py.

It says `leak` where the future is proven to be in the data, `suspect` where a number is beyond
belief, and `look` where it is beyond luck. Exit status 0 is clean or a look, 1 a leak or a suspect,
2 wrong settings or data. The result is written to `leak_audit.json`. With `run=FOLDER` the
forecasts of a finished run are audited, too.
"""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.utils import to_absolute_path
from omegaconf import DictConfig

from ironore_lightning.cli.help import is_answered
from ironore_lightning.cli.hydra_command import run_command, run_job
from ironore_lightning.errors import LeakageError
from ironore_lightning.files import write_json
from ironore_lightning.process.terminal import short_path
from ironore_lightning.report.table import make_table
from ironore_lightning.run_folder.layout import require_local_files
from ironore_lightning.settings.checking import to_config
from ironore_lightning.settings.command_keys import command_keys
from ironore_lightning.settings.experiment import Config

if TYPE_CHECKING:  # they import torch, which --help does not need
    from ironore_lightning.audit.statistics import Finding, Judgement
    from ironore_lightning.data.datamodule import WindowDataModule
    from ironore_lightning.data.panel import Panel

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
        judgement: What the numbers tell.
        remarks: Observations that are no findings.
        findings: Leaks, suspects and looks, one per column, the worst first.
    """

    data: str
    rows: tuple[int, str, str]
    days: tuple[str, ...]
    ahead: "dict[str, dict[str, int]]"
    canary: int
    judgement: "Judgement"
    remarks: tuple[str, ...]
    findings: "tuple[Finding, ...]"


def main(composed: DictConfig) -> None:
    """Check the settings, run the audit, report it, and raise if it finds a leak."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def job() -> None:
        config = to_config(composed, besides=command_keys("audit"))
        started = time.perf_counter()
        run = None if composed.run is None else Path(to_absolute_path(str(composed.run)))
        audit = audit_run(config, run=run)
        write_json(folder / "leak_audit.json", as_record(audit))
        log.info(
            "%s",
            f"took {time.perf_counter() - started:.1f} s; all of it is in {short_path(folder)}",
        )
        report_audit(audit)
        require_clean(audit)

    run_job(job)


def audit_run(config: Config, *, run: Path | None) -> Audit:
    """Return the audit of a run's features, target, scaler, windows and forecasts.

    Args:
        config: Settings of the run.
        run: Folder of a finished run, whose test forecasts are judged as well, or None.

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
    judgement = judge_numbers(module, panel, config, finished)
    num_known = int(module.target["value"].notna().sum())
    used = [feature.name for feature in config.features.names]
    findings = [
        *black_box.leak_findings(ahead),
        *(
            finding
            for frame in raw.sources.values()
            for finding in statistics.interpolated_columns(frame[frame.columns.intersection(used)])
        ),
        *(judgement.findings if num_known >= config.evaluation.strong_days else ()),
    ]
    rows = pd.DatetimeIndex(module.features.index)
    return Audit(
        data=config.data.name,
        rows=(len(rows), f"{rows[0]:%Y-%m-%d}", f"{rows[-1]:%Y-%m-%d}"),
        days=tuple(f"{day:%Y-%m-%d}" for day in days),
        canary=ahead["features"].pop(black_box.CANARY),
        ahead=ahead,
        judgement=judgement,
        remarks=remark(module, config),
        findings=statistics.worst_of_each(findings),
    )


def read_finished(run: Path, config: Config) -> pd.DataFrame:
    """Read the test predictions of a finished run, whoever wrote its folder."""
    from ironore_lightning.run_folder.forecast_tables import read_predictions
    from ironore_lightning.run_folder.record import require_test_days

    require_local_files(run)
    require_test_days(run)
    return read_predictions(run, config.target.kind).query("segment == 'test'")


def judge_numbers(
    module: "WindowDataModule", panel: "Panel", config: Config, finished: pd.DataFrame | None
) -> "Judgement":
    """Judge features, target, two learners and a finished run by numbers."""
    from ironore_lightning.audit import statistics

    horizon, rows = config.target.horizon, module.features.index
    is_new = {
        feature.label: panel.staleness.loc[rows, feature.name] == 0
        for feature in config.features.names
    }
    forecasts = statistics.honest_forecasts(module, horizon=horizon)
    if finished is not None:
        of_run = pd.Series(finished["forecast"].to_numpy(), pd.DatetimeIndex(finished["date"]))
        forecasts["run"] = of_run.reindex(module.target["date"]).to_numpy()
    return statistics.judge(
        module.features,
        pd.DataFrame(is_new),
        module.target["value"].rename(config.target.series),
        forecasts,
        horizon=horizon,
        window=config.window.sequence_length,
        too_large=config.evaluation.suspect_ic,
    )


def remark(module: "WindowDataModule", config: Config) -> tuple[str, ...]:
    """Return observations that are no findings."""
    from ironore_lightning.audit import statistics

    fewest = config.evaluation.strong_days
    remarks = statistics.late_copies(module.features, fewest_rows=fewest)
    if (known := int(module.target["value"].notna().sum())) < fewest:
        remarks.append(f"{known} rows have a target; below {fewest} no correlation is judged")
    if config.data.table is not None:
        remarks.append(TABLE_REMARK)
    return tuple(remarks)


def report_audit(audit: Audit) -> None:
    """Print the audit, one line per finding; the last line is the verdict."""
    num_rows, first, last = audit.rows
    log.info(
        "%s",
        f"data={audit.data}, {num_rows} rows from {first} to {last}; after each of "
        f"{len(audit.days)} days all data published later were replaced",
    )
    looks_ahead, columns = audit.ahead["features"], audit.judgement.columns
    table = pd.DataFrame(
        {
            "column": columns["name"],
            "looks ahead": [
                _days(looks_ahead[name]) if name in looks_ahead else "–" for name in columns["name"]
            ],
            "knows most of a later return": [
                f"{row.correlation:+.2f} by {row.kind} ({row.lead} d)"
                for row in columns.itertuples()
            ],
        }
    )
    log.info(make_table(table, elsewhere="audit.log"))
    for part in ("target", "scaler", "windows"):
        log.info("%s", f"{part}: {_part_line(audit, part)}")
    log.info("%s", f"canary: {'caught' if audit.canary else 'NOT CAUGHT'}")
    for line in (*audit.remarks, *(finding.text for finding in audit.findings)):
        log.info("%s", line)
    if audit.canary:
        log.info("%s", _verdict(audit))


def require_clean(audit: Audit) -> None:
    """Raise `LeakageError` for a leak or a suspect, or if the audit misses the canary."""
    if not audit.canary:
        raise LeakageError(
            "the audit itself is broken: it did not catch a planted mean over the days around each "
            "day, so its other results cannot be trusted"
        )
    if any(finding.kind != "look" for finding in audit.findings):
        raise LeakageError(_verdict(audit))


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
        "comparisons": audit.judgement.num_comparisons,
        "later_returns": audit.judgement.columns.to_dict("records"),
    }


def _verdict(audit: Audit) -> str:
    """Return the names by kind, the worst kind first, or `clean`."""
    names: dict[str, list[str]] = {}
    for finding in audit.findings:
        names.setdefault(finding.kind, []).append(finding.name)
    words = [f"{kind}: {', '.join(dict.fromkeys(found))}" for kind, found in names.items()]
    return "; ".join(words) or "clean"


def _part_line(audit: Audit, part: str) -> str:
    """Return the look-ahead of target, scaler or windows, and whether it has another cause."""
    ahead = max(audit.ahead[part].values())
    if not ahead:
        return "nothing ahead"
    is_own = any(finding.part == part for finding in audit.findings)
    return f"{_days(ahead)} ahead" + ("" if is_own else ", caused by a finding below")


def _days(ahead: int) -> str:
    return f"{ahead} day(s)" if ahead else "no"


if __name__ == "__main__" and not is_answered("audit", __doc__):
    run_command(main, "audit")
