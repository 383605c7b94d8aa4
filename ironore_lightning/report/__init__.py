"""What a person reads: console, plots and TensorBoard."""
