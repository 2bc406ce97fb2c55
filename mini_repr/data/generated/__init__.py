"""Generated data: each family a file, the same bits for the same seed; test digits are never drawn for training."""
