"""How a command is read, helped and ended: arguments, `--help`, `resume=`, exit status."""
