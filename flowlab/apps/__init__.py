"""What people do with graphs: training, plots."""
