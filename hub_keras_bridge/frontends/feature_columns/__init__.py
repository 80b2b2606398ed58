"""The module as feature columns: text, texts of many tokens, and images."""
