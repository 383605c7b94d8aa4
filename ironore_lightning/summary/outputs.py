"""Write and print the summary of many runs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.text import Text

from ironore_lightning.errors import machine_errors
from ironore_lightning.files import write_csv, write_json, write_text
from ironore_lightning.process.terminal import print_parts, short_path
from ironore_lightning.report.console import GRADE_STYLES
from ironore_lightning.report.page import render_page
from ironore_lightning.report.style import default_style, write_figures
from ironore_lightning.report.table import Table, make_table, number
from ironore_lightning.run_folder.layout import require_local_files
from ironore_lightning.run_folder.looks import ledger_path
from ironore_lightning.summary.choice import Choice
from ironore_lightning.summary.ranking import Summary, summarize
from ironore_lightning.summary.runs import CompleteRun
from ironore_lightning.summary.summary_page import summary_figures, summary_page

LISTED_TRIALS = 10
"""Most trials that are printed; the files have all."""


@default_style
def write_summary(summary: Summary) -> None:
    """Write tables, ledger, results, figures and page into the folder of the runs."""
    folder = summary.folder
    write_csv(folder / "summary.csv", run_table(summary), index=False)
    write_csv(folder / "trial_ledger.csv", summary.ledger, index=False)
    write_json(folder / "summary.json", _results(summary))
    pictures: dict[str, str] = {}
    if summary.choice is not None:
        pictures = write_figures(summary_figures(summary, summary.choice), folder / "plots")
    discount = discount_lines(summary.choice) if summary.choice else []
    page = summary_page(summary, pictures, runs=run_table(summary), discount=discount)
    write_text(folder / "summary.html", render_page(page))


def report(folder: Path) -> Summary:
    """Summarise a folder, count the look, write its files, print the summary and return it.

    Raises:
        ConfigError: If there is no run.
        MachineError: If the operating system refuses a file.
    """
    require_local_files(folder)
    summary = summarize(folder, looks=ledger_path(Path.cwd()))
    with machine_errors(folder):
        write_summary(summary)
    print_parts(["", *summary_lines(summary), f"page: {short_path(folder / 'summary.html')}"])
    return summary


def run_table(summary: Summary) -> pd.DataFrame:
    """Return one row per run: those of the best trial first, incomplete ones last."""
    trial_of = {run.folder: trial for trial in summary.trials for run in trial.runs}
    rank = {name: number for number, name in enumerate(summary.ranking["trial"], start=1)}
    rows = []
    for run in summary.runs:
        trial = trial_of.get(run.folder)
        complete = run if isinstance(run, CompleteRun) else None
        rows.append(
            {
                "rank": rank.get(trial.name) if trial else None,
                "run": run.name,
                "status": run.status.state,
                "trial": trial.name if trial else None,
                "seed": complete.seed if complete else None,
                "fold": complete.fold if complete else None,
                "overrides": " ".join(f"{key}={value}" for key, value in run.overrides.items()),
                "validation": run.status.objective,
                "val_rmse": complete.validation.rmse if complete else None,
                "val_direction": complete.validation.direction_accuracy if complete else None,
                "val_r2_zero": complete.validation.r2_zero if complete else None,
                "seconds": run.seconds,
                "started": run.status.started,
                "error": run.status.error,
            }
        )
    table = pd.DataFrame(rows).astype({"rank": "Int64", "seed": "Int64", "fold": "Int64"})
    return table.sort_values(["rank", "fold", "seed"], kind="stable", ignore_index=True)


def summary_lines(summary: Summary) -> list[str | Text | Table]:
    """Return what is printed: counts, ranking, chosen trial; the last line is the verdict."""
    lines: list[str | Text | Table] = [summary.counts, *(f"note: {note}" for note in summary.notes)]
    if not summary.ranking.empty:
        ranking = summary.ranking.head(LISTED_TRIALS)
        shown = ranking[["trial", "validation", "spread", "num_runs", "seconds"]]
        shown = shown.assign(seconds=[number(seconds, 1) for seconds in shown["seconds"]])
        fold = " of the first fold" if ranking["num_folds"].max() > 1 else ""
        title = f"trials by {summary.ranked_by} on validation{fold}, lower is better:"
        names = {"num_runs": "runs"}
        lines += ["", make_table(shown.rename(columns=names), title, elsewhere="summary.csv")]
        if len(summary.ranking) > LISTED_TRIALS:
            lines.append(f"and {len(summary.ranking) - LISTED_TRIALS} more in summary.csv")
    if summary.choice is not None:
        evidence = summary.choice.assessment.evidence
        lines += ["", f"chosen by validation: {summary.choice.trial.name}"]
        say = summary.choice.assessment.rhythm.words
        lines += [say(f"{label}: {value}") for label, value in discount_lines(summary.choice)]
        lines += [""]
        line = Text(evidence.line)
        line.highlight_words([evidence.grade], GRADE_STYLES[evidence.grade])
        lines += [line]
    return [*lines, summary.sentence]


def discount_lines(choice: Choice) -> list[tuple[str, str]]:
    """Return label and value of each correction for the number of trials."""
    discount = choice.discount
    lines = [("trials looked at", f"{discount.num_trials} ({discount.num_scored} with forecasts)")]
    if discount.num_trials > 1:
        lines.append(("probability of backtest overfitting", _share(discount.overfitting)))
    lines += [
        (
            "p of its skill, had the test days chosen it",
            _number(discount.chosen_p, 3),
        ),
        (
            "Sharpe ratio beyond its average position, and that of the luckiest without skill",
            f"{_number(discount.sharpe, 2)}, {_number(discount.expected_best_sharpe, 2)}",
        ),
        (
            "deflated Sharpe ratio, the confidence that it is above that",
            _number(discount.deflated_sharpe, 3),
        ),
    ]
    if choice.seeds:
        accuracy = pd.Series(
            [score.direction_accuracy for score in choice.seeds.values()], dtype=float
        )
        rmse = pd.Series([score.rmse for score in choice.seeds.values()])
        lines.append(
            (
                f"its {len(choice.seeds)} seeds alone, mean and standard deviation",
                f"direction {accuracy.mean():.1f} ± {accuracy.std():.1f} %, "
                f"RMSE {rmse.mean():.4f} ± {rmse.std():.4f} {choice.assessment.unit}",
            )
        )
    return lines


def _results(summary: Summary) -> dict[str, Any]:
    """Return the content of summary.json."""
    ranking = summary.ranking.astype(object).where(summary.ranking.notna(), None)
    return {
        "counts": summary.counts,
        "ranked_by": summary.ranked_by,
        "ranking": ranking.to_dict("records"),
        "chosen": None if summary.choice is None else _chosen(summary.choice),
        "notes": list(summary.notes),
        "sentence": summary.sentence,
        "runs": [
            {"run": run.name, **asdict(run.status), "overrides": run.overrides}
            for run in summary.runs
        ],
    }


def _chosen(choice: Choice) -> dict[str, Any]:
    return {
        "trial": choice.trial.name,
        "runs": [run.name for run in choice.trial.runs],
        "seeds": list(choice.trial.seeds),
        "folds": list(choice.trial.folds),
        "settings": choice.trial.config.model_dump(mode="json"),
        "discount": asdict(choice.discount),
        "by_seed": {str(seed): asdict(scores) for seed, scores in choice.seeds.items()},
        "by_year": [asdict(year) for year in choice.years],
        "evaluation": asdict(choice.assessment),
    }


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"
