"""The result for one video in Python: detections to show, cut out and write to files."""
