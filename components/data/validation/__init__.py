"""What `validate` measures of the rows, and the rules that it holds them against."""
