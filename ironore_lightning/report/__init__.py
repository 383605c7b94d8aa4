"""Console output, figures and TensorBoard."""
