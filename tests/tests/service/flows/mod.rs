//! What people do, from publishing to the last result.

mod assets;
mod computing;
mod encryption;
mod following;
mod javascript;
mod lists;
mod packages;
mod permissions;
mod python;
mod registered;
mod release;
mod results;
mod review;
mod starting;
mod statements;
mod stopping;
mod tree;
mod withdrawal;
