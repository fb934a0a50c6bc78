"""The pages that operators watch: the same facts as the API's, rendered on the server, usable without JavaScript."""
