//! Claims, as they are stored.

use super::{Place, close};
use crate::{
    store::{DbError, Durability, Fail, Write, audit},
    testing,
};
use cloister_model::{AuditAction, Claim, Claims as _, Timestamp};
use std::{
    fs,
    pin::{Pin, pin},
    sync::mpsc,
    task::{Context, Waker},
};

fn record(write: &mut Write<'_>) -> Result<(), Fail<DbError>> {
    Ok(audit::record(write, testing::event(AuditAction::JobAllowed))?)
}

/// Begins an operation: it waits for the thread that stores from now on.
fn begin(operation: Pin<&mut (impl Future + ?Sized)>) {
    assert!(operation.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A nonce that a power cut gives back would make an old signature good again, so a claim is granted when it is on the disk. What shares
/// its commit is on the disk with it, and of audit records the last one that is on the disk is noted beside the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_on_the_disk_when_it_is_granted() {
    let place = Place::new();
    let engine = place.open().await;
    let noted = || fs::read_to_string(place.home().join("cloister.audit-head")).expect("a note");
    {
        let store = &engine.core.store;
        let before = noted();
        store.write(Durability::Process, record).await.expect("recorded");
        assert_eq!(noted(), before, "a record that a power cut may take is not noted");

        // The thread is busy, so that a record and a claim wait together, and are one commit.
        let ((begun, has_begun), (end, may_end)) = (mpsc::channel(), mpsc::channel::<()>());
        let mut busy = pin!(store.write::<_, DbError, _>(Durability::Process, move |_: &mut Write<'_>| {
            begun.send(()).expect("somebody waits");
            may_end.recv().expect("an end");
            Ok(())
        }));
        begin(busy.as_mut());
        has_begun.recv().expect("it is busy");
        let mut recorded = pin!(store.write(Durability::Process, record));
        begin(recorded.as_mut());
        let until = Timestamp::from_unix_ms(4_102_444_800_000);
        let mut claimed = engine.claim(Claim::nonce(&"alice".parse().expect("an account"), "1", until));
        begin(claimed.as_mut());
        end.send(()).expect("it waits");
        busy.await.expect("done");
        recorded.await.expect("recorded");
        assert_eq!(claimed.await, Ok(true));
        assert_ne!(noted(), before);
    }
    close(engine).await;
}
