"""What many runs are worth together: runs, trials, ranking, page and figures."""
