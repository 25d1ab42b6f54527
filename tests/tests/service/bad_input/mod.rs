//! What should not come in, and machines that fail: each gets a clear answer, and the service goes on.

mod connections;
mod database;
mod disk;
mod operator;
mod requests;
mod signed;
mod submissions;
mod time;
