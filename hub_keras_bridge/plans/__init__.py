"""What of a module a call needs, decided and audited before anything runs."""
