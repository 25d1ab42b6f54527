module linecount

go 1.21
