"""Who may come in: the token, sessions of browsers, and what browsers may do with an answer."""
