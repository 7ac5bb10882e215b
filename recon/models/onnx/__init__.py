"""ONNX files of networks: writing them, and reading what they take and give."""
