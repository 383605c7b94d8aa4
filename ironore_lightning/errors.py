"""The errors a user can cause; each one is a line that says what, where and what to do."""


class IronOreError(Exception):
    """Everything this package raises on purpose."""


class ConfigError(IronOreError, ValueError):
    """A setting is wrong; one line per mistake, each naming its key."""


class DataError(IronOreError, ValueError):
    """A raw file or the table made of it is wrong; names file, column and first row or date."""


class LeakageError(IronOreError, ValueError):
    """Something would know the future."""


class TrainingError(IronOreError, RuntimeError):
    """A fit went wrong while running; names the epoch."""
