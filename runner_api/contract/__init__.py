"""The API's description of itself (OpenAPI): shapes of answers, operations, the document."""
