"""Networks, losses, optimizers, training and checkpoints."""
