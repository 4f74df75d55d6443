"""Decoding: files of pictures of any kind become upright pictures in sRGB."""
