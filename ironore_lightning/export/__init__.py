"""A finished run for programs without this package."""
