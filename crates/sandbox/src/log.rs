//! The log: what the guest prints.

use crate::account::Account;
use std::{
    fs::File,
    io::{ErrorKind, Write as _},
};

/// The guest's stdout and stderr, merged. Bytes beyond the limit are dropped and counted; the guest cannot notice it.
#[derive(Debug)]
pub struct Log {
    pipe: Option<File>,
    room: u64,
    account: Account,
}

impl Log {
    /// A log that writes at most `limit` bytes to `pipe`.
    #[must_use]
    pub fn new(pipe: File, limit: u64, account: Account) -> Self {
        Self { pipe: Some(pipe), room: limit, account }
    }

    /// Writes as many bytes as fit and counts the rest as dropped.
    pub fn write(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.room).unwrap_or(usize::MAX).min(bytes.len());
        let (keep, drop) = bytes.split_at(room);
        if !drop.is_empty() {
            self.account.count_log_dropped(drop.len());
        }
        if keep.is_empty() {
            return;
        }
        self.room -= keep.len() as u64;
        let Some(pipe) = &mut self.pipe else {
            return self.account.count_log_dropped(keep.len());
        };
        if let Err(error) = pipe.write_all(keep)
            && error.kind() == ErrorKind::BrokenPipe
        {
            self.pipe = None;
        }
    }
}
