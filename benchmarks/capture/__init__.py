"""What capture costs: a program tracked and untracked, and a large dirty repository beside git's own work."""
