//! What the engine does in the cluster, and what it finds that others did to it.

pub mod verify;
