"""Trained networks written for programs without this package: ONNX, OpenVINO and StableHLO."""
