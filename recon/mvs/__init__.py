"""Cameras by structure from motion and depth by multi-view stereo: no network, no weights."""
