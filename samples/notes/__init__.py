"""A board of notes that several people write on at once: one plugin that uses every event."""
