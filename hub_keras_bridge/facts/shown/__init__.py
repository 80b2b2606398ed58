"""Facts as a notebook shows them."""
