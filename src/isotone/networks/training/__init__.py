"""How do networks learn?"""
