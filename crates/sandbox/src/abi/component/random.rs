//! `wasi:random`: one source for all three interfaces. In the deterministic profile, none of them is secret. In the
//! standard profile, all are.

use crate::guest::{AbiViolation, Guest};
use wasmtime::Result;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

impl Guest {
    fn random_bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        const TOO_MANY: AbiViolation = AbiViolation("more random bytes in one call than `callBytes` allows");
        if length > self.call_bytes {
            return Err(TOO_MANY.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| TOO_MANY)?];
        self.random.fill(&mut bytes);
        Ok(bytes)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next_u64())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.random.next_u64())
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((self.random.next_u64(), self.random.next_u64()))
    }
}
