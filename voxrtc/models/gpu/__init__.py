"""What models that work on a GPU share: attention over paged memory, CUDA graphs, compiled code, drawing tokens."""
