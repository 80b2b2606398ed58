"""From a handle that is no folder to a folder: archives, downloads, the cache."""
