"""Honest forecasts of the next-day return of iron ore futures."""
