"""The ONNX model file: load, check, write and run it; it fits nothing."""
