"""CIE L*a*b* and merging by NumPy, and merging by TensorFlow ops: twins of each other."""
