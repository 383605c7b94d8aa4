"""Read files of any desk as cells: bytes to a table, without parsing a value."""
