"""What the user brings: photos, cameras, COLMAP models."""
