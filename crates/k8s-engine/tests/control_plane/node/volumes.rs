//! What pods mount, as folders of this machine.

use super::Machine;
use k8s_openapi::api::core::v1::{KeyToPath, PersistentVolumeClaim, Pod, Secret, Volume};
use kube::{Api, ResourceExt as _};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

/// Between two looks at something that is not there yet.
const PAUSE: Duration = Duration::from_millis(50);

/// The path of a store of results that is a claim, in the settings of steps.
const RESULTS: &str = "/results";

/// The folders of the volumes of one pod, by the names that the pod gives them.
pub(super) type Volumes = BTreeMap<String, PathBuf>;

impl Machine {
    /// Makes the volumes of a pod. Waits for claims and Secrets that are not there, as a kubelet does.
    pub(super) async fn volumes(&self, pod: &Pod) -> Volumes {
        let own = self.folder_of(&pod.uid().unwrap_or_default()).join("volumes");
        let spec = pod.spec.as_ref();
        let (mut made, mut secrets) = (Volumes::new(), Vec::new());
        for volume in spec.and_then(|spec| spec.volumes.as_ref()).into_iter().flatten() {
            let folder = match &volume.persistent_volume_claim {
                Some(claim) => self.of_claim(&claim.claim_name).await,
                None => own.join(&volume.name),
            };
            fs::create_dir_all(&folder).expect("the folder of a volume");
            made.insert(volume.name.clone(), folder);
            for (secret, items) in projected(volume) {
                secrets.push((volume.name.clone(), secret, items));
            }
        }
        // The settings of a step name the store by its path in the pod.
        let results = made.get("results").cloned();
        for (volume, secret, items) in secrets {
            let secret = self.secret(&secret).await;
            for KeyToPath { key, path, .. } in items {
                let bytes = &secret.data.as_ref().and_then(|data| data.get(&key)).expect("the key of a secret").0;
                let text = String::from_utf8_lossy(bytes);
                let store = results.as_deref().unwrap_or(Path::new("/proc/nothing-is-mounted-here"));
                let text = text.replace(&format!("file://{RESULTS}"), &format!("file://{}", store.display()));
                place(&made[&volume], &path, text.as_bytes()).expect("a file of a secret");
            }
        }
        made
    }

    async fn of_claim(&self, name: &str) -> PathBuf {
        loop {
            if let Ok(Some(claim)) = self.claims().get_opt(name).await {
                let place = self.place_of(&claim);
                self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), place.clone());
                return place;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn place_of(&self, claim: &PersistentVolumeClaim) -> PathBuf {
        let own = || self.volumes.join("claims").join(claim.uid().unwrap_or_default());
        self.given.get(&claim.name_any()).cloned().unwrap_or_else(own)
    }

    async fn secret(&self, name: &str) -> Secret {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        loop {
            if let Ok(Some(secret)) = api.get_opt(name).await {
                return secret;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Removes what was in the volume of a claim that is gone.
    pub(super) fn forget(&self, claim: &PersistentVolumeClaim) {
        if !self.given.contains_key(&claim.name_any()) {
            let _ = fs::remove_dir_all(self.place_of(claim));
        }
    }
}

/// The Secrets that are in a volume, each with the keys that are shown and their names.
fn projected(volume: &Volume) -> Vec<(String, Vec<KeyToPath>)> {
    let of_secret = volume.secret.iter().map(|secret| (secret.secret_name.clone(), secret.items.clone()));
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let of_projection = sources.filter_map(|source| source.secret.as_ref());
    let of_projection = of_projection.map(|secret| (Some(secret.name.clone()), secret.items.clone()));
    let named = of_secret.chain(of_projection);
    named.map(|(name, items)| (name.expect("the name of a secret"), items.expect("the keys of a secret"))).collect()
}

/// Places a file as a kubelet does: as a link into a hidden folder.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder.join("..data"))?;
    fs::write(folder.join("..data").join(name), bytes)?;
    symlink(Path::new("..data").join(name), folder.join(name))
}
