"""Clips of a video: their positions, their frames and their training targets."""
