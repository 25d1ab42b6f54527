//! A small HTTP/1.1 client on a socket: what a test sends is what it says, and nothing is repaired on the way.
//!
//! One connection per request. Bodies by length, in chunks, or up to the end of the connection; read whole or as they come.

use super::Who;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Error, ErrorKind, Read, Result, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// No answer takes longer than this unless something hangs.
const PATIENCE: Duration = Duration::from_secs(180);

/// The longest line of a head that is read.
const MOST_LINE_BYTES: u64 = 256 * 1024;

/// A request, not sent yet.
#[derive(Clone, Debug)]
pub struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    patience: Duration,
}

/// An answer whose body is read as it comes.
#[derive(Debug)]
pub struct Stream {
    /// The code.
    pub status: u16,
    /// Names as they were sent, and values.
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    left: Left,
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Bytes(u64),
    Chunk(u64),
    UntilEnd,
    Nothing,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// Names as they were sent, and values.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Vec<u8>,
    what: String,
}

impl Request {
    /// A request to this address.
    #[must_use]
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { address, method, target, headers: Vec::new(), body: None, patience: PATIENCE }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the key of an account.
    #[must_use]
    pub fn by(self, who: &Who) -> Self {
        let value = format!("Bearer {}", who.key);
        self.header("Authorization", &value)
    }

    /// With bytes of some type.
    #[must_use]
    pub fn bytes(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", media_type)
    }

    /// With JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    /// Waits so long for the next bytes of the answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends it, and reads the head of the answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn open(&self) -> Result<Stream> {
        let mut socket = TcpStream::connect_timeout(&self.address, self.patience)?;
        socket.set_read_timeout(Some(self.patience))?;
        socket.set_write_timeout(Some(self.patience))?;
        socket.set_nodelay(true)?;
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.method, self.target, self.address);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        // Who refuses a request may answer before it was sent whole: the answer is what counts.
        let sent =
            socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(self.body.as_deref().unwrap_or_default()));
        Stream::read(socket, self.method == "HEAD").map_err(|error| sent.err().unwrap_or(error))
    }

    /// Sends it, and reads the whole answer.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    #[track_caller]
    pub fn send(&self) -> Answer {
        let what = format!("{} {}", self.method, self.target);
        self.open().and_then(|stream| stream.finish(what.clone())).unwrap_or_else(|error| panic!("{what}: {error}"))
    }
}

impl Stream {
    /// Reads the head of an answer.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(socket: TcpStream, is_head: bool) -> Result<Self> {
        let mut reader = BufReader::new(socket);
        let (mut status, mut headers) = (100, Vec::new());
        while status == 100 {
            let first = line(&mut reader)?;
            status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
            headers.clear();
            loop {
                let next = line(&mut reader)?;
                if next.is_empty() {
                    break;
                }
                let (name, value) = next.split_once(':').ok_or(ErrorKind::InvalidData)?;
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        let length =
            header(&headers, "content-length").map(|length| length.parse().map_err(Error::other)).transpose()?;
        let left = match length {
            _ if is_head || status == 204 || status == 304 => Left::Nothing,
            _ if header(&headers, "transfer-encoding").is_some() => Left::Chunk(0),
            Some(length) => Left::Bytes(length),
            None => Left::UntilEnd,
        };
        Ok(Self { status, headers, reader, left })
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn finish(mut self, what: String) -> Result<Answer> {
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(Answer { status: self.status, headers: self.headers, body, what })
    }

    /// The next event of a stream of events: its fields. None at the end.
    ///
    /// # Errors
    /// If it breaks off.
    pub fn event(&mut self) -> Result<Option<Vec<(String, String)>>> {
        let mut fields = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut byte = [0];
            loop {
                if self.read(&mut byte)? == 0 {
                    return if line.is_empty() && fields.is_empty() {
                        Ok(None)
                    } else {
                        Err(ErrorKind::UnexpectedEof.into())
                    };
                }
                if byte[0] == b'\n' {
                    break;
                }
                line.push(byte[0]);
            }
            let line = String::from_utf8(line).map_err(Error::other)?;
            match line.split_once(':') {
                None if line.is_empty() && !fields.is_empty() => return Ok(Some(fields)),
                // A blank line, or a comment that keeps the connection alive.
                None | Some(("", _)) => {}
                Some((name, value)) => {
                    fields.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
                }
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if let Left::Chunk(0) = self.left {
            let size = line(&mut self.reader)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(Error::other)?;
            if size == 0 {
                while !line(&mut self.reader)?.is_empty() {}
                self.left = Left::Nothing;
            } else {
                self.left = Left::Chunk(size);
            }
        }
        let most = match self.left {
            Left::Bytes(left) | Left::Chunk(left) => usize::try_from(left).unwrap_or(usize::MAX).min(into.len()),
            Left::UntilEnd => into.len(),
            Left::Nothing => 0,
        };
        if most == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut into[..most])?;
        let after = |left: u64| left - count as u64;
        match self.left {
            Left::Bytes(_) | Left::Chunk(_) if count == 0 => return Err(ErrorKind::UnexpectedEof.into()),
            Left::Bytes(left) => self.left = Left::Bytes(after(left)),
            Left::Chunk(left) => {
                self.left = Left::Chunk(after(left));
                if after(left) == 0 {
                    line(&mut self.reader)?;
                }
            }
            Left::UntilEnd | Left::Nothing => {}
        }
        Ok(count)
    }
}

fn line(reader: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = Vec::new();
    reader.take(MOST_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(Error::other)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

impl Answer {
    /// The value of a header; none if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, as JSON.
    ///
    /// # Panics
    /// If it is none: shows it.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.shown()))
    }

    /// The answer, if it has this code.
    ///
    /// # Panics
    /// If it has another: shows all of it.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "{}: not {status} but {}", self.what, self.shown());
        self
    }

    /// The JSON of an answer with this code.
    ///
    /// # Panics
    /// If it is another answer.
    #[must_use]
    #[track_caller]
    pub fn expect_json(self, status: u16) -> Value {
        self.expect(status).json()
    }

    /// The detail of a problem (RFC 9457) with this code. Checks that it is one in every respect.
    ///
    /// # Panics
    /// If it is another answer.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert!(self.status == status, "{}: not {status} but {}", self.what, self.shown());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}: {}", self.what, self.shown());
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{}: no {field}: {problem}",
                self.what
            );
        }
        problem
    }

    /// All of it, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} {:?}\n{}", self.status, self.headers, self.text())
    }
}
