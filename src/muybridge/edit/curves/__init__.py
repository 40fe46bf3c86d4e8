"""Curves through keys: polynomials, splines, Bezier, easing, and curves of rotations."""
