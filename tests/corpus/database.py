import duckdb

print(duckdb.sql("select 1"))
