"""What people look at: the report and the web viewer."""
