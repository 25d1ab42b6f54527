//! An HTTP server that does as a test says, down to the byte: cuts, stalls, lies.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where a range begins; 0 without one.
    pub(crate) fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |from| from.parse().expect("a number"))
    }
}

/// What is written after a head.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Bytes(Vec<u8>),
    /// So many zeros.
    Zeros(u64),
    /// Nothing, for as long as the client waits.
    Stall,
}

/// A head (status line and headers) and what follows. Then the connection is closed.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) parts: Vec<Part>,
}

impl Answer {
    pub(crate) fn new(status: &str, headers: &[(&str, String)], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\n");
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        Self { head, parts: vec![Part::Bytes(body.to_vec())] }
    }

    /// All of it.
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::new("200 OK", &[("Content-Length", body.len().to_string())], body)
    }

    pub(crate) fn redirect(status: &str, to: &str) -> Self {
        Self::new(status, &[("Location", to.to_owned()), ("Content-Length", "0".to_owned())], b"")
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with what the function says for it; the number counts requests from 0.
    pub(crate) async fn start(answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move { serve(connection, &log, &*answer).await });
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("unpoisoned").clone()
    }
}

async fn serve(
    mut connection: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request, usize) -> Answer + Send + Sync),
) -> Option<()> {
    let request = read(&mut connection).await?;
    let number = {
        let mut log = log.lock().expect("unpoisoned");
        log.push(request.clone());
        log.len() - 1
    };
    let Answer { head, parts } = answer(&request, number);
    connection.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.ok()?;
    for part in parts {
        match part {
            Part::Bytes(bytes) => connection.write_all(&bytes).await.ok()?,
            Part::Zeros(mut count) => {
                let zeros = vec![0; 256 * 1024];
                while count > 0 {
                    let length = zeros.len().min(usize::try_from(count).unwrap_or(usize::MAX));
                    connection.write_all(&zeros[..length]).await.ok()?;
                    count -= length as u64;
                }
            }
            Part::Stall => {
                connection.flush().await.ok()?;
                // Until the other side goes.
                let _ = connection.read(&mut [0; 1]).await;
            }
        }
    }
    connection.shutdown().await.ok()
}

async fn read(connection: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    let length = headers.get("content-length").map_or(0, |length| length.parse().expect("a number"));
    while body.len() < length {
        let mut buffer = [0; 4096];
        let read = connection.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        body.extend_from_slice(&buffer[..read]);
    }
    Some(Request { method, target, headers, body })
}
