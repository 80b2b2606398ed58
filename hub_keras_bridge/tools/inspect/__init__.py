"""What a module holds, as facts, as text and as a page."""
