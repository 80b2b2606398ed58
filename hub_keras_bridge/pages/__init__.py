"""A module shown in HTML: a page, and a notebook's table."""
