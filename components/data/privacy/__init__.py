"""Personal data and secrets: found by their form and their check digits, replaced by placeholders of their kinds."""
