"""Values of variables on disk, and what must hold of the files."""
