"""Unrelated photos, each on its own: with a network in torch, or an ONNX file and no torch at all."""
