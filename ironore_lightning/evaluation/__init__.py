"""Baselines, scores, tests, intervals, trading and the grade of evidence."""
