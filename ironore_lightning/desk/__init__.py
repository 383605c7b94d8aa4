"""The morning desk: a forecast every day, and a record of them that cannot be polished."""
