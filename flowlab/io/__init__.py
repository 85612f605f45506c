"""Documents in, documents out: graph files, edits, generated code. What is read here is data, never code."""
