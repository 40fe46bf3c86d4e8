"""Ground floor: rotations, rigid transforms, cameras, triangulation. Torch and numpy only."""
