"""Gives the road's fixtures to its tests; the classes are imported by name from `walking`."""

from walking import road, settings_here, two_machines

__all__ = ["road", "settings_here", "two_machines"]
