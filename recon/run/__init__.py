"""The road from photos to files, and the record of it."""
