"""The text of `--help`, without the seconds that Hydra, torch and pandas take."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ironore_lightning.cli.commands import (
    VERSION_FLAG,
    commands_text,
    described,
    filled,
    version_text,
)
from ironore_lightning.process.terminal import open_streams, print_safely
from ironore_lightning.settings.folder import conf_folder

Schema = Mapping[str, Any]

INDENT = "    "

BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
FORMATS = {
    "date": "date YYYY-MM-DD",
    "date-time": "moment YYYY-MM-DDTHH:MM",
    "time": "time HH:MM",
}
KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true | false",
    "string": "text",
    "null": "null",
    "object": "mapping",
}


def is_answered(config_name: str, doc: str | None) -> bool:
    """Print help or the version if the command line asks for it; return whether it does.

    Args:
        config_name: Of the command, in `conf/`.
        doc: What it does, and examples.
    """
    wanted = {VERSION_FLAG, "--help", "-h"}.intersection(sys.argv[1:])
    if wanted:
        open_streams()
        is_version = VERSION_FLAG in wanted
        print_safely(version_text() if is_version else help_text(config_name, doc, sys.argv[1:]))
    return bool(wanted)


def help_text(config_name: str, doc: str | None, arguments: Sequence[str]) -> str:
    """Return what a command does, its groups and settings, and the other commands.

    Args:
        config_name: Of the command, in `conf/`.
        doc: What it does, and examples.
        arguments: Of the command line; its overrides show in the settings, if they are any.
    """
    from ironore_lightning.cli.quick_settings import quick_settings

    overrides = [argument for argument in arguments if not argument.startswith("-")]
    try:
        values = quick_settings(config_name, overrides)
    except Exception:  # whatever else stands there, somebody has asked for help
        values = quick_settings(config_name, [])
    return (
        f"{described(doc)}\n"
        f"Groups (group=member); conf/GROUP/MEMBER.yaml holds a member's values:\n\n{_groups()}\n"
        f"Settings (key=value); conf/README.md says more:\n\n"
        f"{''.join(_settings(config_name, values))}\n{commands_text()}"
    )


def _groups() -> str:
    folders = sorted(path for path in conf_folder().iterdir() if path.is_dir())
    members = {
        folder.name: ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        for folder in folders
        if folder.name != "hydra"
    }
    lines = (filled(f"{group}: {names}", rest=INDENT) for group, names in members.items())
    return "".join(lines)


def _settings(config_name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a paragraph for each setting: key, value, what is allowed, what it means."""
    from ironore_lightning.settings.command_keys import COMMAND_KEYS
    from ironore_lightning.settings.experiment import Config

    for key, meaning in COMMAND_KEYS[config_name].items():
        yield _paragraph(f"{key}={_text(values.get(key))}", meaning)
    yield from described_settings(Config.model_json_schema(), values)


def described_settings(schema: Schema, values: Mapping[str, Any], key: str = "") -> Iterator[str]:
    """Yield a paragraph for each setting of a schema.

    Args:
        schema: As pydantic writes it.
        values: By key.
        key: What stands before each key.
    """
    known = schema.get("$defs", {})
    for name, node, value in _leaves(schema, known, values, key):
        given = name if name.count("*") else f"{name}={_text(value)}"
        meaning = f"{_allowed(node, known)}. {node.get('description', '')}"
        yield _paragraph(given, meaning)


def _paragraph(setting: str, meaning: str) -> str:
    return filled(setting, rest=INDENT) + filled(meaning, INDENT, INDENT)


def _leaves(
    node: Schema, known: Schema, value: object, key: str
) -> Iterator[tuple[str, Schema, object]]:
    """Yield key, schema and value of each setting below a node; `*` is a name of one's own."""
    below = f"{key}." if key else ""
    chosen = _chosen(node, known, value)
    entries = chosen.get("additionalProperties")
    if isinstance(entries, Mapping):
        names = ", ".join(value) if isinstance(value, Mapping) else ""
        title = f"mapping: {names}" if names else "mapping"
        yield f"{below}*", {**node, "title": title, "type": "entries"}, None
        yield from _leaves(entries, known, {}, f"{below}*")
    elif "properties" in chosen and isinstance(value, Mapping):
        for name, child in chosen["properties"].items():
            yield from _leaves(child, known, value.get(name), f"{below}{name}")
    else:
        yield key, node, value


def _chosen(node: Schema, known: Schema, value: object) -> Schema:
    """Return the schema that a node stands for: of several, the one that the value is of."""
    if "discriminator" in node and isinstance(value, Mapping):
        which = node["discriminator"]
        node = {"$ref": which["mapping"][value[which["propertyName"]]]}
    if "anyOf" in node and isinstance(value, Mapping):
        node = node["anyOf"][0]
    found: Schema = known[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found


def _allowed(node: Schema, known: Schema) -> str:
    """Return the type of a setting with its bounds, or its allowed values."""
    if "anyOf" in node:
        return " | ".join(_allowed(part, known) for part in node["anyOf"])
    if "$ref" in node:
        return f"{{{', '.join(_chosen(node, known, None)['properties'])}}}"
    if "enum" in node or "const" in node:
        values = [str(value) for value in node.get("enum", [node.get("const")])]
        return " | ".join(value if re.search(r"\w", value) else f'"{value}"' for value in values)
    if node.get("type") == "array":
        return f"list of {_allowed(node['items'], known)}"
    if node.get("type") == "entries":
        return str(node["title"])
    kind = FORMATS.get(node.get("format", "")) or KINDS[node["type"]]
    bounds = [f"{sign} {node[name]}" for name, sign in BOUNDS.items() if name in node]
    return " ".join([kind, ", ".join(bounds)]).strip()


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_text(part)}' for key, part in value.items())}}}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
