"""Files of a run folder: status, results, tables, provenance."""
