"""CIE L*a*b* and merging in NumPy, the twins of `lab_convert` and `model.merge_ops`; primaries."""
