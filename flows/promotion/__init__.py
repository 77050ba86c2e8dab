"""Which version is live: the gate, the approval by a user, and the rollback."""
