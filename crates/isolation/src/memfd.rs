//! Files in memory, and the seals that make them safe to share with an untrusted process.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The seals that make a file immutable: no writes, no change of size, no change of seals.
const IMMUTABLE: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Creates an empty file in memory that can be sealed later.
///
/// `name` appears only in `/proc/<pid>/fd`. From Linux 6.3 on, the file can never be executed. Mapping it with `PROT_EXEC`
/// stays possible.
pub fn create_memfd(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // An older kernel refuses an unknown flag.
        Err(Errno::INVAL) => Ok(memfd_create(name, flags)?),
        created => Ok(created?),
    }
}

/// Makes the content and the size of a file in memory immutable, for every process that has it open.
///
/// # Errors
///
/// `EBUSY` while a process has a shared writable mapping of the file.
pub fn seal_memfd(file: impl AsFd) -> io::Result<()> {
    Ok(fcntl_add_seals(file, IMMUTABLE)?)
}

/// Whether the file was sealed with [`seal_memfd`]. False for files that do not support seals.
pub fn is_sealed(file: impl AsFd) -> bool {
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(IMMUTABLE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_sealed_file_can_only_be_read() {
        let mut file = File::from(create_memfd("test").unwrap());
        file.write_all(b"final").unwrap();
        assert!(!is_sealed(&file));

        seal_memfd(&file).unwrap();
        assert!(is_sealed(&file));
        assert_eq!(file.write_all(b"more").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.set_len(0).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.set_len(100).unwrap_err().raw_os_error(), Some(libc::EPERM));

        let mut content = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut content).unwrap();
        assert_eq!(content, "final");
    }

    #[test]
    fn a_file_on_a_disk_is_not_sealed() {
        assert!(!is_sealed(tempfile::tempfile().unwrap()));
    }
}
