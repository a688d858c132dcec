"""Loads that every queue of jobs knows, with peers beside ours: many at once, priorities, deaths, a flood of output."""
