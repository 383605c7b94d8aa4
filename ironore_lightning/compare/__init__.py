"""Two runs or trials on the days that both forecast."""
