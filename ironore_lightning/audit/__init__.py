"""Is the future in the data? The black box, suspicious statistics, and their command."""
