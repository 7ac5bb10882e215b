"""What users bring: photos and cameras, read from files, folders and memory."""
