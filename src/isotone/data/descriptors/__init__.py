"""Which numbers describe an image, and its anatomy apart from air and marks?"""
