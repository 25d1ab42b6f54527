//! A host for tests: one input, a small output budget, and a readable log.

use super::{component::Resources, preview1::Descriptors};
use crate::{
    account::{Account, Counters},
    clock::Clock,
    fs::Build,
    guest::Guest,
    limiter::Limiter,
    log::Log,
    random::Random,
};
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::{OutputContract, Profile, Sha256};
use std::{
    fs::File,
    io::{Read as _, Seek as _},
    sync::Arc,
};
use tempfile::TempDir;

/// The limit on file handles. Preview 1's root uses one.
pub(super) const HANDLES: u32 = 8;
/// The call limit, in bytes.
pub(super) const CALL_BYTES: u64 = 8192;
/// The output budget, in bytes.
pub(super) const OUTPUT_BYTES: u64 = 10_000;
/// The content of `/data/inputs/d/0`.
pub(super) const INPUT: &[u8] = b"the whole of the input";

/// The environment of a guest, which tests inspect afterwards.
pub(super) struct Host {
    pub(super) inputs: TempDir,
    pub(super) outputs: TempDir,
    pub(super) log: File,
    pub(super) account: Account,
}

impl Host {
    pub(super) fn new() -> Self {
        let inputs = TempDir::new().expect("a directory");
        std::fs::create_dir(inputs.path().join("deeper")).expect("a directory");
        std::fs::write(inputs.path().join("0"), INPUT).expect("an input");
        let (counters, _) = Counters::create().expect("counters");
        Self {
            inputs,
            outputs: TempDir::new().expect("a directory"),
            log: tempfile::tempfile().expect("a log"),
            account: Account::new(Arc::new(counters), 1 << 30),
        }
    }

    /// A new guest in this environment.
    pub(super) fn guest(&self) -> Guest {
        let open = |dir: &TempDir| Dir::open_ambient_dir(dir.path(), ambient_authority()).expect("a directory");
        let contract = OutputContract { max_bytes: OUTPUT_BYTES, ..OutputContract::default() };
        let mut files = Build::new(self.account.clone(), HANDLES)
            .random(Box::new(Random::for_devices(Profile::Deterministic, Sha256::from_bytes([7; 32]))))
            .mount("/data/inputs/d", open(&self.inputs))
            .and_then(|build| build.outputs(open(&self.outputs), contract))
            .expect("a tree")
            .finish();
        Guest {
            descriptors: Descriptors::new(&mut files).expect("a root"),
            resources: Resources::default(),
            files,
            clock: Clock::new(Profile::Deterministic),
            random: Random::new(Profile::Deterministic, Sha256::from_bytes([7; 32])),
            log: Log::new(self.log.try_clone().expect("a log"), 1000, self.account.clone()),
            arguments: vec!["algorithm".to_owned()],
            environment: vec![("DIDS".to_owned(), "[\"d\"]".to_owned())],
            call_bytes: CALL_BYTES,
            handles: HANDLES,
            limiter: Limiter::new(self.account.clone(), 1000, 100),
            account: self.account.clone(),
        }
    }

    /// Everything printed so far.
    pub(super) fn printed(&mut self) -> String {
        let mut text = String::new();
        self.log.rewind().expect("a log");
        self.log.read_to_string(&mut text).expect("text");
        text
    }

    /// The content of an output on the disk.
    pub(super) fn output(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.outputs.path().join(name)).expect("an output")
    }
}
