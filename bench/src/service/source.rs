//! A server of one large file that is on no disk: what is fetched from it costs the service, and hardly us.

use anyhow::Result;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// Bytes that are sent at once.
const BLOCK: usize = 1 << 20;

/// Serves a file of so many bytes at any path, for as long as this program runs.
pub(crate) fn serve(bytes: u64) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client may disconnect at any time.
            std::thread::spawn(move || drop(answer(stream, bytes)));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream, bytes: u64) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut is_head) = (String::new(), false);
    while reader.read_line(&mut line)? > 2 {
        is_head |= line.starts_with("HEAD ");
        line.clear();
    }
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n")?;
    let block: Vec<u8> = (0..BLOCK).map(|place| u8::try_from(place % 251).unwrap_or_default()).collect();
    let mut left = if is_head { 0 } else { bytes };
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        stream.write_all(block.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    Ok(())
}
