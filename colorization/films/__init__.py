"""Films: every frame coloured, its sound, times and colours kept."""
