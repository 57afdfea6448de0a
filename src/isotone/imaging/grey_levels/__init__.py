"""How do stored values become grey levels (PS3.3 C.11)?"""
