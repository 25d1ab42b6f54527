use super::{PublishError, error::CancelledError};
use age::x25519::Recipient;
use cloister_files::ProgressCounter;
use cloister_model::{AgeRecipient, FileDigest, ResultFile, ResultKind, Sha256};
use rustix::fs::{Mode, OFlags};
use sha2::Digest as _;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tokio_util::sync::CancellationToken;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A file that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name, for the manifest. May be a guest's text.
    pub name: String,
    /// What it is.
    pub kind: ResultKind,
    /// Where it is.
    pub path: PathBuf,
    /// What was checked: these bytes leave, or none. Of an output, they are the whole file; of a log, its beginning.
    pub expected: FileDigest,
}

/// Hashes what is read, so that what leaves is what was checked, encrypted or not.
struct Checked<'a, R> {
    inner: R,
    hash: sha2::Sha256,
    bytes: u64,
    progress: &'a ProgressCounter,
}

/// Counts and hashes what passes on its way into the store.
pub(super) struct Tee<'a, W> {
    pub(super) inner: W,
    hash: sha2::Sha256,
    bytes: u64,
    cancel: &'a CancellationToken,
}

impl Outgoing {
    /// A file that was checked: an output below the folder of outputs, or else the log.
    #[must_use]
    pub fn of(file: &ResultFile, outputs: &Path, log: &Path) -> Self {
        let ResultFile { name, kind, bytes, sha256 } = file;
        let path = if *kind == ResultKind::Output { outputs.join(name) } else { log.to_owned() };
        Self { name: name.clone(), kind: *kind, path, expected: FileDigest { sha256: *sha256, bytes: *bytes } }
    }

    /// How a list says it that leaves as it is.
    pub(super) fn described(&self) -> ResultFile {
        let FileDigest { sha256, bytes } = self.expected;
        ResultFile { name: self.name.clone(), kind: self.kind, bytes, sha256 }
    }

    /// Opens what leaves of it.
    pub(super) fn open(&self) -> Result<impl Read + use<>, PublishError> {
        let most = if self.kind == ResultKind::Output { u64::MAX } else { self.expected.bytes };
        Ok(self.file()?.take(most))
    }

    /// Opens its file: a regular file, and no link to one.
    fn file(&self) -> Result<File, PublishError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error: io::Error| PublishError::file(&self.name, &error);
        let file =
            File::from(rustix::fs::open(&self.path, flags, Mode::empty()).map_err(|error| failed(error.into()))?);
        let regular = file.metadata().map_err(failed)?.is_file();
        if regular { Ok(file) } else { Err(failed(io::ErrorKind::InvalidInput.into())) }
    }

    /// Its size.
    pub(super) fn bytes(&self) -> Result<u64, PublishError> {
        let found = self.file()?.metadata().map_err(|error| PublishError::file(&self.name, &error))?.len();
        Ok(if self.kind == ResultKind::Output { found } else { found.min(self.expected.bytes) })
    }

    /// Names this version of the file on this machine, without saying anything of its content.
    pub(super) fn version(&self, encrypt_to: Option<&AgeRecipient>) -> Result<Sha256, PublishError> {
        let m = self.file()?.metadata().map_err(|error| PublishError::file(&self.name, &error))?;
        let mut hash = sha2::Sha256::new_with_prefix(b"outgoing\n");
        [m.dev(), m.ino(), m.size()].iter().for_each(|number| hash.update(number.to_be_bytes()));
        [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]
            .iter()
            .for_each(|number| hash.update(number.to_be_bytes()));
        hash.update(self.expected.sha256.as_bytes());
        hash.update(encrypt_to.map_or("", AgeRecipient::as_str));
        Ok(Sha256::from_bytes(hash.finalize().into()))
    }

    /// Writes it out, encrypted if there is a recipient. What was written is good only if this succeeds: the file is hashed
    /// while it is read and compared with what was checked. Blocking; ends soon after it is cancelled.
    pub(super) fn pour<W: Write>(
        &self,
        to: W,
        recipient: Option<&Recipient>,
        progress: &ProgressCounter,
        cancel: &CancellationToken,
    ) -> Result<(W, FileDigest), PublishError> {
        let mut file = Checked { inner: self.open()?, hash: sha2::Sha256::new(), bytes: 0, progress };
        let mut tee = Tee { inner: to, hash: sha2::Sha256::new(), bytes: 0, cancel };
        match recipient {
            None => self.copy(&mut file, &mut tee)?,
            Some(recipient) => {
                let recipients = std::iter::once(recipient as &dyn age::Recipient);
                let encryptor = age::Encryptor::with_recipients(recipients).map_err(|_| PublishError::Recipient)?;
                let mut inner = encryptor.wrap_output(&mut tee).map_err(|error| PublishError::folder(&error))?;
                self.copy(&mut file, &mut inner)?;
                inner.finish().map_err(|error| PublishError::folder(&error))?;
            }
        }
        let Checked { inner: _, hash, bytes, progress: _ } = file;
        if (FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes }) != self.expected {
            return Err(PublishError::changed(&self.name));
        }
        let Tee { inner, hash, bytes, cancel: _ } = tee;
        Ok((inner, FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes }))
    }

    fn copy(&self, from: &mut impl Read, to: &mut impl Write) -> Result<(), PublishError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|error| PublishError::file(&self.name, &error))?,
            };
            if read == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..read]).map_err(|error| PublishError::folder(&error))?;
        }
    }
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        let bytes = u64::try_from(read).map_err(io::Error::other)?;
        self.bytes += bytes;
        // Not bounded here: the output contract was.
        self.progress.add(bytes);
        Ok(read)
    }
}

impl<W: Write> Write for Tee<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(CancelledError));
        }
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += u64::try_from(written).map_err(io::Error::other)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
