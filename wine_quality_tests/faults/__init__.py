"""Services that are killed, cut off or slow, at chosen and at random moments."""
