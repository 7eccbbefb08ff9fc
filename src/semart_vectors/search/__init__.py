"""What a query means, SQL conditions, and results drawn on a contact sheet; `Gallery` does the searching."""
