"""How many runs are started: grids, folds, searches."""
