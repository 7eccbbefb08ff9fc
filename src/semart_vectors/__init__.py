"""Turn a collection of images into vectors: at the rate you pay for, resumable, nothing lost."""
