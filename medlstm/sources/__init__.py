"""Landing files to canonical rows of text: one file per format."""
