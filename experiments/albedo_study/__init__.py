"""Parts of albedo_ablation.py, detail_detection.py and segmentation.py: how the fine stage sees a face's colours."""
