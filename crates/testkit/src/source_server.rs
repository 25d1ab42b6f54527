use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// An HTTP server for tests of sources, on a free port of the loopback address. It answers `/stalled...` never and
/// everything else with [`SourceServer::CONTENT`]. It ends when it is dropped.
#[derive(Debug)]
pub struct SourceServer {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    stalled: Arc<Mutex<Vec<TcpStream>>>,
}

impl SourceServer {
    /// What it serves.
    pub const CONTENT: &str = "a,b\n1,2\n";

    /// Starts it.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (ending, stalled) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { address, ending: Arc::clone(&ending), stalled: Arc::clone(&stalled) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ending.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), stalled) = (stream, Arc::clone(&stalled)) else { continue };
                thread::spawn(move || answer(stream, &stalled));
            }
        });
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests wait for an answer that never comes.
    #[must_use]
    pub fn stalled(&self) -> usize {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for SourceServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Wakes the thread that accepts, so that it sees the flag.
        let _ = TcpStream::connect(self.address);
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn answer(mut stream: TcpStream, stalled: &Mutex<Vec<TcpStream>>) {
    let mut head: Vec<u8> = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend(buffer.iter().take(read)),
        }
    }
    if head.windows(9).any(|part| part == b" /stalled") {
        stalled.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        return;
    }
    if head.windows(9).any(|part| part == b" /missing") {
        let _ = write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
    }
    let content = SourceServer::CONTENT;
    let length = content.len();
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{content}");
}
