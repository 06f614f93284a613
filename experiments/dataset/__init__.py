"""Parts of reconstruct_dataset.py: the clips and what is finished, the work on one, who does it, and the summary."""
