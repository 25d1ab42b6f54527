//! Snapshots: an interpreter that has imported its large packages already.
//!
//! An interpreter that imports pandas and scikit-learn computes for more than a second before the first line of a script, and comes
//! to the same state every time. So it is started once when it is installed, in an ordinary worker, without any data and with every
//! wall up; the host then writes its memory and globals into a new module, and scripts continue from there.
//!
//! What the snapshot holds depends on the installed files, the manifest and the version of the engine alone: the deterministic
//! profile, no dataset, no variable of a job. So its digest stands in the manifest, and a snapshot that came out otherwise is not used.

#![expect(clippy::disallowed_methods, reason = "works in a draft of the installed runtime, in the home directory")]

use super::{Runtime, Snapshot, manifest};
use crate::{
    cache::Cache,
    compiler::{Role, compile_once, sealed},
    home::Home,
    supervisor::{Observer, SNAPSHOT_ENGINE, initialise},
    worker::{State, Value},
};
use anyhow::{Context as _, Result, bail, ensure};
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::Limits;
use std::{
    fs::{self, File},
    pin::pin,
    task::{Context, Poll, Waker},
};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

/// Makes the snapshot of a runtime whose files are in a draft, and returns it: the caller compares its digest with the manifest's.
///
/// # Errors
/// If the interpreter does not compile or does not come to the end of its initialisation.
pub(super) fn make(
    home: &Home,
    runtime: &Runtime,
    snapshot: &Snapshot,
    observer: &mut dyn Observer,
) -> Result<Vec<u8>> {
    let mut module = fs::read(runtime.directory.join(manifest::MODULE))?;
    if let Some(manifest::Replacement { old, new }) = &snapshot.replace {
        replace(&mut module, old, new)?;
    }
    let Some(last) = snapshot.initialize.last() else { bail!("no export to initialise it with") };
    let mut wizer = Wizer::new();
    wizer.init_func(last);
    let instrumented = wizer.instrument(&module).map_err(anyhow::Error::msg);
    let (context, instrumented) = instrumented.context("it cannot be made a snapshot of")?;
    let state = initialised(home, runtime, snapshot, instrumented, observer)?;
    let mut state = State::read(state).context("its state")?;
    ready(wizer.snapshot(&context, &mut state))?.map_err(anyhow::Error::msg).context("writing it")
}

/// Runs the instrumented module to the end of its initialisation. Returns the file that holds its state.
fn initialised(
    home: &Home,
    runtime: &Runtime,
    snapshot: &Snapshot,
    module: Vec<u8>,
    observer: &mut dyn Observer,
) -> Result<File> {
    let cache = Cache::open(home)?;
    let role = Role::Runtime { trap: runtime.trapped_imports().to_vec(), start: snapshot.initialize.clone() };
    let limits = runtime.needs().raise(&Limits::default());
    let file = File::from(sealed("instrumented module", &module)?);
    drop(module);
    let code = match compile_once(&cache, &file, &role, SNAPSHOT_ENGINE, &limits, observer)? {
        Ok(code) => code,
        Err(outcome) => bail!("it does not compile: {outcome}"),
    };
    let outputs = runtime.directory.join("outputs");
    fs::create_dir(&outputs)?;
    let opened = Dir::open_ambient_dir(&outputs, ambient_authority())?;
    let state = initialise(runtime, code, snapshot, limits, &opened, observer);
    fs::remove_dir(&outputs)?;
    state
}

/// Replaces a text in the module's data by one that is not longer, and fills with zeros.
fn replace(module: &mut [u8], old: &str, new: &str) -> Result<()> {
    let (old, new) = (old.as_bytes(), new.as_bytes());
    ensure!(!old.is_empty() && new.len() <= old.len(), "the new text must not be longer than the old one");
    let mut found = memchr::memmem::find_iter(module, old);
    let (Some(at), None) = (found.next(), found.next()) else {
        bail!("the text to replace is not in the module exactly once");
    };
    let place = &mut module[at..at + old.len()];
    place.fill(0);
    place[..new.len()].copy_from_slice(new);
    Ok(())
}

impl InstanceState for State {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        match self.globals.get(name) {
            Some(Value::I64(value)) => SnapshotVal::I64(*value),
            Some(Value::I32(value)) => SnapshotVal::I32(*value),
            // The worker wrote every name that instrumenting gave, so none is missing; the digest would show it.
            None => SnapshotVal::I32(0),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        if name == self.memory {
            contents(&self.contents);
        }
    }
}

/// The result of a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => bail!("writing the snapshot waited for something; this is a bug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_replaced_if_it_is_there_once_and_is_not_shorter() {
        let mut module = b"..import re\0..".to_vec();
        replace(&mut module, "import re", "exec(x)").expect("replaced");
        assert_eq!(module, b"..exec(x)\0\0\0..");
        assert!(replace(&mut b"aa".to_vec(), "a", "b").is_err());
        assert!(replace(&mut b"b".to_vec(), "a", "b").is_err());
        assert!(replace(&mut b"a".to_vec(), "a", "bb").is_err());
        assert!(replace(&mut b"a".to_vec(), "", "").is_err());
    }
}
