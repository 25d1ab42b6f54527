//! The service's settings: one table of them, and four layers that give values (default, file, environment, flags). Later
//! layers take precedence.

mod file;
mod layers;
mod nearest;
mod shape;
mod show;
mod table;
mod unit;

#[cfg(test)]
pub(crate) use layers::Origin;
pub(crate) use layers::{ConfigError, Layers};
pub(crate) use shape::{EngineKind, LogFormat, LogLevel, MetricsFor};
pub(crate) use show::print;
pub(crate) use table::{DEFAULT_LISTEN, Settings};
pub(crate) use unit::{Size, Span};
