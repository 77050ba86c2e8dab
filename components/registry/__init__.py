"""Packages, versions, lineage and the gate in front of promotion."""
