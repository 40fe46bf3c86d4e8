"""Optical markers: from what the cameras saw to a skeleton in motion."""
