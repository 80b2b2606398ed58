"""What a module is: its spec, variants, signatures, variables and their values."""
