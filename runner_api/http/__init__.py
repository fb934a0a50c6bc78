"""HTTP under Flask: what the JSON routes and the pages share."""
