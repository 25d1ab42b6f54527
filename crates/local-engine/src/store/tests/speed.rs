//! Measurements, to be looked at: `cargo test --release -p cloister-local-engine speed -- --ignored --nocapture`.

use super::store;
use crate::{
    store::{Db, Durability, Write, jobs},
    testing::job,
};
use std::{sync::Arc, time::Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn submissions_and_statuses() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let store = Arc::new(store);
    let submit = |store: Arc<crate::store::Store>, from: u64, count: u64, durability| {
        tokio::spawn(async move {
            for number in from..from + count {
                let spec = job(number);
                let put = move |write: &mut Write<'_>| Ok(jobs::insert(write, &spec)?);
                store.write::<_, Db, _>(durability, put).await.expect("stored");
            }
        })
    };
    let rate = |what: &str, count: u64, began: Instant| {
        println!("{what}: {:.0}/s", count as f64 / began.elapsed().as_secs_f64());
    };
    let began = Instant::now();
    let clients: Vec<_> =
        (0..16).map(|client| submit(Arc::clone(&store), client * 1_000_000, 100, Durability::Disk)).collect();
    for client in clients {
        client.await.expect("no panic");
    }
    rate("durable submissions, 16 clients, empty", 1600, began);
    let clients: Vec<_> =
        (16..80).map(|client| submit(Arc::clone(&store), client * 1_000_000, 1560, Durability::Process)).collect();
    for client in clients {
        client.await.expect("no panic");
    }
    let began = Instant::now();
    let clients: Vec<_> =
        (100..116).map(|client| submit(Arc::clone(&store), client * 1_000_000, 100, Durability::Disk)).collect();
    for client in clients {
        client.await.expect("no panic");
    }
    rate("durable submissions, 16 clients, 100 000 jobs", 1600, began);
    let began = Instant::now();
    let readers: Vec<_> = (0..2_u64)
        .map(|reader| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for turn in 0..20_000_u64 {
                    let client = 16 + (turn.wrapping_mul(31) + reader) % 64;
                    let id = job_id(client * 1_000_000 + turn % 1560);
                    assert!(store.read(|db| jobs::status(db, id)).expect("read").is_some());
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.expect("no panic");
    }
    rate("statuses, 100 000 jobs", 40_000, began);
}

fn job_id(number: u64) -> cloister_model::JobId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    cloister_model::JobId::from_bytes(id)
}
