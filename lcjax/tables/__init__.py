"""Tables of text cells: CSV files as spreadsheets and people write them, Parquet files, and data frames."""
