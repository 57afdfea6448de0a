"""How are PNG, TIFF and JPEG files read?"""
