use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// Bytes of one record that are read before it is given up: they are held in memory.
pub(super) const MOST_RECORD_BYTES: u64 = 16 * 1024 * 1024;

/// A reader that lets through only what every reader of CSV cuts into the same cells (RFC 4180): a quote opens or ends a
/// cell or is doubled, the last one is closed, and no line is empty but maybe the last: some readers take such a line for a
/// row, and others do not see it. And not more than so much of one record.
pub(super) struct Strict<R> {
    inner: R,
    at: At,
    /// What the line that is read has so far.
    line: Line,
    /// Bytes given since the last record was complete: the caller that takes records sets it to 0.
    since: Rc<Cell<u64>>,
}

/// Why a text is not CSV that all readers agree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStrict {
    #[error("a quote stands where readers disagree about it")]
    Quote,
    #[error("a record is larger than {MOST_RECORD_BYTES} bytes")]
    Record,
    #[error("a line is empty")]
    Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing, at the beginning or after another line.
    New,
    /// Nothing, after a carriage return, which a line feed may belong to.
    Return,
    /// Something.
    Begun,
    /// It was empty and ended in a carriage return: nothing may follow but a line feed.
    EmptyReturn,
    /// It was empty: nothing may follow.
    Empty,
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
        Self { inner, at: At::CellStart, line: Line::New, since }
    }
}

impl Line {
    /// After a byte that is not in quotes.
    fn after(self, byte: u8) -> Result<Self, NotStrict> {
        match (self, byte) {
            (Self::EmptyReturn, b'\n') | (Self::New, b'\n') => Ok(Self::Empty),
            (Self::Empty | Self::EmptyReturn, _) => Err(NotStrict::Line),
            (Self::Return | Self::Begun, b'\n') => Ok(Self::New),
            (Self::New | Self::Return, b'\r') => Ok(Self::EmptyReturn),
            (Self::Begun, b'\r') => Ok(Self::Return),
            (Self::New | Self::Return | Self::Begun, _) => Ok(Self::Begun),
        }
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
            self.line = match self.at {
                At::Quoted => Line::Begun,
                _ => self.line.after(*byte).map_err(io::Error::other)?,
            };
            self.at = self.at.after(*byte).map_err(io::Error::other)?;
        }
        self.since.set(self.since.get().saturating_add(u64::try_from(read).unwrap_or(u64::MAX)));
        if self.since.get() > MOST_RECORD_BYTES {
            return Err(io::Error::other(NotStrict::Record));
        }
        Ok(read)
    }
}
