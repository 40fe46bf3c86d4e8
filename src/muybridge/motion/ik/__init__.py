"""Inverse kinematics: one method a file, each batched over targets and frames."""
