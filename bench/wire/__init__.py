"""The protocols on the wire, divided into their messages, and proxies that act on one message at a time."""
