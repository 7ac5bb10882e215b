"""Cameras, similarities, unprojection, quaternions and spherical harmonics, in plain numpy."""
