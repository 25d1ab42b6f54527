//! The guest's randomness.

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
