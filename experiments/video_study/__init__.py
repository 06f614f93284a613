"""Parts of accuracy_video.py: the script of the video, who plays in it, the judging, the report."""
