use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// Bytes of one record that are read before it is given up: they are held in memory.
pub(super) const MOST_RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// A reader that lets through only what every reader of CSV cuts into the same cells (RFC 4180): a quote opens or ends a
/// cell or is doubled, and the last one is closed. And not more than so much of one record.
pub(super) struct Strict<R> {
    inner: R,
    at: At,
    /// Bytes given since the last record was complete: set to 0 by whoever takes records.
    since: Rc<Cell<u64>>,
}

/// Why a text is not CSV that all readers agree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStrict {
    #[error("a quote stands where readers disagree about it")]
    Quote,
    #[error("a record is larger than {MOST_RECORD_BYTES} bytes")]
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first of two.
    Quote,
}

impl<R: Read> Strict<R> {
    pub(super) fn new(inner: R, since: Rc<Cell<u64>>) -> Self {
        Self { inner, at: At::CellStart, since }
    }
}

impl At {
    fn after(self, byte: u8) -> Result<Self, NotStrict> {
        Ok(match (self, byte) {
            (Self::Quoted, b'"') => Self::Quote,
            (Self::Quoted, _) | (Self::CellStart | Self::Quote, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::CellStart,
            (Self::Quote, _) | (Self::Plain, b'"') => return Err(NotStrict::Quote),
            (Self::CellStart | Self::Plain, _) => Self::Plain,
        })
    }
}

impl<R: Read> Read for Strict<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && self.at == At::Quoted && !buffer.is_empty() {
            return Err(io::Error::other(NotStrict::Quote));
        }
        for byte in &buffer[..read] {
            self.at = self.at.after(*byte).map_err(io::Error::other)?;
        }
        self.since.set(self.since.get().saturating_add(u64::try_from(read).unwrap_or(u64::MAX)));
        if self.since.get() > MOST_RECORD_BYTES {
            return Err(io::Error::other(NotStrict::Record));
        }
        Ok(read)
    }
}
