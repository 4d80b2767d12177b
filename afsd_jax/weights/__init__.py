"""Weights: by name, in checkpoints, in PyTorch files, and where they come from."""
