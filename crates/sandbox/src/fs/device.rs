//! The devices that programs expect in `/dev`. They are answered here and lead nowhere: no file of the host is opened.

use super::Errno;
use std::fmt::Debug;

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Device {
    /// `/dev/null`: always at its end.
    Null,
    /// `/dev/zero`: zeros without end.
    Zero,
    /// `/dev/urandom` and `/dev/random`: the guest's own randomness.
    Random,
}

/// Their paths.
pub(super) const DEVICES: [(&str, Device); 4] = [
    ("/dev/null", Device::Null),
    ("/dev/random", Device::Random),
    ("/dev/urandom", Device::Random),
    ("/dev/zero", Device::Zero),
];

/// Where the random devices take their bytes from.
pub trait RandomBytes: Debug + Send {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}

impl Device {
    /// Fills the buffer, and returns how much of it.
    pub(super) fn read(self, buffer: &mut [u8], random: Option<&mut dyn RandomBytes>) -> Result<usize, Errno> {
        match self {
            Self::Null => return Ok(0),
            Self::Zero => buffer.fill(0),
            Self::Random => random.ok_or(Errno::Io)?.fill(buffer),
        }
        Ok(buffer.len())
    }
}
