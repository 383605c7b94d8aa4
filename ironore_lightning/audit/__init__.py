"""The leak audit: the black box, suspicious statistics, and their command."""
