"""What the runners of the paper's figures share: photos, grids of pictures, close-ups, and the files they end in."""
