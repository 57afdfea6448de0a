"""How is the embedded cohort drawn, with its true curves?"""
