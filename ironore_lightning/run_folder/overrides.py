"""Read the command-line overrides that a run folder keeps."""

from collections.abc import Sequence
from pathlib import Path

from ironore_lightning.errors import ConfigError
from ironore_lightning.files import read_bytes, short_reason

LARGEST_OVERRIDES = 2**18
"""Most bytes of the file; parsing them takes a second at most."""


def read_overrides(folder: Path) -> list[str]:
    """Return the overrides of a run: a YAML list of text, and nothing else.

    Raises:
        ConfigError: If the file cannot be read or holds something else.
    """
    import yaml  # likewise

    path = folder / ".hydra" / "overrides.yaml"
    content = read_bytes(path, largest=LARGEST_OVERRIDES)
    in_a_list = [
        yaml.StreamStartEvent,
        yaml.DocumentStartEvent,
        yaml.SequenceStartEvent,
        yaml.SequenceEndEvent,
        yaml.DocumentEndEvent,
        yaml.StreamEndEvent,
    ]
    words: list[str] = []
    kinds: list[type[yaml.Event]] = []
    try:
        # Tags, anchors and nested values are never built: these are the words as written.
        for event in yaml.parse(content.decode("utf-8"), Loader=yaml.BaseLoader):
            if isinstance(event, yaml.ScalarEvent):
                words.append(event.value)
            else:
                kinds.append(type(event))
            if kinds != in_a_list[: len(kinds)]:
                break  # deep nesting would take minutes
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: is no YAML: {short_reason(error)}") from None
    if kinds != in_a_list:
        raise ConfigError(f"{path}: holds no list of settings")
    return words


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted key, or the whole key where two end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: part if last.count(part) == 1 else key for key, part in zip(keys, last, strict=True)
    }
