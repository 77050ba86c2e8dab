"""What users ask and are answered: kept, compared between versions, judged by users, and forgotten."""
