"""Training: a loop over steps, its losses, its optimiser and what happens around a step."""
