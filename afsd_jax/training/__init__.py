"""Training: setup, the loop over steps, losses, optimiser, validation and monitoring."""
