"""The verdict on anybody's forecasts, by the rules of our own."""
