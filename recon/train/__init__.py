"""Training: losses, the loop, and what it learns from. Samples are made by `recon.train.data`."""
