"""Records of runs too long for a chapter, installed with lmcore so that a notebook finds them."""
