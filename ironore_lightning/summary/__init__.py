"""What many runs are worth together: runs, trials, the chosen one, its page and figures."""
