"""Edit clips: keys and curves, blends, transitions, retargeting."""
