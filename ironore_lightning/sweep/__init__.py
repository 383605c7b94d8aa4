"""Multiruns: grids, walk-forward folds and searches."""
