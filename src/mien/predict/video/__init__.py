"""Videos and cameras: reading, tracking, timeline, writing, live window."""
