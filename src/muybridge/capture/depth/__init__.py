"""Depth cameras: points, the person in them, and a capsule body fitted to the points."""
