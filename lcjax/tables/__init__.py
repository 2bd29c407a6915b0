"""Tables of text cells from CSV files, written by spreadsheets or by hand, from Parquet files and from data frames."""
