"""How is a stranger's file opened within bounds, and its format told?"""
