"""Start many runs: grids, folds, searches."""
