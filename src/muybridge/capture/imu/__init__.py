"""Inertial capture: gyroscopes, accelerometers and magnetometers become a clip.

One convention in here: the earth is east, north, up (x, y, z), an accelerometer at rest reads +g
upward, quaternions x, y, z, w take the sensor to the earth. `conventions` has the ways in and out.
"""
