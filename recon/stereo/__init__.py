"""Depth from photos and their cameras, by multi-view stereo."""
