//! Containers that are started many times and try to make a connection from their first instruction on. A listener that everything on the
//! cluster reaches counts.

use super::{
    containers::{environment, python},
    jobs::Installation,
    network::{Listener, PORT},
};
use cloister_model::{Jobs as _, Phase};
use std::time::{Duration, Instant};

/// How many containers are started, unless `CLOISTERDEV_STARTS` says otherwise.
const STARTS: u32 = 6;

/// Longest that one of them takes on a busy machine.
const LONGEST_START: Duration = Duration::from_secs(180);

/// Tries for two seconds without a pause, and fails if it came to anything.
const TRIES: &str = "
import socket, sys, time
end, tries = time.monotonic() + 2, 0
while time.monotonic() < end:
    tries += 1
    try:
        socket.create_connection(('ADDRESS', PORT), 1)
    except OSError:
        continue
    sys.exit('a connection')
print(tries, 'tries')
";

/// Run a second time where policies are late.
mod network {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a cluster with nodes: make test-k8s"]
    async fn no_start_of_a_container_makes_a_connection() {
        let starts = std::env::var("CLOISTERDEV_STARTS").ok();
        let starts: u32 = starts.map_or(STARTS, |number| number.parse().expect("CLOISTERDEV_STARTS is a number"));
        let listener = Listener::start();
        let tries = TRIES.replace("ADDRESS", listener.address()).replace("PORT", &PORT.to_string());
        listener.hears("before");
        assert_eq!(listener.connections(), 1);
        let installation = Installation::open_with("starts", &environment()).await;
        let mut jobs = Vec::new();
        for number in 1..=starts {
            jobs.push(installation.submit(number.into(), python(&tries)).await);
        }
        // Many wait for their turn.
        let end = Instant::now() + LONGEST_START * starts;
        for job in jobs {
            let status = loop {
                let status = installation.store.status(job).await.expect("a status");
                if status.phase.has_ended() || Instant::now() > end {
                    break status;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            // It started, and no attempt came to anything.
            assert_eq!(status.phase, Phase::Finished, "{status:?}");
        }
        listener.hears("after");
        assert_eq!(listener.connections(), 2, "one before {starts} starts, and one after them");
        installation.nothing_is_left();
    }
}
