"""Analysis of detections: errors, operating points, calibration and comparisons."""
