"""A trained network applied to whole videos: from windows of frames to detections."""
