"""Cameras from photos, by structure from motion."""
