//! HTTP servers that answer as a test tells them to, bytes and pauses included.

use std::{
    io::{BufRead as _, BufReader, Read as _, Result, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A server on a port of its own. Each connection carries one request, which the test's function answers.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
}

/// One request, and the socket to answer on.
#[derive(Debug)]
pub struct Conversation {
    /// The path and the query.
    pub target: String,
    /// The whole head, as it came.
    pub head: String,
    /// How many requests there were before, for any path.
    pub earlier: usize,
    socket: TcpStream,
    ends: Arc<AtomicBool>,
}

impl Server {
    /// One that answers like this.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(answer: impl Fn(&mut Conversation) -> Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, ends, answer) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::new(answer));
        let server = Self { address, seen: Arc::clone(&seen), ends: Arc::clone(&ends) };
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let (seen, ends, answer) = (Arc::clone(&seen), Arc::clone(&ends), Arc::clone(&answer));
                // The client may have disconnected: some tests are about that.
                thread::spawn(move || drop(converse(socket, &seen, ends, &*answer)));
            }
        });
        server
    }

    /// One that gives the same bytes for every path.
    #[must_use]
    pub fn of(body: &'static [u8]) -> Self {
        Self::start(move |conversation| conversation.answer("200 OK", "", body))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    ///
    /// # Panics
    /// If a thread of the server did.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("a list").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn converse(
    socket: TcpStream,
    seen: &Mutex<Vec<String>>,
    ends: Arc<AtomicBool>,
    answer: &(impl Fn(&mut Conversation) -> Result<()> + ?Sized),
) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut reader, mut head) = (BufReader::new(socket.try_clone()?).take(64 * 1024), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let earlier = seen.lock().map_or(0, |mut seen| {
        seen.push(head.clone());
        seen.len() - 1
    });
    let mut conversation = Conversation { target, head, earlier, socket, ends };
    let answered = answer(&mut conversation);
    drop(conversation.socket.shutdown(Shutdown::Write));
    answered
}

impl Conversation {
    /// A header of the request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then(|| value.trim()))
    }

    /// The first byte that is asked for, if the request has a range.
    #[must_use]
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
    }

    /// A whole answer: its status, more headers (each with its line end), its body.
    ///
    /// # Errors
    /// If the client has disconnected.
    pub fn answer(&mut self, status: &str, headers: &str, body: &[u8]) -> Result<()> {
        let length = body.len();
        self.send(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"))?;
        self.send(body)
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// If the client has disconnected.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.socket.write_all(bytes.as_ref())?;
        self.socket.flush()
    }

    /// Says nothing, for so long or until the test ends.
    pub fn pause(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.ends.load(Ordering::Relaxed) {
            let step = left.min(Duration::from_millis(50));
            thread::sleep(step);
            left -= step;
        }
    }

    /// Whether the test has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }
}
