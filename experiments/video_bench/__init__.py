"""Parts of benchmark_video.py: the clip, the device's steps alone, whole runs in processes of their own, the report."""
