//! Many requests over a few connections that are kept alive: each sends its next request when it has its answer. On one
//! thread, so that of two cores the service has at least one.

use super::{Cpu, Service, client::head, own_cpu};
use anyhow::{Context as _, Result, ensure};
use std::{
    cell::RefCell,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What to ask.
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn get(path: String) -> Self {
        Self { method: "GET", path, headers: String::new(), body: Vec::new() }
    }
}

/// How it went.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Seconds of each request, sorted.
    times: Vec<f32>,
    /// Processor time of the service, and of this program.
    pub(crate) service: Cpu,
    pub(crate) client: Cpu,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// So many requests of a hundred took no longer than this, in seconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let place = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(place).copied().map_or(f64::NAN, f64::from)
    }

    /// Where the processors were, for the table.
    pub(crate) fn cores(&self) -> String {
        let each = |cpu: Cpu| cpu.0 / self.seconds;
        format!("cores: service {:.2}, client {:.2}", each(self.service), each(self.client))
    }

    pub(crate) fn detail(&self) -> String {
        use crate::table::Time;
        let [p50, p99] = [50, 99].map(|percent| Time(self.percentile(percent)));
        format!("p50 {p50}, p99 {p99}, most {}; {}", Time(self.percentile(100)), self.cores())
    }
}

/// When to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Passed(Duration),
    Requests(u64),
}

/// Asks over so many connections with a key, every answer having to have this status. `next` is told the number of the
/// request.
pub(crate) fn run(
    service: &Service,
    key: &str,
    connections: usize,
    until: Until,
    status: u16,
    next: impl FnMut(u64) -> Ask,
) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let state = RefCell::new((next, 0_u64, Vec::new()));
    let always = head(service.address, key);
    let (service_before, client_before, since) = (service.cpu()?, own_cpu()?, Instant::now());
    let one = async || {
        let mut stream = TcpStream::connect(service.address).await?;
        stream.set_nodelay(true)?;
        let (mut request, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            {
                let (next, count, _) = &mut *state.borrow_mut();
                let is_over = match until {
                    Until::Passed(duration) => since.elapsed() >= duration,
                    Until::Requests(most) => *count >= most,
                };
                if is_over {
                    return Ok(());
                }
                write(&mut request, &always, &next(*count))?;
                *count += 1;
            }
            let began = Instant::now();
            stream.write_all(&request).await?;
            let answered = answer(&mut stream, &mut buffer).await?;
            let took = began.elapsed().as_secs_f32();
            ensure!(answered.0 == status, "answered {}: {}", answered.0, answered.1);
            state.borrow_mut().2.push(took);
        }
    };
    runtime.block_on(futures_util::future::try_join_all((0..connections).map(|_| one())))?;
    let seconds = since.elapsed().as_secs_f64();
    let cpu = |after: Cpu, before: Cpu| Cpu(after.0 - before.0);
    let (service, client) = (cpu(service.cpu()?, service_before), cpu(own_cpu()?, client_before));
    let (_, _, mut times) = state.into_inner();
    times.sort_unstable_by(f32::total_cmp);
    Ok(Load { requests: times.len() as u64, seconds, times, service, client })
}

fn write(into: &mut Vec<u8>, always: &str, ask: &Ask) -> Result<()> {
    use std::io::Write as _;
    let Ask { method, path, headers, body } = ask;
    into.clear();
    write!(into, "{method} {path} HTTP/1.1\r\n{always}{headers}")?;
    if !body.is_empty() {
        write!(into, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())?;
    }
    into.extend_from_slice(b"\r\n");
    into.extend_from_slice(body);
    Ok(())
}

/// One answer whose length is said; its status, and its text if it is a problem.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(u16, String)> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).filter(|room| !room.is_empty()).context("an answer that is too long")?;
        let read = stream.read(room).await?;
        ensure!(read > 0, "the connection was closed");
        filled += read;
        let text = buffer.get(..filled).context("what was read")?;
        let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let (head, rest) = text.split_at(end + 4);
        let head = std::str::from_utf8(head)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if rest.len() < length.context("an answer without its length")? {
            continue;
        }
        let status: u16 = head.get(9..12).context("a status")?.parse()?;
        let problem = if status < 300 { String::new() } else { String::from_utf8_lossy(rest).into_owned() };
        return Ok((status, problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn percentiles_are_of_what_was_seen() {
        let times = (1..=200_u8).map(f32::from).collect();
        let (service, client) = (Cpu::default(), Cpu::default());
        let load = Load { requests: 200, seconds: 2.0, times, service, client };
        assert_eq!([0, 50, 99, 100].map(|percent| load.percentile(percent)), [1.0, 101.0, 199.0, 200.0]);
        assert_eq!(load.rate(), 100.0);
    }

    #[test]
    fn an_answer_ends_where_its_length_says_however_it_comes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for part in [
                "HTTP/1.1 201 Created\r\nContent-",
                "Length: 4\r\n\r",
                "\nab",
                "cdHTTP/1.1 404 x\r\ncontent-length: 2\r\n\r\nno",
            ] {
                stream.write_all(part.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let first = runtime.block_on(async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            answer(&mut stream, &mut [0; 256]).await.unwrap()
        });
        server.join().unwrap();
        assert_eq!(first, (201, String::new()));
    }
}
