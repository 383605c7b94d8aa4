"""The simulated market, written as raw files."""
