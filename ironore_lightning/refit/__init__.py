"""Finished runs, fitted once more on all days."""
