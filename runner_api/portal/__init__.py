"""The pages for operators: the API's facts, rendered on the server. They work without JavaScript."""
