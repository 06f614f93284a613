"""Pictures of heads with exactly known shape, and the small network that learns from them how skin is inclined."""
