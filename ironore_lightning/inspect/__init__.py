"""What is in a raw file, and settings that may read it."""
