"""What a person looks at: console, figures, TensorBoard."""
