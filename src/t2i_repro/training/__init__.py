"""The training loop, what one step of each system does, checkpoints and exact resume."""
