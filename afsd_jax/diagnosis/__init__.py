"""Why a detector is as good as it is: errors, operating points, calibration and comparisons."""
