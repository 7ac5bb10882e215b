"""Depth of views, by a network, an ONNX file or multi-view stereo."""
