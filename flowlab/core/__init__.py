"""The data model: graphs, nodes, tensors, operations, errors. No numbers are computed here."""
