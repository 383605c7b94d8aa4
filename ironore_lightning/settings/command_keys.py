"""What each command takes beside the settings of a run."""

COMMAND_KEYS = {
    "config": {
        "resume": "Folder of an interrupted run to go on with; it takes no other setting of a run."
    },
    "prepare": {"output_dir": "Folder of the tables."},
    "audit": {"run": "Folder of a finished run, whose forecasts are audited as well."},
    "judge": {
        "file": "Table of forecasts: csv, xlsx or parquet, or predictions.csv of a finished run.",
        "trained_until": "Last day that the forecaster was trained on, YYYY-MM-DD; returns that "
        "begin earlier do not count.",
    },
}
"""What a command takes beside the settings of a run, by the name of its settings in `conf/`."""


def command_keys(config_name: str) -> set[str]:
    """Return the keys of a command's own; of all commands where `--config-name` is another one."""
    return set(COMMAND_KEYS.get(config_name) or set().union(*COMMAND_KEYS.values()))
