"""What both colorization models share."""
