"""The text of `--help`, without the second that Hydra takes to list the groups."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

CONF = Path(__file__).resolve().parents[2] / "conf"


def is_help_wanted(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for help."""
    return not {"--help", "-h"}.isdisjoint(arguments)


def help_text(config_name: str, arguments: Sequence[str]) -> str:
    """Fill the template of `hydra.help` with groups, their members, and settings as composed.

    Args:
        config_name: Of the command, in `conf/`.
        arguments: Of the command line; its overrides show in the settings, if they are any.
    """
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    try:
        composed = _compose(config_name, overrides)
    except Exception:  # whatever else stands there, somebody has asked for help
        composed = _compose(config_name, [])
    template = Template(composed.hydra.help.template)
    with open_dict(composed):
        del composed["hydra"]
    return template.substitute(APP_CONFIG_GROUPS=_groups(), CONFIG=OmegaConf.to_yaml(composed))


def _compose(config_name: str, overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config_name, overrides=overrides, return_hydra_config=True)


def _groups() -> str:
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    return "".join(
        f"{folder.name}: {', '.join(sorted(path.stem for path in folder.glob('*.yaml')))}\n"
        for folder in folders
    )
