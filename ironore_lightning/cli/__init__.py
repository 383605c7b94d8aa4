"""Command lines: arguments, `--help`, `resume=` and exit status."""
