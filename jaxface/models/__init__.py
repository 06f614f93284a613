"""Face models of other people, read from their own files and brought into our one record (host side)."""
