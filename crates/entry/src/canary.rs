//! What a pod like those of algorithms reaches, and what its volume holds.

use crate::Canary;
use cloister_isolation::{Status, probe};
use cloister_model::{CanaryMessage, CanaryVersion};
use rustix::fs::statvfs;
use std::{
    env, fs,
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long an answer is waited for. A packet that a policy drops has none.
const ANSWER: Duration = Duration::from_millis(200);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// Characters that say what a wall lacks: all of them fit into a message.
const MOST_OF_A_WALL: usize = 200;

/// Tries from its first instruction on, again and again: one attempt at the beginning would miss a policy that comes late, and
/// one at the end would miss the time before it.
#[must_use]
pub fn canary(order: &Canary) -> CanaryMessage {
    let begun = Instant::now();
    let mut places = order.reach.clone();
    // The kubelet says in every pod where the API server is, which is known to be alive.
    places.extend(api_server().map(|address| ("the API server".to_owned(), address)));
    let tried: Vec<_> = places
        .into_iter()
        .map(|(name, address)| {
            let wanted = order.duration;
            (name, thread::spawn(move || last_reached(address, begun, wanted)))
        })
        .collect();
    let volume_bytes = holds(&order.folder);
    let found: Vec<(String, u64)> =
        tried.into_iter().filter_map(|(name, thread)| Some((name, thread.join().ok()??))).collect();
    CanaryMessage {
        version: CanaryVersion::V1,
        tried_ms: ms(begun.elapsed()),
        reached_until_ms: found.iter().map(|(_, until)| *until).max(),
        reached: found.into_iter().map(|(name, _)| name).collect(),
        volume_bytes,
        kernel_lacks: kernel_lacks(),
    }
}

/// The walls that the kernel cannot put up in full, as the sandbox would find them in such a pod.
fn kernel_lacks() -> Vec<String> {
    let found = probe();
    let lacking = found.walls().into_iter().filter(|(_, state)| !state.is_enforced());
    lacking
        .map(|(wall, state): (_, &Status)| format!("{wall}: {state}").chars().take(MOST_OF_A_WALL).collect())
        .collect()
}

/// When a connection was last made, in milliseconds since the beginning.
fn last_reached(address: SocketAddr, begun: Instant, wanted: Duration) -> Option<u64> {
    let mut last = None;
    // At least once, however late this thread starts: what was not tried is not closed.
    loop {
        if TcpStream::connect_timeout(&address, ANSWER).is_ok() {
            last = Some(ms(begun.elapsed()));
        }
        if begun.elapsed() >= wanted {
            return last;
        }
        thread::sleep(PAUSE);
    }
}

fn api_server() -> Option<SocketAddr> {
    let host: IpAddr = env::var("KUBERNETES_SERVICE_HOST").ok()?.parse().ok()?;
    let port = env::var("KUBERNETES_SERVICE_PORT").ok()?.parse().ok()?;
    Some(SocketAddr::new(host, port))
}

/// The bytes of the file system of a folder that can be written.
fn holds(folder: &Path) -> Option<u64> {
    fs::write(folder.join("canary"), b"written").ok()?;
    let found = statvfs(folder).ok()?;
    Some(found.f_blocks.saturating_mul(found.f_frsize))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_place_is_tried_however_late() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        // Its time is over when it begins.
        let tries = || last_reached(address, Instant::now(), Duration::ZERO);
        // On a busy machine, even the answer of this one may come late once.
        assert!((0..20).any(|_| tries().is_some()));
    }

    #[test]
    fn what_is_reached_is_said_and_until_when() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let folder = tempfile::tempdir().expect("a folder");
        let order = |address, folder: &Path| Canary {
            duration: Duration::from_secs(1),
            folder: folder.to_owned(),
            reach: vec![("a listener".to_owned(), address)],
            message: "message".into(),
        };
        let found = canary(&order(address, folder.path()));
        assert_eq!((found.reached.as_slice(), found.is_open()), (["a listener".to_owned()].as_slice(), true));
        assert!(found.volume_bytes.is_some_and(|bytes| bytes > 0));
        let walls = probe();
        let lacking = walls.walls().into_iter().filter(|(_, state)| !state.is_enforced()).count();
        assert_eq!(found.kernel_lacks.len(), lacking, "{:?}", found.kernel_lacks);
        // Nothing listens there, and the system gives that port to nobody.
        let found = canary(&order(SocketAddr::from(([127, 0, 0, 1], 1)), Path::new("/nowhere")));
        assert_eq!((found.reached, found.reached_until_ms, found.volume_bytes), (vec![], None, None));
    }
}
