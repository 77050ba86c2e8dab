"""Pages and tables for people: report, decision, model card, charts."""
