"""Files of examples and files of results, batch by batch."""
