"""Where clips lie in a video, and what they teach."""
