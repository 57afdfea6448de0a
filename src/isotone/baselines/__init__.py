"""What must a tone curve beat? Imports `estimation`, `networks` and below."""
