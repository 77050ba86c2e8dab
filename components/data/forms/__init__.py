"""The forms that rows of users come in: conversations, entities. Pure functions."""
