"""The process itself: its streams, Ctrl-C, and quick imports."""
