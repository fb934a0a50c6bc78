"""The API's verbs: each changes the database in one transaction. They know nothing of HTTP."""
