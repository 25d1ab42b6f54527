//! `Content-Encoding`: what a server made of a file on the way is undone, because digests and sizes are those of the file itself.
//!
//! No encoding is asked for. Some servers send what they have stored in one, whatever was asked: object stores do, and servers that
//! take `.gz` for an encoding.

use super::Failure;
use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use std::io::{self, Write as _};

/// What comes of a source.
pub(super) type Body = BoxStream<'static, Result<Bytes, Failure>>;

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The file itself.
    None,
    /// The file, compressed with gzip. Neither its size nor a part of it is what the server says of size and parts.
    Gzip,
}

impl Encoding {
    /// Reads the values of `Content-Encoding`.
    ///
    /// # Errors
    /// If it is another one.
    pub(super) fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Failure> {
        let all = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        let mut found = Self::None;
        for encoding in all.map(<[u8]>::trim_ascii).filter(|encoding| !encoding.is_empty()) {
            let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
            match found {
                _ if is("identity") => {}
                Self::None if is("gzip") || is("x-gzip") => found = Self::Gzip,
                _ => {
                    let cause = "it sends the file in a Content-Encoding other than gzip; its operator can have it sent as it is";
                    return Err(Failure::Source(cause.to_owned()));
                }
            }
        }
        Ok(found)
    }
}

/// What is compressed, and what comes of it.
struct Gunzip {
    body: Body,
    /// What has come and is compressed still.
    compressed: Bytes,
    decoder: MultiGzDecoder<Vec<u8>>,
    is_empty: bool,
    has_ended: bool,
}

/// Undoes gzip piece by piece: however much a piece becomes, a few of 32 KiB are in memory.
pub(super) fn gunzipped(body: Body) -> Body {
    let decoder = MultiGzDecoder::new(Vec::new());
    let start = Gunzip { body, compressed: Bytes::new(), decoder, is_empty: true, has_ended: false };
    stream::unfold(start, |mut gunzip| async move { gunzip.next().await.map(|piece| (piece, gunzip)) }).boxed()
}

impl Gunzip {
    async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            if self.has_ended {
                return None;
            }
            if self.compressed.is_empty() {
                match self.body.next().await {
                    Some(Ok(piece)) => self.compressed = piece,
                    Some(Err(failure)) => return self.end(Err(failure)),
                    None => {
                        // Nothing at all is an empty file.
                        let ended = if self.is_empty { Ok(()) } else { self.decoder.try_finish() };
                        let rest = ended.map(|()| std::mem::take(self.decoder.get_mut()));
                        return self.end(rest.map(Bytes::from).map_err(|error| damaged(&error)));
                    }
                }
                continue;
            }
            self.is_empty = false;
            match self.decoder.write(&self.compressed) {
                Ok(0) => return self.end(Err(damaged(&io::ErrorKind::WriteZero.into()))),
                Ok(taken) => self.compressed.advance(taken),
                Err(error) => return self.end(Err(damaged(&error))),
            }
            let piece = std::mem::take(self.decoder.get_mut());
            if !piece.is_empty() {
                return Some(Ok(piece.into()));
            }
        }
    }

    fn end(&mut self, last: Result<Bytes, Failure>) -> Option<Result<Bytes, Failure>> {
        self.has_ended = true;
        match last {
            Ok(piece) if piece.is_empty() => None,
            last => Some(last),
        }
    }
}

/// Another attempt may bring all of it.
fn damaged(error: &io::Error) -> Failure {
    Failure::passing(format!(
        "what it sent is not whole: it says gzip, and that does not end as it should ({})",
        error.kind()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn compressed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).expect("in memory");
        encoder.finish().expect("in memory")
    }

    async fn undone(bytes: &[u8], piece: usize) -> (Vec<u8>, usize, bool) {
        let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut stream = gunzipped(stream::iter(pieces).boxed());
        let (mut all, mut largest) = (Vec::new(), 0);
        while let Some(piece) = stream.next().await {
            let Ok(piece) = piece else { return (all, largest, false) };
            largest = largest.max(piece.len());
            all.extend_from_slice(&piece);
        }
        (all, largest, true)
    }

    #[tokio::test]
    async fn what_was_compressed_comes_back_in_small_pieces() {
        let content: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
        for piece in [1, 7, 4096, usize::MAX] {
            let (found, largest, whole) = undone(&compressed(&content), piece).await;
            assert!(whole && found == content && largest <= 256 * 1024, "{piece}: {} in {largest}", found.len());
        }
        // Two members are one file, and nothing is an empty one.
        let two = [compressed(b"one "), compressed(b"two")].concat();
        assert_eq!(undone(&two, 3).await.0, b"one two");
        let many = [compressed(b"").repeat(20_000), compressed(b"the end")].concat();
        assert_eq!(undone(&many, 4096).await.0, b"the end");
        assert_eq!(undone(&compressed(b""), 3).await, (vec![], 0, true));
        assert_eq!(undone(b"", 3).await, (vec![], 0, true));
    }

    #[tokio::test]
    async fn what_is_not_whole_is_an_error() {
        let whole = compressed(&[7; 100_000]);
        for end in [1, 9, 11, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            assert!(!undone(&whole[..end], 5).await.2, "{end} of {}", whole.len());
        }
        let mut changed = whole.clone();
        let at = changed.len() - 6;
        changed[at] ^= 1;
        assert!(!undone(&changed, 5).await.2, "its checksum");
        let mut changed = whole.clone();
        *changed.last_mut().expect("a byte") ^= 1;
        assert!(!undone(&changed, 5).await.2, "its length");
        for more in [&b"more"[..], &[0; 20], &whole[..20]] {
            assert!(!undone(&[&whole, more].concat(), 4096).await.2, "what follows it: {more:?}");
        }
        // The name of the file that was compressed has no length in it, and would be kept in memory.
        let named =
            |length: usize| [&[0x1f, 0x8b, 8, 8][..], &whole[4..10], &vec![b'n'; length], &[0], &whole[10..]].concat();
        assert!(undone(&named(1000), 4096).await.2);
        assert!(!undone(&named(10_000_000), 4096).await.2, "a name without an end");
        assert!(!undone(b"a,b\n1,2\n", 5).await.2, "no gzip");
    }

    #[test]
    fn encodings_are_known_or_refused() {
        let of = |values: &[&str]| Encoding::of(values.iter().map(|value| value.as_bytes())).ok();
        for (values, expected) in [
            ([].as_slice(), Some(Encoding::None)),
            (&["identity"], Some(Encoding::None)),
            (&[""], Some(Encoding::None)),
            (&["gzip"], Some(Encoding::Gzip)),
            (&["X-Gzip, identity"], Some(Encoding::Gzip)),
            (&["br"], None),
            (&["gzip, gzip"], None),
            (&["gzip", "br"], None),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }
}
