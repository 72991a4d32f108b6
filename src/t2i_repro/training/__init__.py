"""The training loop with exact resume, and one trainer for each family and each encoder."""
