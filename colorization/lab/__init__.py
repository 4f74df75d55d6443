"""CIE L*a*b* and merging in NumPy, twins of `lab_convert` and `model.merge_ops`; toned prints."""
