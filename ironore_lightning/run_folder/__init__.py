"""What a run leaves on disk: status, record, tables, provenance; written once, read once."""
