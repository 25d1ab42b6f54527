//! The secrets of a service: in its folder, or shared by all replicas.

use super::{operator_key, service::now, settings::ServiceSecrets};
use crate::{
    client::KEY_FILE,
    exit::{CONFLICT, Ended, Usage},
    output::note,
    private_file,
};
use anyhow::Context as _;
use cloister_model::Secret;
use std::path::{Path, PathBuf};

/// The file that job names are derived with.
pub(crate) const SERVICE_SECRET: &str = "service.secret";

/// The file with the seed of the key that signs receipts.
pub(crate) const RECEIPT_KEY: &str = "receipt.key";

/// Make the secrets that all replicas of a service on Kubernetes share
///
/// Writes `service.secret`, `receipt.key` and `operator.key` to a folder, readable by you alone. Files that are there already are
/// kept. Put them into a Secret, keep a copy where backups are, and delete the folder:
///
///     kubectl --namespace cloister-system create secret generic cloister --from-file=DIR
///
/// `operator.key` is your own key: commands find it with --key.
#[derive(Debug, clap::Args)]
pub(crate) struct MakeSecrets {
    /// The folder, which is made if it does not exist
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

impl MakeSecrets {
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        let Self { into } = self;
        make(&into)?;
        note(&format!("{SERVICE_SECRET}, {RECEIPT_KEY} and {KEY_FILE} are in {}", into.display()));
        Ok(())
    }
}

fn make(into: &Path) -> anyhow::Result<()> {
    let shown = |path: &Path| format!("`{}`", path.display());
    private_file::create_folder(into).and_then(|()| private_file::check_folder(into)).with_context(|| shown(into))?;
    for name in [SERVICE_SECRET, RECEIPT_KEY] {
        let path = into.join(name);
        private_file::secret(&path).with_context(|| shown(&path))?;
    }
    let path = into.join(KEY_FILE);
    if private_file::read(&path).with_context(|| shown(&path))?.is_none() {
        let key = operator_key::make(now())?;
        private_file::write(&path, format!("{}\n", key.expose()).as_bytes()).with_context(|| shown(&path))?;
    }
    Ok(())
}

/// The secrets of a service with a folder of its own. They are made for a new folder. In a folder that was used, one that is
/// missing was removed, and another one would give receipts that the earlier public key does not verify.
pub(super) fn own(home: &Path, is_new: bool, new_receipt_key: bool) -> anyhow::Result<ServiceSecrets> {
    let secret = |name: &str| {
        let path = home.join(name);
        if name == RECEIPT_KEY && !is_new && !new_receipt_key && !path.exists() {
            return Err(Ended::error(
                CONFLICT,
                format!(
                    "`{}` is missing: it signs receipts, and the public key that readers know belongs to it. Restore it from a \
                     backup. If it is lost, start once with --new-receipt-key, and tell the readers of receipts",
                    path.display()
                ),
            ));
        }
        private_file::secret(&path).with_context(|| format!("`{}`", path.display()))
    };
    Ok(ServiceSecrets { secret: secret(SERVICE_SECRET)?, receipt_key: secret(RECEIPT_KEY)? })
}

/// The secrets that all replicas share, and the operator's key. They are never made here: two replicas would make two.
pub(super) fn shared(folder: &Path) -> anyhow::Result<(ServiceSecrets, Secret<String>)> {
    let content = |name: &str| {
        let path = folder.join(name);
        let found = private_file::read_of_group(&path).with_context(|| format!("`{}`", path.display()))?;
        found.ok_or_else(|| {
            Usage::error(format!(
                "`{}` is missing: replicas share their secrets. Make them with `cloister secrets --into DIR` and \
                 `kubectl create secret generic cloister --from-file=DIR`, mount that Secret, and name the folder in `k8s.secrets`",
                path.display()
            ))
        })
    };
    let secret = |name: &str| -> anyhow::Result<[u8; 32]> {
        content(name)?.try_into().map_err(|_| {
            let path = folder.join(name);
            Usage::error(format!("`{}` does not have 32 bytes; make it with `cloister secrets`", path.display()))
        })
    };
    let secrets = ServiceSecrets { secret: secret(SERVICE_SECRET)?, receipt_key: secret(RECEIPT_KEY)? };
    let key = String::from_utf8(content(KEY_FILE)?).unwrap_or_default();
    Ok((secrets, Secret::new(key.trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn what_is_made_once_is_what_every_replica_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let into = folder.path().join("new/secrets");
        let error = shared(&into).map(drop).expect_err("nothing").to_string();
        assert!(error.contains("service.secret") && error.contains("cloister secrets --into"), "{error}");
        make(&into).expect("made");
        assert_eq!(fs::metadata(&into).expect("a folder").permissions().mode() & 0o777, 0o700);
        let (first, key) = shared(&into).expect("secrets");
        make(&into).expect("kept");
        let (second, same) = shared(&into).expect("secrets");
        assert_eq!((first.secret, first.receipt_key, key.expose()), (second.secret, second.receipt_key, same.expose()));
        assert!(key.expose().starts_with("clk_") && first.secret != first.receipt_key);
        // As the kubelet mounts a Secret: readable by the group of the pod only.
        let set = |mode: u32| fs::set_permissions(into.join(RECEIPT_KEY), fs::Permissions::from_mode(mode));
        set(0o440).expect("a mode");
        shared(&into).expect("secrets");
        for open in [0o444, 0o460, 0o450] {
            set(open).expect("a mode");
            assert!(shared(&into).is_err(), "{open:o}");
        }
        set(0o600).expect("a mode");
        fs::write(into.join(RECEIPT_KEY), "short").expect("written");
        let error = shared(&into).map(drop).expect_err("short").to_string();
        assert!(error.contains("32 bytes"), "{error}");
    }

    /// Who owns the folder, or may rename what is in it, would put keys of its own there before they go into the Secret.
    #[test]
    fn secrets_are_not_made_where_other_users_can_replace_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let into = folder.path().join("open");
        fs::create_dir(&into).expect("a folder");
        fs::set_permissions(&into, fs::Permissions::from_mode(0o777)).expect("a mode");
        let error = format!("{:#}", make(&into).expect_err("open to all"));
        assert!(error.contains("other users"), "{error}");
        assert_eq!(fs::read_dir(&into).expect("a folder").count(), 0);
        fs::set_permissions(&into, fs::Permissions::from_mode(0o755)).expect("a mode");
        make(&into).expect("made");
    }
}
