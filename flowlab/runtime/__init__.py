"""Running graphs: backends, plans, variable values, sessions."""
