//! A source of data that takes its time, so that jobs are found while their inputs are fetched.

use std::{
    io::{BufRead as _, BufReader, Result, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

const PIECES: usize = 6;
const PIECE: usize = 8 * 1024;
const PAUSE: Duration = Duration::from_millis(15);

/// Serves `/slow/<anything>`, and has nothing else. Lives as long as the test.
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The service that asked is killed now and then.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    address
}

fn answer(stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut stream = reader.into_inner();
    let Some(path) = first.split(' ').nth(1).filter(|path| path.starts_with("/slow/")) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", PIECES * PIECE)?;
    for number in 0..PIECES {
        let byte = path.bytes().fold(u8::try_from(number).unwrap_or_default(), u8::wrapping_add);
        stream.write_all(&[byte; PIECE])?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
