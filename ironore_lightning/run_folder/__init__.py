"""What a run leaves on disk: status, results, record, tables, provenance."""
