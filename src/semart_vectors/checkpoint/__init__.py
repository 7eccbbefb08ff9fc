"""What a job has done, durably: vectors in Parquet parts, the newest in journals, all with checksums."""
