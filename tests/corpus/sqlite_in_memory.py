import sqlite3

connection = sqlite3.connect("/tmp/work.db")
connection.execute("create table t (x)")
connection.execute("insert into t values (1)")
print(connection.execute("select count(*) from t").fetchone())
