"""Validate Hydra's composed settings; one line for each mistake."""

from collections.abc import Collection
from typing import Any, get_args, get_origin

from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ironore_lightning.errors import ConfigError, closest
from ironore_lightning.settings.command_keys import command_keys
from ironore_lightning.settings.experiment import Config


def require_right_settings(composed: DictConfig) -> None:
    """Raise `ConfigError` for wrong settings, before a command has begun.

    Args:
        composed: The whole tree, Hydra's own part with it. What that says of a job, which settings
            may refer to, is known when the job runs.
    """
    _require_market_rules(composed)
    keys = [str(key) for key in composed if key != "hydra"]
    settings = OmegaConf.masked_copy(composed, keys)
    if "${hydra:" not in OmegaConf.to_yaml(settings):
        to_config(settings, besides=command_keys(composed.hydra.job.config_name))


def _require_market_rules(composed: DictConfig) -> None:
    """Raise if a group was chosen whose values a member of `market` sets, as it would not count."""
    choices = composed.hydra.runtime.choices
    market = choices.get("market")
    for group in ("data", "features", "target") if market not in {None, "null"} else ():
        if choices[group] != "own":
            raise ConfigError(
                f"{group}={choices[group]}: market={market} has its own {group}. Begin the member "
                "with the defaults of conf/market/dce_iron_ore.yaml; if you chose "
                f"{group}={choices[group]}, leave it out or set single keys of {group}"
            )


def to_config(composed: DictConfig, *, besides: Collection[str] = ()) -> Config:
    """Return validated settings, with paths relative to the working directory made absolute.

    Args:
        composed: Settings that Hydra passes to a command.
        besides: Keys of the command's own, which an experiment does not have.

    Raises:
        ConfigError: With one line per mistake: key, rule and value.
    """
    try:
        tree = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(unresolved(error)) from error
    assert isinstance(tree, dict)
    tree = {key: value for key, value in tree.items() if key not in besides}
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        mistakes = [one for one in error.errors(include_url=False) if not _is_inherited(one, tree)]
        raise ConfigError("\n".join(_describe(mistake, tree) for mistake in mistakes)) from None
    if config.data.root is None:
        return config
    data = config.data.model_copy(update={"root": to_absolute_path(config.data.root)})
    return config.model_copy(update={"data": data})


def _is_inherited(mistake: ErrorDetails, tree: dict[Any, Any]) -> bool:
    """Return whether a mistake in the roll of a leg is one of `data.futures`, told there."""
    where = mistake["loc"]
    if where[:2] != ("data", "contracts") or where[3:4] != ("futures",):
        return False
    own = tree["data"]["contracts"][where[2]].get("futures") or {}
    key = where[4:5]  # none for a rule between several keys
    return key[0] not in own if key else not own


def unresolved(error: OmegaConfBaseException) -> str:
    """Return a line about a key whose interpolation or value is missing."""
    message = str(error).splitlines()[0]
    return f"{error.full_key}: {message}" if error.full_key else message


def unknown_key(key: str) -> str:
    """Return a line about an unknown dotted key, with the closest known one."""
    if "@" in key:
        group = key.partition("@")[0]
        return (
            f"{key}: a member of {group} with keys of other groups begins with the line "
            "# @package _global_"
        )
    if _is_left_out(key.split(".")):
        return f"{key}: the files in conf/ leave it out, so it takes a plus: +{key}=VALUE"
    return f"{key}: there is no such key{_closest_key(key.split('.'))}"


def _is_left_out(location: list[str]) -> bool:
    """Return whether a key is a setting of the data, which a member of conf/ may leave out."""
    annotation: Any = Config
    for part in location if location[0] == "data" else [""]:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        elif part in _fields(annotation):
            annotation = _fields(annotation)[part].annotation
        else:
            return False
    return True


def _describe(mistake: ErrorDetails, tree: object) -> str:
    """Write one mistake as a line: key, rule, and the value that was given."""
    location = _keys(mistake["loc"], tree, missing=mistake["type"] == "missing")
    key = ".".join(location)
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "value_error":
        return f"{key}: {message}" if key else message
    if mistake["type"] == "missing":
        return f"{key}: this key is required"
    if mistake["type"].startswith("union_tag"):  # which member of a union was meant
        context, which = mistake["ctx"], mistake["ctx"]["discriminator"].strip("'")
        known, given = context.get("expected_tags", "the known ones"), context.get("tag", "none")
        return f"{key}.{which}: must be one of {known}, got {given!r}"
    if mistake["type"] == "extra_forbidden":
        return unknown_key(key)
    message = message.replace("valid tuple", "list, as [a,b]")
    return f"{key}: {message[0].lower()}{message[1:]}, got {mistake['input']!r}"


def _keys(location: tuple[str | int, ...], tree: object, *, missing: bool) -> list[str]:
    """Leave out what pydantic adds to a location: the names of a union's members."""
    keys: list[str] = []
    node = tree
    for position, part in enumerate(location):
        is_inside = (isinstance(node, dict) and part in node) or isinstance(node, list)
        if is_inside:
            node = node[part]  # type: ignore[index]  # part is a key or an index of node
        if is_inside or (missing and position == len(location) - 1):
            keys.append(str(part))
    return keys


def _closest_key(location: list[str]) -> str:
    """Suggest the known key most like the first part of `location` that is none."""
    annotation: Any = Config
    for part in location:
        if get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
            continue
        fields = _fields(annotation)
        if part not in fields:
            return _same_key_in_a_group(part) or closest(part, fields)
        annotation = fields[part].annotation
    return ""


def _same_key_in_a_group(key: str) -> str:
    """Return ``; did you mean X?`` for a key that one group has by that very name, or nothing."""
    known = _fields(Config)
    groups = [group for group in known if key in _fields(known[group].annotation)]
    return f"; did you mean '{groups[0]}.{key}'?" if len(groups) == 1 else ""


def _fields(annotation: Any) -> dict[str, FieldInfo]:  # noqa: ANN401 - as pydantic keeps it
    """Return the fields of some settings by name, or of all members of a union of them."""
    models = get_args(annotation) or (annotation,)
    return {
        name: field
        for model in models
        for name, field in getattr(model, "model_fields", {}).items()
    }
