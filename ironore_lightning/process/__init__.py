"""The process itself: terminal streams, Ctrl-C, quick imports, forked workers."""
