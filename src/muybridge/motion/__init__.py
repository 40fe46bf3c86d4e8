"""The skeleton, the clip and their mechanics."""
