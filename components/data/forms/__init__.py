"""The forms that rows of users come in: conversations, entities, and how a form is recognised. Pure functions."""
