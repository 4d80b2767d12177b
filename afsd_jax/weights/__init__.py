"""Weights in checkpoints, in PyTorch files and from Kinetics, and conversion between them."""
