//! What the service can be told, and where it was told: one table of settings, four layers (default, file, environment,
//! flags), the later ones over the earlier ones.

mod file;
mod layers;
mod nearest;
mod shape;
mod show;
mod table;

#[cfg(test)]
pub(crate) use layers::Origin;
pub(crate) use layers::{ConfigError, Layers};
pub(crate) use shape::{LogFormat, LogLevel, Size, Span};
pub(crate) use show::print;
pub(crate) use table::Settings;
