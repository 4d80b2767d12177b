"""What Python code gets of a video: its detections, looked at, cut out and written to files."""
