"""The settings of a command as Hydra composes them, for `--help`, without the time of Hydra."""

from collections.abc import Sequence
from typing import Any

import yaml

from ironore_lightning.settings.folder import conf_folder

Tree = dict[str, Any]

CHOOSE_OTHERS = ("market", "experiment", "hparams_search")
"""Groups whose members choose members of other groups."""


def quick_settings(config_name: str, overrides: Sequence[str]) -> Tree:
    """Return the settings of `conf/`, Hydra's own left out, and interpolations as they stand.

    Args:
        config_name: Of the command.
        overrides: `group=member` and `key=value`.

    Raises:
        OSError: If there is no such member.
        yaml.YAMLError: If a value cannot be read.
    """
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    typed = {key: value for key, _, value in pairs}
    top = _read("config")
    choices: dict[str, str | None] = {}
    for default in top.pop("defaults"):
        choices |= default if isinstance(default, dict) else {}
    choices = {key: name for key, name in choices.items() if not key.startswith("override ")}
    for group in CHOOSE_OTHERS:
        choices |= _chosen_by(group, typed.get(group, choices[group]))
    choices |= {group: typed.pop(group) for group in choices if group in typed}
    for group, member in choices.items():
        if member not in {None, "null"}:
            _merge(top, _member(group, str(member)))
    _merge(top, _read(config_name))
    for key, text in typed.items():
        _set(top, key.split("."), yaml.safe_load(text))
    return {key: value for key, value in top.items() if key not in {"hydra", "defaults"}}


def _read(name: str) -> Tree:
    text = (conf_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    tree: Tree = yaml.safe_load(text) or {}
    group = name.partition("/")[0] if "/" in name else None
    if group is None or text.startswith("# @package _global_"):
        return tree
    return {"defaults": tree.pop("defaults", []), group: tree}


def _chosen_by(group: str, member: str | None) -> dict[str, str]:
    chosen = _read(f"{group}/{member}")["defaults"] if member not in {None, "null"} else []
    pairs = (pair for default in chosen if isinstance(default, dict) for pair in default.items())
    prefix = "override /"
    return {
        key.removeprefix(prefix): name
        for key, name in pairs
        if key.startswith(prefix) and "/" not in key.removeprefix(prefix)
    }


def _member(group: str, name: str) -> Tree:
    """Return the values of a member, below those of the members that it starts from."""
    own, whole = _read(f"{group}/{name}"), Tree()
    for default in own.pop("defaults", []):
        if isinstance(default, str) and default != "_self_":
            _merge(whole, _member(group, default))
    _merge(whole, own)
    return whole


def _merge(tree: Tree, other: Tree) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value


def _set(tree: Tree, path: Sequence[str], value: object) -> None:
    *groups, key = path
    for group in groups:
        tree = tree[group] if isinstance(tree.get(group), dict) else {}
    if key in tree:
        tree[key] = value
