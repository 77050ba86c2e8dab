"""The measures of rows for `validate`, and the rules that they are checked against."""
