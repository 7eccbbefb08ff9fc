"""Images before they are sent: found below a folder, named, read, checked, and repaired on request."""
