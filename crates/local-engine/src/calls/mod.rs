//! What the door asks for, trait by trait.

mod engine;
mod explain;
mod files;
mod results;
mod stores;
