//! The service's settings: one table of them, and four layers that give values (default, file, environment, flags). Later
//! layers take precedence.

#[cfg(feature = "service")]
mod file;
#[cfg(feature = "service")]
mod layers;
#[cfg(feature = "service")]
mod nearest;
#[cfg(feature = "service")]
mod shape;
#[cfg(feature = "service")]
mod show;
#[cfg(feature = "service")]
mod table;
mod unit;

#[cfg(all(test, feature = "service"))]
pub(crate) use layers::Origin;
#[cfg(feature = "service")]
pub(crate) use layers::{ConfigError, Layers};
#[cfg(feature = "service")]
pub(crate) use shape::{EngineKind, LogFormat, LogLevel, MetricsFor};
#[cfg(feature = "service")]
pub(crate) use show::print;
#[cfg(all(test, feature = "service"))]
pub(crate) use table::TABLE;
#[cfg(feature = "service")]
pub(crate) use table::{DEFAULT_LISTEN, Settings};
pub(crate) use unit::{Size, Span};
