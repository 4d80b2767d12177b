"""One video opened for the networks, and cut into windows."""
