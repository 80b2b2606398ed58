"""Effects: plans become functions, with variables and lookup tables."""
