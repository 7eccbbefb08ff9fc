"""What is done, durably: vectors in Parquet parts that any reader opens, and a journal for the newest."""
