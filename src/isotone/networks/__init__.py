"""How do networks look at images? Imports `data` and below, never the descriptors; torch loads here."""
