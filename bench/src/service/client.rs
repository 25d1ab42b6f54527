//! One connection at a time, blocking: for everything that is not itself timed by the thousand.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// Everything of the head that every request has.
    always: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn document(&self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).context("an answer in JSON")
    }

    /// The document of a 200.
    pub(crate) fn ok(&self) -> Result<Value> {
        self.document(200)
    }

    /// The document of a 201.
    pub(crate) fn created(&self) -> Result<Value> {
        self.document(201)
    }
}

impl Connection {
    /// A connection of a client at this network address, as a proxy in front of the service tells it.
    pub(crate) fn open_from(address: SocketAddr, key: &str, client: &str) -> Result<Self> {
        let mut connection = Self::open(address, key)?;
        connection.say_always(&format!("X-Forwarded-For: {client}\r\n"));
        Ok(connection)
    }

    /// Adds whole lines to the head of every request.
    pub(crate) fn say_always(&mut self, lines: &str) {
        self.always.push_str(lines);
    }

    pub(crate) fn open(address: SocketAddr, key: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), always: head(address, key) })
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, None)
    }

    pub(crate) fn post(&mut self, path: &str, document: &Value) -> Result<Answer> {
        self.request("POST", path, Some(("application/json", document.to_string().as_bytes())))
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Answer> {
        self.send(method, path, body)?;
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Length::Bytes(bytes) => {
                (&mut self.stream).take(bytes).read_to_end(&mut body)?;
                ensure!(body.len() as u64 == bytes, "an answer was cut off");
            }
            Length::Chunks => while self.chunk(&mut body)? {},
        }
        Ok(Answer { status, body })
    }

    /// Reads a body and forgets it; gives its size in bytes. Into one buffer, with as few calls as there can be.
    pub(crate) fn discard(&mut self, path: &str, buffer: &mut [u8]) -> Result<u64> {
        self.send("GET", path, None)?;
        let (status, length) = self.head()?;
        let Length::Bytes(bytes) = length else { bail!("a body of unknown size") };
        ensure!(status == 200, "answered {status}");
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.stream.read(buffer.get_mut(..most).context("room")?)?;
            ensure!(read > 0, "an answer was cut off");
            left -= read as u64;
        }
        Ok(bytes)
    }

    /// Follows a stream of events to its end.
    pub(crate) fn follow(&mut self, path: &str) -> Result<Vec<u8>> {
        let answer = self.get(path)?;
        ensure!(answer.status == 200, "answered {}", answer.status);
        Ok(answer.body)
    }

    fn send(&mut self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<()> {
        let mut text = format!("{method} {path} HTTP/1.1\r\n{}", self.always).into_bytes();
        if let Some((kind, bytes)) = body {
            write!(text, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
            text.extend_from_slice(bytes);
        } else {
            let none: &[u8] = if method == "GET" { b"\r\n" } else { b"Content-Length: 0\r\n\r\n" };
            text.extend_from_slice(none);
        }
        Ok(self.stream.get_mut().write_all(&text)?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the connection was closed");
        Ok(line.trim_end().to_owned())
    }

    fn head(&mut self) -> Result<(u16, Length)> {
        let line = self.line()?;
        let status: u16 = line.split(' ').nth(1).context("a status")?.parse()?;
        let mut length = Length::Bytes(0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                return Ok((status, length));
            }
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = Length::Bytes(bytes.trim().parse()?);
            } else if line.starts_with("transfer-encoding:") {
                length = Length::Chunks;
            }
        }
    }

    /// One chunk; false: it was the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let bytes = u64::from_str_radix(&self.line()?, 16)?;
        (&mut self.stream).take(bytes).read_to_end(body)?;
        ensure!(self.line()?.is_empty(), "a chunk that is longer than it says");
        Ok(bytes > 0)
    }
}

enum Length {
    Bytes(u64),
    Chunks,
}

/// The head of a request after its first line, without the empty line at its end.
pub(super) fn head(address: SocketAddr, key: &str) -> String {
    let credentials = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    format!("Host: {address}\r\n{credentials}")
}
