"""Layers that several networks share: one concept a file, each beside its paper."""
