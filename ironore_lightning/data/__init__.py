"""Raw files, panel, features, samples and batches."""
