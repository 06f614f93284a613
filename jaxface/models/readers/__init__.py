"""One reader a published model; each returns a `SourceModel` or raises FaceError."""
