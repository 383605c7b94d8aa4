"""The summary of many runs: runs, trials, ranking, page and figures."""
