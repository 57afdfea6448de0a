"""How are compressed frames decoded?"""
