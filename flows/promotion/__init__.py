"""Which version is live: the gate, the approval by a person, and the way back."""
