"""The command `recon`."""
