"""What a query means, which rows meet a condition, and what was found, drawn on a contact sheet."""
