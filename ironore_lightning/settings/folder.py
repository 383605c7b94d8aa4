"""Where the values of the settings are."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def conf_folder() -> Path:
    """Return the folder `conf`: inside an installed package, and beside it in a checkout."""
    installed = PACKAGE / "conf"
    return installed if installed.is_dir() else PACKAGE.parent / "conf"
