"""Many scenes, each a run with a folder of its own, by several processes or machines."""
