"""How is work isolated, resumed and written whole? Imports `errors` and `safe_text` alone."""
