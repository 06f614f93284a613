"""Reading what users bring: pictures and folders of pictures (host side)."""
