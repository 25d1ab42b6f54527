//! Algorithms that run in a container image: which image, which command, and how they end.

mod canary;
mod command;
mod end;
mod image;

pub use canary::{CanaryMessage, CanaryVersion};
pub use command::{ALGORITHM_FILE, Command, CommandError};
pub use end::ContainerEnd;
pub use image::{ImageError, PinnedImage};
