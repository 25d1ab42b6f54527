//! The guest's randomness.

use crate::fs::RandomBytes;
use cloister_model::{Profile, Sha256};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// The guest's source of random bytes: the kernel, or ChaCha20 seeded with the algorithm's digest.
#[derive(Debug)]
pub struct Random {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Kernel,
    Seeded(Box<ChaCha20Rng>),
}

impl Random {
    /// The source of a profile. The seed is public by design: it must be the same in every run.
    #[must_use]
    pub fn new(profile: Profile, algorithm: Sha256) -> Self {
        let source = match profile {
            Profile::Standard => Source::Kernel,
            Profile::Deterministic => Source::Seeded(Box::new(ChaCha20Rng::from_seed(*algorithm.as_bytes()))),
        };
        Self { source }
    }

    /// A second source of the same profile for the random devices. In the deterministic profile it is another stream of the
    /// same seed, so that a program that uses both never gets the same bytes twice.
    #[must_use]
    pub fn for_devices(profile: Profile, algorithm: Sha256) -> Self {
        let mut random = Self::new(profile, algorithm);
        if let Source::Seeded(seeded) = &mut random.source {
            seeded.set_stream(1);
        }
        random
    }

    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        match &mut self.source {
            Source::Seeded(random) => random.fill_bytes(buffer),
            Source::Kernel => {
                let mut filled = 0;
                while filled < buffer.len() {
                    // After boot, `getrandom` cannot fail for a valid buffer. A signal can only interrupt it.
                    match rustix::rand::getrandom(&mut buffer[filled..], rustix::rand::GetRandomFlags::empty()) {
                        Ok(bytes) => filled += bytes,
                        Err(rustix::io::Errno::INTR) => {}
                        Err(error) => unreachable!("getrandom: {error}"),
                    }
                }
            }
        }
    }

    /// Eight random bytes.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl RandomBytes for Random {
    fn fill(&mut self, buffer: &mut [u8]) {
        Self::fill(self, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_have_a_stream_of_their_own_and_the_same_in_every_run() {
        let seed = Sha256::from_bytes([7; 32]);
        let devices = || Random::for_devices(Profile::Deterministic, seed).next_u64();
        assert_eq!(devices(), devices());
        assert_ne!(devices(), Random::new(Profile::Deterministic, seed).next_u64());
        assert_ne!(devices(), Random::for_devices(Profile::Deterministic, Sha256::from_bytes([8; 32])).next_u64());
    }
}
