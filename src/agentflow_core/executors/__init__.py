"""Where units of work run. The local executor is here; others are plugins."""
