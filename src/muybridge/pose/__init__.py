"""From an image to 2-D joints; one network a file."""
